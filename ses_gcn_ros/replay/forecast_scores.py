"""How good forecasts and foreseen collisions were, judged as soon as their future has been seen."""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.forecast.baselines import DAMPINGS
from ses_gcn_ros.models.framing import reach
from ses_gcn_ros.replay.events import ActionTimeline, PeopleForecast, PeopleSeen
from ses_gcn_ros.safety import SafetyConfig, limb_capsules
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.skeleton import Skeleton, convert, get_layout

Floats = NDArray[np.float32]

LONGEST_GAP = 0.2  # s between two observations that may be interpolated


@dataclass
class JudgedTrack:
    """One person over time: N stamps [s] and positions (N, J, 3) [m]."""

    layout: str
    stamps: list[float] = field(default_factory=list)
    positions: list[NDArray[np.float32]] = field(default_factory=list)

    def at(self, times: NDArray[np.floating]) -> NDArray[np.float32]:
        """Positions at times [s], shape (len(times), J, 3), interpolated.

        NaN outside of the track, across gaps and where a joint is unseen.
        """
        stamps, positions = np.array(self.stamps), np.array(self.positions, np.float32)
        before = np.clip(np.searchsorted(stamps, times, side="right") - 1, 0, len(stamps) - 1)
        after = np.minimum(before + 1, len(stamps) - 1)
        gap = stamps[after] - stamps[before]
        # Rounded, so that a stamp that is hit but for the clock's last digits is hit.
        share = np.rint((times - stamps[before]) / np.where(gap > 0, gap, 1.0) * 1e4) / 1e4
        found = positions[np.where(share == 1, after, before)]
        inside = (times >= stamps[0] - 1e-6) & (times <= stamps[-1] + 1e-6)
        amid = (share != 0) & (share != 1)
        found[~inside | (amid & (gap > LONGEST_GAP))] = np.nan
        amid &= inside & (gap <= LONGEST_GAP)
        part = share[amid, None, None]
        found[amid] = (1 - part) * positions[before[amid]] + part * positions[after[amid]]
        return found


OBSERVED = 10  # frames of history that a forecast must have to be compared with the baselines
NAMES = ("forecast", *DAMPINGS)

_JUDGED_AT_ONCE = 64  # forecasts of a person that are judged at once
_FALLBACK = re.compile(r"constant_velocity \(([^:)]*)")
_PARTS = {
    "arms": ("elbow", "wrist", "hand", "hand_tip", "thumb", "index", "pinky"),
    "legs": ("knee", "ankle", "toe", "toe_base", "heel", "small_toe"),
    "head": ("nose", "eye", "eye_inner", "eye_outer", "ear", "mouth", "head", "head_top"),
}


@dataclass(eq=False)
class _Person:
    """What was seen of somebody lately, and forecasts whose future is still to come."""

    track: JudgedTrack
    frame_id: str
    pending: list[Forecast] = field(default_factory=list)


class ForecastScores:
    """Hold every forecast, and baselines on the same moments, against what was seen later.

    What was seen is interpolated to the forecast's steps. Forecasts of people with less than
    `OBSERVED` frames of history are left out for all, so that all face the same moments. So are
    forecasts of another shape than the first one's.

    `actions`: what people did, by which errors and coverage are told, too.
    """

    def __init__(self, actions: ActionTimeline | None = None) -> None:
        self._actions = actions or ActionTimeline()
        self._by_action: dict[str, NDArray[np.float64]] = {}  # errors, joints; in radius, with one
        self.count = self.compared = 0
        self.models, self.fallbacks = Counter[str](), Counter[str]()
        self._people: dict[str, _Person] = {}
        self._shape: tuple[str, float, int] | None = None  # layout, step [s], steps
        self._now = -np.inf

    def observe(self, event: PeopleSeen) -> None:
        """Take in what was seen; stamps that do not rise are left out, as the nodes do."""
        if event.stamp <= self._now:
            if self._now - event.stamp <= 1.0:
                return
            self.finish()  # the clock was set back
            self._people.clear()
        self._now = event.stamp
        for seen in event.people:
            person = self._people.get(seen.person_id)
            if person is None or (person.track.layout, person.frame_id) != (
                seen.layout,
                event.frame_id,
            ):
                if person is not None:
                    self._judge(person, person.pending)
                person = _Person(JudgedTrack(seen.layout), event.frame_id)
                self._people[seen.person_id] = person
            person.track.stamps.append(event.stamp)
            person.track.positions.append(seen.positions)
        gone = [
            name
            for name, person in self._people.items()
            if person.track.stamps[-1] < self._now - 10 * LONGEST_GAP and not person.pending
        ]
        for name in gone:
            del self._people[name]

    def forecast(self, event: PeopleForecast) -> None:
        """Take in forecasts made at one instant."""
        self.count += len(event.forecasts)
        for made in event.forecasts:
            reason = _FALLBACK.match(made.model)
            self.models["constant_velocity" if reason else made.model] += 1
            if reason:
                self.fallbacks[reason[1].strip()] += 1
            shape = (made.layout, made.step, len(made.positions))
            if self._shape is None:
                self._begin(*shape)
            person = self._people.get(made.person_id)
            if person is None or person.frame_id != event.frame_id or shape != self._shape:
                continue
            person.pending.append(made)
        for person in self._people.values():
            self._judge_if_due(person)

    def finish(self) -> None:
        """Judge what is left with as much of its future as there was."""
        for person in self._people.values():
            self._judge(person, person.pending)
            person.pending = []

    def _begin(self, layout: str, step: float, steps: int) -> None:
        self._shape = (layout, step, steps)
        joints = len(get_layout(layout).joints)
        self._reach = np.stack([reach(steps, damping) for damping in DAMPINGS.values()])
        self._sums = np.zeros((len(NAMES), steps, joints))
        self._counts = np.zeros((steps, joints), np.int64)
        self._rings = np.zeros((2, steps), np.int64)  # with a radius, and within it
        self._radius, self._promised = np.zeros(steps), 0.0

    def _judge_if_due(self, person: _Person) -> None:
        if not person.pending or self._shape is None:
            return
        known = self._now - self._shape[1] * self._shape[2] - LONGEST_GAP
        # of somebody who left there is nothing more to come
        if len(person.pending) < 2 * _JUDGED_AT_ONCE and person.track.stamps[-1] > known:
            return
        due = [made for made in person.pending if made.stamp <= known]
        person.pending = person.pending[len(due) :]
        self._judge(person, due)
        kept = person.pending[0].stamp if person.pending else self._now
        kept -= OBSERVED * self._shape[1] + LONGEST_GAP
        first = min(int(np.searchsorted(person.track.stamps, kept)), len(person.track.stamps) - 1)
        del person.track.stamps[:first], person.track.positions[:first]

    def _judge(self, person: _Person, forecasts: list[Forecast]) -> None:
        if not forecasts or self._shape is None:
            return
        layout, step, steps = self._shape
        stamps = np.array([made.stamp for made in forecasts])
        times = stamps[:, None] + step * np.arange(1 - OBSERVED, steps + 1)
        seen = person.track.at(times.ravel())
        if person.track.layout != layout:
            seen, _ = convert(seen, np.ones(seen.shape[:-1]), person.track.layout, layout)
        self._add(seen.reshape(*times.shape, *seen.shape[1:]), forecasts)

    def _add(self, seen: Floats, forecasts: list[Forecast]) -> None:
        """Add N forecasts of H steps, held against what was seen (N, O + H, J, 3) [m].

        Only those count whose O frames of history are whole and of whose future something was seen,
        and of them the joints at which the errors of all are known.
        """
        somebody = np.asarray(np.isfinite(seen).any(axis=(2, 3)))
        chosen = somebody[:, :OBSERVED].all(axis=1) & somebody[:, OBSERVED:].any(axis=1)
        seen, kept = seen[chosen], [forecasts[index] for index in np.flatnonzero(chosen)]
        self.compared += len(kept)
        if not kept:
            return
        last, truth = seen[:, OBSERVED - 1], seen[:, OBSERVED:]
        velocity = last - seen[:, OBSERVED - 2]
        errors = np.empty((len(NAMES), *truth.shape[:3]), np.float32)
        errors[0] = _distances(np.array([made.positions for made in kept], np.float32), truth)
        for row, ways in zip(errors[1:], self._reach, strict=True):
            row[:] = _distances(last[:, None] + ways[:, None, None] * velocity[:, None], truth)
        known = np.asarray(np.isfinite(errors).all(axis=0))
        self._sums += np.where(known, errors, 0.0).sum(axis=1, dtype=np.float64)
        self._counts += known.sum(axis=0)
        promised = np.array([made.coverage for made in kept])
        ringed = known & (promised > 0)[:, None, None]
        radius = np.array([made.radius for made in kept], np.float32)
        inside = ringed & (errors[0] <= radius)
        self._rings[0] += ringed.sum(axis=(0, 2))
        self._rings[1] += inside.sum(axis=(0, 2))
        self._radius += np.where(ringed, radius, 0.0).sum(axis=(0, 2), dtype=np.float64)
        self._promised += float((promised * ringed.sum(axis=(1, 2))).sum())
        labels = [self._actions.at(made.person_id, made.stamp) for made in kept]
        parts: list[NDArray[Any]] = [np.where(known, errors[0], 0.0), known, inside, ringed]
        for label in set(labels) - {""}:
            rows = [row for row, other in enumerate(labels) if other == label]
            sums = np.stack([part[rows].sum(axis=(0, 2), dtype=np.float64) for part in parts])
            self._by_action[label] = self._by_action.get(label, 0.0) + sums

    def _error(self, name: str, joints: list[int]) -> dict[str, list[float]]:
        """MPJPE [mm] in both conventions of published tables: at a frame, and its mean up to it."""
        sums, counts = self._sums[NAMES.index(name)][:, joints], self._counts[:, joints]
        at = 1e3 * _share(sums.sum(axis=1), counts.sum(axis=1))
        up_to = np.cumsum(at) / np.arange(1, len(at) + 1)
        return {"at": at.tolist(), "up_to": up_to.tolist()}

    def by_action(self) -> dict[str, dict[str, Any]]:
        """Error at each step [mm] and coverage of the radius by what people did."""
        return {
            label: {
                "mpjpe_mm": (1e3 * _share(errors, joints)).tolist(),
                "coverage": float(inside.sum() / ringed.sum()) if ringed.any() else None,
            }
            for label, (errors, joints, inside, ringed) in sorted(self._by_action.items())
        }

    def summary(self) -> dict[str, Any]:
        """Plain numbers for summary.json; errors in millimetres."""
        found: dict[str, Any] = {
            "count": self.count,
            "compared": self.compared,
            "models": dict(self.models),
            "fallbacks": dict(self.fallbacks),
        }
        if self._shape is None or not self.compared:
            return found
        layout, step, steps = self._shape
        everything = list(range(self._counts.shape[1]))
        errors = {name: self._error(name, everything) for name in NAMES}
        joints = {name: [index] for index, name in enumerate(get_layout(layout).joints)}
        ringed, inside = self._rings
        everywhere = int(ringed.sum())
        return {
            **found,
            "horizons_s": [step * k for k in range(1, steps + 1)],
            "mpjpe_mm": {
                kind: {name: error[kind] for name, error in errors.items()}
                for kind in ("at", "up_to")
            },
            "per_joint_mm": {name: self._error("forecast", j) for name, j in joints.items()},
            "per_part_mm": {
                part: self._error("forecast", j) for part, j in _members(layout).items()
            },
            "coverage": {
                "promised": self._promised / everywhere if everywhere else None,
                "measured": float(inside.sum()) / everywhere if everywhere else None,
                "per_step": _share(inside, ringed).tolist(),
                "radius_mm": (1e3 * _share(self._radius, ringed)).tolist(),
            },
        }


def _distances(positions: Floats, truth: Floats) -> Floats:
    away = positions - truth
    return np.sqrt(np.einsum("...k,...k->...", away, away))


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1), np.nan))


def _members(layout: str) -> dict[str, list[int]]:
    """Joints of each part of the body; what is neither arm, leg nor head is trunk."""
    parts: dict[str, list[int]] = {name: [] for name in (*_PARTS, "trunk")}
    for index, name in enumerate(get_layout(layout).canonical):
        plain = name.removeprefix("r_").removeprefix("l_")
        part = next((part for part, names in _PARTS.items() if plain in names), "trunk")
        parts[part].append(index)
    return {part: members for part, members in parts.items() if members}


Array = NDArray[np.float64]


class Distribution:
    """Count, extremes, mean and quantiles of values, of which a million take 8 MB."""

    def __init__(self) -> None:
        self._values = array("d")

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self._values)

    def add(self, value: float) -> None:
        """Take in a value; one that is not finite is left out."""
        if math.isfinite(value):
            self._values.append(value)

    def quantile(self, share: float) -> float:
        """The value that a share of the others is below or at; NaN without any."""
        if not self._values:
            return math.nan
        return float(np.quantile(np.array(self._values), share, method="inverted_cdf"))

    def summary(self) -> dict[str, Any] | None:
        """Plain numbers for a report; None without any value."""
        if not self._values:
            return None
        quantiles = {"median": 0.5, "p90": 0.9, "p99": 0.99}
        return {
            "count": self.count,
            "min": min(self._values),
            **{name: self.quantile(share) for name, share in quantiles.items()},
            "max": max(self._values),
            "mean": math.fsum(self._values) / self.count,
        }


STRIDE = 0.2  # s between two windows; nearer ones tell the same story
_PATIENCE = 0.2  # s that a pose of the robot may stand for a later instant
_SLACK = 0.4  # s that is waited for what was seen at the end of the horizon


@dataclass(eq=False)
class _Nearness:
    """Nearness of a person over the last seconds, and since when a collision is predicted."""

    times: deque[float] = field(default_factory=deque)
    distances: deque[float] = field(default_factory=deque)
    onsets: deque[float] = field(default_factory=deque)
    touching: bool = False
    warned_since: float | None = None

    def least_between(self, start: float, end: float) -> float | None:
        """Least distance after `start` [s] and up to `end`; None if there was none measured."""
        times = self.times
        later = (d for t, d in zip(times, self.distances, strict=True) if start < t <= end)
        return min(later, default=None)


class CollisionScores:
    """Judge windows of forecasts against the nearness that was measured later.

    The task of CHICO (Sampieri et al., ECCV 2022): a window counts as a collision if the axes of a
    limb and a link come nearer than a threshold within the horizon, as in `studies/collisions.py`.
    The robot is where it was, so that only the forecast of the person is judged.

    `config`: scale of the bodies and reach of the hands.
    `links`: number M of the robot's capsules.
    `threshold`: distance of the axes of limb and link under which it is a collision [m].
    """

    def __init__(self, config: SafetyConfig, links: int, threshold: float) -> None:
        self._config, self._axes, self.threshold = config, np.zeros(links), threshold
        self._robot = RobotTrail(_PATIENCE)
        self._people: dict[str, _Nearness] = {}
        self._seen: deque[PeopleSeen] = deque()
        self._waiting: deque[PeopleForecast] = deque()
        self._next = -np.inf
        self._horizon = 0.0
        self._table = np.zeros((2, 2), np.int64)  # predicted, happened
        self._onsets = 0
        self._lead = Distribution()

    def move(self, time: float, start: Array, end: Array) -> None:
        """Take in where the robot's capsules are at a time [s], ends (M, 3) each [m]."""
        if self._seen and not 0.0 <= time - self._seen[0].stamp <= STRIDE:
            self._measure(self._robot.latest)
        self._robot.add(time, start, end)

    def observe(self, seen: PeopleSeen) -> None:
        """Take in where people are; their nearness is measured soon, of several at once."""
        if self._seen and self._seen[0].stamp <= seen.stamp - STRIDE - _PATIENCE:
            self._measure(seen.stamp - _PATIENCE)
        self._seen.append(seen)
        self._release(seen.stamp)

    def forecast(self, made: PeopleForecast) -> None:
        """Take in forecasts; they are judged when their horizon has passed."""
        if made.stamp < self._next - 10 * STRIDE:
            self._next = -np.inf  # the clock was set back
            self._waiting.clear()
        if made.stamp < self._next or not made.forecasts:
            return
        self._next = made.stamp + STRIDE - 1e-6
        self._waiting.append(made)

    def finish(self) -> None:
        """Judge what is left with as much of its future as there was."""
        self._measure(np.inf)
        self._release(np.inf)
        for person in self._people.values():
            self._count_onsets(person, np.inf)

    def _measure(self, until: float) -> None:
        """Measure the nearness of who was seen up to a time [s], where the robot is known."""
        shown: dict[str, list[tuple[float, Skeleton]]] = {}
        while self._seen and self._seen[0].stamp <= until:
            seen = self._seen.popleft()
            for one in seen.people if self._robot.knows(seen.stamp) else ():
                shown.setdefault(one.layout, []).append((seen.stamp, one))
        for layout, rows in shown.items():
            placed = self._robot.at(np.array([stamp for stamp, _ in rows]))
            assert placed is not None
            positions = np.array([[one.positions for _, one in rows]])
            nearest = self._nearest(positions, layout, *placed)[0]
            for (stamp, one), distance in zip(rows, nearest.tolist(), strict=True):
                person = self._people.setdefault(one.person_id, _Nearness())
                person.times.append(stamp)
                person.distances.append(distance)
                if distance < self.threshold and not person.touching:
                    person.onsets.append(stamp)
                person.touching = distance < self.threshold

    def _release(self, now: float) -> None:
        while self._waiting:
            made = self._waiting[0]
            length = max(f.step * len(f.positions) for f in made.forecasts)
            if made.stamp + length + _SLACK > now:
                break
            self._horizon = max(self._horizon, length)
            self._judge(self._waiting.popleft())
        oldest = (self._waiting[0].stamp if self._waiting else min(now, self._next)) - 1.0
        self._robot.forget(oldest)
        for name in list(self._people):
            person = self._people[name]
            while person.times and person.times[0] < oldest:
                person.times.popleft()
                person.distances.popleft()
            if not person.times and not person.onsets:
                del self._people[name]

    def _judge(self, made: PeopleForecast) -> None:
        for name, person in self._people.items():
            if person.onsets:
                self._count_onsets(person, made.stamp)
            if name not in {forecast.person_id for forecast in made.forecasts}:
                person.warned_since = None
        for _, alike in groupby(made.forecasts, key=_moments):
            self._hold_against_what_came(list(alike))

    def _hold_against_what_came(self, forecasts: list[Forecast]) -> None:
        """Judge forecasts of one layout, whose steps fall on the same times."""
        (first, *_), steps = forecasts, len(forecasts[0].positions)
        times = first.stamp + first.step * np.arange(1, steps + 1, dtype=np.float64)
        placed = self._robot.at(times)
        if placed is None:
            return
        positions = np.array([forecast.positions for forecast in forecasts])
        nearest = self._nearest(positions, first.layout, *placed).min(axis=1)
        for forecast, expected in zip(forecasts, nearest.tolist(), strict=True):
            found = self._people.get(forecast.person_id)
            least = found.least_between(first.stamp, float(times[-1])) if found else None
            if found is None or least is None:
                continue
            predicted = expected < self.threshold
            self._table[int(predicted), int(least < self.threshold)] += 1
            if not predicted:
                found.warned_since = None
            elif found.warned_since is None:
                found.warned_since = forecast.stamp

    def _count_onsets(self, person: _Nearness, until: float) -> None:
        """Count collisions that began before `until`, all windows up to then being judged."""
        while person.onsets and person.onsets[0] <= until:
            onset = person.onsets.popleft()
            self._onsets += 1
            if person.warned_since is not None and person.warned_since < onset:
                self._lead.add(min(onset - person.warned_since, self._horizon))

    def _nearest(self, positions: NDArray[Any], layout: str, start: Array, end: Array) -> Array:
        """Least distance of axes of each person and the robot at each time, (P, T).

        From joints (P, T, J, 3) and the ends of the robot's capsules (T, M, 3) each [m].
        """
        scale, reach = self._config.body_scale, self._config.hand_reach
        limbs = limb_capsules(positions, layout, scale=scale, hand_reach=reach)
        people, times, number = limbs.radius.shape
        axes = (limbs.start.reshape(1, -1, number, 3), limbs.end.reshape(1, -1, number, 3))
        thin = np.zeros((1, people * times, number))
        links = np.tile(start, (people, 1, 1)), np.tile(end, (people, 1, 1)), self._axes
        nearest, rest = np.empty(people * times), np.empty((1, people * times))
        pairs = np.empty((people * times, 3), np.int64)
        found = nearest, pairs, rest
        kernel("separation").min_distances((*axes, thin), links, thin[0], 0, np.inf, *found)
        return nearest.reshape(people, times)

    def summary(self) -> dict[str, Any]:
        """Plain numbers for summary.json."""
        (true_negatives, false_negatives), (false_positives, true_positives) = self._table.tolist()
        return {
            "threshold_m": self.threshold,
            "horizon_s": self._horizon,
            "windows": int(self._table.sum()),
            "true_positives": true_positives,
            "false_positives": false_positives,
            "false_negatives": false_negatives,
            "true_negatives": true_negatives,
            **detection(true_positives, false_positives, false_negatives),
            "collisions": self._onsets,
            "collisions_warned": self._lead.count,
            "lead_time_s": self._lead.summary(),
        }


def detection(hits: int, false_alarms: int, misses: int) -> dict[str, float | None]:
    """Precision, recall and F1; None where they have no meaning."""
    alarms, happened = hits + false_alarms, hits + misses
    return {
        "precision": hits / alarms if alarms else None,
        "recall": hits / happened if happened else None,
        "f1": 2 * hits / (alarms + happened) if alarms + happened else None,
    }


def _moments(forecast: Forecast) -> tuple[str, float, float, int]:
    """What forecasts have in common that can be held against the robot together."""
    return forecast.layout, forecast.stamp, forecast.step, len(forecast.positions)


class RobotTrail:
    """Ends of the robot's capsules at rising times.

    `patience`: how long a pose may stand for an earlier or later instant [s].
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._stamps: list[float] = []
        self._ends: list[Array] = []  # (2, M, 3) each

    def add(self, time: float, start: Array, end: Array) -> None:
        """Take in the ends (M, 3) each [m] at a time [s]; a clock set back forgets the others."""
        if self._stamps and time <= self._stamps[-1]:
            if time == self._stamps[-1]:
                return
            self.forget(math.inf)
        self._stamps.append(time)
        self._ends.append(np.array([start, end]))

    @property
    def latest(self) -> float:
        """The last of the times [s]; -inf before the first."""
        return self._stamps[-1] if self._stamps else -math.inf

    def knows(self, time: float) -> bool:
        """Whether there is a pose that may stand for a time [s]."""
        first = self._stamps[0] if self._stamps else math.inf
        return first - self._patience <= time <= self.latest + self._patience

    def forget(self, before: float) -> None:
        """Let go of what was before a time [s]."""
        gone = bisect_left(self._stamps, before)
        del self._stamps[:gone], self._ends[:gone]

    def at(self, times: Array) -> tuple[Array, Array] | None:
        """Ends of the capsules at rising times [s], each (T, M, 3); None where they are unknown."""
        if not (self.knows(times[0]) and self.knows(times[-1])):
            return None
        stamps = np.array(self._stamps)
        after = np.minimum(np.searchsorted(stamps, times), len(stamps) - 1)
        before = np.maximum(after - 1, 0)
        apart = np.maximum(stamps[after] - stamps[before], 1e-9)
        share = np.clip((times - stamps[before]) / apart, 0.0, 1.0)[:, None, None, None]
        first, second = (np.array([self._ends[i] for i in ends]) for ends in (before, after))
        found = (1.0 - share) * first + share * second
        return np.ascontiguousarray(found[:, 0]), np.ascontiguousarray(found[:, 1])
