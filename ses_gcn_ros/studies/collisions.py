"""The collision task of CHICO (Sampieri et al., ECCV 2022): does a forecast foresee the contact?

A person's limbs and a robot's links are segments. A window is a collision if any of them come
nearer than a threshold in any frame of the horizon. The robot's own motion is known; only the
person's is forecast. Windows of the recorded motion say what really happened.

The probability of a contact is judged on the same windows by how often it comes true; what it is
fitted to may be people who are put near one another.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.datasets.sequences import Sequence as Motion
from ses_gcn_ros.datasets.sequences import at_rate, window_starts
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.alarm import (
    HORIZONS,
    SHIPPED,
    THRESHOLD,
    ContactAlarm,
    reliability,
    urgency,
)
from ses_gcn_ros.forecast.baselines import BASELINES
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.replay.figures import Theme, bare, headline, styled
from ses_gcn_ros.safety import capsule_distances
from ses_gcn_ros.skeleton import get_layout

WITH_RADIUS = " with radius"
BY_Z, TOGETHER = " by z", "probability of contact"
_OTHERS = ("constant_velocity", "last_pose")  # paths that count beside the network's
EARLY = 0.4  # s ahead that an alarm has to come to be worth having
AGAIN = 1.0  # s within which what comes again is the same
AT_RECALL = 0.5  # of the contacts that are so far ahead, where alarms are counted
_RESAMPLED = 200  # times, for the interval of an average precision
_BATCH = 128  # windows at once
_AWAY = (0.3, 1.8)  # m from root to root of those who are put near one another

Floats = NDArray[np.float32]
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Encounter:
    """A person and a robot, or who stands for it, over time."""

    name: str
    person: Floats  # (T, J, 3): joints [m]
    robot: Floats  # (T, P, 3): points of the robot [m] in the same frame at the same times


@dataclass(frozen=True, eq=False)
class Gaps:
    """Least distance of person and robot in every frame of every window's horizon."""

    happened: Floats  # (W, H): as recorded [m]
    # (W, H): by forecast [m]; under the model's name, followed by ``with radius``, less its radius
    predicted: dict[str, Floats]
    # (W, H): what else can be raised as an alarm, lower where it is more urgent: under ``by z`` the
    # least of (distance − `THRESHOLD`) / radius over all pairs; under `TOGETHER`, less the
    # probability that the safety node would say
    alarms: dict[str, Floats]
    last_observed: Floats  # (W,): in the last frame that was observed [m]
    # (W,): encounter that each window is of, and the last frame there that was observed
    encounter: NDArray[np.int64]
    frame: NDArray[np.int64]
    encounters: int  # how many there were
    fps: float  # frame rate [Hz]


def chain(points: int) -> NDArray[np.int64]:
    """Links (P − 1, 2) that join points one after the other, as those of an arm."""
    return np.stack([np.arange(points - 1), np.arange(1, points)], axis=1)


def measure(
    engine: Engine,
    encounters: Iterable[Encounter],
    links: NDArray[np.int64],
    *,
    stride: int = 1,
    alarm: ContactAlarm = SHIPPED,
) -> Gaps:
    """Forecast every window of every encounter, and measure how near it comes to the robot.

    Raises InputError if a person has another number of joints, person and robot don't last equally
    long, or no encounter is as long as a window.

    `engine`: its layout and frame rate are those of the encounters.
    `encounters`: those shorter than a window are passed over.
    `links` (M, 2): points of the robot that each link leads from and to.
    `alarm`: whose probability is raised.
    """
    joints = len(get_layout(engine.layout).joints)
    limbs = np.asarray(get_layout(engine.layout).limbs)
    length = engine.observed + engine.horizon
    happened: list[Floats] = []
    last: list[Floats] = []
    predicted: dict[str, list[Floats]] = {name: [] for name in (*BASELINES, engine.name)}
    alarms: dict[str, list[Floats]] = {}
    whose: list[NDArray[np.int64]] = []
    when: list[NDArray[np.int64]] = []
    count = 0
    for met in encounters:
        if met.person.shape[1:] != (joints, 3) or len(met.person) != len(met.robot):
            raise InputError(
                f"'{met.name}' has a person of shape {met.person.shape} and a robot of shape "
                f"{met.robot.shape}; it takes (T, {joints}, 3) and (T, points, 3)"
            )
        count += 1
        starts = window_starts(len(met.person), length, stride)
        for first in range(0, len(starts), _BATCH):
            rows = starts[first : first + _BATCH, None] + np.arange(length)
            person, robot = met.person[rows], met.robot[rows]
            now = engine.observed - 1
            real = _least(axis_distances(person[:, now:], limbs, robot, links))
            last.append(real[:, 0])
            happened.append(real[:, 1:])
            whose.append(np.full(len(rows), count - 1))
            when.append(rows[:, now])
            history = np.ascontiguousarray(person[:, : engine.observed])
            path, radii, *_ = engine.predict_with_radius(history)
            for name in (*BASELINES, engine.name):
                own = name == engine.name
                forecast = path if own else BASELINES[name](history, engine.horizon)
                distances = axis_distances(forecast, limbs, robot, links)
                predicted[name].append(_least(distances))
                if name not in (engine.name, *_OTHERS) or engine.radius is None:
                    continue
                assert radii is not None
                radius = radii[:, :, limbs].max(axis=-1)[..., None]
                if own:
                    grown = _least(distances - radius)
                    predicted.setdefault(name + WITH_RADIUS, []).append(grown)
                z = _least((distances - THRESHOLD) / radius)
                alarms.setdefault(name + BY_Z, []).append(z)
    if not happened:
        raise InputError(f"none of {count} encounters is as long as a window of {length} frames")
    raised = {name: np.concatenate(parts) for name, parts in alarms.items()}
    if raised:
        times = np.arange(1, engine.horizon + 1) / engine.fps
        urgent = urgency(*(raised[name + BY_Z] for name in (engine.name, *_OTHERS)))
        raised[TOGETHER] = -alarm.at(times).probability(urgent).astype(np.float32)
    return Gaps(
        happened=np.concatenate(happened),
        predicted={name: np.concatenate(parts) for name, parts in predicted.items()},
        alarms=raised,
        last_observed=np.concatenate(last),
        encounter=np.concatenate(whose),
        frame=np.concatenate(when),
        encounters=count,
        fps=engine.fps,
    )


def axis_distances(
    person: Floats, limbs: NDArray[np.int64], robot: Floats, links: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distances of all limbs' axes (W, H, J, 3) to all links' over the last H frames: (W, H, N, M).

    Limbs (N, 2) are pairs of joints, links (M, 2) pairs of the robot's points; all in metres.
    """
    robot = robot[:, -person.shape[1] :]
    return capsule_distances(
        person[..., limbs[:, 0], None, :],
        person[..., limbs[:, 1], None, :],
        0.0,
        robot[..., None, links[:, 0], :],
        robot[..., None, links[:, 1], :],
        0.0,
    ).distance


def _least(pairs: NDArray[np.float64]) -> Floats:
    return pairs.min(axis=(-2, -1)).astype(np.float32)


@dataclass(frozen=True)
class Score:
    """How well collisions are told from none."""

    # windows
    hits: int
    false_alarms: int
    misses: int
    rejections: int

    @property
    def precision(self) -> float:
        """Share of the alarms that were right; NaN without any."""
        return _share(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """Share of the collisions that were foreseen; NaN without any."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def score(
    gaps: Gaps,
    method: str,
    frames: int,
    *,
    threshold: float = THRESHOLD,
    onsets: bool = False,
) -> Score:
    """Judge a method over the first `frames` of the horizon.

    `method`: one of ``gaps.predicted``.
    `threshold`: distance under which it is a collision [m].
    `onsets`: count only windows in which there was no contact yet when the forecast was made:
    seeing that a contact goes on is no foresight.
    """
    counted = gaps.last_observed >= threshold if onsets else np.ones(len(gaps.happened), bool)
    real = (gaps.happened[counted, :frames] < threshold).any(axis=1)
    said = (gaps.predicted[method][counted, :frames] < threshold).any(axis=1)
    return Score(
        hits=int((real & said).sum()),
        false_alarms=int((~real & said).sum()),
        misses=int((real & ~said).sum()),
        rejections=int((~real & ~said).sum()),
    )


def recall_by_lead(
    gaps: Gaps, method: str, edges: NDArray[np.int64], *, threshold: float = THRESHOLD
) -> list[tuple[int, float]]:
    """Share of coming contacts that are foreseen, by how far ahead they were.

    `edges` (B + 1,): frames that part the bins: the first contact lies in frame ``edges[b] + 1`` to
    ``edges[b + 1]``.
    Gives the number of windows and the recall of each bin.
    """
    close = gaps.happened < threshold
    coming = (gaps.last_observed >= threshold) & close.any(axis=1)
    first = close.argmax(axis=1) + 1
    said = (gaps.predicted[method] < threshold).any(axis=1)
    bins = []
    for low, high in itertools.pairwise(edges.tolist()):
        inside = coming & (first > low) & (first <= high)
        bins.append((int(inside.sum()), _share(int((inside & said).sum()), int(inside.sum()))))
    return bins


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall as the level of the alarm falls; windows without contact yet."""

    # (K,): at each level that a window has, the most urgent first
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    alarms: NDArray[np.int64]  # (K,): windows with an alarm
    # (K,): share of the contacts at least `EARLY` ahead that are foreseen; NaN without any
    early: NDArray[np.float64]
    early_contacts: int  # how many of these there are

    @property
    def average_precision(self) -> float:
        """Σ (R_k − R_k−1) P_k; NaN without a contact."""
        return float((np.diff(self.recall, prepend=0.0) * self.precision).sum())

    def alarms_per_early_contact(self) -> float:
        """Alarms per contact foreseen `EARLY` ahead, where `AT_RECALL` of these are foreseen."""
        enough = self.early >= AT_RECALL
        if not enough.any():
            return math.nan
        at = int(enough.argmax())
        return float(self.alarms[at] / (self.early[at] * self.early_contacts))


def curve(gaps: Gaps, method: str, frames: int, rows: NDArray[np.int64] | None = None) -> Curve:
    """Precision and recall of a method's alarm that a contact begins within `frames`.

    `rows`: windows to take, also several times, such as those of resampled encounters.
    """
    rows = np.arange(len(gaps.happened)) if rows is None else rows
    rows = rows[gaps.last_observed[rows] >= THRESHOLD]
    raised = gaps.alarms.get(method, gaps.predicted.get(method))
    assert raised is not None
    urgency = raised[rows, :frames].min(axis=1)
    close = gaps.happened[rows, :frames] < THRESHOLD
    real = np.asarray(close.any(axis=1))
    early = real & (close.argmax(axis=1) + 1 >= EARLY * gaps.fps - 1e-6)
    order = np.argsort(urgency, kind="stable")
    hits, said = real[order].cumsum(), np.arange(1, len(order) + 1)
    last = np.diff(urgency[order], append=np.inf) > 0.0  # of those with the same urgency
    with np.errstate(invalid="ignore", divide="ignore"):
        return Curve(
            precision=hits[last] / said[last],
            recall=hits[last] / real.sum(),
            alarms=said[last],
            early=early[order].cumsum()[last] / early.sum(),
            early_contacts=int(early.sum()),
        )


def alarms_per_contact(gaps: Gaps, method: str, frames: int) -> tuple[float, int]:
    """Alarms per contact foreseen `EARLY` ahead, where `AT_RECALL` of these are, and their number.

    What somebody who hears them counts: an alarm goes on while windows raise it, and one that comes
    again within a second (`AGAIN`) is still the same; so with contacts. NaN without a contact.
    """
    rows = np.flatnonzero(gaps.last_observed >= THRESHOLD)
    raised = gaps.alarms.get(method, gaps.predicted.get(method))
    assert raised is not None
    urgent = raised[rows, :frames].min(axis=1)
    whose, when = gaps.encounter[rows], gaps.frame[rows]
    close = gaps.happened[rows, :frames] < THRESHOLD
    ahead = close.argmax(axis=1) + 1
    early = close.any(axis=1) & (ahead >= EARLY * gaps.fps - 1e-6)
    if not early.any():
        return math.nan, 0
    onsets, which = np.unique(
        np.stack([whose, when + ahead], axis=1)[early], axis=0, return_inverse=True
    )
    contact = _anew(onsets[:, 0], onsets[:, 1], gaps.fps).cumsum() - 1
    least = np.full(contact[-1] + 1, np.inf)
    np.minimum.at(least, contact[which.reshape(-1)], urgent[early])
    level = np.sort(least)[math.ceil(AT_RECALL * len(least)) - 1]
    on = urgent <= level
    alarms = _anew(whose[on], when[on], gaps.fps).sum()
    return float(alarms / (least <= level).sum()), len(least)


def _anew(whose: NDArray[np.int64], frame: NDArray[np.int64], fps: float) -> NDArray[np.bool_]:
    """Which events, in order, come more than `AGAIN` after the last of the same encounter."""
    return (np.diff(whose, prepend=-1) != 0) | (np.diff(frame, prepend=0) > AGAIN * fps)


def average_precision(gaps: Gaps, method: str, frames: int) -> tuple[float, float, float]:
    """Average precision, and its 90 % interval over resampled encounters (percentile bootstrap)."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(gaps.encounter == index) for index in np.unique(gaps.encounter)]
    drawn = []
    for _ in range(_RESAMPLED):
        chosen = rng.integers(len(members), size=len(members))
        rows = np.concatenate([members[index] for index in chosen])
        drawn.append(curve(gaps, method, frames, rows).average_precision)
    low, high = np.nanpercentile(drawn, [5, 95]) if drawn else (math.nan, math.nan)
    return curve(gaps, method, frames).average_precision, float(low), float(high)


def pair_up(
    sequences: Sequence[Motion], person: str, robot: str, fps: float
) -> tuple[list[Encounter], NDArray[np.int64]]:
    """Encounters of those who share a recording, and the links of who stands for the robot.

    Raises InputError if a recording lacks one of the two.

    `sequences`: two of a recording are told apart by their tag.
    `person`, `robot`: tag of who is forecast and of who stands for the robot.
    Gives encounters, and links (M, 2): limbs of who stands for the robot.
    """
    recordings: dict[int, dict[str, Motion]] = {}
    for sequence in sequences:
        for tag in sequence.tags:
            recordings.setdefault(sequence.index, {})[tag] = sequence
    encounters = []
    for index, who in recordings.items():
        for tag in (person, robot):
            if tag not in who:
                raise InputError(
                    f"recording {index} has no '{tag}'; it has {', '.join(sorted(who))}"
                )
        positions = at_rate(who[person], fps), at_rate(who[robot], fps)
        encounters.append(Encounter(who[person].name, *positions))
    layout = next(iter(recordings.values()))[robot].layout
    return encounters, np.asarray(get_layout(layout).limbs, dtype=np.int64)


def placed(
    sequences: Sequence[Motion], fps: float, length: int, count: int
) -> tuple[list[Encounter], NDArray[np.int64]]:
    """Encounters of recorded people with others, who are put near them and stand for a robot.

    The other faces anywhere, 0.3 to 1.8 m away in the last frame. Gives the encounters of `length`
    frames at `fps` [Hz], and the links (M, 2), which are the limbs of the people's one layout.
    """
    rng = np.random.default_rng(0)
    layout = get_layout(sequences[0].layout)
    people = [at_rate(sequence, fps) for sequence in sequences]
    people = [person for person in people if len(person) >= length]
    weight = np.array([len(person) for person in people], float)
    encounters = []
    for number in range(count):
        windows = []
        for which in rng.choice(len(people), 2, p=weight / weight.sum()):
            start = rng.integers(len(people[which]) - length + 1)
            windows.append(people[which][start : start + length])
        person, other = windows
        turn, bearing = rng.uniform(-np.pi, np.pi, 2)
        root = other[-1, layout.root].copy()
        root[2] = 0
        other = (other - root) @ Rotation.from_euler("z", turn).as_matrix().T
        away = rng.uniform(*_AWAY) * np.array([np.cos(bearing), np.sin(bearing), 0])
        there = person[-1, layout.root] * [1, 1, 0] + away
        encounters.append(Encounter(f"placed {number}", person, (other + there).astype(np.float32)))
    return encounters, np.asarray(layout.limbs)


def at_horizons(gaps: Gaps, network: str) -> tuple[Array, NDArray[np.bool_]]:
    """Urgency up to each of `HORIZONS`, and whether contact came by then, (W, 5) each.

    Windows in which there is contact already are left out.
    """
    last = np.round(np.array(HORIZONS) * gaps.fps).astype(int) - 1
    free = gaps.last_observed >= THRESHOLD
    z = (gaps.alarms[name + BY_Z][free] for name in (network, *_OTHERS))
    came = np.maximum.accumulate(gaps.happened[free] < THRESHOLD, axis=1)
    return urgency(*z)[:, last], came[:, last]


def reliable(gaps: Gaps, network: str, alarm: ContactAlarm) -> dict[str, Any]:
    """How often the probability of contact came true at each horizon, ready for JSON."""
    urgent, contact = at_horizons(gaps, network)
    said = alarm.probability(urgent)
    horizons = {}
    for k, horizon in enumerate(HORIZONS):
        bins, error, brier = reliability(said[:, k], contact[:, k])
        rate, frames = float(contact[:, k].mean()), round(horizon * gaps.fps)
        horizons[f"{horizon:g}"] = {
            "contacts_percent": round(100 * rate, 2),
            "said_percent": round(100 * float(said[:, k].mean()), 2),
            "calibration_error": round(error, 4),
            "brier": round(brier, 4),
            "brier_of_the_rate": round(rate * (1 - rate), 4),
            "average_precision": {
                key: _plain(curve(gaps, name, frames).average_precision)
                for key, name in (
                    ("together", TOGETHER),
                    ("network", network + BY_Z),
                    *((other, other + BY_Z) for other in _OTHERS),
                )
            },
            "bins": [[b.windows, round(b.said, 3), round(b.happened, 3)] for b in bins],
        }
    return {"windows": len(contact), "coefficients": alarm.coefficients.round(4).tolist()} | {
        "horizons": horizons
    }


def reliable_table(summary: dict[str, Any]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Headings and rows of what `reliable` gives, one row for each horizon."""
    headings = (
        "by [s]", "contacts [%]", "said [%]", "calibration error", "Brier", "of the rate",
        "AP together", "AP network", "AP velocity", "AP last pose", "said → came (windows)",
    )  # fmt: skip
    rows = [
        (
            horizon, f"{at['contacts_percent']:.1f}", f"{at['said_percent']:.1f}",
            f"{at['calibration_error']:.3f}", f"{at['brier']:.3f}",
            f"{at['brier_of_the_rate']:.3f}",
            *(_cell(value) for value in at["average_precision"].values()),
            ", ".join(f"{said:.2f} → {came:.2f} ({n})" for n, said, came in at["bins"]),
        )
        for horizon, at in summary["horizons"].items()
    ]  # fmt: skip
    return headings, rows


_STEPS = 5  # lead times shown


def summarise(gaps: Gaps, threshold: float = THRESHOLD) -> dict[str, Any]:
    """Every figure, ready for JSON: per method and how far ahead, all windows and onsets."""
    frames = gaps.happened.shape[1]
    edges = np.unique(np.linspace(0, frames, _STEPS + 1).round().astype(int))
    methods = {}
    for name in gaps.predicted:
        windows = {}
        for kind, onsets in (("all", False), ("onsets", True)):
            rows = []
            for ahead in edges[1:].tolist():
                found = score(gaps, name, ahead, threshold=threshold, onsets=onsets)
                shares = {key: _plain(getattr(found, key)) for key in ("precision", "recall", "f1")}
                rows.append({"ahead_s": ahead / gaps.fps, **shares, **asdict(found)})
            windows[kind] = rows
        bins = recall_by_lead(gaps, name, edges, threshold=threshold)
        windows["recall_by_lead"] = [
            {
                "from_s": low / gaps.fps,
                "to_s": high / gaps.fps,
                "windows": count,
                "recall": _plain(recall),
            }
            for low, high, (count, recall) in zip(
                edges[:-1].tolist(), edges[1:].tolist(), bins, strict=True
            )
        ]
        methods[name] = windows
    alarms = {}
    for name in (*gaps.predicted, *gaps.alarms):
        rows = []
        for ahead in edges[1:].tolist():
            value, low, high = average_precision(gaps, name, ahead)
            calls = curve(gaps, name, ahead).alarms_per_early_contact()
            heard, contacts = alarms_per_contact(gaps, name, ahead)
            rows.append(
                {
                    "ahead_s": ahead / gaps.fps,
                    "average_precision": _plain(value),
                    "low": _plain(low),
                    "high": _plain(high),
                    "alarms_per_early_contact": _plain(calls),
                    "alarms_heard_per_contact": _plain(heard),
                    "early_contacts": contacts,
                }
            )
        alarms[name] = rows
    return {
        "encounters": gaps.encounters,
        "windows": len(gaps.happened),
        "touching_when_forecast": int((gaps.last_observed < threshold).sum()),
        "threshold_m": threshold,
        "horizon_s": frames / gaps.fps,
        "methods": methods,
        "alarms": alarms,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def as_text(summary: dict[str, Any]) -> str:
    """The figures as a person reads them."""
    lines = [
        f"{summary['windows']} windows of {summary['encounters']} encounters; a collision comes "
        f"under {1000 * summary['threshold_m']:.0f} mm within the time ahead; "
        f"{summary['touching_when_forecast']} windows were in contact when the forecast was made",
    ]
    for kind, title in (
        ("all", "all windows (CHICO's task): precision / recall / F1"),
        ("onsets", "windows without contact yet: precision / recall / F1"),
    ):
        rows = next(iter(summary["methods"].values()))[kind]
        head = "".join(f"{row['ahead_s']:>17.1f} s" for row in rows)
        lines += ["", title, f"{'within':32}{head}"]
        for name, windows in summary["methods"].items():
            cells = "".join(
                f"{_cell(row['precision']):>7}{_cell(row['recall']):>6}{_cell(row['f1']):>6}"
                for row in windows[kind]
            )
            lines.append(f"{name:32}{cells}")
    bins = next(iter(summary["methods"].values()))["recall_by_lead"]
    head = "".join(f"{part['from_s']:.1f} to {part['to_s']:.1f} s".rjust(14) for part in bins)
    lines += ["", "recall of contacts still to come, by the time until them", f"{'':32}{head}"]
    lines.append(f"{'windows':32}" + "".join(f"{part['windows']:14}" for part in bins))
    for name, windows in summary["methods"].items():
        cells = "".join(f"{_cell(part['recall']):>14}" for part in windows["recall_by_lead"])
        lines.append(f"{name:32}{cells}")
    rows = next(iter(summary["alarms"].values()))
    head = "".join(f"{row['ahead_s']:>20.1f} s" for row in rows)
    lines += ["", "average precision (90 % interval), no contact yet", f"{'within':36}{head}"]
    for name, rows in summary["alarms"].items():
        cells = "".join(
            f"{_cell(row['average_precision'])} ({_cell(row['low'])}–{_cell(row['high'])})".rjust(
                22
            )
            for row in rows
        )
        lines.append(f"{name:36}{cells}")
    share = f"at least {EARLY:g} s ahead, where {100 * AT_RECALL:.0f} % of these are"
    for key, title in (
        ("alarms_per_early_contact", f"windows with an alarm per window before a contact {share}"),
        (
            "alarms_heard_per_contact",
            f"alarms per contact foreseen {share}; what comes again within {AGAIN:g} s is one; "
            f"{rows[-1]['early_contacts']} contacts",
        ),
    ):
        lines += ["", title, f"{'within':36}{head}"]
        for name, rows in summary["alarms"].items():
            lines.append(f"{name:36}" + "".join(f"{_cell(row[key]):>22}" for row in rows))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def as_csv(summary: dict[str, Any]) -> str:
    """One line per method, kind of windows and time ahead."""
    keys = ("ahead_s", "precision", "recall", "f1", "hits", "false_alarms", "misses", "rejections")
    lines = ["method,windows," + ",".join(keys)]
    for name, windows in summary["methods"].items():
        for kind in ("all", "onsets"):
            for row in windows[kind]:
                cells = ("" if row[key] is None else str(row[key]) for key in keys)
                lines.append(f"{name},{kind}," + ",".join(cells))
    return "\n".join(lines) + "\n"


def alarm_figure(gaps: Gaps, theme: Theme) -> Figure:
    """Draw precision over recall of contacts within the horizon, none being there yet."""
    colours = (
        theme.baseline_1, theme.baseline_2, theme.quiet, theme.person, theme.grid, theme.forecast,
    )  # fmt: skip
    with styled(theme):
        figure = Figure(figsize=(7, 4.2))
        axes = figure.add_subplot(
            figure.add_gridspec(1, 1, left=0.09, right=0.62, bottom=0.13, top=0.8)[0]
        )
        frames = gaps.happened.shape[1]
        for index, name in enumerate((*gaps.predicted, *gaps.alarms)):
            found = curve(gaps, name, frames)
            axes.plot(
                found.recall, found.precision, lw=1.4, color=colours[index % len(colours)],
                ls="--" if name in gaps.alarms else "-",
                label=f"{name.replace('_', ' ')}: {found.average_precision:.2f}",
            )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall", ylabel="precision")
        axes.grid(color=theme.grid, lw=0.6)
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
        bare(axes)
        headline(
            figure, theme, "Contacts foreseen: precision over recall",
            f"{len(gaps.happened)} windows of {gaps.encounters} encounters, contact of the axes "
            f"under {1000 * THRESHOLD:.0f} mm within {frames / gaps.fps:.1f} s",
        )  # fmt: skip
    return figure


def f1_figure(summary: dict[str, Any], theme: Theme) -> Figure:
    """Draw F1 over the time ahead: all windows, and those without contact yet."""
    colours = (theme.baseline_1, theme.baseline_2, theme.quiet, theme.person, theme.forecast)
    with styled(theme):
        figure = Figure(figsize=(9, 3.6))
        grid = figure.add_gridspec(1, 2, left=0.06, right=0.8, bottom=0.13, top=0.78, wspace=0.12)
        axes = None
        for place, (kind, title) in enumerate(
            (("all", "all windows"), ("onsets", "no contact yet"))
        ):
            axes = figure.add_subplot(grid[place], sharey=axes)
            for colour, (name, windows) in zip(colours, summary["methods"].items(), strict=True):
                rows = windows[kind]
                f1 = [math.nan if row["f1"] is None else row["f1"] for row in rows]
                axes.plot(
                    [row["ahead_s"] for row in rows], f1, "o-", ms=3, lw=1.6, color=colour,
                    label=name.replace("_", " "),
                )  # fmt: skip
            axes.set(ylim=(0, 1), xlabel="within s")
            axes.set_title(title, loc="left", fontsize=9, color=theme.quiet)
            axes.grid(axis="y", color=theme.grid, lw=0.6)
            bare(axes)
        assert axes is not None
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        headline(
            figure, theme, "Contacts foreseen (F1)",
            f"{summary['windows']} windows of {summary['encounters']} encounters, contact under "
            f"{1000 * summary['threshold_m']:.0f} mm",
        )  # fmt: skip
    return figure
