"""``ses_gcn_ros/SkeletonArray`` straight from its bytes: most of what a long bag holds."""

from __future__ import annotations

import struct
import sys

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.bag_messages import Observation
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import Skeleton, get_layout

TYPE = "ses_gcn_ros/msg/SkeletonArray"

_LITTLE_ENDIAN = b"\x00\x01"  # plain CDR; two bytes of options follow
_STAMP, _NUMBER = struct.Struct("<iI"), struct.Struct("<I")


def decode_skeletons(data: bytes | memoryview) -> Observation | None:
    """People of a message in plain little-endian CDR, not checked; their arrays are views.

    None for other bytes and where lengths don't fit the layout: the decoder of any message reads
    the ones and says what is wrong with the others.
    """
    if data[:2] != _LITTLE_ENDIAN:
        return None
    try:
        seconds, nanoseconds = _STAMP.unpack_from(data, 4)
        frame_id, at = _text(data, 12)
        (count,) = _NUMBER.unpack_from(data, at)
        at += 4
        people = []
        for _ in range(count):
            person_id, at = _text(data, at)
            layout, at = _text(data, at)
            joints = len(get_layout(layout).joints)
            positions, at = _floats(data, at, 3 * joints)
            confidence, at = _floats(data, at, joints)
            people.append(Skeleton(person_id, layout, positions.reshape(joints, 3), confidence))
    except (struct.error, ValueError, InputError):  # cut off, no UTF-8, unknown, another length
        return None
    if len(data) > at + 3:  # there may be padding, but no more
        return None
    return Observation(seconds + nanoseconds * 1e-9, frame_id, people)


def _text(data: bytes | memoryview, at: int) -> tuple[str, int]:
    """A string and where the next field begins."""
    (size,) = _NUMBER.unpack_from(data, at)
    end = at + 4 + size
    if not size or end > len(data):
        raise ValueError
    return sys.intern(str(data[at + 4 : end - 1], "utf-8")), end + -end % 4


def _floats(data: bytes | memoryview, at: int, count: int) -> tuple[NDArray[np.float32], int]:
    (found,) = _NUMBER.unpack_from(data, at)
    if found != count:
        raise ValueError
    return np.frombuffer(data, "<f4", count, at + 4), at + 4 + 4 * count
