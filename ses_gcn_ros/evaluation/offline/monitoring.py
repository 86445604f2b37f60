"""The safety node's part of a replay: events in, states at a fixed rate out."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.evaluation.bag_messages import Observation, to_seconds
from ses_gcn_ros.evaluation.offline.events import Event
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.safety import Assessment, Level, Robots, SafetyConfig, SeparationMonitor
from ses_gcn_ros.safety.reactive import Pair
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.transforms import TransformBuffer

Array = NDArray[np.float64]

INSTANT = 1e-5  # s; times that lie closer are the same but for rounding
SILENCE = 60.0  # s without an event, from which on there are no states in between


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
Entry = TypeVar("Entry", Skeleton, Forecast)


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
        From `read_robots`; without, people are only placed in the world and there are no states.
    robot : Robot, optional
        A simulated robot; by default the one of the transforms.
    recorded : bool
        Whether to give the states that were recorded instead of computing them.

    Attributes
    ----------
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
        self.buffer = TransformBuffer(config.world_frame)
        monitor = None if robots is None else SeparationMonitor(config, robots.model, robots.urdf)
        self._model = monitor.model if monitor else None  # with the frames of the zones
        self.monitor = None if recorded else monitor
        self._robot = robot
        self._period = 1.0 / config.rate
        self._origin = 0.0
        self._ticks = -1  # states since the origin; none before the first event
        self._factor = 0.0
        self.capsules: tuple[float, Array, Array] | None = None
        self.present: frozenset[str] = frozenset()
        self.robot_faults = Counter[str]()

    def run(self, events: Iterable[Event]) -> Iterator[Step]:
        """States at the configured rate, and what was taken in between them."""
        for event in events:
            if self.monitor is not None:
                yield from self._until(event.time)
            yield from self.take(event)
        if self.monitor is not None and self._ticks >= 0:
            yield self.assess(self.monitor, self._tick)

    @property
    def _tick(self) -> float:
        """When the next state is due [s]."""
        return self._origin + self._ticks * self._period

    def _until(self, time: float) -> Iterator[Step]:
        """States up to an event: a state knows the events of its own instant."""
        assert self.monitor is not None
        silent = time - self._tick
        if silent > SILENCE and self._ticks >= 0:
            yield Refused("clock", f"nothing was recorded for {silent:.0f} s")
        if self._ticks < 0 or not -2 * self._period <= silent <= SILENCE:
            self._origin, self._ticks = time, 0  # the beginning, or a clock that leapt
        while self._tick < time - INSTANT:
            yield self.assess(self.monitor, self._tick)
            self._ticks += 1

    def take(self, event: Event, now: float | None = None) -> Iterator[Step]:
        """Hand an event to the monitor; `now` [s] is its time by default."""
        now = event.time if now is None else now
        if event.kind in ("tf", "tf_static"):
            self.buffer.add(event.content, static=event.kind == "tf_static")
        elif event.kind == "people":
            yield self._people(event.content, now)
        elif event.kind == "forecasts":
            stamp, frame_id, forecasts = event.content
            yield self._forecasts(stamp, frame_id, forecasts, now)
        elif event.kind == "joint_states":
            self._joint_states(event.content)
        elif event.kind == "trajectory":
            self._trajectory(event.content)
        elif event.kind == "state":
            state = recorded_state(event.content)
            self.find_robot(state.stamp)
            yield state

    def _people(self, seen: Observation, now: float) -> Step:
        try:
            people = self._all_placed(seen.people, seen.frame_id, seen.stamp)
        except InputError as error:
            if self.monitor is not None:
                self.monitor.fault("skeletons", f"skeletons unusable: {error}")
            return Refused("skeletons", str(error))
        try:
            if self.monitor is not None:
                self.monitor.observe_skeletons(seen.stamp, people, now)
        except InputError as error:
            return Refused("skeletons", str(error))
        self.present = frozenset(person.person_id for person in people)
        return Seen(seen.stamp, people)

    def _forecasts(
        self, stamp: float, frame_id: str, forecasts: list[Forecast], now: float
    ) -> Step:
        try:
            placed = self._all_placed(forecasts, frame_id, stamp)
        except InputError as error:
            if self.monitor is not None:
                self.monitor.fault("forecasts", f"forecasts unusable: {error}")
            return Refused("forecasts", str(error))
        try:
            if self.monitor is not None:
                self.monitor.observe_forecasts(stamp, placed, now)
        except InputError as error:
            return Refused("forecasts", str(error))
        return Forecasted(stamp, placed)

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

    def _all_placed(self, entries: list[Entry], frame_id: str, stamp: float) -> list[Entry]:
        """Skeletons or forecasts, taken to the world."""
        if frame_id == self.buffer.world:
            return entries
        return [
            dataclasses.replace(
                entry,
                positions=self.buffer.points(entry.positions, frame_id, stamp).astype(np.float32),
            )
            for entry in entries
        ]

    def assess(self, monitor: SeparationMonitor, now: float) -> Assessment:
        """State at `now` [s]."""
        found = self.find_robot(now)
        if isinstance(found, str):
            monitor.fault("robot", found)
        else:
            with contextlib.suppress(InputError):  # which the monitor remembers as a fault
                monitor.observe_robot(*found)
        assessment = monitor.assess(now)
        self._factor = assessment.speed_factor
        return assessment

    def find_robot(self, now: float) -> tuple[float, Array] | str:
        """Stamp [s] and poses (F, 4, 4) of the robot at `now`, or why they aren't known."""
        if self._model is None:
            return "there is no robot"
        stamp = now
        try:
            if self._robot is None:
                stamp, poses = self.buffer.poses(self._model.frames, now)
            else:
                self._robot.advance(now, self._factor)
                poses = self._robot.poses(self._model.frames)
                if self.monitor is not None and self.monitor.joints is not None:
                    self.monitor.joints.observe(now, *self._robot.joint_states())
        except RobotError as error:
            self.robot_faults[str(error)] += 1
            return str(error)
        self.capsules = (stamp, *self._model.place(poses))
        return stamp, poses

    def robot_at(self, stamp: float, within: float) -> tuple[float, Array] | None:
        """Stamp [s] and poses of the robot at a stamp that transforms have, give or take."""
        if self._model is None:
            return None
        return self.buffer.poses_at(self._model.frames, stamp, within)


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
