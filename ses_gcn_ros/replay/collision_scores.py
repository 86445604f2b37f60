"""Predicted collisions against those that came: precision, recall, F1, lead time.

The task of CHICO (Sampieri et al., ECCV 2022): a window counts as a collision if the axes of a limb
and a link come nearer than a threshold within the horizon, as in `studies/collisions.py`. The robot
is where it was, so that only the forecast of the person is judged.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.replay.events import PeopleForecast, PeopleSeen
from ses_gcn_ros.replay.safety_scores import Distribution
from ses_gcn_ros.safety import SafetyConfig, limb_capsules
from ses_gcn_ros.safety.kernels import kernel

Array = NDArray[np.float64]


STRIDE = 0.2  # s between two windows; nearer ones tell the same story
_PATIENCE = 0.2  # s that a pose of the robot may stand for a later instant
_SLACK = 0.4  # s that is waited for what was seen at the end of the horizon


@dataclass(eq=False)
class _Person:
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

    Parameters
    ----------
    config : SafetyConfig
        Scale of the bodies and reach of the hands.
    links : int
        Number M of the robot's capsules.
    threshold : float
        Distance of the axes of limb and link under which it is a collision [m].
    """

    def __init__(self, config: SafetyConfig, links: int, threshold: float) -> None:
        self._config, self._axes, self.threshold = config, np.zeros(links), threshold
        self._robot = RobotTrail(_PATIENCE)
        self._people: dict[str, _Person] = {}
        self._seen: deque[PeopleSeen] = deque()
        self._waiting: deque[PeopleForecast] = deque()
        self._next = -np.inf
        self._horizon = 0.0
        self._table = np.zeros((2, 2), np.int64)  # predicted, happened
        self._onsets = 0
        self._lead = Distribution()

    def move(self, time: float, start: Array, end: Array) -> None:
        """Take in where the robot's capsules are at a time [s], ends (M, 3) each [m]."""
        self._robot.add(time, start, end)
        while self._seen and self._seen[0].stamp <= time:
            self._measure(self._seen.popleft())

    def observe(self, seen: PeopleSeen) -> None:
        """Take in where people are; their nearness is measured once the robot's is known."""
        if self._seen and self._seen[0].stamp < seen.stamp - _PATIENCE:
            self._measure(self._seen.popleft())
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
        while self._seen:
            self._measure(self._seen.popleft())
        self._release(np.inf)
        for person in self._people.values():
            self._count_onsets(person, np.inf)

    def _measure(self, seen: PeopleSeen) -> None:
        placed = self._robot.at(np.array([seen.stamp]))
        if placed is None:
            return
        for layout, people in groupby(seen.people, key=attrgetter("layout")):
            members = list(people)
            positions = np.array([person.positions for person in members])
            nearest = self._nearest(positions[:, None], layout, *placed)[:, 0]
            for shown, distance in zip(members, nearest.tolist(), strict=True):
                person = self._people.get(shown.person_id)
                if person is None:
                    person = self._people[shown.person_id] = _Person()
                person.times.append(seen.stamp)
                person.distances.append(distance)
                if distance < self.threshold and not person.touching:
                    person.onsets.append(seen.stamp)
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

    def _count_onsets(self, person: _Person, until: float) -> None:
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
        nearest = np.empty(limbs.radius.shape[:2])
        none_grown = np.zeros(limbs.radius.shape[1:])
        pairs, rest = np.empty((len(start), 3), np.int64), np.empty(len(start))
        for person, found in enumerate(nearest):
            own = limbs.start[person], limbs.end[person], np.zeros_like(limbs.radius[person])
            kernel("separation").min_distances(
                own, (start, end, self._axes), none_grown, found, pairs, rest
            )
        return nearest

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
        self._ends.append(np.stack([start, end]))

    def forget(self, before: float) -> None:
        """Let go of what was before a time [s]."""
        gone = bisect_left(self._stamps, before)
        del self._stamps[:gone], self._ends[:gone]

    def at(self, times: Array) -> tuple[Array, Array] | None:
        """Ends of the capsules at rising times [s], each (T, M, 3); None where they are unknown."""
        stamps, patience = np.array(self._stamps), self._patience
        if not len(stamps):
            return None
        if times[0] < stamps[0] - patience or times[-1] > stamps[-1] + patience:
            return None
        after = np.minimum(np.searchsorted(stamps, times), len(stamps) - 1)
        before = np.maximum(after - 1, 0)
        apart = np.maximum(stamps[after] - stamps[before], 1e-9)
        share = np.clip((times - stamps[before]) / apart, 0.0, 1.0)[:, None, None, None]
        first, second = (np.stack([self._ends[i] for i in ends]) for ends in (before, after))
        found = (1.0 - share) * first + share * second
        return np.ascontiguousarray(found[:, 0]), np.ascontiguousarray(found[:, 1])
