"""How good forecasts were, judged as soon as their future has been seen."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.forecast.baselines import DAMPINGS
from ses_gcn_ros.models.framing import reach
from ses_gcn_ros.replay.actions import ActionTimeline
from ses_gcn_ros.replay.events import PeopleForecast, PeopleSeen
from ses_gcn_ros.skeleton import convert, get_layout

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
