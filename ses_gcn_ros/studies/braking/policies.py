"""What tells the robot how fast it may move: monitoring with and without forecasts, a fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.safety import (
    Limit,
    RobotModel,
    SafetyConfig,
    SeparationMonitor,
    capsule_distances,
    limb_capsules,
    protective_distance,
)
from ses_gcn_ros.safety.decision import Decision
from ses_gcn_ros.skeleton import Skeleton

Array = NDArray[np.float64]

POLICIES = ("forecast", "reactive", "fence")


class Policy(Protocol):
    """Answers with a speed factor to what is seen."""

    def see(
        self, stamp: float, person: Skeleton, forecasts: Sequence[Forecast], now: float
    ) -> None:
        """Take a skeleton, and the forecast made from it."""
        ...

    def factor(self, now: float, poses: Array) -> float:
        """Share of the full speed that is allowed at `now`, the robot's frames being at `poses`."""
        ...


class Monitored:
    """Speed and separation monitoring, with or without forecasts."""

    def __init__(self, config: SafetyConfig, model: RobotModel, *, forecasts: bool) -> None:
        if not forecasts:
            config = replace(config, forecast_lost_factor=1.0)
        self._monitor = SeparationMonitor(config, model)
        self._with_forecasts = forecasts

    def see(
        self, stamp: float, person: Skeleton, forecasts: Sequence[Forecast], now: float
    ) -> None:
        self._monitor.observe_skeletons(stamp, [person], now)
        if self._with_forecasts:
            self._monitor.observe_forecasts(stamp, forecasts, now)

    def factor(self, now: float, poses: Array) -> float:
        try:
            self._monitor.observe_robot(now, poses)
        except InputError:  # cannot be: the poses are simulated
            return 0.0
        return self._monitor.assess(now).speed_factor


class Fence:
    """A fence around all that the robot sweeps: who is inside stops it, whoever they are.

    It stands where a scanner's field would have to end (ISO 13855): as far from the sweep as a
    person gets while the robot comes to rest from full speed, with the monitor's own constants.
    Release and speeding up are the monitor's, too.

    Parameters
    ----------
    config : SafetyConfig
    model : RobotModel
    sweep : ndarray, shape (K, F, 4, 4)
        Poses of the model's frames along the robot's path.
    """

    def __init__(self, config: SafetyConfig, model: RobotModel, sweep: Array) -> None:
        self._config = config
        self._decision = Decision(config)
        placed = [model.place(poses) for poses in sweep]
        self._start = np.concatenate([start for start, _ in placed])
        self._end = np.concatenate([end for _, end in placed])
        self._radius = np.tile(model.radius, len(sweep))
        self.distance = float(
            protective_distance(
                human_speed=max(config.human_speed, config.arm_speed),
                robot_speed=config.robot_speed_max,
                reaction_time=config.reaction_time,
                deceleration=config.deceleration,
                intrusion=config.intrusion,
                human_uncertainty=config.human_uncertainty,
                robot_uncertainty=config.robot_uncertainty,
            )
        )
        self._inside = True

    def see(
        self, stamp: float, person: Skeleton, forecasts: Sequence[Forecast], now: float
    ) -> None:
        config = self._config
        limbs = limb_capsules(
            person.positions.astype(np.float64), person.layout, scale=config.body_scale,
            hand_reach=config.hand_reach,
        )  # fmt: skip
        met = capsule_distances(
            limbs.start[:, None], limbs.end[:, None], limbs.radius[:, None],
            self._start, self._end, self._radius,
        )  # fmt: skip
        self._inside = bool(met.distance.min() < self.distance)

    def factor(self, now: float, poses: Array) -> float:
        limits = [Limit(0.0, "somebody inside the fence")] if self._inside else []
        return self._decision.update(now, limits).factor
