"""Events on their way to another process: few large arrays instead of many objects."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.bag_messages import Observation
from ses_gcn_ros.errors import SesGcnError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.replay.events import Event
from ses_gcn_ros.skeleton import Skeleton

Item = Event | SesGcnError


class _People(NamedTuple):
    """An observation of P people with equally many joints."""

    stamp: float
    frame_id: str
    names: list[tuple[str, str]]  # person and layout
    positions: NDArray[np.float32]  # (P, J, 3)
    confidence: NDArray[np.float32]  # (P, J)


class _Forecasts(NamedTuple):
    """Forecasts of P people with equally many steps and joints."""

    stamp: float
    frame_id: str
    fields: list[tuple[Any, ...]]  # of each `Forecast`, but for its positions
    positions: NDArray[np.float32]  # (P, H, J, 3)


def pack(items: Iterable[Item]) -> bytes:
    """Bytes of events and errors, for `unpack`."""
    packed = [_packed(item) if isinstance(item, Event) else item for item in items]
    return pickle.dumps(packed, pickle.HIGHEST_PROTOCOL)


def unpack(data: bytes) -> Iterator[Item]:
    """Events and errors from the bytes that `pack` made of them."""
    for item in pickle.loads(data):
        yield _unpacked(item) if isinstance(item, Event) else item


def _packed(event: Event) -> Event:
    content = event.content
    if event.kind == "people" and _alike(content.people):
        people = content.people
        names = [(person.person_id, person.layout) for person in people]
        positions = np.array([person.positions for person in people])
        confidence = np.array([person.confidence for person in people])
        seen = _People(content.stamp, content.frame_id, names, positions, confidence)
        return Event(event.time, event.kind, seen)
    if event.kind == "forecasts" and _alike(content[2]):
        stamp, frame_id, forecasts = content
        fields = [
            (f.person_id, f.layout, f.stamp, f.step, f.radius, f.coverage, f.model)
            for f in forecasts
        ]
        positions = np.array([f.positions for f in forecasts])
        return Event(event.time, event.kind, _Forecasts(stamp, frame_id, fields, positions))
    return event


def _alike(people: list[Any]) -> bool:
    """Whether there is somebody, and arrays of all are of one shape."""
    return len({person.positions.shape for person in people}) == 1


def _unpacked(event: Event) -> Event:
    content = event.content
    if isinstance(content, _People):
        people = [
            Skeleton(name, layout, positions, confidence)
            for (name, layout), positions, confidence in zip(
                content.names, content.positions, content.confidence, strict=True
            )
        ]
        return Event(event.time, event.kind, Observation(content.stamp, content.frame_id, people))
    if isinstance(content, _Forecasts):
        forecasts = [
            Forecast(person, layout, stamp, step, positions, radius, coverage, model)
            for (person, layout, stamp, step, radius, coverage, model), positions in zip(
                content.fields, content.positions, strict=True
            )
        ]
        return Event(event.time, event.kind, (content.stamp, content.frame_id, forecasts))
    return event
