"""``tf2_msgs/TFMessage`` to plain tuples and back, straight from and to CDR.

Robots send transforms a hundred times a second; a message object for each of their numbers would
take most of the time that replaying a shift takes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from ses_gcn_ros.errors import InputError

_ENCAPSULATION = b"\x00\x01\x00\x00"  # CDR, little endian
_HEADER = 4  # bytes before the origin that alignment counts from


class StampedTransform(NamedTuple):
    """Parent, child, stamp [ns], translation xyz [m] and quaternion xyzw (7 numbers)."""

    parent: str
    child: str
    stamp: int
    pose: tuple[float, ...]


def decode_transforms(data: bytes | memoryview) -> list[StampedTransform]:
    """Transforms of a serialised TFMessage.

    Raises
    ------
    InputError
        If the bytes are no such message.
    """
    order = "<" if data[1] & 1 else ">"
    head, number, seven = struct.Struct(f"{order}iII"), struct.Struct(f"{order}I"), f"{order}7d"
    view = memoryview(data)[_HEADER:]
    try:
        (count,) = number.unpack_from(view, 0)
        at, found = 4, []
        for _ in range(count):
            at += -at % 4
            seconds, nanoseconds, size = head.unpack_from(view, at)
            at += 12
            parent = bytes(view[at : at + size - 1]).decode()
            at += size
            at += -at % 4
            (size,) = number.unpack_from(view, at)
            at += 4
            child = bytes(view[at : at + size - 1]).decode()
            at += size
            at += -at % 8
            pose = struct.unpack_from(seven, view, at)
            at += 56
            found.append(
                StampedTransform(parent, child, seconds * 1_000_000_000 + nanoseconds, pose)
            )
    except (struct.error, UnicodeDecodeError) as error:
        raise InputError(f"a message of /tf can't be decoded: {error}") from None
    return found


def encode_transforms(transforms: Iterable[StampedTransform]) -> bytes:
    """Serialised TFMessage of transforms."""
    items = list(transforms)
    body = bytearray(struct.pack("<I", len(items)))
    for item in items:
        seconds, nanoseconds = divmod(item.stamp, 1_000_000_000)
        _pad(body, 4)
        body += struct.pack("<iI", seconds, nanoseconds)
        for name in (item.parent, item.child):
            text = name.encode() + b"\0"
            _pad(body, 4)
            body += struct.pack("<I", len(text)) + text
        _pad(body, 8)
        body += struct.pack("<7d", *item.pose)
    return _ENCAPSULATION + bytes(body)


def _pad(body: bytearray, size: int) -> None:
    body += bytes(-len(body) % size)
