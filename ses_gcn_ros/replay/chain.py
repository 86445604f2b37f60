"""The nodes' core on a recording's clock: forecasts, frames and states, stage by stage."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError, RobotError, SesGcnError
from ses_gcn_ros.forecast import AdaptiveRadius, Engine, Forecast, ForecastConfig, Forecaster
from ses_gcn_ros.replay.events import (
    Described,
    End,
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
    Transforms,
    Unplaced,
)
from ses_gcn_ros.safety import (
    Assessment,
    DemoRobotConfig,
    Robots,
    SafetyConfig,
    SeparationMonitor,
    Urdf,
)
from ses_gcn_ros.safety.robot_motion import SweepMotion
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.transforms import TransformBuffer

_BLOCK = 32  # observations that are forecast at once, which gives the same in less time
_LONGEST = 1000  # events of a block, where there are few people

Entry = TypeVar("Entry", Skeleton, Forecast)
Array = NDArray[np.float64]
Step = Assessment | PeopleSeen | PeopleForecast | Refused

INSTANT = 1e-5  # s; times that lie closer are the same but for rounding
SILENCE = 60.0  # s without an event, from which on there are no states in between
LONGEST_STEP = 0.1  # s; as the demo robot's node has it


def with_forecasts(
    events: Iterable[Event], engine: Engine, config: ForecastConfig
) -> Iterator[Event]:
    """Events with a `PeopleForecast` behind each `PeopleSeen`, and none that was recorded.

    An adaptive radius begins as it was calibrated, so that a replay gives the same every time.

    Skeletons that the forecaster refuses stay: the safety monitor judges them by itself, as its
    node does. `Refused` says why there is no forecast.
    """
    adaptive = None
    if config.adaptive and engine.radius is not None:
        adaptive = AdaptiveRadius(engine.radius, engine.coverage, config)
    forecaster = Forecaster(engine, config, adaptive)
    frame_id = ""
    for block in _blocks(events):
        seen = [each for each in block if isinstance(each, PeopleSeen) and each.frame_id]
        if seen and seen[0].frame_id != frame_id:
            # Histories in another frame would look like a jump of everybody.
            forecaster = Forecaster(engine, config, adaptive, forecaster.score)
            frame_id = seen[0].frame_id
        answers = iter(forecaster.replay((each.stamp, each.people) for each in seen))
        for event in block:
            yield event
            if not isinstance(event, PeopleSeen):
                continue
            if event.frame_id:
                answer = next(answers)
            else:
                answer = InputError(
                    "skeletons came without a frame_id; set it to a frame with z up"
                )
            if isinstance(answer, InputError):
                yield Refused(event.time, "forecaster", str(answer))
            else:
                yield PeopleForecast(event.time, event.stamp, frame_id, answer)


def _blocks(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Events in blocks, each with people in one frame; an error comes behind what came before."""
    block: list[Event] = []
    observations, frame_id = 0, ""
    broken: SesGcnError | None = None
    try:
        for event in events:
            if isinstance(event, PeopleForecast):
                continue
            if isinstance(event, PeopleSeen):
                frame = event.frame_id or frame_id
                if observations == _BLOCK or frame != frame_id:
                    yield block
                    block, observations = [], 0
                observations, frame_id = observations + 1, frame
            block.append(event)
            if len(block) == _LONGEST:
                yield block
                block, observations = [], 0
    except SesGcnError as error:
        broken = error
    yield block
    if broken is not None:
        raise broken


@dataclass(frozen=True)
class Wanted:
    """What a safety monitor has to be told in a replay."""

    world: str  # frame that people, forecasts and the robot are taken to
    frames: tuple[str, ...]  # of the robot; none if it is not taken from the transforms
    rate: float  # states per second; 0 if none are made
    ahead: float = math.inf  # s by which transforms may be stamped ahead of their arrival


class FrameResolver:
    """The transform tree as the events tell it."""

    def __init__(self, wanted: Wanted) -> None:
        self._frames, self._ahead = wanted.frames, wanted.ahead
        self._buffer = TransformBuffer(wanted.world)

    def observe(self, event: Transforms) -> None:
        """Take in transforms."""
        latest = event.time + self._ahead
        self._buffer.add(event.transforms, static=event.static, latest=latest)

    def placed(self, event: PeopleSeen | PeopleForecast) -> Event:
        """People or forecasts taken to the world; `Unplaced` where that can't be."""
        world = self._buffer.world
        if event.frame_id == world:
            return event
        try:
            match event:
                case PeopleSeen():
                    people = [self._place(person, event) for person in event.people]
                    return dataclasses.replace(event, frame_id=world, people=people)
                case PeopleForecast():
                    forecasts = [self._place(forecast, event) for forecast in event.forecasts]
                    return dataclasses.replace(event, frame_id=world, forecasts=forecasts)
        except InputError as error:
            source = "skeletons" if isinstance(event, PeopleSeen) else "forecasts"
            return Unplaced(event.time, source, str(error))

    def _place(self, entry: Entry, event: PeopleSeen | PeopleForecast) -> Entry:
        found = self._buffer.points(entry.positions, event.frame_id, event.stamp)
        return dataclasses.replace(entry, positions=found.astype(np.float32))

    def robot(self, now: float) -> RobotPoses | str | None:
        """Where the robot is `now` [s], or why that isn't known.

        None if the robot is not taken from the transforms.
        """
        if not self._frames:
            return None
        try:
            return self._buffer.poses(self._frames, now)
        except RobotError as error:
            return str(error)

    def robot_at(self, stamp: float, within: float) -> RobotPoses | None:
        """Where the robot is at a stamp [s] that transforms have, give or take `within`."""
        return self._buffer.poses_at(self._frames, stamp, within)


def with_frames(events: Iterable[Event], wanted: Wanted) -> Generator[Event]:
    """Events with everybody in the world, and the robot whenever the monitor has to know it.

    In the place of transforms come a `Tick` where a state is due, `RobotPlaced` before recorded
    states, and `Silence` where nothing was recorded for long.
    """
    frames = FrameResolver(wanted)
    for event in _with_ticks(events, wanted.rate) if wanted.rate else events:
        match event:
            case Transforms():
                frames.observe(event)
            case PeopleSeen() | PeopleForecast():
                yield frames.placed(event)
            case Tick():
                yield Tick(event.time, frames.robot(event.time))
            case RecordedState():
                yield RobotPlaced(event.time, frames.robot(event.state.stamp))
                yield event
            case _:
                yield event


def _with_ticks(events: Iterable[Event], rate: float) -> Iterator[Event]:
    """Events, and ticks at a rate [Hz] from the first to the last one, or anew if the clock leapt.

    A tick comes behind the events of its own instant, so that a state knows them.
    """
    period = 1.0 / rate
    origin, count = 0.0, -1  # ticks since the origin; none before the first event
    for event in events:
        if not isinstance(event, End):
            silent = event.time - (origin + count * period)
            if count >= 0 and silent > SILENCE:
                yield Silence(event.time, silent)
            if count < 0 or not -2 * period <= silent <= SILENCE:
                origin, count = event.time, 0
            while (due := origin + count * period) < event.time - INSTANT:
                yield Tick(due)
                count += 1
        elif count >= 0:
            yield Tick(origin + count * period)
        yield event


class ReplayMonitor:
    """Run the separation monitor on events as the safety node does on messages.

    `robots`: None where nothing is known of the robot: then there are no states.
    `robot`: simulates the robot; by default it is where the transforms say.
    `recorded`: whether states are those that were recorded instead of the monitor's.

    Attributes:
    - `wanted`: what it has to be told of the transforms.
    - `capsules`: stamp [s] and ends of the robot's capsules, each (M, 3) [m]; None while unknown.
    - `present`: people in sight.
    - `robot_faults`: how often the robot could not be found, by reason.
    """

    def __init__(
        self,
        config: SafetyConfig,
        robots: Robots | None,
        robot: ObedientRobot | None = None,
        *,
        recorded: bool = False,
    ) -> None:
        # a recorded robot can't obey what is said only now
        played = dataclasses.replace(config, replay=True)
        monitor = None if robots is None else SeparationMonitor(played, robots.model, robots.urdf)
        self._model = monitor.model if monitor else None  # with the frames of the zones
        self.monitor = None if recorded else monitor
        self._robot = robot
        self.wanted = Wanted(
            world=config.world_frame,
            frames=self._model.frames if self._model and robot is None else (),
            rate=config.rate if self.monitor else 0.0,
            ahead=config.future_tolerance,
        )
        self._factor = 0.0
        self.capsules: tuple[float, Array, Array] | None = None
        self.present: frozenset[str] = frozenset()
        self.robot_faults = Counter[str]()

    def take(self, event: Event, now: float | None = None) -> Step | None:
        """Hand an event to the monitor; `now` [s] is its time by default. Gives what came of it."""
        now = event.time if now is None else now
        monitor = self.monitor
        joints = monitor.joints if monitor else None
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
                return event
            case Silence(length=length):
                return Refused(event.time, "clock", f"nothing was recorded for {length:.0f} s")
            case JointStatesEvent(stamp=stamp, message=told) if joints:
                with contextlib.suppress(InputError):  # the node leaves them out as well
                    joints.observe(stamp, told.name, told.position, told.velocity)
            case Trajectory(plan=plan) if joints:
                with contextlib.suppress(InputError):
                    joints.observe_plan(*plan)
            case Described(text=text):
                if monitor is not None and monitor.config.robot_description:
                    monitor.observe_description(text)
            case RobotPlaced():
                self._find_robot(event)
            case RecordedState(state=state):
                return state
        return None

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
    """Simulate the demo cell's robot without ROS: it sweeps, and obeys."""

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
        return self._urdf.place(angles)[wanted]

    def joint_states(self) -> tuple[Sequence[str], Sequence[float], Sequence[float]]:
        """Names, positions [rad] and velocities [rad/s] of the joints."""
        motion = self._motion
        return motion.joints, motion.positions.tolist(), motion.velocities.tolist()
