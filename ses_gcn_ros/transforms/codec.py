"""``tf2_msgs/TFMessage`` to plain tuples and back, straight from and to CDR.

Robots send transforms a hundred times a second; a message object for each of their numbers would
take most of the time that replaying a shift takes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.transforms.buffer import StampedTransform

_ENCAPSULATION = b"\x00\x01\x00\x00"  # CDR, little endian
_HEADER = 4  # bytes before the origin that alignment counts from


class _Layout:
    """How numbers lie in the bytes."""

    def __init__(self, order: str) -> None:
        self.head = struct.Struct(f"{order}iII")  # stamp, and the length of the parent's name
        self.number = struct.Struct(f"{order}I")
        self.pose = struct.Struct(f"{order}7d")


_LAYOUTS = {b"\x00\x00": _Layout(">"), b"\x00\x01": _Layout("<")}


def decode_transforms(data: bytes | memoryview) -> list[StampedTransform]:
    """Transforms of a serialised TFMessage. Raises InputError if the bytes are no such message."""
    layout = _LAYOUTS.get(bytes(data[:2]))
    if layout is None:
        raise InputError("a message of /tf can't be decoded: it is not in plain CDR")
    view = memoryview(data)[_HEADER:]
    try:
        (count,) = layout.number.unpack_from(view, 0)
        at, found = 4, []
        for _ in range(count):
            at += -at % 4
            seconds, nanoseconds, size = layout.head.unpack_from(view, at)
            at += 12
            parent = str(view[at : at + size - 1], "utf-8")
            at += size
            at += -at % 4
            (size,) = layout.number.unpack_from(view, at)
            at += 4
            child = str(view[at : at + size - 1], "utf-8")
            at += size
            at += -at % 8
            pose = layout.pose.unpack_from(view, at)
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
