"""Where everything is in a replay: what the safety node asks of the transforms, and when.

That depends on nothing but the bag, so it belongs to the first half of a replay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.evaluation.bag_messages import to_seconds
from ses_gcn_ros.evaluation.offline.events import Event
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.transforms import TransformBuffer

Array = NDArray[np.float64]
Entry = TypeVar("Entry", Skeleton, Forecast)

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
        try:
            if event.kind == "people":
                seen = event.content
                people = self._all_placed(seen.people, seen.frame_id, seen.stamp)
                return event._replace(content=seen._replace(people=people))
            stamp, frame_id, forecasts = event.content
            placed = self._all_placed(forecasts, frame_id, stamp)
            return event._replace(content=(stamp, frame_id, placed))
        except InputError as error:
            source = "skeletons" if event.kind == "people" else event.kind
            return Event(event.time, "unplaced", (source, str(error)))

    def _all_placed(self, entries: list[Entry], frame_id: str, stamp: float) -> list[Entry]:
        if frame_id == self._buffer.world:
            return entries
        return [
            dataclasses.replace(
                entry,
                positions=self._buffer.points(entry.positions, frame_id, stamp).astype(np.float32),
            )
            for entry in entries
        ]

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
    places, ticks = Places(wanted), _Ticks(wanted.rate)
    for event in events:
        if event.kind == "end":
            due = ticks.last()
        else:
            silent = ticks.wake(event.time)
            if silent > SILENCE:
                yield Event(event.time, "silence", silent)
            due = ticks.until(event.time)
        for now in due:
            yield Event(now, "tick", places.robot(now))
        if event.kind in ("tf", "tf_static"):
            places.hear(event)
        elif event.kind in ("people", "forecasts"):
            yield places.placed(event)
        elif event.kind == "state":
            stamp = to_seconds(event.content.header.stamp)
            yield Event(event.time, "robot", places.robot(stamp))
            yield event
        else:
            yield event


class _Ticks:
    """When states are due: at a fixed rate from the first event on."""

    def __init__(self, rate: float) -> None:
        self._period = 1.0 / rate if rate else 0.0
        self._origin = 0.0
        self._count = -1  # ticks since the origin; none before the first event

    @property
    def _next(self) -> float:
        return self._origin + self._count * self._period

    def wake(self, time: float) -> float:
        """Begin, or begin anew if the clock leapt; for how long nothing was recorded [s]."""
        if not self._period:
            return 0.0
        silent = time - self._next
        began = self._count >= 0
        if not began or not -2 * self._period <= silent <= SILENCE:
            self._origin, self._count = time, 0
        return silent if began else 0.0

    def until(self, time: float) -> Iterator[float]:
        """Ticks before an event: a state knows the events of its own instant."""
        while self._period and self._next < time - INSTANT:
            yield self._next
            self._count += 1

    def last(self) -> Iterator[float]:
        """The tick after the last event."""
        if self._count >= 0:
            yield self._next
