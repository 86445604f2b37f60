"""From skeletons as they arrive to forecasts of everybody in sight, in one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.adaptive import AdaptiveRadius
from ses_gcn_ros.forecast.baselines import latest_motion
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.forecast.history import History
from ses_gcn_ros.forecast.outstanding import Outstanding
from ses_gcn_ros.forecast.resample import Resampled, resample
from ses_gcn_ros.skeleton import Skeleton, check_skeletons, convert, get_layout

_CAPACITY = 128  # observations kept per person: 0.4 s at 300 Hz
_VELOCITY_WINDOW = 0.2  # s of observations that the fallback takes its velocity from

_Sighting = tuple[float, NDArray[np.float32]]  # stamp [s], positions (J, 3) [m]
_Pair = tuple[Outstanding, _Sighting, _Sighting]  # forecasts, and two sightings in a row


@dataclass(frozen=True, eq=False)
class Forecast:
    """Where one person is expected to be.

    Attributes
    ----------
    person_id : str
        As in the skeletons.
    layout : str
        Joint layout of `positions`: the model's.
    stamp : float
        Time of the last observation used [s].
    step : float
        Time between steps [s]; row k is `(k + 1) * step` after `stamp`.
    positions : NDArray, shape (H, J, 3), float32
        Expected positions [m] in the frame of the observations; NaN for unseen joints.
    radius : NDArray, shape (H, J), float32
        Radius around each position [m].
    coverage : float
        Probability that a joint is within its radius; 0 if the radius is not calibrated.
    model : str
        What made it: the name of the weights, or ``constant_velocity (<reason>)``.
    """

    person_id: str
    layout: str
    stamp: float
    step: float
    positions: NDArray[np.float32]
    radius: NDArray[np.float32]
    coverage: float
    model: str


@dataclass
class Counts:
    """What a forecaster has done: people in sight, forecasts made, fallbacks by reason."""

    people: int = 0
    forecasts: int = 0
    fallbacks: Counter[str] = field(default_factory=Counter)


class Forecaster:
    """Histories of all people, and forecasts from them.

    Parameters
    ----------
    engine : Engine
        From `forecast.load`.
    config : ForecastConfig
        Limits and the fallback's radius.
    adaptive : AdaptiveRadius, optional
        Radius that follows what happens to the forecasts; the calibrated one if None.

    Attributes
    ----------
    counts : Counts
        For diagnostics.
    """

    def __init__(
        self, engine: Engine, config: ForecastConfig, adaptive: AdaptiveRadius | None = None
    ) -> None:
        self._engine = engine
        self._adaptive = adaptive
        self._outstanding: dict[str, Outstanding] = {}
        self._config = config
        self._joints = get_layout(engine.layout).joints
        self._histories: dict[str, History] = {}
        self._present: list[str] = []
        self._unlearnt: tuple[list[_Pair], float] = [], 0.0
        self._stamp = -np.inf
        self.counts = Counts()
        seconds = np.arange(1, engine.horizon + 1, dtype=np.float32) / np.float32(engine.fps)
        growing = config.fallback_radius + config.fallback_growth * seconds
        self._fallback_radius = np.repeat(
            growing[:, None].astype(np.float32), len(self._joints), axis=1
        )

    def observe(self, stamp: float, skeletons: Sequence[Skeleton]) -> None:
        """Take in what was seen at one instant.

        A skeleton without a single seen joint counts as nobody. A stamp that lies further back
        than `forget_after` means that the clock was set back (a bag started over): everybody is
        forgotten and observing starts anew.

        Parameters
        ----------
        stamp : float
            When the image was taken [s].
        skeletons : sequence of Skeleton
            Everybody seen, in any layout.

        Raises
        ------
        InputError
            For a stamp not after the last one, the same person twice or a skeleton that
            `check_skeleton` refuses. Nothing is taken in then.
        """
        check_skeletons(skeletons)
        names = [skeleton.person_id for skeleton in skeletons]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"person '{twice}' is there twice in the skeletons of one instant")
        if not np.isfinite(stamp):
            raise InputError(f"the stamp of the skeletons is {stamp}")
        if stamp <= self._stamp:
            if self._stamp - stamp <= self._config.forget_after:
                raise InputError(
                    f"skeletons of {stamp:.3f} s came after those of {self._stamp:.3f} s; stamps "
                    "must rise"
                )
            self._histories.clear()
            self._outstanding.clear()
        self.learn()
        elapsed, self._stamp = stamp - self._stamp, stamp
        self._present = []
        converted = self._converted(skeletons)
        if self._adaptive is not None:
            self._unlearnt = self._pairs(converted), elapsed
        for name, positions in converted:
            if name not in self._histories:
                self._histories[name] = History(len(self._joints), _CAPACITY)
            self._histories[name].append(stamp, positions)
            self._present.append(name)
        oldest = stamp - self._config.forget_after
        self._histories = {
            name: history for name, history in self._histories.items() if history.latest >= oldest
        }
        self._outstanding = {n: o for n, o in self._outstanding.items() if n in self._histories}
        self.counts.people = len(self._present)

    def learn(self) -> None:
        """Hold what was seen last against what was forecast for then.

        The next observation does it otherwise; called between the two, it delays no forecast.
        """
        pairs, elapsed = self._unlearnt
        self._unlearnt = [], 0.0
        if self._adaptive is not None and pairs:
            results = [outstanding.errors(before, now) for outstanding, before, now in pairs]
            errors, issued = (np.stack(part) for part in zip(*results, strict=True))
            self._adaptive.observe(errors, issued, elapsed)

    def _pairs(self, seen: Sequence[tuple[str, NDArray[np.float32]]]) -> list[_Pair]:
        """Of everybody seen twice in a row: forecasts, and both sightings."""
        pairs: list[_Pair] = []
        for name, positions in seen:
            history = self._histories.get(name)
            if name not in self._outstanding or history is None:
                continue
            before = history.latest, history.positions[-1].copy()
            if self._stamp - before[0] <= self._config.gap:
                pairs.append((self._outstanding[name], before, (self._stamp, positions)))
        return pairs

    def _converted(self, skeletons: Sequence[Skeleton]) -> list[tuple[str, NDArray[np.float32]]]:
        """Names and positions in the model's layout of everybody with a joint to show."""
        converted = []
        for layout in dict.fromkeys(skeleton.layout for skeleton in skeletons):
            group = [skeleton for skeleton in skeletons if skeleton.layout == layout]
            positions = np.array([skeleton.positions for skeleton in group], np.float32)
            if layout != self._engine.layout:
                confidence = np.stack([skeleton.confidence for skeleton in group])
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

    def forecast(self) -> list[Forecast]:
        """Forecast everybody present at the last observation."""
        resampled = self._resample()
        ready = [name for name, result in resampled.items() if result.history is not None]
        histories = [result.history for result in resampled.values() if result.history is not None]
        answers = (
            dict(zip(ready, self._engine.predict(np.stack(histories)), strict=True))
            if ready
            else {}
        )
        forecasts = []
        for name in self._present:
            if name in answers:
                forecasts.append(self._by_model(name, answers[name]))
            else:
                forecasts.append(self._by_velocity(name, resampled[name].reason))
        self.counts.forecasts += len(forecasts)
        return forecasts

    def _resample(self) -> dict[str, Resampled]:
        """Histories of everybody present on the model's grid."""
        engine, config = self._engine, self._config
        span = (engine.observed - 1) / engine.fps + 2 * max(config.gap, config.joint_gap)
        resampled = {}
        for name in self._present:
            result = resample(
                *self._histories[name].since(self._stamp - span),
                engine.observed,
                engine.fps,
                gap=config.gap,
                joint_gap=config.joint_gap,
                kind=config.interpolation,
            )
            resampled[name] = self._checked(result)
        return resampled

    def _checked(self, result: Resampled) -> Resampled:
        """Result, or why the network can't take it."""
        if result.history is None or self._engine.unseen_joints or not result.unseen.any():
            return result
        joint = self._joints[int(np.argmax(result.unseen))]
        return Resampled(None, result.unseen, f"joint unseen: {joint}")

    def _by_model(self, name: str, positions: NDArray[np.float32]) -> Forecast:
        engine = self._engine
        radius = self._fallback_radius if engine.radius is None else engine.radius
        if self._adaptive is not None:
            radius = self._adaptive.radius
            if name not in self._outstanding:
                self._outstanding[name] = Outstanding(
                    engine.horizon, len(self._joints), 1 / engine.fps
                )
            self._outstanding[name].add(self._stamp, positions, self._adaptive.factor)
        return Forecast(
            person_id=name,
            layout=engine.layout,
            stamp=self._stamp,
            step=1 / engine.fps,
            positions=positions,
            radius=radius,
            coverage=engine.coverage,
            model=engine.name,
        )

    def _by_velocity(self, name: str, reason: str) -> Forecast:
        self.counts.fallbacks[reason.partition(":")[0]] += 1
        engine, history = self._engine, self._histories[name]
        seconds = np.arange(1, engine.horizon + 1, dtype=np.float32) / np.float32(engine.fps)
        recent = history.stamps >= self._stamp - max(_VELOCITY_WINDOW, self._config.joint_gap)
        last, velocity = latest_motion(history.stamps[recent], history.positions[recent])
        return Forecast(
            person_id=name,
            layout=engine.layout,
            stamp=self._stamp,
            step=1 / engine.fps,
            positions=last + seconds[:, None, None] * velocity,
            radius=self._fallback_radius,
            coverage=0.0,
            model=f"constant_velocity ({reason})",
        )
