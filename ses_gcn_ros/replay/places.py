"""Where everything is in a replay: what the safety node asks of the transforms, and when.

That depends on nothing but the bag, so it belongs to the first half of a replay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.bag_messages import Observation, to_seconds
from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.replay.events import Event
from ses_gcn_ros.transforms import TransformBuffer

Array = NDArray[np.float64]

INSTANT = 1e-5  # s; times that lie closer are the same but for rounding
SILENCE = 60.0  # s without an event, from which on there are no states in between


@dataclass(frozen=True)
class Wanted:
    """What a safety monitor has to be told in a replay.

    Attributes
    ----------
    world : str
        Frame that people, forecasts and the robot are taken to.
    frames : tuple of str
        Of the robot; none if it is not taken from the transforms.
    rate : float
        States per second; 0 if none are made.
    """

    world: str
    frames: tuple[str, ...]
    rate: float


class Places:
    """The transform tree as the events tell it.

    Parameters
    ----------
    wanted : Wanted
    """

    def __init__(self, wanted: Wanted) -> None:
        self._frames = wanted.frames
        self._buffer = TransformBuffer(wanted.world)

    def hear(self, event: Event) -> None:
        """Take in transforms."""
        self._buffer.add(event.content, static=event.kind == "tf_static")

    def placed(self, event: Event) -> Event:
        """People or forecasts taken to the world; "unplaced" and why where that can't be."""
        stamp, frame_id, entries = event.content
        world = self._buffer.world
        if frame_id == world:
            return event
        try:
            placed = [
                dataclasses.replace(
                    entry,
                    positions=self._buffer.points(entry.positions, frame_id, stamp).astype(
                        np.float32
                    ),
                )
                for entry in entries
            ]
        except InputError as error:
            source = "skeletons" if event.kind == "people" else event.kind
            return Event(event.time, "unplaced", (source, str(error)))
        if event.kind == "people":
            return event._replace(content=Observation(stamp, world, placed))
        return event._replace(content=(stamp, world, placed))

    def robot(self, now: float) -> tuple[float, Array] | str | None:
        """Stamp [s] and poses (F, 4, 4) of the robot `now`, or why they aren't known.

        None if the robot is not taken from the transforms.
        """
        if not self._frames:
            return None
        try:
            return self._buffer.poses(self._frames, now)
        except RobotError as error:
            return str(error)

    def robot_at(self, stamp: float, within: float) -> tuple[float, Array] | None:
        """Stamp [s] and poses of the robot at a stamp that transforms have, give or take."""
        return self._buffer.poses_at(self._frames, stamp, within)


def with_places(events: Iterable[Event], wanted: Wanted) -> Iterator[Event]:
    """Events with everybody in the world, and the robot whenever the monitor has to know it.

    In the place of transforms come "tick" events where states are due, "robot" events before
    recorded states, and a "silence" where nothing was recorded for long.
    """
    places = Places(wanted)
    for event in _with_ticks(events, wanted.rate) if wanted.rate else events:
        match event.kind:
            case "tf" | "tf_static":
                places.hear(event)
            case "people" | "forecasts":
                yield places.placed(event)
            case "tick":
                yield event._replace(content=places.robot(event.time))
            case "state":
                stamp = to_seconds(event.content.header.stamp)
                yield Event(event.time, "robot", places.robot(stamp))
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
        if event.kind != "end":
            silent = event.time - (origin + count * period)
            if count >= 0 and silent > SILENCE:
                yield Event(event.time, "silence", silent)
            if count < 0 or not -2 * period <= silent <= SILENCE:
                origin, count = event.time, 0
            while (due := origin + count * period) < event.time - INSTANT:
                yield Event(due, "tick", None)
                count += 1
        elif count >= 0:
            yield Event(origin + count * period, "tick", None)
        yield event
