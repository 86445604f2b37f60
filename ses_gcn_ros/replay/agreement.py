"""Whether the nodes said what the core says: each answer computed again from the same inputs.

A state depends on when it was made and on what had arrived by then. Both are in the message: its
stamp, and the ages of what it was made from. So the monitor is walked through the recorded states,
given at each exactly the inputs that the node had. Where the recording has a hole, or begins after
the node did, the node knew more of the robot's motion; the states of that time are left out.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ses_gcn_ros.bags.bag_reader import open_bag
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Forecast, load
from ses_gcn_ros.replay.events import Event, Events
from ses_gcn_ros.replay.forecasting import with_forecasts
from ses_gcn_ros.replay.monitoring import Watch
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.places import Places
from ses_gcn_ros.replay.topics import find_topics
from ses_gcn_ros.safety import Robots

LAG = 0.5  # s that a state waits for inputs which were recorded after it
_SAME = 2e-6  # s; stamps that an age leads back to within this are the same
_HOLE = 0.1  # s between two states from which on some in between may not have been recorded
_SETTLING = 0.5  # s after which the robot's motion no longer depends on what is missing


@dataclass(frozen=True)
class Agreement:
    """Greatest differences between what was recorded and what is computed.

    Attributes
    ----------
    forecasts, states : int
        How many were held against each other.
    forecast_m, radius_m : float
        Of any coordinate of a forecast, and of its radius [m].
    separation_m, protective_m : float
        Of the separation and of the protective distance [m].
    levels : float
        Share of the states with the same level.
    """

    forecasts: int
    states: int
    forecast_m: float
    radius_m: float
    separation_m: float
    protective_m: float
    levels: float


def agreement(bag: Path, options: Options, robots: Robots | None) -> Agreement:
    """Compute a recorded run of the nodes again and say how far they are apart.

    Parameters
    ----------
    bag : Path
        Recording of skeletons, transforms, forecasts and states.
    options : Options
        With which the nodes ran.
    robots : Robots or None
        What the safety node watched.
    """
    forecasts, forecast_gap, radius_gap = _forecasts(bag, options)
    watch = Watch(options.safety, robots)
    walk = _Walk(watch, Places(watch.wanted))
    for event in _events(bag, options):
        walk.hear(event)
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


def _events(bag: Path, options: Options) -> Any:
    with open_bag(bag) as opened:
        topics = find_topics(opened.topics, options.topics())
        world = options.safety.world_frame
        yield from Events(opened, topics, options.naming, world, options.pose)


def _forecasts(bag: Path, options: Options) -> tuple[int, float, float]:
    config = options.forecaster
    engine = load(config.weights or None, engine=config.engine, device=config.device)
    recorded: dict[float, list[Forecast]] = {}
    count, gap, radius_gap = 0, 0.0, 0.0

    def remember(events: Any) -> Any:
        for event in events:
            if event.kind == "forecasts":
                recorded[event.content[0]] = event.content[2]
            yield event

    waiting: deque[tuple[float, list[Forecast]]] = deque()
    for event in with_forecasts(remember(_events(bag, options)), engine, config):
        if event.kind == "forecasts":
            waiting.append((event.content[0], event.content[2]))
        while waiting and (waiting[0][0] in recorded or waiting[0][0] < event.time - LAG):
            stamp, made = waiting.popleft()
            theirs = {forecast.person_id: forecast for forecast in recorded.pop(stamp, [])}
            for ours in made:
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

    def __init__(self, watch: Watch, places: Places) -> None:
        self._watch, self._places = watch, places
        self._inputs: dict[str, deque[tuple[float, Event]]] = {
            kind: deque() for kind in ("people", "forecasts", "joint_states")
        }
        self._due: deque[Event] = deque()
        self.states = self.same = 0
        self.separation = self.protective = 0.0
        self._last = self._hole = -math.inf

    def hear(self, event: Event) -> None:
        """Take in a recorded event."""
        if event.kind == "state":
            self._due.append(event)
        elif event.kind in ("tf", "tf_static"):
            self._places.hear(event)
        elif event.kind == "people":
            self._inputs["people"].append((event.content.stamp, event))
        elif event.kind == "forecasts":
            self._inputs["forecasts"].append((event.content[0], event))
        elif event.kind == "joint_states":
            header = event.content.header.stamp
            self._inputs["joint_states"].append((header.sec + header.nanosec * 1e-9, event))
        while self._due and self._due[0].time < event.time - LAG:
            self._assess(self._due.popleft())

    def finish(self) -> None:
        """Take the last states."""
        while self._due:
            self._assess(self._due.popleft())

    def _assess(self, event: Event) -> None:
        monitor, theirs = self._watch.monitor, event.content
        if monitor is None:
            return
        now = theirs.header.stamp.sec + theirs.header.stamp.nanosec * 1e-9
        if now - self._last > _HOLE:
            self._hole = now
        self._last = now
        self._hand_over("people", now - theirs.skeleton_age, now)
        self._hand_over("forecasts", now - theirs.forecast_age, now)
        if math.isfinite(theirs.tf_age):
            stamp = now - theirs.tf_age
            self._hand_over("joint_states", stamp, now)
            found = self._places.robot_at(stamp, _SAME)
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
        self.same += int(ours.level) == theirs.level
        self.separation = max(self.separation, abs(ours.separation - theirs.separation))
        self.protective = max(
            self.protective, abs(ours.protective_distance - theirs.protective_distance)
        )

    def _hand_over(self, kind: str, until: float, now: float) -> None:
        waiting = self._inputs[kind]
        while waiting and waiting[0][0] <= until + _SAME:
            event = waiting.popleft()[1]
            placed = event if kind == "joint_states" else self._places.placed(event)
            self._watch.take(placed, now)
