"""The safety node's part of a replay: events in, states out."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.messages import to_seconds
from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.replay.events import (
    Event,
    JointStatesEvent,
    PeopleForecast,
    PeopleSeen,
    RecordedState,
    Refused,
    RobotPlaced,
    RobotPoses,
    Silence,
    Tick,
    Trajectory,
    Unplaced,
)
from ses_gcn_ros.replay.frames import Wanted
from ses_gcn_ros.safety import (
    Assessment,
    DemoRobotConfig,
    Robots,
    SafetyConfig,
    SeparationMonitor,
    Urdf,
)
from ses_gcn_ros.safety.robot_motion import SweepMotion

Array = NDArray[np.float64]
Step = Assessment | PeopleSeen | PeopleForecast | Refused

LONGEST_STEP = 0.1  # s; as the demo robot's node has it


class ReplayMonitor:
    """Run the separation monitor on events as the safety node does on messages.

    Parameters
    ----------
    config : SafetyConfig
    robots : Robots or None
        None where nothing is known of the robot: then there are no states.
    robot : ObedientRobot, optional
        Simulates the robot; by default it is where the transforms say.
    recorded : bool
        Whether states are those that were recorded instead of the monitor's.

    Attributes
    ----------
    wanted : Wanted
        What it has to be told of the transforms.
    capsules : tuple or None
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
        robot: ObedientRobot | None = None,
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
        monitor = self.monitor
        match event:
            case PeopleSeen(stamp=stamp, people=people):
                try:
                    if monitor is not None:
                        monitor.observe_skeletons(stamp, people, now)
                except InputError as error:
                    return Refused(event.time, "skeletons", str(error))
                self.present = frozenset(person.person_id for person in people)
                return event
            case PeopleForecast(stamp=stamp, forecasts=forecasts):
                try:
                    if monitor is not None:
                        monitor.observe_forecasts(stamp, forecasts, now)
                except InputError as error:
                    return Refused(event.time, "forecasts", str(error))
                return event
            case Tick():
                return self._assess(event)
            case Unplaced(source=source, sentence=sentence):
                if monitor is not None:
                    monitor.fault(source, f"{source} unusable: {sentence}")
                return Refused(event.time, source, sentence)
            case Silence(length=length):
                return Refused(event.time, "clock", f"nothing was recorded for {length:.0f} s")
            case JointStatesEvent():
                self._observe_joints(event)
            case Trajectory():
                self._observe_plan(event.message)
            case RobotPlaced():
                self._find_robot(event)
            case RecordedState(state=state):
                return state
        return None

    def _observe_joints(self, event: JointStatesEvent) -> None:
        joints, told = self.monitor.joints if self.monitor else None, event.message
        if joints is not None:
            with contextlib.suppress(InputError):  # the node leaves them out as well
                joints.observe(event.stamp, told.name, told.position, told.velocity)

    def _observe_plan(self, content: Any) -> None:
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

    def _assess(self, tick: Tick) -> Assessment:
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

    def _find_robot(self, event: Tick | RobotPlaced) -> RobotPoses | str:
        """Where the robot is, or why that isn't known."""
        if self._model is None:
            return "there is no robot"
        found = event.robot if self._robot is None else self._simulate(self._robot, event.time)
        if isinstance(found, str):
            self.robot_faults[found] += 1
            return found
        assert found is not None
        stamp, poses = found
        self.capsules = (stamp, *self._model.place(poses))
        return stamp, poses

    def _simulate(self, robot: ObedientRobot, now: float) -> RobotPoses | str:
        assert self._model is not None
        robot.advance(now, self._factor)
        try:
            poses = robot.poses(self._model.frames)
        except RobotError as error:
            return str(error)
        if self.monitor is not None and self.monitor.joints is not None:
            self.monitor.joints.observe(now, *robot.joint_states())
        return now, poses


class ObedientRobot:
    """Simulate the demo cell's robot without ROS: it sweeps, and obeys.

    Parameters
    ----------
    urdf : Urdf
    """

    def __init__(self, urdf: Urdf) -> None:
        self._motion = SweepMotion(DemoRobotConfig(), urdf)
        self._urdf = urdf
        self._last: float | None = None

    def advance(self, now: float, factor: float) -> None:
        """Move on until `now` [s], having been allowed `factor` until then."""
        passed = 0.0 if self._last is None else now - self._last
        self._last = now
        if passed > 0.0:
            self._motion.advance(min(passed, LONGEST_STEP), factor)

    def poses(self, frames: Sequence[str]) -> Array:
        """world_from_frame (F, 4, 4); the robot stands at the world's origin."""
        numbers = self._urdf.numbers
        try:
            wanted = [numbers[frame] for frame in frames]
        except KeyError as error:
            (frame,) = error.args
            raise RobotError(f"tf of {frame} missing: the demo robot has no such frame") from None
        angles = dict(zip(self._motion.joints, self._motion.positions.tolist(), strict=True))
        placed: Array = self._urdf.place(angles)[wanted]
        return placed

    def joint_states(self) -> tuple[Sequence[str], Sequence[float], Sequence[float]]:
        """Names, positions [rad] and velocities [rad/s] of the joints."""
        motion = self._motion
        return motion.joints, motion.positions.tolist(), motion.velocities.tolist()
