"""Transforms without message objects: what the library's codec says, said faster."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tf_messages import transforms_message

from ses_gcn_ros.bags.messages import typestore
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.transforms import (
    StampedTransform,
    decode_transforms,
    encode_transforms,
)

KIND = "tf2_msgs/msg/TFMessage"
names = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=12)
numbers = st.floats(-1e6, 1e6)
transforms = st.builds(
    StampedTransform,
    names,
    names,
    st.integers(0, 2**31 * 10**9 - 1),
    st.tuples(*[numbers] * 7),
)


def as_the_library_writes(items: list[StampedTransform]) -> bytes:
    content = transforms_message(
        (0.0, item.parent, item.child, item.pose[:3], item.pose[3:]) for item in items
    )
    for made, item in zip(content.transforms, items, strict=True):
        made.header.stamp.sec, made.header.stamp.nanosec = divmod(item.stamp, 10**9)
    return bytes(typestore().serialize_cdr(content, KIND))


@settings(max_examples=60)
@given(st.lists(transforms, max_size=4))
def test_bytes_are_those_of_the_library_and_come_back(items):
    data = encode_transforms(items)
    assert data == as_the_library_writes(items)
    assert decode_transforms(data) == items


def test_big_endian_messages_are_read_too():
    item = StampedTransform("world", "base", 5 * 10**9 + 7, (1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0))
    content = transforms_message([(0.0, "world", "base", item.pose[:3], item.pose[3:])])
    content.transforms[0].header.stamp.sec = 5
    content.transforms[0].header.stamp.nanosec = 7
    data = bytes(typestore().serialize_cdr(content, KIND, little_endian=False))
    assert decode_transforms(data) == [item]


def test_a_message_cut_off_is_refused():
    data = encode_transforms([StampedTransform("a", "b", 1, (0.0,) * 6 + (1.0,))])
    with pytest.raises(InputError, match="can't be decoded"):
        decode_transforms(data[:-9])
    with pytest.raises(InputError, match="can't be decoded"):
        decode_transforms(data[:4] + struct.pack("<I", 2) + data[8:])


@settings(max_examples=200)
@given(st.binary(max_size=80), st.sampled_from([b"\0\0\0\0", b"\0\1\0\0", b"\0\7\0\0", b""]))
def test_whatever_bytes_come_they_are_read_or_refused(data, beginning):
    with contextlib.suppress(InputError):
        assert isinstance(decode_transforms(beginning + data), list)
