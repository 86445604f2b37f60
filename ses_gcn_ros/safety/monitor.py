"""Separation monitoring: everything that is known of people and robot, turned into one answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.assessment import Assessment
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Decision, Limit, Muting
from ses_gcn_ros.safety.people import PeopleTracks
from ses_gcn_ros.safety.prediction import (
    ForecastCapsules,
    PredictionResult,
    RobotMotion,
    first_contact,
    inflate,
    limit,
)
from ses_gcn_ros.safety.robot_model import RobotModel, Urdf
from ses_gcn_ros.safety.robot_motion import JointMotion, RobotTracker
from ses_gcn_ros.safety.separation import (
    Reactive,
    allowed_speed,
    assess_now,
    braking,
    protective_distance,
    reaction_time,
)
from ses_gcn_ros.safety.watchdogs import Inputs, check_forecasts, check_people, check_robot
from ses_gcn_ros.safety.zones import Zones, read_zones
from ses_gcn_ros.skeleton import Skeleton

if TYPE_CHECKING:  # the import would load the forecasting engines
    from ses_gcn_ros.forecast import Forecast

Array = NDArray[np.float64]


class SeparationMonitor:
    """Takes skeletons, forecasts and robot poses as they come, and assesses at any time.

    All positions are in one world frame, all stamps on one clock. Whatever is missing, old, from
    the future or impossible lowers the speed, most of it to a stop; the lowest limit wins.

    Parameters
    ----------
    config : SafetyConfig
    model : RobotModel
        As `read_robots` gives it. The monitor's own `model` has the frames of the zones besides:
        poses are those of ``monitor.model.frames``.
    urdf : Urdf, optional
        Description of the robot, as `read_robots` gives it; with it ``monitor.joints`` takes joint
        states and plans, which predict the robot's motion better than its poses alone.

    Raises
    ------
    ConfigError
        If the zones or the table of stopping times can't be used.
    """

    def __init__(self, config: SafetyConfig, model: RobotModel, urdf: Urdf | None = None) -> None:
        braking(config)  # raises what is wrong with it
        zones = read_zones(config.zones, config.world_frame)
        self.config = config
        self.model = model = model.with_frames([zone.frame for zone in zones if zone.frame])
        self.zones = {
            kind: Zones([zone for zone in zones if zone.applies_to == kind], model)
            for kind in ("person", "robot")
        }
        self.robot = RobotTracker(model)
        self.joints = JointMotion(urdf, model) if urdf else None
        self.tracks = PeopleTracks(config)
        self.decision = Decision(config)
        self._forecasts: list[ForecastCapsules] = []
        self._forecast_ids: frozenset[str] = frozenset()
        self._forecast_stamp: float | None = None
        self.inputs = Inputs(config)
        self.muting = Muting(config)
        self._now = -math.inf

    # Inputs ---------------------------------------------------------------------------------

    def observe_skeletons(
        self, stamp: float, skeletons: Sequence[Skeleton], now: float | None = None
    ) -> None:
        """Take everybody seen at `stamp` [s]; `now` (default: the stamp) exposes a wrong clock.

        Raises
        ------
        InputError
            If the stamp is ahead of `now`, or not after the last one.
        """
        self.inputs.arrive("skeletons", stamp, stamp if now is None else now)
        self.tracks.observe(stamp, skeletons)
        self.well("skeletons")

    def observe_forecasts(
        self, stamp: float, forecasts: Sequence[Forecast], now: float | None = None
    ) -> None:
        """Take the forecasts of everybody made from observations up to `stamp` [s].

        Raises
        ------
        InputError
            If the stamp is ahead of `now`, or before the last one.
        """
        self.inputs.arrive("forecasts", stamp, stamp if now is None else now)
        if self._forecast_stamp is not None and stamp < self._forecast_stamp:
            raise InputError(
                f"forecasts stamped {stamp:.3f} s came after those of "
                f"{self._forecast_stamp:.3f} s; out of order, not used"
            )
        self._forecasts = inflate(self.config, forecasts)
        self._forecast_ids = frozenset(forecast.person_id for forecast in forecasts)
        self._forecast_stamp = stamp
        self.well("forecasts")

    def observe_robot(self, stamp: float, poses: ArrayLike) -> None:
        """Take world_from_frame (F, 4, 4) of the model's frames, measured at `stamp` [s].

        Raises
        ------
        InputError
            If the poses have another shape or are not finite; the robot counts as unknown then.
        """
        try:
            self.robot.observe(stamp, poses)
        except InputError as error:
            self.fault("robot", f"tf unusable: {error}")
            raise
        self.well("robot")

    def fault(self, source: str, reason: str) -> None:
        """Hold the robot for a fault of an input until that comes well again.

        Parameters
        ----------
        source : str
            "skeletons", "forecasts" and "robot" come well with their next good input, any other
            name with `well`. One that begins with "forecasts" asks for `forecast_lost_factor`.
        reason : str
            What is wrong, with its numbers.
        """
        self.inputs.fault(source, reason)

    def well(self, source: str) -> None:
        """Forget the fault of a source, if there is one."""
        self.inputs.well(source)

    def reset(self) -> tuple[bool, str]:
        """Release a latched stop, if its cause is gone; says whether and why (not)."""
        return self.decision.reset()

    def enable(self, on: bool, now: float) -> tuple[bool, str]:
        """Switch monitoring on, or off for a while where that is allowed; says whether and why."""
        return self.muting.switch(on, now)

    # Answer ---------------------------------------------------------------------------------

    def assess(self, now: float) -> Assessment:
        """Judge the situation at `now` [s]. Call it at a fixed rate."""
        limits = self._clock(now)
        self.tracks.expire(now)
        skeleton_age = _age(now, self.tracks.stamp)
        forecast_age = _age(now, self._forecast_stamp)
        robot = self.robot.state
        tf_age = _age(now, robot.stamp if robot else None)
        limits += [
            *self.inputs.limits(),
            *check_people(self.config, self.tracks, now, skeleton_age),
            *check_robot(self.config, self.model, robot, tf_age),
            *check_forecasts(self.config, self.tracks, self._forecast_ids, now, forecast_age),
        ]
        limits += self._check_robot_zones(now)
        reactive = self._react(now, skeleton_age, limits)
        outlook = self._predict(now)
        predicted = outlook.predicted
        if predicted:
            limits.append(limit(self.config, predicted, reaction_time(self.config, skeleton_age)))
        verdict = self.muting.apply(self.decision.update(now, limits), now)

        # with no trusted data of people or robot a distance would be a guess
        known = max(skeleton_age, tf_age) < math.inf
        nobody = math.inf if known else math.nan
        separation = reactive.pair.distance if reactive else nobody
        protective = reactive.protective_distance if reactive else math.nan
        return Assessment(
            stamp=now,
            level=verdict.level,
            speed_factor=verdict.factor,
            separation=separation,
            protective_distance=protective,
            margin=separation - protective,
            time_to_breach=predicted.time_to_breach if predicted else math.inf,
            breach_probability=outlook.breach_probability,
            zone=verdict.zone,
            reasons=verdict.reasons,
            skeleton_age=skeleton_age,
            forecast_age=forecast_age,
            tf_age=tf_age,
            enabled=self.muting.enabled,
            people=len(self.tracks.present) + len(self.tracks.lost),
            pair=reactive.pair if reactive else None,
            breakdown=reactive.breakdown if reactive else None,
            predicted=predicted,
        )

    def _react(self, now: float, skeleton_age: float, limits: list[Limit]) -> Reactive | None:
        people, robot, seen = self.tracks.people(), self.robot.state, self.tracks.stamp
        if robot is None or seen is None or len(people.person) == 0:
            return None
        config = self.config
        unseen = np.maximum(seen - people.last_seen, 0.0)  # until then; T_r reckons with the rest
        growth = people.floor * unseen[people.person]
        if len(self.zones["person"]):
            held, floor = self.zones["person"].check_people(people, growth, robot)
            limits += held
            people = replace(people, floor=np.maximum(people.floor, floor))
        hysteresis = config.release_margin if self.decision.stopped else 0.0
        t_r = reaction_time(config, skeleton_age)
        kept = config.slowdown_margin + hysteresis
        reactive = assess_now(config, people, growth, self.model, robot, now, t_r, kept)
        self.tracks.note_distances(reactive.distances)
        limits += reactive.limits
        return reactive

    def _check_robot_zones(self, now: float) -> list[Limit]:
        robot, config = self.robot.state, self.config
        if robot is None or not len(self.zones["robot"]):
            return []
        start, end = robot.carried(now - robot.stamp)
        full = config.robot_speed_max
        case = {
            "human_speed": 0.0,
            "reaction_time": 1.0 / config.rate + config.robot_reaction_time,
            "robot_uncertainty": config.robot_uncertainty,
        }
        brakes = braking(config)
        return self.zones["robot"].check_robot(
            robot,
            start[0],
            end[0],
            full,
            lambda distance: allowed_speed(distance, **case, **brakes),
            float(protective_distance(robot_speed=full, **case, **brakes)),
        )

    def _predict(self, now: float) -> PredictionResult:
        robot = self.robot.state
        if robot is None:
            return PredictionResult()
        horizon = self.config.prediction_horizon + now - robot.stamp
        paths: Sequence[RobotMotion] = self.joints.paths(robot, horizon) if self.joints else []
        outlooks = [
            first_contact(self.config, group, self.model, motion, now)
            for group in self._forecasts
            for motion in paths or [robot]
            if len(group.person_ids) > 0
        ]
        first = min(
            (outlook.predicted for outlook in outlooks if outlook.predicted),
            key=lambda meeting: meeting.time_to_breach,
            default=None,
        )
        return PredictionResult(max((o.breach_probability for o in outlooks), default=0.0), first)

    def _clock(self, now: float) -> list[Limit]:
        """Start anew when the clock goes back: no stamp can be compared any more."""
        back = self._now - now
        self._now = now
        if back <= 0.0:
            return []
        self.robot.forget()
        if self.joints:
            self.joints.forget()
        self.tracks.forget()
        self._forecasts, self._forecast_ids, self._forecast_stamp = [], frozenset(), None
        return [Limit(0.0, f"clock went back {back:.2f} s")]


def _age(now: float, stamp: float | None) -> float:
    return math.inf if stamp is None else now - stamp
