"""What was seen of everybody, as far as forecasts need it: nothing of it depends on forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.baselines import latest_motion
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.forecast.resample import Resampled, resample
from ses_gcn_ros.skeleton import Skeleton, check_skeletons, convert, get_layout

_CAPACITY = 128  # observations kept per person: 0.4 s at 300 Hz
_VELOCITY_WINDOW = 0.2  # s of observations that the fallback takes its velocity from

Positions = NDArray[np.float32]
Observation = tuple[float, Positions]  # stamp [s], positions (J, 3) [m]


@dataclass(frozen=True, eq=False)
class SceneSnapshot:
    """Everybody at one observation."""

    # of the observation, and since the one before [s]
    stamp: float
    elapsed: float
    anew: bool  # whether the clock was set back, and everybody forgotten before this
    # histories of everybody seen on the model's grid, or why there is none
    present: dict[str, Resampled]
    # of everybody without a history: latest positions (J, 3) [m] and velocities [m/s]
    motions: dict[str, tuple[Positions, Positions]]
    # everybody seen twice in a row, the time before and now
    pairs: list[tuple[str, Observation, Observation]]
    remembered: frozenset[str]  # everybody who is not forgotten


class History:
    """The latest observations of one person, oldest first, in arrays that are never copied whole.

    Observations are written one after the other into arrays twice as long as what is kept; when
    they are full the kept half moves to the front. So a view of the latest is always contiguous.

    Parameters
    ----------
    joints : int
        Number of joints J.
    capacity : int
        Number of observations kept.

    Attributes
    ----------
    latest : float
        Time of the latest observation [s]; -inf before the first.
    last : NDArray, shape (J, 3)
        Its positions [m], as they were given.
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

    Parameters
    ----------
    engine : Engine
        Its layout, grid and needs count; it is not run.
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
        return SceneSnapshot(stamp, elapsed, anew, present, motions, pairs, remembered)

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
