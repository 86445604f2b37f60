"""Where everything is in a replay: what the safety node asks of the transforms, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.replay.events import (
    End,
    Event,
    PeopleForecast,
    PeopleSeen,
    RecordedState,
    RobotPlaced,
    RobotPoses,
    Silence,
    Tick,
    Transforms,
    Unplaced,
)
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.transforms import TransformBuffer

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


class FrameResolver:
    """The transform tree as the events tell it.

    Parameters
    ----------
    wanted : Wanted
    """

    def __init__(self, wanted: Wanted) -> None:
        self._frames = wanted.frames
        self._buffer = TransformBuffer(wanted.world)

    def observe(self, event: Transforms) -> None:
        """Take in transforms."""
        self._buffer.add(event.transforms, static=event.static)

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


def with_frames(events: Iterable[Event], wanted: Wanted) -> Iterator[Event]:
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
