"""From skeletons as they arrive to forecasts of everybody in sight, in one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.adaptive import AdaptiveRadius, PendingForecasts
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.forecast.observations import ObservationBuffer, Positions, SceneSnapshot
from ses_gcn_ros.skeleton import Skeleton, get_layout


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
        self._observations = ObservationBuffer(engine, config)
        self._latest: SceneSnapshot | None = None
        self._learnt = True  # from that snapshot
        self._pending: dict[str, PendingForecasts] = {}
        self._made: list[tuple[Forecast, NDArray[np.float64]]] = []  # not yet pending
        self._joints = len(get_layout(engine.layout).joints)
        self.counts = Counts()
        self._seconds = np.arange(1, engine.horizon + 1, dtype=np.float32) / np.float32(engine.fps)
        growing = config.fallback_radius + config.fallback_growth * self._seconds
        self._fallback_radius = np.repeat(growing[:, None].astype(np.float32), self._joints, axis=1)

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
        self._take(self._observations.observe(stamp, skeletons))

    def _take(self, snapshot: SceneSnapshot) -> None:
        self.learn()
        if snapshot.anew:
            self._pending.clear()
        self._latest, self._learnt = snapshot, False
        self._pending = {n: o for n, o in self._pending.items() if n in snapshot.remembered}
        self.counts.people = len(snapshot.present)

    def learn(self) -> None:
        """Keep what was forecast, and hold what was seen last against what was forecast for then.

        The next observation does it otherwise; called between the two, it delays no forecast.
        """
        if self._learnt or self._adaptive is None or self._latest is None:
            return
        self._learnt = True
        for forecast, factor in self._made:
            name = forecast.person_id
            if name not in self._pending:
                steps, joints = forecast.radius.shape
                self._pending[name] = PendingForecasts(steps, joints, forecast.step)
            self._pending[name].add(forecast.stamp, forecast.positions, factor)
        self._made.clear()
        results = [
            self._pending[name].errors(before, now)
            for name, before, now in self._latest.pairs
            if name in self._pending
        ]
        if results:
            errors, issued = (np.array(part) for part in zip(*results, strict=True))
            self._adaptive.observe(errors, issued, self._latest.elapsed)

    def forecast(self) -> list[Forecast]:
        """Forecast everybody present at the last observation."""
        if self._latest is None:
            return []
        (paths,) = self._predict([self._latest])
        return self._forecasts(self._latest, paths)

    def replay(
        self, observations: Iterable[tuple[float, Sequence[Skeleton]]]
    ) -> list[list[Forecast] | InputError]:
        """`observe` and `forecast` for each of many observations in turn.

        The network is asked for all of them at once. What comes out is the same to the bit.

        Returns
        -------
        list
            Of each observation the forecasts, or the error that `observe` would have raised.
        """
        snapshots: list[SceneSnapshot | InputError] = []
        for stamp, skeletons in observations:
            try:
                snapshots.append(self._observations.observe(stamp, skeletons))
            except InputError as error:
                snapshots.append(error)
        paths = iter(self._predict([each for each in snapshots if isinstance(each, SceneSnapshot)]))
        forecasts: list[list[Forecast] | InputError] = []
        for each in snapshots:
            if isinstance(each, InputError):
                forecasts.append(each)
            else:
                self._take(each)
                forecasts.append(self._forecasts(each, next(paths)))
        return forecasts

    def _predict(self, snapshots: Sequence[SceneSnapshot]) -> list[dict[str, Positions]]:
        """Paths (H, J, 3) of everybody with a history, at each snapshot."""
        paths: list[dict[str, Positions]] = [{} for _ in snapshots]
        together: dict[int, list[tuple[dict[str, Positions], str, Positions]]] = {}
        for number, snapshot in enumerate(snapshots):
            # Together goes only what does not change the answer.
            group = 0 if self._engine.each_alone else number
            for name, found in snapshot.present.items():
                if found.history is not None:
                    asked = paths[number], name, found.history
                    together.setdefault(group, []).append(asked)
        for group_asked in together.values():
            histories = np.array([history for _, _, history in group_asked])
            answers = self._engine.predict(histories)
            for (into, name, _), path in zip(group_asked, answers, strict=True):
                into[name] = path
        return paths

    def _forecasts(self, snapshot: SceneSnapshot, paths: Mapping[str, Positions]) -> list[Forecast]:
        forecasts = [
            self._by_model(snapshot.stamp, name, paths[name])
            if name in paths
            else self._by_velocity(snapshot, name)
            for name in snapshot.present
        ]
        self.counts.forecasts += len(forecasts)
        return forecasts

    def _by_model(self, stamp: float, name: str, positions: Positions) -> Forecast:
        engine = self._engine
        radius = self._fallback_radius if engine.radius is None else engine.radius
        if self._adaptive is not None:
            radius = self._adaptive.radius
        forecast = Forecast(
            person_id=name,
            layout=engine.layout,
            stamp=stamp,
            step=1 / engine.fps,
            positions=positions,
            radius=radius,
            coverage=engine.coverage,
            model=engine.name,
        )
        if self._adaptive is not None:
            self._made.append((forecast, self._adaptive.factor))
        return forecast

    def _by_velocity(self, snapshot: SceneSnapshot, name: str) -> Forecast:
        reason = snapshot.present[name].reason
        self.counts.fallbacks[reason.partition(":")[0]] += 1
        last, velocity = snapshot.motions[name]
        return Forecast(
            person_id=name,
            layout=self._engine.layout,
            stamp=snapshot.stamp,
            step=1 / self._engine.fps,
            positions=last + self._seconds[:, None, None] * velocity,
            radius=self._fallback_radius,
            coverage=0.0,
            model=f"constant_velocity ({reason})",
        )
