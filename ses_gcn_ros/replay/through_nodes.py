"""Whether the nodes said what the core says: each answer computed again from the same inputs.

A state depends on when it was made and on what had arrived by then. Both are in the message: its
stamp, and the ages of what it was made from. So the monitor is walked through the recorded states,
given at each exactly the inputs that the node had. Where the recording has a hole, or begins after
the node did, the node knew more of the robot's motion; the states of that time are left out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ses_gcn_ros.bags.messages import NANO, Observation, message, skeletons_message
from ses_gcn_ros.bags.rosbag2 import BagWriter, open_bag
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Forecast, load
from ses_gcn_ros.replay.chain import FrameResolver, ReplayMonitor, with_forecasts
from ses_gcn_ros.replay.events import (
    Event,
    EventReader,
    JointStatesEvent,
    PeopleForecast,
    PeopleSeen,
    RecordedState,
    Transforms,
)
from ses_gcn_ros.replay.options import Options, find_topics
from ses_gcn_ros.safety import Assessment, Robots

Stamped = TypeVar("Stamped", PeopleSeen, PeopleForecast, JointStatesEvent)

LAG = 0.5  # s that a state waits for inputs which were recorded after it
_SAME = 2e-6  # s; stamps that an age leads back to within this are the same
_HOLE = 0.1  # s between two states from which on some in between may not have been recorded
_SETTLING = 0.5  # s after which the robot's motion no longer depends on what is missing


@dataclass(frozen=True)
class Agreement:
    """Greatest differences between what was recorded and what is computed."""

    # how many were held against each other
    forecasts: int
    states: int
    # of any coordinate of a forecast, and of its radius [m]
    forecast_m: float
    radius_m: float
    # of the separation and of the protective distance [m]
    separation_m: float
    protective_m: float
    levels: float  # share of the states with the same level


def agreement(bag: Path, options: Options, robots: Robots | None) -> Agreement:
    """Compute a recorded run of the nodes again and say how far they are apart.

    `bag`: recording of skeletons, transforms, forecasts and states.
    """
    forecasts, forecast_gap, radius_gap = _forecasts(bag, options)
    walk = _Walk(ReplayMonitor(options.safety, robots))
    for event in _events(bag, options):
        walk.take(event)
    walk.finish()
    return Agreement(
        forecasts=forecasts,
        states=walk.states,
        forecast_m=forecast_gap,
        radius_m=radius_gap,
        separation_m=walk.separation,
        protective_m=walk.protective,
        levels=walk.same / walk.states if walk.states else math.nan,
    )


def _events(bag: Path, options: Options) -> Iterator[Event]:
    with open_bag(bag) as opened:
        topics = find_topics(opened.topics, options.topics())
        world = options.safety.world_frame
        yield from EventReader(opened, topics, options.naming, world, options.pose)


def _forecasts(bag: Path, options: Options) -> tuple[int, float, float]:
    config = options.forecaster
    engine = load(config.weights or None, engine=config.engine, device=config.device)
    recorded: dict[float, list[Forecast]] = {}
    count, gap, radius_gap = 0, 0.0, 0.0

    def remember(events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, PeopleForecast):
                recorded[event.stamp] = event.forecasts
            yield event

    waiting: deque[PeopleForecast] = deque()
    for event in with_forecasts(remember(_events(bag, options)), engine, config):
        if isinstance(event, PeopleForecast):
            waiting.append(event)
        while waiting and (waiting[0].stamp in recorded or waiting[0].stamp < event.time - LAG):
            made = waiting.popleft()
            theirs = {each.person_id: each for each in recorded.pop(made.stamp, [])}
            for ours in made.forecasts:
                other = theirs.get(ours.person_id)
                if other is None or other.model != ours.model:
                    continue
                count += 1
                gap = max(gap, _apart(ours.positions, other.positions))
                radius_gap = max(radius_gap, _apart(ours.radius, other.radius))
    return count, gap, radius_gap


def _apart(ours: Any, theirs: Any) -> float:
    """Greatest difference; infinite where only one is known."""
    if np.shape(ours) != np.shape(theirs):
        return math.inf
    known, too = np.isfinite(ours), np.isfinite(theirs)
    if (known != too).any():
        return math.inf
    return float(np.abs(np.where(known, np.subtract(ours, theirs), 0.0)).max(initial=0.0))


class _Walk:
    """Walk a monitor through recorded states."""

    def __init__(self, monitor: ReplayMonitor) -> None:
        self._monitor, self._frames = monitor, FrameResolver(monitor.wanted)
        self._people: deque[PeopleSeen] = deque()
        self._forecasts: deque[PeopleForecast] = deque()
        self._joints: deque[JointStatesEvent] = deque()
        self._due: deque[RecordedState] = deque()
        self.states = self.same = 0
        self.separation = self.protective = 0.0
        self._last = self._hole = -math.inf

    def take(self, event: Event) -> None:
        """Take in a recorded event."""
        match event:
            case RecordedState():
                self._due.append(event)
            case Transforms():
                self._frames.observe(event)
            case PeopleSeen():
                self._people.append(event)
            case PeopleForecast():
                self._forecasts.append(event)
            case JointStatesEvent():
                self._joints.append(event)
        while self._due and self._due[0].time < event.time - LAG:
            self._assess(self._due.popleft().state)

    def finish(self) -> None:
        """Take the last states."""
        while self._due:
            self._assess(self._due.popleft().state)

    def _assess(self, theirs: Assessment) -> None:
        monitor, now = self._monitor.monitor, theirs.stamp
        if monitor is None:
            return
        if now - self._last > _HOLE:
            self._hole = now
        self._last = now
        for event in _until(self._people, now - theirs.skeleton_age):
            self._monitor.take(self._frames.placed(event), now)
        for made in _until(self._forecasts, now - theirs.forecast_age):
            self._monitor.take(self._frames.placed(made), now)
        if math.isfinite(theirs.tf_age):
            stamp = now - theirs.tf_age
            for told in _until(self._joints, stamp):
                self._monitor.take(told, now)
            found = self._frames.robot_at(stamp, _SAME)
            if found is None:
                self._hole = now
            else:
                try:
                    monitor.observe_robot(*found)
                except InputError:
                    return
        ours = monitor.assess(now)
        if now - self._hole < _SETTLING:
            return
        if not (math.isfinite(theirs.separation) and math.isfinite(ours.separation)):
            return
        self.states += 1
        self.same += ours.level == theirs.level
        self.separation = max(self.separation, abs(ours.separation - theirs.separation))
        self.protective = max(
            self.protective, abs(ours.protective_distance - theirs.protective_distance)
        )


def _until(waiting: deque[Stamped], stamp: float) -> Iterator[Stamped]:
    """Take away what is stamped up to `stamp` [s]."""
    while waiting and waiting[0].stamp <= stamp + _SAME:
        yield waiting.popleft()


def write_normal_form(bag: Path, out: Path, options: Options, description: str) -> list[str]:
    """Write people and transforms of a bag, whatever their types and names were.

    Gives the topics that are played to the nodes.
    Raises BagError if the bag can't be read or the other can't be written.

    `bag`, `out`: bag to read and bag to write; an earlier one is replaced.
    `options`: names, and whether the recorded robot is left out for the simulated one.
    `description`: URDF of the robot to write with it; empty for none.
    """
    written: dict[str, None] = {"skeletons": None}
    with open_bag(bag) as source, BagWriter(out, overwrite=True) as target:
        topics = find_topics(source.topics, options.topics())
        robot = () if options.demo_robot else ("/tf", "/tf_static", "joint_states")
        world = options.safety.world_frame
        events = EventReader(source, topics, options.naming, world, options.pose, robot)
        first = math.nan
        for event in events:
            stamp = round(event.time * NANO)
            if math.isnan(first):
                first = event.time
                if description:
                    text = message("std_msgs/msg/String", data=description)
                    target.write_message("/robot_description", stamp, text)
            match event:
                case PeopleSeen():
                    seen = Observation(event.stamp, event.frame_id, event.people)
                    target.write_message("/skeletons", stamp, skeletons_message(seen))
                case Transforms():
                    topic = "/tf_static" if event.static else "/tf"
                    target.write_transforms(topic, stamp, event.transforms)
                    written[topic] = None
                case JointStatesEvent():
                    target.write_message("/joint_states", stamp, event.message)
                    written["joint_states"] = None
    return list(written)
