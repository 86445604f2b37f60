"""Messages that come often, straight from their bytes.

To make an object of each part, and arrays of them afterwards, takes five times as long. Bytes that
are not as expected are left to rclpy and `conversions`, which say what is wrong with them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.msg import ForecastArray, SkeletonArray
from ses_gcn_ros.nodes.conversions import (
    check_people,
    forecasts_from_msg,
    skeletons_from_msg,
    to_seconds,
)
from ses_gcn_ros.skeleton import Skeleton, get_layout

Item = TypeVar("Item")

_LITTLE_ENDIAN = b"\x00\x01"  # plain CDR; two bytes of options follow
_ORIGIN = 4  # bytes before the one that alignment counts from
_STAMP, _NUMBER = struct.Struct("<iI"), struct.Struct("<I")
_SHORT, _REAL = struct.Struct("<H"), struct.Struct("<f")


@dataclass(frozen=True, eq=False)
class Heard(Generic[Item]):
    """What a message says.

    Attributes
    ----------
    time : Time
        Its stamp, as it came.
    frame_id : str
    items : list
        Arrays in them are views of the message.
    """

    time: Time
    frame_id: str
    items: list[Item]

    @property
    def stamp(self) -> float:
        """[s]"""
        return to_seconds(self.time)


@dataclass(frozen=True, eq=False)
class Joints:
    """Joint states at `stamp` [s]: J names, J positions, and as many velocities or none."""

    stamp: float
    names: list[str]
    positions: tuple[float, ...]
    velocities: tuple[float, ...]


class Unreadable(ValueError):
    """The bytes are not as expected."""


def read_skeletons(data: bytes) -> Heard[Skeleton]:
    """People of a serialised SkeletonArray; raises as `skeletons_from_msg`."""
    heard = _read(data, _skeleton)
    if heard is None:
        message = deserialize_message(data, SkeletonArray)
        return Heard(message.header.stamp, message.header.frame_id, skeletons_from_msg(message))
    check_people(heard.items)
    return heard


def read_forecasts(data: bytes) -> Heard[Forecast]:
    """Forecasts of a serialised ForecastArray; raises as `forecasts_from_msg`."""
    heard = _read(data, _forecast)
    if heard is None:
        message = deserialize_message(data, ForecastArray)
        return Heard(message.header.stamp, message.header.frame_id, forecasts_from_msg(message))
    return heard


def read_joints(data: bytes) -> Joints:
    """Joints of a serialised JointState, of whatever lengths."""
    try:
        reader = _Reader(data)
        seconds, nanoseconds = reader.values(_STAMP)
        reader.text()
        names = [reader.text() for _ in range(reader.number())]
        positions, velocities, _ = (reader.reals() for _ in range(3))
        reader.end(padding=15)  # rmw_fastrtps reserves four for each sequence that is empty
        return Joints(seconds + nanoseconds * 1e-9, names, positions, velocities)
    except (struct.error, ValueError):
        message = deserialize_message(data, JointState)
        return Joints(
            to_seconds(message.header.stamp),
            list(message.name),
            tuple(message.position),
            tuple(message.velocity),
        )


def _read(data: bytes, read_item: Callable[[_Reader, float], Item]) -> Heard[Item] | None:
    """Items of a message that begins with a header; None for what is not as expected."""
    try:
        reader = _Reader(data)
        seconds, nanoseconds = reader.values(_STAMP)
        frame_id, stamp = reader.text(), seconds + nanoseconds * 1e-9
        items = [read_item(reader, stamp) for _ in range(reader.number())]
        reader.end()
    except (struct.error, ValueError, InputError):
        return None
    return Heard(Time(sec=seconds, nanosec=nanoseconds), frame_id, items)


def _skeleton(reader: _Reader, _: float) -> Skeleton:
    person_id, layout = reader.text(), reader.text()
    joints = len(get_layout(layout).joints)
    positions = reader.floats(3 * joints).reshape(joints, 3)
    return Skeleton(person_id, layout, positions, reader.floats(joints))


def _forecast(reader: _Reader, stamp: float) -> Forecast:
    person_id, layout = reader.text(), reader.text()
    seconds, nanoseconds = reader.values(_STAMP)
    step = seconds + nanoseconds * 1e-9
    if step <= 0.0:
        raise Unreadable
    (steps,) = reader.values(_SHORT)
    joints = len(get_layout(layout).joints)
    return Forecast(
        person_id=person_id,
        layout=layout,
        stamp=stamp,
        step=step,
        positions=reader.floats(3 * joints * steps).reshape(steps, joints, 3),
        radius=reader.floats(joints * steps).reshape(steps, joints),
        coverage=reader.values(_REAL)[0],
        model=reader.text(),
    )


class _Reader:
    """The fields of a message in plain little-endian CDR, one after the other."""

    def __init__(self, data: bytes) -> None:
        if data[:2] != _LITTLE_ENDIAN:
            raise Unreadable
        self._data, self._at = data, _ORIGIN

    def values(self, form: struct.Struct) -> tuple[Any, ...]:
        """Numbers of at most four bytes each, of which the first is the widest."""
        at = self._at
        if form is not _SHORT:
            at += -at % 4
        self._at = at + form.size
        return form.unpack_from(self._data, at)

    def number(self) -> int:
        """A length."""
        number: int = self.values(_NUMBER)[0]
        return number

    def text(self) -> str:
        """A string."""
        size = self.number()
        at, self._at = self._at, self._at + size
        if not size or self._at > len(self._data):
            raise Unreadable
        return self._data[at : self._at - 1].decode()

    def floats(self, count: int) -> NDArray[np.float32]:
        """A sequence of as many float32 (count,)."""
        if self.number() != count:
            raise Unreadable
        at, self._at = self._at, self._at + 4 * count
        return np.frombuffer(self._data, np.float32, count, at)

    def reals(self) -> tuple[float, ...]:
        """A sequence of float64, of any length."""
        count = self.number()
        if not count:
            return ()
        at = self._at + -(self._at - _ORIGIN) % 8
        self._at = at + 8 * count
        return struct.unpack_from(f"<{count}d", self._data, at)

    def end(self, padding: int = 3) -> None:
        """There may be some bytes of padding, but no more."""
        if not 0 <= len(self._data) - self._at <= padding:
            raise Unreadable
