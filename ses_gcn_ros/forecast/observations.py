"""From jittery streams of skeletons to everybody's history on the network's time grid.

Nothing of it depends on forecasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from ses_gcn_ros.compiling import array, compiled, real, single, whole
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.skeleton import (
    Skeleton,
    check_skeletons,
    convert,
    convert_covariance,
    get_layout,
)

_CAPACITY = 128  # observations kept per person: 0.4 s at 300 Hz
_VELOCITY_WINDOW = 0.2  # s of observations that the fallback takes its velocity from
# Frames between two observations above which a straight line between them no longer looks like
# motion: it cuts corners and shortens bones. Below, a curve follows a camera's noise.
SPARSE = 1.8
FINE, TOO_SHORT, GAP = range(3)  # what `_resample` finds
_EDGE = 0.25  # steps by which the oldest grid point may lie before the oldest observation

Positions = NDArray[np.float32]
Observation = tuple[float, Positions]  # stamp [s], positions (J, 3) [m]


@dataclass(frozen=True, eq=False)
class Resampled:
    """A history on the grid, or why there is none."""

    # (T, J, 3): positions on the grid, which ends at the last observation; NaN throughout for
    # joints in `unseen`
    history: NDArray[np.float32] | None
    unseen: NDArray[np.bool_]  # (J,): joints that were unseen for too long to be interpolated
    reason: str = ""  # why there is no history; empty if there is one
    whole: bool = False  # whether there is a history, of all joints


@dataclass(frozen=True, eq=False)
class SceneSnapshot:
    """Everybody at one observation."""

    # of the observation, and since the one before [s]
    stamp: float
    elapsed: float
    anew: bool  # whether the clock was set back, and everybody forgotten before this
    # histories of everybody seen on the model's grid, or why there is none
    present: dict[str, Resampled]
    # (J, 6): covariances of the positions seen last [m²], of everybody whose source knows them
    covariances: dict[str, NDArray[np.float32]]
    # of everybody without a history: latest positions (J, 3) [m] and velocities [m/s]
    motions: dict[str, tuple[Positions, Positions]]
    # everybody seen twice in a row, the time before and now
    pairs: list[tuple[str, Observation, Observation]]
    remembered: frozenset[str]  # everybody who is not forgotten


class History:
    """The latest observations of one person, oldest first, in arrays that are never copied whole.

    Observations are written one after the other into arrays twice as long as what is kept; when
    they are full the kept half moves to the front. So a view of the latest is always contiguous.

    `joints`: number of joints J.
    `capacity`: number of observations kept.

    Attributes:
    - `latest`: time of the latest observation [s]; -inf before the first.
    - `last` (J, 3): its positions [m], as they were given.
    """

    def __init__(self, joints: int, capacity: int) -> None:
        self._capacity = capacity
        self._stamps = np.empty(2 * capacity, np.float64)
        self._positions = np.empty((2 * capacity, joints, 3), np.float32)
        self._end = 0
        self.latest = -np.inf
        self.last = np.full((joints, 3), np.nan, np.float32)

    def append(self, stamp: float, positions: NDArray[np.float32]) -> None:
        """Add an observation at `stamp` [s], positions (J, 3) [m] with NaN for unseen joints.

        The positions are kept; they must not be written to afterwards.
        """
        if self._end == len(self._stamps):
            kept = self._capacity - 1
            self._stamps[:kept] = self._stamps[-kept:]
            self._positions[:kept] = self._positions[-kept:]
            self._end = kept
        self._stamps[self._end] = stamp
        self._positions[self._end] = positions
        self._end += 1
        self.latest, self.last = stamp, positions

    def since(self, start: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Stamps and positions of the observations from `start` [s] on."""
        first = max(0, self._end - self._capacity)
        first += int(self._stamps[first : self._end].searchsorted(start))
        return self._stamps[first : self._end], self._positions[first : self._end]

    @property
    def stamps(self) -> NDArray[np.float64]:
        """Times of the observations [s], shape (M,)."""
        return self._stamps[max(0, self._end - self._capacity) : self._end]

    @property
    def positions(self) -> NDArray[np.float32]:
        """Positions [m], shape (M, J, 3)."""
        return self._positions[max(0, self._end - self._capacity) : self._end]


class ObservationBuffer:
    """Take in what is seen, and put it onto the grid of an engine.

    `engine`: its layout, grid and needs count; it is not run.
    """

    def __init__(self, engine: Engine, config: ForecastConfig) -> None:
        self._engine, self._config = engine, config
        self._joints = get_layout(engine.layout).joints
        self._histories: dict[str, History] = {}
        self._stamp = -np.inf

    def observe(self, stamp: float, skeletons: Sequence[Skeleton]) -> SceneSnapshot:
        """Take in what was seen at one instant; see `Forecaster.observe`."""
        check_skeletons(skeletons)
        names = [skeleton.person_id for skeleton in skeletons]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"person '{twice}' is there twice in the skeletons of one instant")
        if not np.isfinite(stamp):
            raise InputError(f"the stamp of the skeletons is {stamp}")
        anew = stamp <= self._stamp
        if anew:
            if self._stamp - stamp <= self._config.forget_after:
                raise InputError(
                    f"skeletons of {stamp:.3f} s came after those of {self._stamp:.3f} s; stamps "
                    "must rise"
                )
            self._histories.clear()
        elapsed, self._stamp = stamp - self._stamp, stamp
        seen = self._converted(skeletons)
        pairs = self._pairs(seen)
        for name, positions in seen:
            if name not in self._histories:
                self._histories[name] = History(len(self._joints), _CAPACITY)
            self._histories[name].append(stamp, positions)
        oldest = stamp - self._config.forget_after
        self._histories = {n: h for n, h in self._histories.items() if h.latest >= oldest}
        present = {name: self._resampled(self._histories[name]) for name, _ in seen}
        motions = {
            name: self._motion(self._histories[name])
            for name, found in present.items()
            if found.history is None
        }
        remembered = frozenset(self._histories)
        covariances = self._covariances(skeletons)
        return SceneSnapshot(stamp, elapsed, anew, present, covariances, motions, pairs, remembered)

    def _pairs(
        self, seen: Sequence[tuple[str, Positions]]
    ) -> list[tuple[str, Observation, Observation]]:
        pairs: list[tuple[str, Observation, Observation]] = []
        for name, positions in seen:
            history = self._histories.get(name)
            if history is not None and self._stamp - history.latest <= self._config.gap:
                pairs.append((name, (history.latest, history.last), (self._stamp, positions)))
        return pairs

    def _converted(self, skeletons: Sequence[Skeleton]) -> list[tuple[str, Positions]]:
        """Names and positions in the model's layout of everybody with a joint to show."""
        converted = []
        for layout in dict.fromkeys(skeleton.layout for skeleton in skeletons):
            group = [skeleton for skeleton in skeletons if skeleton.layout == layout]
            positions = np.array([skeleton.positions for skeleton in group], np.float32)
            if layout != self._engine.layout:
                confidence = np.array([skeleton.confidence for skeleton in group])
                positions, _ = convert(positions, confidence, layout, self._engine.layout)
            seen = np.isfinite(positions)
            somebody = [True] * len(group)
            if not seen.all():  # much cheaper to find out than for which joints
                somebody = np.any(np.all(seen, axis=-1), axis=-1).tolist()
            converted += [
                (skeleton.person_id, person)
                for skeleton, person, there in zip(group, positions, somebody, strict=True)
                if there
            ]
        return converted

    def _covariances(self, skeletons: Sequence[Skeleton]) -> dict[str, NDArray[np.float32]]:
        """In the model's layout, zero where unseen."""
        target = self._engine.layout
        return {
            each.person_id: convert_covariance(each.covariance, each.layout, target).astype(
                np.float32
            )
            for each in skeletons
            if each.covariance is not None
        }

    def _resampled(self, history: History) -> Resampled:
        """History of somebody present on the model's grid, or why the network can't take it."""
        engine, config = self._engine, self._config
        span = (engine.observed - 1) / engine.fps + 2 * max(config.gap, config.joint_gap)
        found = resample(
            *history.since(self._stamp - span),
            engine.observed,
            engine.fps,
            gap=config.gap,
            joint_gap=config.joint_gap,
            kind=config.interpolation,
        )
        if found.history is None or found.whole or engine.unseen_joints:
            return found
        joint = self._joints[int(np.argmax(found.unseen))]
        return Resampled(None, found.unseen, f"joint unseen: {joint}")

    def _motion(self, history: History) -> tuple[Positions, Positions]:
        recent = history.stamps >= self._stamp - max(_VELOCITY_WINDOW, self._config.joint_gap)
        return latest_motion(history.stamps[recent], history.positions[recent])


def latest_motion(
    stamps: NDArray[np.float64], positions: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Latest position and least-squares velocity of each joint, (J, 3) [m], [m/s].

    NaN for joints that were not seen; velocity 0 for joints that were seen once.
    """
    seen = np.all(np.isfinite(positions), axis=-1)[..., None]  # (M, J, 1)
    points = np.where(seen, positions, 0).astype(np.float64)
    times = (stamps - stamps[-1])[:, None, None] * seen
    count = np.maximum(seen.sum(axis=0), 1)
    mean_time, mean_point = times.sum(axis=0) / count, points.sum(axis=0) / count
    away = (times - mean_time) * seen
    spread = (away**2).sum(axis=0)
    velocity = (away * (points - mean_point)).sum(axis=0) / np.where(spread > 0, spread, 1)
    newest = len(stamps) - 1 - np.argmax(seen[::-1, :, 0], axis=0)
    columns = np.arange(positions.shape[1])
    last = positions[newest, columns] - velocity * times[newest, columns]  # carried on to now
    last = np.where(seen.any(axis=0), last, np.nan)
    return last.astype(np.float32), velocity.astype(np.float32)


def resample(
    stamps: NDArray[np.float64],
    positions: NDArray[np.float32],
    frames: int,
    fps: float,
    *,
    gap: float = 0.2,
    joint_gap: float = 0.2,
    kind: str = "auto",
) -> Resampled:
    """Resample one person's observations onto a grid that ends at the last of them.

    `stamps` (M,): times of the observations [s], rising. A clock that jitters may leave the oldest
    grid point a quarter of a step before the oldest observation.
    `positions` (M, J, 3): NaN where a joint was unseen. A joint unseen at the last observation is
    carried on from where it was last seen.
    `frames`: length T of the grid.
    `fps`: its rate [Hz].
    `gap`: longest time between two observations that is interpolated [s].
    `joint_gap`: longest time that a single joint may be unseen [s].
    `kind`: 'linear', 'cubic' (Catmull-Rom), or 'auto': cubic between observations that are more
    than `SPARSE` frames apart, linear between others.
    """
    joints = positions.shape[1]
    history, unseen = np.empty((frames, joints, 3), np.float32), np.empty(joints, np.bool_)
    observations = np.ascontiguousarray(stamps, np.float64), np.ascontiguousarray(positions)
    sparse = {"linear": np.inf, "cubic": 0.0, "auto": SPARSE / fps}[kind]
    limits = fps, gap, joint_gap, sparse
    found, length, hidden = _resample(*observations, *limits, history, unseen)
    if found == FINE and hidden < joints:
        return Resampled(history, unseen, whole=not hidden)
    if found == FINE:
        return Resampled(None, unseen, f"no joint seen throughout, limit {joint_gap:.2f} s")
    if found == TOO_SHORT:
        reason = f"history too short: {length:.1f} s of {(frames - 1) / fps:.1f} s"
    else:
        reason = f"gap too long: {length:.2f} s, limit {gap:.2f} s"
    return Resampled(None, np.ones(joints, np.bool_), reason)


@njit(error_model="numpy")
def _longest_unseen(stamps: Any, seen: Any, start: Any) -> Any:
    """Longest time [s] from `start` on that a joint was unseen for; inf if it never was seen.

    A joint that was seen one observation earlier has no gap, only the stream's own step.
    """
    longest, last_seen = 0.0, -np.inf
    for m in range(len(stamps)):
        if seen[m]:
            if m > 0 and not seen[m - 1]:
                longest = max(longest, stamps[m] - max(last_seen, start))
            last_seen = stamps[m]
    if last_seen == -np.inf:
        return np.inf
    return max(longest, stamps[-1] - max(last_seen, start)) if not seen[-1] else longest


@njit(error_model="numpy")
def _fill(stamps: Any, path: Any, seen: Any) -> None:
    """Unseen points (M, 3) from those before and after; at the ends from the nearest one."""
    before = -1
    for m in range(len(stamps)):
        if seen[m]:
            before = m
            continue
        after = m + 1
        while after < len(stamps) and not seen[after]:
            after += 1
        low = before if before >= 0 else after
        high = after if after < len(stamps) else before
        share = np.float32(0)
        if high > low:
            share = np.float32((stamps[m] - stamps[low]) / (stamps[high] - stamps[low]))
        for k in range(3):
            path[m, k] = path[low, k] + share * (path[high, k] - path[low, k])


@njit(error_model="numpy")
def _slopes(stamps: Any, path: Any, slope: Any) -> None:
    """Velocities (M, 3) from the neighbours: Catmull-Rom for uneven steps."""
    last = len(stamps) - 1
    for m in range(last + 1):
        for k in range(3):
            if 0 < m < last:
                h, g = stamps[m] - stamps[m - 1], stamps[m + 1] - stamps[m]
                earlier, later = path[m] - path[m - 1], path[m + 1] - path[m]
                slope[m, k] = (earlier[k] * g / h + later[k] * h / g) / (h + g)
            else:
                a, b = (0, 1) if m == 0 else (last - 1, last)
                slope[m, k] = (path[b, k] - path[a, k]) / (stamps[b] - stamps[a])


@compiled(
    types.Tuple((whole, real, whole))(
        *(array(1), array(3, single), real, real, real, real),
        *(single[:, :, ::1], types.boolean[::1]),
    )
)
def _resample(
    stamps: Any,
    positions: Any,
    fps: Any,
    gap: Any,
    joint_gap: Any,
    sparse: Any,
    history: Any,
    unseen: Any,
) -> Any:
    """Fill history (T, J, 3) [m] and unseen (J,) of a `Resampled`; see `resample`.

    Returns FINE, TOO_SHORT or GAP (nothing is filled but in the first case); how long the history
    is [s] where it is too short, or its longest gap; how many joints are unseen.
    """
    frames, joints = history.shape[0], history.shape[1]
    count = len(stamps)
    last = stamps[count - 1]
    available = last - stamps[0]
    if count < 2 or available + _EDGE / fps < (frames - 1) / fps:
        return TOO_SHORT, available, joints
    oldest = last - (frames - 1) / fps
    first = max(np.searchsorted(stamps, oldest, side="right") - 1, 0)
    longest = 0.0
    for m in range(first, count - 1):
        longest = max(longest, stamps[m + 1] - stamps[m])
    if longest > gap:
        return GAP, longest, joints

    # Keep one observation more at the old end for the cubic's slope there.
    first = max(first - 1, 0)
    stamps, count = stamps[first:], count - first
    low, share = np.empty(frames, np.int64), np.empty(frames)
    for t in range(frames):
        point = last - (frames - 1 - t) / fps
        at = np.searchsorted(stamps, point, side="right") - 1
        at = min(max(at, 0), count - 2)
        low[t] = at
        share[t] = min(max((point - stamps[at]) / (stamps[at + 1] - stamps[at]), 0.0), 1.0)

    start = max(oldest, stamps[0])
    path = np.empty((count, 3), np.float32)
    seen = np.empty(count, np.bool_)
    slope = np.empty((count, 3))
    hidden = 0
    for j in range(joints):
        everywhere = True
        for m in range(count):
            seen[m] = True
            for k in range(3):
                path[m, k] = positions[first + m, j, k]
                seen[m] &= np.isfinite(path[m, k])
            everywhere &= seen[m]
        if not everywhere:
            unseen[j] = _longest_unseen(stamps, seen, start) > joint_gap
            if unseen[j]:
                hidden += 1
                history[:, j] = np.nan
                continue
            _fill(stamps, path, seen)
        else:
            unseen[j] = False
        if longest > sparse:
            _slopes(stamps, path, slope)
        for t in range(frames):
            at, s = low[t], share[t]
            span, s2, s3 = stamps[at + 1] - stamps[at], s * s, s * s * s
            for k in range(3):
                a, b = path[at, k], path[at + 1, k]
                if span > sparse:  # cubic, by Hermite
                    history[t, j, k] = (
                        (2 * s3 - 3 * s2 + 1) * a
                        + (s3 - 2 * s2 + s) * span * slope[at, k]
                        + (3 * s2 - 2 * s3) * b
                        + (s3 - s2) * span * slope[at + 1, k]
                    )
                else:
                    history[t, j, k] = a + s * (b - a)
    return FINE, longest, hidden
