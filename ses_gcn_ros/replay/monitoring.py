"""The safety node's part of a replay: events in, states out."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.bag_messages import Observation, to_seconds
from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.replay.events import Event
from ses_gcn_ros.replay.places import Wanted
from ses_gcn_ros.safety import Assessment, Level, Robots, SafetyConfig, SeparationMonitor
from ses_gcn_ros.safety.separation import Pair
from ses_gcn_ros.skeleton import Skeleton

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """Everybody seen at `stamp` [s], in the world."""

    stamp: float
    people: list[Skeleton]


@dataclass(frozen=True, eq=False)
class Forecasted:
    """Everybody's forecasts from observations up to `stamp` [s], in the world."""

    stamp: float
    forecasts: list[Forecast]


@dataclass(frozen=True)
class Refused:
    """A message that the safety node refuses, from `source`, and why."""

    source: str
    sentence: str


Step = Assessment | Seen | Forecasted | Refused


class Robot(Protocol):
    """A simulated robot."""

    def advance(self, now: float, factor: float) -> None:
        """Move on until `now` [s], having been allowed `factor` until then."""
        ...

    def poses(self, frames: Sequence[str]) -> Array:
        """world_from_frame (F, 4, 4)."""
        ...

    def joint_states(self) -> tuple[Sequence[str], Sequence[float], Sequence[float]]:
        """Names, positions and velocities of the joints."""
        ...


class Watch:
    """Run the separation monitor on events as the safety node does on messages.

    Parameters
    ----------
    config : SafetyConfig
    robots : Robots, optional
        From `read_robots`; there are no states without.
    robot : Robot, optional
        A simulated robot; by default the one of the transforms.
    recorded : bool
        Whether to give the states that were recorded instead of computing them.

    Attributes
    ----------
    wanted : Wanted
        What has to be made of the events for this watch, by `with_places`.
    capsules : tuple of (float, NDArray, NDArray) or None
        Stamp [s] and ends of the robot's capsules, each (M, 3) [m]; None while unknown.
    present : frozenset of str
        People in sight.
    robot_faults : Counter
        How often the robot could not be found, by reason.
    """

    def __init__(
        self,
        config: SafetyConfig,
        robots: Robots | None,
        robot: Robot | None = None,
        *,
        recorded: bool = False,
    ) -> None:
        monitor = None if robots is None else SeparationMonitor(config, robots.model, robots.urdf)
        self._model = monitor.model if monitor else None  # with the frames of the zones
        self.monitor = None if recorded else monitor
        self._robot = robot
        self.wanted = Wanted(
            world=config.world_frame,
            frames=self._model.frames if self._model and robot is None else (),
            rate=config.rate if self.monitor else 0.0,
        )
        self._factor = 0.0
        self.capsules: tuple[float, Array, Array] | None = None
        self.present: frozenset[str] = frozenset()
        self.robot_faults = Counter[str]()

    def take(self, event: Event, now: float | None = None) -> Step | None:
        """Hand an event to the monitor; `now` [s] is its time by default. Gives what came of it."""
        now = event.time if now is None else now
        match event.kind:
            case "people":
                return self._people(event.content, now)
            case "forecasts":
                stamp, _, forecasts = event.content
                return self._forecasts(stamp, forecasts, now)
            case "tick":
                return self._assess(event)
            case "unplaced":
                source, sentence = event.content
                return self._unplaced(source, sentence)
            case "silence":
                return Refused("clock", f"nothing was recorded for {event.content:.0f} s")
            case "joint_states":
                self._joint_states(event.content)
            case "trajectory":
                self._trajectory(event.content)
            case "robot":
                self._find_robot(event)
            case "state":
                return recorded_state(event.content)
        return None

    def _people(self, seen: Observation, now: float) -> Step:
        try:
            if self.monitor is not None:
                self.monitor.observe_skeletons(seen.stamp, seen.people, now)
        except InputError as error:
            return Refused("skeletons", str(error))
        self.present = frozenset(person.person_id for person in seen.people)
        return Seen(seen.stamp, seen.people)

    def _forecasts(self, stamp: float, forecasts: list[Forecast], now: float) -> Step:
        try:
            if self.monitor is not None:
                self.monitor.observe_forecasts(stamp, forecasts, now)
        except InputError as error:
            return Refused("forecasts", str(error))
        return Forecasted(stamp, forecasts)

    def _unplaced(self, source: str, sentence: str) -> Step:
        if self.monitor is not None:
            self.monitor.fault(source, f"{source} unusable: {sentence}")
        return Refused(source, sentence)

    def _joint_states(self, content: Any) -> None:
        joints = self.monitor.joints if self.monitor else None
        if joints is not None:
            stamp = to_seconds(content.header.stamp)
            with contextlib.suppress(InputError):  # the node leaves them out as well
                joints.observe(stamp, content.name, content.position, content.velocity)

    def _trajectory(self, content: Any) -> None:
        joints = self.monitor.joints if self.monitor else None
        if joints is not None:
            stages = [stage.joint_trajectory for stage in getattr(content, "trajectory", [])]
            plan = stages[0] if stages else content
            with contextlib.suppress(InputError):
                joints.observe_plan(
                    plan.joint_names,
                    [to_seconds(point.time_from_start) for point in plan.points],
                    [point.positions for point in plan.points],
                )

    def _assess(self, tick: Event) -> Assessment:
        """State at a tick, of which there are none without a monitor."""
        assert self.monitor is not None
        found = self._find_robot(tick)
        if isinstance(found, str):
            self.monitor.fault("robot", found)
        else:
            with contextlib.suppress(InputError):  # which the monitor remembers as a fault
                self.monitor.observe_robot(*found)
        assessment = self.monitor.assess(tick.time)
        self._factor = assessment.speed_factor
        return assessment

    def _find_robot(self, event: Event) -> tuple[float, Array] | str:
        """Stamp [s] and poses (F, 4, 4) of the robot, or why they aren't known."""
        if self._model is None:
            return "there is no robot"
        found = event.content if self._robot is None else self._simulate(self._robot, event.time)
        if isinstance(found, str):
            self.robot_faults[found] += 1
            return found
        stamp, poses = found
        self.capsules = (stamp, *self._model.place(poses))
        return stamp, poses

    def _simulate(self, robot: Robot, now: float) -> tuple[float, Array] | str:
        assert self._model is not None
        robot.advance(now, self._factor)
        try:
            poses = robot.poses(self._model.frames)
        except RobotError as error:
            return str(error)
        if self.monitor is not None and self.monitor.joints is not None:
            self.monitor.joints.observe(now, *robot.joint_states())
        return now, poses


def recorded_state(content: Any) -> Assessment:
    """Assessment of a recorded SafetyState, as far as the message tells."""
    nowhere = np.full(3, np.nan)
    pair = None
    if content.person_id:
        pair = Pair(
            person_id=content.person_id,
            limb=content.human_limb,
            frame=content.robot_frame,
            distance=content.separation,
            human_point=nowhere,
            robot_point=nowhere,
        )
    told: dict[str, Any] = {
        field.name: getattr(content, field.name, math.nan)
        for field in dataclasses.fields(Assessment)
    }
    told |= {
        "stamp": to_seconds(content.header.stamp),
        "level": Level(content.level),
        "reasons": tuple(content.reasons),
        "pair": pair,
        "breakdown": None,
        "predicted": None,
    }
    return Assessment(**told)
