"""Separation monitoring: everything that is known of people and robot, turned into one answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.assessment import Assessment
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Decision, Limit, Muting
from ses_gcn_ros.safety.obedience import Obedience
from ses_gcn_ros.safety.people import PeopleTracks
from ses_gcn_ros.safety.prediction import (
    ForecastCapsules,
    PredictionResult,
    check_forecasts,
    first_contact,
    inflate,
    limit,
)
from ses_gcn_ros.safety.robot_model import RobotModel, Urdf
from ses_gcn_ros.safety.robot_motion import (
    JointMotion,
    JointPath,
    RobotMotion,
    RobotState,
    RobotTracker,
)
from ses_gcn_ros.safety.separation import (
    Reactive,
    RobotSpeeds,
    assess_now,
    assess_reachable,
    braking,
    protective_distance,
    reaction_time,
)
from ses_gcn_ros.safety.watchdogs import (
    NOTED,
    ActionLimits,
    Bridges,
    Inputs,
    PublishedDescription,
    check_people,
    check_robot,
    forecast_limits,
)
from ses_gcn_ros.safety.zones import Zones, read_zones
from ses_gcn_ros.skeleton import Skeleton

if TYPE_CHECKING:  # the import would load the forecasting engines
    from ses_gcn_ros.forecast import Forecast

Array = NDArray[np.float64]


class SeparationMonitor:
    """Takes skeletons, forecasts and robot poses as they come, and assesses at any time.

    All positions are in one world frame, all stamps on one clock. Whatever is missing, old, from
    the future, doubled or impossible lowers the speed, most of it to a stop; the lowest limit wins.

    Raises ConfigError if the zones or the table of stopping times can't be used, or parameters
    reduce safety without `accept_reduced_safety`.

    `model`: as `read_robots` gives it. The monitor's own `model` has the frames of the zones
    besides: poses are those of ``monitor.model.frames``.
    `urdf`: description of the robot, as `read_robots` gives it; with it ``monitor.joints`` takes
    joint states and plans, which predict the robot's motion better than its poses alone.
    `steady`: a clock that nobody sets, such as ``time.monotonic``: no input is younger than the
    time since it came by this clock, whatever the stamps say.
    """

    def __init__(
        self,
        config: SafetyConfig,
        model: RobotModel,
        urdf: Urdf | None = None,
        steady: Callable[[], float] | None = None,
    ) -> None:
        config.check()
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
        more = {topic: PeopleTracks(config) for topic in config.redundant_skeletons}
        self._sources = {"skeletons": self.tracks, **more}
        self.decision = Decision(config)
        self.inputs = Inputs(config)
        self.obedience = Obedience(config, model)
        self.bridges = Bridges(config)
        self.description = PublishedDescription()
        self.actions = ActionLimits(config)
        self.muting = Muting(config)
        self._steady = steady
        self._arrived: dict[str, float] = {}  # by the steady clock [s]
        self._forecasts: list[ForecastCapsules] = []
        self._forecast_ids: frozenset[str] = frozenset()
        self._forecast_stamp: float | None = None
        self._now, self._answered = -math.inf, False
        words = [f"reduced safety: {reduction}" for reduction in config.reductions()]
        self._reductions = [Limit(NOTED, word) for word in words]

    # Inputs ---------------------------------------------------------------------------------

    def observe_skeletons(
        self,
        stamp: float,
        skeletons: Sequence[Skeleton],
        now: float | None = None,
        source: str = "skeletons",
    ) -> None:
        """Take everybody seen at `stamp` [s]; `now` (default: the stamp) exposes a wrong clock.

        Somebody whom no human body can be is refused alone, and named in the next answers. Another
        `source` is one of `redundant_skeletons`: whom it sees counts besides.

        Raises InputError if the stamp is ahead of `now`, or not after the last one.
        """
        now = stamp if now is None else now
        self.inputs.arrive(source, stamp, now)
        try:
            self._sources[source].observe(stamp, skeletons)
        except InputError:
            self.inputs.refuse(source, now)
            raise
        self._arrive(source)

    def prepare(self, source: str) -> None:
        """Do once for each answer what of it can be done while forecasts are still being made."""
        if self._answered:
            self._answered = False
            self._sources[source].people()

    def observe_forecasts(
        self, stamp: float, forecasts: Sequence[Forecast], now: float | None = None
    ) -> None:
        """Take the forecasts of everybody made from observations up to `stamp` [s].

        Raises InputError if the stamp is ahead of `now`, or not after the last one, or a forecast
        can't be used.
        """
        now = stamp if now is None else now
        self.inputs.arrive("forecasts", stamp, now)
        try:
            check_forecasts(forecasts)
        except InputError as error:
            self.fault("forecasts", f"forecasts unusable: {error}")
            raise
        if self._forecast_stamp is not None and stamp <= self._forecast_stamp:
            self.inputs.refuse("forecasts", now)
            raise InputError(
                f"forecasts stamped {stamp:.3f} s came after those of "
                f"{self._forecast_stamp:.3f} s; out of order, not used"
            )
        self._forecasts = inflate(self.config, forecasts, self.tracks.present)
        self._forecast_ids = frozenset(
            forecast.person_id for forecast in forecasts if not np.isnan(forecast.positions).all()
        )
        self._forecast_stamp = stamp
        self._arrive("forecasts")

    def observe_actions(
        self, stamp: float, labels: Mapping[str, str], now: float | None = None
    ) -> None:
        """Take what everybody does, by person, told from observations up to `stamp` [s].

        It may only lower the factor, by `action_limits`.

        Raises InputError if the stamp is ahead of `now`, or before the last one.
        """
        self.inputs.arrive("actions", stamp, stamp if now is None else now)
        self.actions.observe(stamp, labels)
        self.well("actions")

    def observe_bridge(self, name: str, fault: str, now: float) -> None:
        """Take the word of one of the `bridges`: what is wrong with its driver; empty: nothing."""
        self.bridges.observe(name, fault, self._steady() if self._steady else now)

    def observe_robot(self, stamp: float, poses: ArrayLike, now: float | None = None) -> None:
        """Take world_from_frame (F, 4, 4) of the model's frames, measured at `stamp` [s].

        Raises InputError if the poses have another shape, are not finite, or ahead of `now`
        (default: the stamp); the robot counts as unknown then.
        """
        before = self.robot.state
        try:
            ahead = 0.0 if now is None else stamp - now
            if ahead > self.config.future_tolerance:
                raise InputError(f"stamped {ahead:.2f} s ahead of the clock")
            self.robot.observe(stamp, poses)
        except InputError as error:
            self.fault("robot", f"tf unusable: {error}")
            raise
        if self.robot.state is not before:
            self._arrive("robot")

    def fault(self, source: str, reason: str) -> None:
        """Hold the robot for a fault of an input until that comes well again.

        `source`: "skeletons", "forecasts" and "robot" come well with their next good input, any
        other name with `well`. One that begins with "forecasts" asks for `forecast_lost_factor`.
        `reason`: what is wrong, with its numbers.
        """
        self.inputs.fault(source, reason)

    def well(self, source: str) -> None:
        """Forget the fault of a source, if there is one."""
        self.inputs.well(source)

    def observe_description(self, text: str) -> None:
        """Take the robot's description as it is published: another than the first is a stop."""
        if changes := self.description.observe(text):
            self.fault("robot_description", changes)
        else:
            self.well("robot_description")

    def reset(self, believe: Callable[[], Sequence[str]] = tuple) -> tuple[bool, str]:
        """Release a latched stop whose cause is gone, and whoever is lost; says whether and why.

        `believe` has static frames that were moved trusted where they are now and names them. While
        a robot disobeys, nobody and nothing is released.
        """
        obeys = ["the robot is taken to obey again"] if self.obedience.reset() else []
        if self.obedience.fault:
            return False, "the robot still disobeys"
        released = sum(tracks.release() for tracks in self._sources.values())
        gone = [f"{released} lost people released"] if released else []
        if moved := believe():
            gone.append(f"{', '.join(moved)} trusted where tf_static has them now")
        if self.description.believe():
            self.well("robot_description")
            gone.append("the robot_description of now is known")
        gone += obeys
        done, why = self.decision.reset(bool(gone))
        return (True, "; ".join([*gone, why])) if gone else (done, why)

    def succeed(self, earlier: SeparationMonitor, now: float) -> None:
        """Go on from a monitor that this one comes after, at `now` [s].

        Whom it knew is held as lost: nobody leaves because nobody looks. In another world frame
        nobody knows where they are. A robot that disobeyed stands until `reset`.
        """
        self.obedience.fault = earlier.obedience.fault if self.obedience.watches else ""
        if earlier.config.world_frame == self.config.world_frame:
            for source in self._sources.keys() & earlier._sources.keys():
                self._sources[source].take_over(earlier._sources[source], now)

    def enable(self, on: bool, now: float) -> tuple[bool, str]:
        """Switch monitoring on, or off for a while where that is allowed; says whether and why."""
        return self.muting.switch(on, now)

    def _arrive(self, source: str) -> None:
        self.well(source)
        if self._steady is not None:
            self._arrived[source] = self._steady()

    # Answer ---------------------------------------------------------------------------------

    def assess(self, now: float) -> Assessment:
        """Judge the situation at `now` [s]. Call it at a fixed rate."""
        self._answered = True
        limits = [*self._clock(now), *self._reductions]
        self.inputs.expire(now)
        ages = {source: self._age(source, now, t.stamp) for source, t in self._sources.items()}
        skeleton_age = max(ages.values())
        forecast_age = self._age("forecasts", now, self._forecast_stamp)
        robot = self.robot.state
        tf_age = self._age("robot", now, robot.stamp if robot else None)
        for source, tracks in self._sources.items():
            tracks.expire(now)
            limits += check_people(self.config, tracks, now, ages[source], source)
        if robot is not None:
            self.obedience.observe(robot)
        limits += [
            *self.inputs.limits(),
            *self.obedience.limits(),
            *self.bridges.limits(self._steady() if self._steady else now),
            *check_robot(self.config, self.model, robot, tf_age),
            *forecast_limits(self.config, self.tracks, self._forecast_ids, now, forecast_age),
            *self.actions.limits(now, [*self.tracks.present, *self.tracks.lost]),
        ]
        reactive, prediction = None, PredictionResult()
        if robot is not None:
            paths: Sequence[RobotMotion] = self.joints.paths(robot) if self.joints else []
            paths = paths or [robot]  # ways that it may go on
            speeds = self._speeds(robot, paths[0])
            t_r = reaction_time(self.config, skeleton_age)
            limits += self._check_robot_zones(robot, speeds, now)
            found = [
                self._react(tracks, robot, paths, speeds, now, skeleton_age, limits)
                for tracks in self._sources.values()
            ]
            judged = [one for one in found if one]
            reactive = min(
                judged, key=lambda r: r.pair.distance - r.protective_distance, default=None
            )
            prediction = self._predict(paths, now)
            expected = limit(self.config, prediction, t_r)
            if expected is not None:
                limits.append(expected)
            self._drop_future(robot, now)
        verdict = self.muting.apply(self.decision.update(now, limits), now)
        self.obedience.send(now, verdict.factor)

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
            time_to_breach=prediction.contact.time_to_breach if prediction.contact else math.inf,
            breach_probability=prediction.highest,
            zone=verdict.zone,
            reasons=verdict.reasons,
            skeleton_age=skeleton_age,
            forecast_age=forecast_age,
            tf_age=tf_age,
            enabled=self.muting.enabled,
            people=sum(len(t.present) + len(t.lost) for t in self._sources.values()),
            pair=reactive.pair if reactive else None,
            breakdown=reactive.breakdown if reactive else None,
            predicted=prediction.contact,
            contact_probability=tuple(prediction.probability.tolist()),
            contact_person_ids=prediction.person_ids,
        )

    def _age(self, source: str, now: float, stamp: float | None) -> float:
        """Age [s] by the stamps, and no less than the time since it came by the steady clock."""
        if stamp is None:
            return math.inf
        age = now - stamp
        if self._steady is not None and source in self._arrived and not self.config.replay:
            age = max(age, self._steady() - self._arrived[source])
        return age

    def _speeds(self, robot: RobotState, path: RobotMotion) -> RobotSpeeds:
        """How fast each robot is: by its poses or by its joints, whichever is more."""
        fastest, _ = robot.fastest(self.model.robot)
        if isinstance(path, JointPath):
            # at its joints' velocities now; poses tell of the mean over the last ones
            fastest = np.fmax(fastest, path.fastest(self.model.robot))
        return RobotSpeeds.of(self.config, fastest)

    def _react(
        self,
        tracks: PeopleTracks,
        robot: RobotState,
        paths: Sequence[RobotMotion],
        speeds: RobotSpeeds,
        now: float,
        age: float,
        limits: list[Limit],
    ) -> Reactive | None:
        """Hold everybody of one source against the robot; None if nobody is there."""
        people, config = tracks.people(), self.config
        if len(people.person) == 0:
            return None
        growth = people.growth()  # until people were last seen; T_r reckons with the rest
        if len(self.zones["person"]):
            held, floor = self.zones["person"].check_people(people, growth, robot)
            limits += held
            people = replace(people, floor=np.maximum(people.floor, floor))
            growth = people.growth()
        hysteresis = config.release_margin if self.decision.stopped else 0.0
        t_r = reaction_time(config, age if math.isfinite(age) else config.skeleton_age_max)
        kept = config.slowdown_margin + hysteresis
        reactive = assess_now(config, people, growth, self.model, robot, speeds, now, t_r, kept)
        tracks.note_distances(reactive.distances)
        reachable = None
        if config.model != "formula" and not np.isnan(robot.start_velocity).any():
            # by its poses, too: joint states may be another robot's, or wrong in sign
            ways = paths if robot in paths else [*paths, robot]
            reachable = assess_reachable(
                config, people, growth, self.model, ways, speeds, now, t_r, age, kept
            )
        if reachable is None or config.model != "reachable":
            limits += reactive.limits
        limits += reachable or ()
        return reactive

    def _check_robot_zones(self, robot: RobotState, speeds: RobotSpeeds, now: float) -> list[Limit]:
        if not len(self.zones["robot"]):
            return []
        config = self.config
        start, end = robot.carried(now - robot.stamp)
        slowest = max(braking(config), key=lambda table: float(table.time(config.robot_speed_max)))
        case = {"human_speed": 0.0, "reaction_time": reaction_time(config, least=0.0)}
        room = protective_distance(robot_speed=config.robot_speed_max, table=slowest, **case)
        return self.zones["robot"].check_robot(
            config, robot, start[0], end[0], slowest, case["reaction_time"], room
        )

    def _predict(self, paths: Sequence[RobotMotion], now: float) -> PredictionResult:
        return PredictionResult.of_all(
            [
                first_contact(self.config, group, self.model, motion, now)
                for group in self._forecasts
                for motion in paths
                if len(group.person_ids) > 0
            ]
        )

    def _drop_future(self, robot: RobotState, now: float) -> None:
        """Forget what is stamped ahead of the clock, or it would hide all that comes until then."""
        latest = now + self.config.future_tolerance
        if robot.stamp > latest:
            self.robot.forget()
        if self.joints:
            self.joints.drop_future(latest)

    def _clock(self, now: float) -> list[Limit]:
        """Start anew when the clock goes back: no stamp can be compared any more."""
        before, self._now = self._now, now
        back = before - now
        if back <= 0.0:
            return []
        self.robot.forget()
        self.obedience.forget()
        if self.joints:
            self.joints.forget()
        for tracks in self._sources.values():
            tracks.begin_anew(before, now)
        self.actions.forget()
        self._forecasts, self._forecast_ids, self._forecast_stamp = [], frozenset(), None
        return [Limit(0.0, f"clock went back {back:.2f} s")]
