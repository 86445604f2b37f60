"""One page that holds a whole run: curves, the 3D view, tables; no other file, no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros import __version__
from ses_gcn_ros.replay.figures import THEMES, highest_shown, spans
from ses_gcn_ros.replay.recording import Replay
from ses_gcn_ros.replay.scene import HAND_REACH, closest_pair
from ses_gcn_ros.replay.summary import OUT_OF_SIGHT, pair_of, text_of
from ses_gcn_ros.safety.people import body
from ses_gcn_ros.skeleton import get_layout

UNKNOWN = np.iinfo(np.int16).min  # stands for NaN
MILLIMETRE = 0.001  # m
_KINDS = {"f4": "<f4", "u1": "u1", "u4": "<u4", "i2": "<i2"}

Floats = NDArray[np.float32]
Array = NDArray[np.float64]

MOST_FRAMES = 2400  # on a page; of a longer run evenly spaced ones and all around the worst
AROUND = 1.0  # s before and after a moment
_VIEW_ANGLE = np.radians(17.5)  # half of what the page's camera sees
_NEAR = (1.2, 2.5)  # m from the robot: people within have to fit into the picture
MOST_STATES = 20_000


def pack(values: ArrayLike, kind: str) -> dict[str, Any]:
    """Array as it is, row by row: kind f4, u1, u4 or i2."""
    data = np.ascontiguousarray(np.asarray(values).ravel(), _KINDS[kind])
    return {"kind": kind, "data": base64.b64encode(data.tobytes()).decode()}


def pack_metres(values: ArrayLike) -> dict[str, Any]:
    """Lengths [m] as whole millimetres, at most 32 m; NaN and infinity become unknown."""
    millimetres = np.round(np.asarray(values, np.float64) / MILLIMETRE)
    known = np.isfinite(millimetres)
    limited = np.clip(np.where(known, millimetres, 0), UNKNOWN + 1, -UNKNOWN - 1)
    return {**pack(np.where(known, limited, UNKNOWN), "i2"), "unit": MILLIMETRE}


def chosen_frames(
    replay: Replay, moments: list[float], most: int = MOST_FRAMES
) -> NDArray[np.int64]:
    """Indices of the frames that go on the page, in order; `moments` are the worst ones [s]."""
    count = len(replay.time)
    if count <= most:
        return np.arange(count)
    time = np.asarray(replay.time)
    near = np.zeros(count, bool)
    for moment in moments:
        near |= np.abs(time - moment) <= AROUND
    close = np.flatnonzero(near)[: most // 2]
    even = np.linspace(0, count - 1, most - len(close)).round().astype(np.int64)
    return np.unique(np.concatenate([close, even]))


def scene_data(replay: Replay, moments: list[float]) -> dict[str, Any]:
    """Packed frames of a run, all around its worst `moments` [s], and the view on it."""
    about = replay.about
    frames = chosen_frames(replay, moments)
    counts = np.diff(replay.rows)[frames]
    rows = np.concatenate(
        [np.arange(replay.rows[i], replay.rows[i + 1]) for i in frames] or [np.zeros(0, np.int64)]
    ).astype(np.int64)
    robot = np.asarray(replay.robot[frames])
    positions = np.asarray(replay.positions[rows])
    starts = np.concatenate([[0], np.cumsum(counts)])
    return {
        "duration": round(about.duration, 3),
        "joints": len(get_layout(about.layout).joints),
        "limbs": _limbs(about.layout),
        "linkRadii": [round(radius, 4) for radius in about.link_radii] if robot.size else [],
        "steps": [round(step, 3) for step in about.steps],
        "ids": list(about.person_ids),
        "reason": [about.frame_reasons[i] for i in frames] if about.frame_reasons else [""],
        "time": pack(np.asarray(replay.time)[frames], "f4"),
        "rows": pack(starts, "u4"),
        "person": pack(np.asarray(replay.person[rows]), "i2"),
        "positions": pack_metres(positions),
        "forecast": pack_metres(np.asarray(replay.forecast[rows])),
        "radius": pack_metres(np.asarray(replay.radius[rows])),
        "robot": pack_metres(robot),
        "pair": pack_metres(_pairs(replay, frames)),
        "view": _view(positions, robot),
    }


def _limbs(layout: str) -> list[list[float]]:
    """First and second joint, radius [m] and, for what is beyond of a hand, its reach [m]."""
    shape = body(layout)
    limbs = [
        [int(a), int(b), round(float(radius), 4), 0]
        for a, b, radius in zip(shape.starts, shape.ends, shape.radii, strict=True)
    ]
    hands = zip(limbs, shape.hands.tolist(), strict=True)
    return limbs + [[*limb[:3], share * HAND_REACH] for limb, share in hands if share]


def _pairs(replay: Replay, frames: NDArray[np.int64]) -> Floats:
    """Closest points of person and robot at each frame (F, 2, 3) [m]; NaN where unknown."""
    pairs = np.full((len(frames), 2, 3), np.nan, np.float32)
    for index, frame in enumerate(frames.tolist()):
        points, _ = closest_pair(replay, frame, float(replay.time[frame]))
        if points is not None:
            pairs[index] = points
    return pairs


def _view(positions: Floats, robot: Floats) -> dict[str, Any]:
    """Where the page's camera looks at first: robot and the people near it, across their line."""
    joints = positions.reshape(-1, 3)
    joints = joints[np.isfinite(joints).all(axis=1)]
    links = robot.reshape(-1, 3)
    links = links[np.isfinite(links).all(axis=1)]
    if not len(joints) and not len(links):
        return {"target": [0, 0, 1], "distance": 6, "yaw": 0.8, "pitch": 0.4, "side": 0}
    across = 0.0
    if len(links):
        base = np.nanmedian(robot[:, 0, 0], axis=0)
        away = np.linalg.norm(joints[:, :2] - base[:2], axis=1)
        joints = next((joints[away < limit] for limit in _NEAR if (away < limit).any()), joints)
        heading = joints[:, :2].mean(axis=0) - base[:2] if len(joints) else np.array([1.0, 0.0])
        across = float(np.arctan2(heading[0], -heading[1]))
    cloud = np.concatenate([joints, links])
    low, high = np.quantile(cloud, 0.02, axis=0), np.quantile(cloud, 0.98, axis=0)
    target = (low + high) / 2
    size = float(np.quantile(np.linalg.norm(cloud - target, axis=1), 0.98)) + 0.25
    return {
        "target": [round(float(value), 3) for value in target],
        "distance": round(float(np.clip(size / np.sin(_VIEW_ANGLE), 2.0, 20.0)), 2),
        "yaw": round(across - 0.45, 3),
        "pitch": 0.35,
        "side": round(across, 3),
    }


def chosen_states(replay: Replay, most: int = MOST_STATES) -> NDArray[np.int64]:
    """Indices of the states that go on the page: of neighbours the one with the least margin."""
    states = replay.states
    inside = np.flatnonzero((states.time >= 0) & (states.time <= replay.about.duration + 1e-6))
    if len(inside) <= most:
        return inside
    margin = np.asarray(states.margin, np.float64)[inside]
    margin = np.where(np.isfinite(margin), margin, np.inf)
    starts = np.linspace(0, len(inside), most + 1).astype(np.int64)[:-1]
    least = np.minimum.reduceat(margin, starts)
    owner = np.searchsorted(starts, np.arange(len(inside)), side="right") - 1
    hits = np.flatnonzero(margin == least[owner])
    _, first = np.unique(owner[hits], return_index=True)
    return inside[hits[first]]


def states_data(replay: Replay) -> dict[str, Any]:
    """Packed states; plain values for JSON."""
    chosen, states = chosen_states(replay), replay.states
    packed = {
        name: pack(np.asarray(getattr(states, name))[chosen], "f4")
        for name in ("time", "separation", "protective", "factor")
    }
    return {**packed, "level": pack(np.asarray(states.level)[chosen], "u1")}


def level_bands(replay: Replay) -> list[tuple[float, float, str]]:
    """Stretches of one level: start and end [s], and its name."""
    length = replay.about.duration
    found = spans(np.asarray(replay.states.time), np.asarray(replay.states.level, int))
    return [
        (round(max(first, 0.0), 3), round(min(last, length), 3), level)
        for first, last, level in found
        if last > 0 and first < length
    ]


@dataclass(frozen=True)
class Fact:
    """A number that is shown large."""

    value: str
    label: str
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text; without a head the first column says what the second is.

    A `folded` one is opened by whoever wants to see it.
    """

    rows: list[list[str]]
    head: list[str] = field(default_factory=list)
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Line:
    """One curve; None where unknown. `colour` names one of the page's."""

    name: str
    colour: str
    x: list[float]
    y: list[float | None]
    width: float = 1.6
    dash: str = ""


@dataclass(frozen=True)
class Chart:
    """Curves over one axis, read off with a finger; fields are named as in the script."""

    id: str
    title: str
    lines: list[Line]
    y: tuple[float, float]
    unit: str
    digits: int = 0
    xUnit: str = " s"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the script."""
        x = self.lines[0].x
        return {**asdict(self), "label": self.title, "x": [min(0.0, x[0]), x[-1]]}


@dataclass(frozen=True)
class PageSection:
    """A part of the page under one heading."""

    title: str
    text: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


_AHEAD = 1.0  # s


def verdict(numbers: dict[str, Any]) -> list[str]:
    """Sentences that say what matters most; `numbers` is a summary."""
    sentences = []
    safety = numbers["safety"]
    if safety and safety["worst"]:
        worst = safety["worst"]
        where = ", ".join(
            part for part in (f"{worst['separation_m']:.2f} m", pair_of(worst)) if part
        )
        sentences.append(f"The robot {stood_words(worst)} the closest approach ({where}).")
        if safety["missed_stops"]:
            sentences.append(f"{_times(safety['missed_stops'])} it was not stopped in time.")
        if safety["false_stops"]:
            sentences.append(f"{_times(safety['false_stops'])} it was stopped for nobody.")
    if safety and safety.get("out_of_sight_s"):
        sentences.append(f"It was stopped {safety['out_of_sight_s']:.1f} s for {OUT_OF_SIGHT}.")
    forecasts = numbers["forecasts"]
    error = error_at(forecasts, _AHEAD)
    others = {name: error_at(forecasts, _AHEAD, name) for name in _NAMES if name != "forecast"}
    known = {name: other for name, other in others.items() if other}
    if error is not None and known:
        best = min(known, key=lambda name: known[name])
        share = 1 - error / known[best]
        sentences.append(
            f"{_AHEAD:g} s ahead the forecasts were {error:.0f} mm off, {abs(share):.0%} "
            f"{'less' if share >= 0 else 'more'} than the best baseline, {_NAMES[best][0]}."
        )
    return sentences or ["The recording holds no safety states and no forecasts to judge."]


def stood_words(worst: dict[str, Any]) -> str:
    """What the robot did at the closest approach, up to its name."""
    if worst["stopped_for_s"] is None:
        return "was not stopped at"
    if not worst["had_moved"]:
        return "had not been let go yet at"
    return f"was stopped {worst['stopped_for_s']:.1f} s before"


def _times(count: int) -> str:
    return {1: "Once", 2: "Twice"}.get(count, f"{count} times")


def facts(numbers: dict[str, Any]) -> list[Fact]:
    """The numbers that are shown large."""
    found = []
    safety = numbers["safety"]
    if safety:
        if safety["worst"]:
            lowest = safety["worst"]["separation_m"]
            found.append(Fact(f"{lowest:.2f} m", "lowest separation", "alarm"))
        found += [Fact(_time(time), name, name) for name, time in safety["seconds"].items()]
        found.append(Fact(text_of(safety["availability"], ".0%"), "of the time at full speed"))
        found.append(Fact(f"{safety['false_stops']} / {safety['stops_by_people']}", "stops false"))
    error = error_at(numbers["forecasts"], _AHEAD)
    if error is not None:
        found.append(Fact(f"{error:.0f} mm", f"off, {_AHEAD:g} s ahead"))
        found.append(Fact(coverage_words(numbers["forecasts"]), "of joints within the radius"))
    return found


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


HORIZONS = (0.08, 0.16, 0.32, 0.4, 0.56, 1.0)  # s ahead, of the table; those published
_NAMES = {
    "forecast": ("forecast", "person"),
    "damped_velocity": ("damped velocity", "CLEAR"),
    "constant_velocity": ("constant velocity", "baseline2"),
    "last_pose": ("last pose", "baseline1"),
}
_PARTS = {"trunk": "ink", "head": "forecast", "arms": "person", "legs": "baseline2"}


def forecasts_section(numbers: dict[str, Any]) -> PageSection | None:
    """Section on `numbers` (the forecasts' part of a summary); None where nothing was compared."""
    if not numbers.get("compared"):
        return None
    fallbacks = sum(numbers["fallbacks"].values())
    text = [
        f"{numbers['compared']} of {numbers['count']} forecasts had a whole history and were held "
        "against what was seen later; the baselines faced the same moments. The error is the mean "
        "distance of a joint from its place (MPJPE)."
    ]
    if fallbacks:
        why = ", ".join(f"{count} × {reason}" for reason, count in numbers["fallbacks"].items())
        text.append(f"{fallbacks} came from the fallback, constant velocity: {why}.")
    return PageSection(
        "How far off the forecasts were",
        text,
        [_errors(numbers), _parts(numbers), *_coverage(numbers)],
        [*_tables(numbers), _joints(numbers)],
    )


def _errors(numbers: dict[str, Any]) -> Chart:
    x, at = numbers["horizons_s"], numbers["mpjpe_mm"]["at"]
    lines = [
        Line(name, colour, x, at[key], 2.4 if key == "forecast" else 1.6)
        for key, (name, colour) in _NAMES.items()
        if key in at
    ]
    return Chart("error", "Error over the horizon", lines, _range(lines), " mm")


def _parts(numbers: dict[str, Any]) -> Chart:
    x, parts = numbers["horizons_s"], numbers["per_part_mm"]
    lines = [
        Line(part, colour, x, parts[part]["at"], 1.8)
        for part, colour in _PARTS.items()
        if part in parts
    ]
    return Chart("parts", "Error by part of the body", lines, _range(lines), " mm")


def _coverage(numbers: dict[str, Any]) -> list[Chart]:
    x, coverage = numbers["horizons_s"], numbers["coverage"]
    if coverage["measured"] is None:
        return []
    measured = [None if share is None else 100 * share for share in coverage["per_step"]]
    promised = [100 * coverage["promised"]] * len(x)
    lowest = min([*promised, *(share for share in measured if share is not None)])
    shares = [
        Line("joints within the radius", "person", x, measured, 2.4),
        Line("promised", "ink", x, list(promised), 1.2, "5 3"),
    ]
    radius = [Line("mean radius", "forecast", x, coverage["radius_mm"], 2.4)]
    return [
        Chart("coverage", "Coverage of the radius", shares, (min(lowest - 5, 75), 100), " %", 1),
        Chart("radius_over", "Radius", radius, _range(radius), " mm"),
    ]


def _tables(numbers: dict[str, Any]) -> list[Table]:
    """Both conventions of published tables."""
    x = numbers["horizons_s"]
    steps = [step for step in (_step(x, horizon) for horizon in HORIZONS) if step is not None]
    tables = []
    for kind, title in (
        ("at", "MPJPE in mm"),
        ("up_to", "The other convention: its mean over all frames up to there"),
    ):
        errors = numbers["mpjpe_mm"][kind]
        names = [key for key in _NAMES if key in errors]
        rows = [
            [f"{1e3 * x[step]:.0f} ms", *(text_of(errors[key][step], ".1f") for key in names)]
            for step in steps
        ]
        tables.append(Table(rows, ["ahead", *(_NAMES[key][0] for key in names)], title))
    return tables


def _joints(numbers: dict[str, Any]) -> Table:
    x, joints = numbers["horizons_s"], numbers["per_joint_mm"]
    steps = [step for step in (_step(x, horizon) for horizon in (0.4, 1.0)) if step is not None]
    rows = [
        [name, *(text_of(errors["at"][step], ".0f") for step in steps)]
        for name, errors in joints.items()
    ]
    head = ["joint", *(f"{1e3 * x[step]:.0f} ms" for step in steps)]
    return Table(rows, head, "MPJPE by joint in mm", folded=True)


def _step(horizons: list[float], wanted: float) -> int | None:
    """Index of the step nearest to a horizon [s], within half a step; None beyond the last."""
    nearest = min(range(len(horizons)), key=lambda i: abs(horizons[i] - wanted))
    return nearest if abs(horizons[nearest] - wanted) <= horizons[0] / 2 else None


def _range(lines: list[Line]) -> tuple[float, float]:
    values = [value for line in lines for value in line.y if value is not None]
    return 0.0, 1.06 * max(values, default=1.0)


def error_at(numbers: dict[str, Any], horizon: float, name: str = "forecast") -> float | None:
    """MPJPE [mm] at a horizon [s]; None where it is unknown or beyond the forecasts'."""
    if not numbers.get("compared"):
        return None
    step = _step(numbers["horizons_s"], horizon)
    return None if step is None else numbers["mpjpe_mm"]["at"][name][step]


def coverage_words(numbers: dict[str, Any]) -> str:
    """Measured coverage; a dash where no radius was calibrated."""
    return text_of(numbers["coverage"]["measured"] if numbers.get("compared") else None, ".1%")


_LISTED = 25


def stops_section(safety: dict[str, Any] | None) -> PageSection | None:
    """Section on the safety part of a summary; None without states."""
    if safety is None:
        return None
    rows = [[name, f"{seconds:.1f} s"] for name, seconds in safety["seconds"].items()]
    rows += [
        ["availability, the share of time at full speed", text_of(safety["availability"], ".1%")],
        ["mean speed factor", text_of(safety["mean_factor"], ".2f")],
        ["stops", str(safety["stops"])],
        ["  caused by people", str(safety["stops_by_people"])],
        ["  of these false: nobody came under the protective distance",
         str(safety["false_stops"])],
        ["missed: contact range reached before the robot could rest", str(safety["missed_stops"])],
    ]  # fmt: skip
    tables = [Table(rows)]
    if safety["stop_reasons"]:
        kinds = sorted(safety["stop_reasons"].items(), key=lambda item: -item[1])
        tables.append(Table([[why, str(count)] for why, count in kinds], ["stopped by", "times"]))
    listed = safety["stops_at"][:_LISTED]
    if listed:
        rows = [
            [f"{stop['at_s']:.2f} s", f"{stop['length_s']:.2f} s", stop["kind"], stop["reason"]]
            for stop in listed
        ]
        rest = len(safety["stops_at"]) - len(listed)
        title = "Stops" if rest <= 0 else f"The first {len(listed)} stops"
        tables.append(Table(rows, ["at", "for", "kind", "reason"], title, folded=True))
    return PageSection("States and stops", [], [], tables)


def actions_section(numbers: dict[str, Any]) -> PageSection | None:
    """Section on what people did, of a whole summary; None where nothing tells."""
    actions = numbers.get("actions")
    if not actions:
        return None
    ahead = list(numbers["forecasts"].get("horizons_s", ()))
    rows = []
    for label, told in sorted(actions.items(), key=lambda item: -item[1]["seconds"]):
        steps = [_step(ahead, horizon) if "mpjpe_mm" in told else None for horizon in (0.4, 1.0)]
        errors = [None if step is None else told["mpjpe_mm"][step] for step in steps]
        near, far = (text_of(error, ".0f") for error in errors)
        coverage = text_of(told.get("coverage"), ".1%")
        rows.append([label, f"{told['seconds']:.1f} s", near, far, coverage, str(told["stops"])])
    head = ["action", "time", "MPJPE at 400 ms [mm]", "at 1000 ms", "within the radius", "stops"]
    return PageSection("What people were doing", [], [], [Table(rows, head)])


def collisions_section(collisions: dict[str, Any] | None) -> PageSection | None:
    """Section on predicted collisions; None where there was no window to judge."""
    if not collisions or not collisions["windows"]:
        return None
    text = [
        f"A window is a forecast of {collisions['horizon_s']:.2f} s; it collides if the axes "
        f"of a limb and a link come under {1e3 * collisions['threshold_m']:.0f} mm. The robot is "
        "where it was, so that only the forecast of the person is judged."
    ]
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    rows = [["windows", str(collisions["windows"])]]
    rows += [[name.replace("_", " "), str(collisions[name])] for name in counts]
    rows += [
        [name, text_of(collisions[key], ".3f")]
        for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    ]
    rows += [
        ["approaches under the threshold", str(collisions["collisions"])],
        ["  of these forecast before", str(collisions["collisions_warned"])],
    ]
    lead = collisions["lead_time_s"]
    if lead:
        rows.append(["  how long before, median", f"{lead['median']:.2f} s"])
    return PageSection("Predicted collisions", text, [], [Table(rows)])


_AGES = {
    "skeleton": ("skeletons", "person"),
    "forecast": ("forecasts", "forecast"),
    "tf": ("transforms", "baseline2"),
}
_SHARES = np.linspace(0, 1, 101)
_SHOWN = 0.995  # share of the ages that the curve's axis reaches up to


def timing_section(replay: Replay, numbers: dict[str, Any]) -> PageSection:
    """Section on ages, latencies and the health of the stream; `numbers` is the whole summary."""
    rows = [
        [f"age of the {_AGES[name][0]} when a state was made", *_quantiles(values)]
        for name, values in numbers["ages_ms"].items()
        if values
    ]
    rows += [
        [f"{entry['node']}: {entry['measure']}", text_of(entry["median_ms"], ".1f"), "–",
         text_of(entry["p99_ms"], ".1f"), "–"]
        for entry in numbers["latencies"]
    ]  # fmt: skip
    health = numbers["stream"]
    for label, key in (
        ("between two observations", "period_ms"),
        ("from a stamp to its recording", "arrival_ms"),
    ):
        if health[key]:
            rows.append([label, *_quantiles(health[key])])
    tables = [Table(rows, ["ms", "median", "90 %", "99 %", "most"])] if rows else []
    tables.append(Table(_health(health)))
    return PageSection("Time", [], _ages(replay), tables)


def _quantiles(values: dict[str, Any]) -> list[str]:
    return [text_of(values[key], ".1f") for key in ("median", "p90", "p99", "max")]


def _health(health: dict[str, Any]) -> list[list[str]]:
    rows = [
        ["gaps longer than 0.2 s", f"{health['gaps']}, {health['gap_s_total']:.1f} s in all"],
        ["longest gap", f"{health['longest_gap_s']:.2f} s"],
        ["observations missing at the usual rate", str(health["dropped"])],
        ["clock went back", f"{health['clock_went_back']} times"],
    ]
    for by, key in (("refused", "refused"), ("refused by the safety node", "refused_by_safety")):
        rows += [[f"{by}: {why}", f"{count} times"] for why, count in health[key].items()]
    return rows


def _ages(replay: Replay) -> list[Chart]:
    lines = []
    for name, (label, colour) in _AGES.items():
        ages = np.asarray(getattr(replay.states, f"{name}_age"), np.float64)
        ages = ages[np.isfinite(ages) & (ages >= 0)] * 1e3
        if len(ages) and ages.max() > 0:
            values = [round(float(value), 3) for value in np.quantile(ages, _SHARES)]
            lines.append(Line(label, colour, (100 * _SHARES).tolist(), list(values), 1.8))
    if not lines:
        return []
    at = round(_SHOWN * (len(_SHARES) - 1))
    top = 1.1 * max(max(value for value in line.y[: at + 1] if value is not None) for line in lines)
    return [
        Chart("ages", "Age of the inputs: share of the states that had younger ones", lines,
              (0, max(top, 1.0)), " ms", 1, " %")
    ]  # fmt: skip


_SCRIPTS = ("decode.js", "camera.js", "scene.js", "chart.js", "player.js", "main.js")
HARMLESS = 0.5  # m over the protective distance, from which on a moment is none of the worst
SHOWN_AHEAD = 0.4  # s; the radius at the end of the horizon would cover the cell


def render_page(replay: Replay, numbers: dict[str, Any]) -> str:
    """HTML of the page of a run; `numbers` is what `evaluate` measured."""
    about = replay.about
    told = _sections(replay, numbers)
    data = _data(replay, _worst(numbers), told)
    return render_sections(
        told,
        title=Path(about.bag).name,
        verdict=verdict(numbers),
        facts_line=_facts_line(numbers),
        facts=facts(numbers),
        problems=about.problems,
        parameters={**about.parameters, "versions": about.versions},
        data=data,
        view=data["scene"]["view"] if data["scene"] else {},
        shown_step=_shown_step(about.steps),
    )


def render_sections(told: Sequence[PageSection], **page: Any) -> str:
    """HTML of a page: sections under what else the template shows.

    `**page`: ``title``, ``verdict`` (sentences, the first one large), ``facts_line``, ``facts``,
    ``problems`` and ``parameters``; ``data``, ``view`` and ``shown_step`` for a run in 3D.
    """
    charts = [chart.to_dict() for section in told for chart in section.charts]
    nothing = {"scene": None, "bands": None, "worst": [], "charts": charts}
    return (
        _templates()
        .get_template("report.html")
        .render(
            version=__version__,
            themes=THEMES,
            style=_text("style.css"),
            script=Markup("\n".join(_text(name) for name in _SCRIPTS)),
            sections=told,
            **({"data": nothing, "view": {}, "shown_step": -1} | page),
        )
    )


@cache
def _templates() -> Environment:
    """The page's template, which is compiled once for all pages of a process."""
    environment = Environment(
        loader=PackageLoader("ses_gcn_ros.replay", "assets"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    return environment


def _sections(replay: Replay, numbers: dict[str, Any]) -> list[PageSection]:
    found = [
        forecasts_section(numbers["forecasts"]),
        collisions_section(numbers["collision"]),
        stops_section(numbers["safety"]),
        actions_section(numbers),
        timing_section(replay, numbers),
    ]
    return [section for section in found if section is not None]


def _worst(numbers: dict[str, Any]) -> list[dict[str, Any]]:
    """Worst moments that are worth a look, the worst one always."""
    moments = numbers["safety"]["moments"] if numbers["safety"] else []
    return [m for i, m in enumerate(moments) if not i or m["margin_m"] < HARMLESS]


def _data(replay: Replay, worst: list[dict[str, Any]], told: list[PageSection]) -> dict[str, Any]:
    """What the script needs."""
    seen = len(replay.time) > 0
    return {
        "scene": scene_data(replay, [moment["at_s"] for moment in worst]) if seen else None,
        "states": states_data(replay),
        "bands": level_bands(replay),
        "top": round(highest_shown(replay), 3),
        "worst": [_moment(moment) for moment in worst] if seen else [],
        "charts": [chart.to_dict() for section in told for chart in section.charts],
    }


def _moment(moment: dict[str, Any]) -> dict[str, Any]:
    left = moment["margin_m"]
    pair = pair_of(moment)
    short = f"{abs(left):.2f} m {'short' if left < 0 else 'to spare'}"
    return {
        "time": moment["at_s"],
        "separation": moment["separation_m"],
        "level": moment["level"],
        "title": f"{moment['separation_m']:.2f} m at {moment['at_s']:.2f} s",
        "text": ", ".join(part for part in (short, moment["level"], pair) if part),
    }


def _shown_step(steps: tuple[float, ...]) -> int:
    """Index of the step whose radius is shown at first; -1 without any."""
    return min(range(len(steps)), key=lambda i: abs(steps[i] - SHOWN_AHEAD), default=-1)


def _facts_line(numbers: dict[str, Any]) -> str:
    people, length = numbers["people"], numbers["duration_s"]
    words = [
        f"{length / 60:.1f} min" if length >= 100 else f"{length:.1f} s",
        f"{numbers['frames']} frames",
        f"{people} {'person' if people == 1 else 'people'}",
        f"forecasts and states {numbers['source']}",
    ]
    return " · ".join(words + ["partial"] * numbers["partial"])


def _text(name: str) -> str:
    return (files("ses_gcn_ros.replay") / "assets" / name).read_text(encoding="utf-8")
