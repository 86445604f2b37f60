"""Messages that differ in their numbers alone are read as any are."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_transform_codec import transforms

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.transforms import StampedTransform, decode_transforms, encode_transforms, repeated
from ses_gcn_ros.transforms.repeated import read_transforms


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch):
    monkeypatch.setattr(repeated, "_forms", {})


def moved(items: list[StampedTransform], by: int) -> list[StampedTransform]:
    return [
        item._replace(stamp=item.stamp // 2 + by, pose=tuple(number + by for number in item.pose))
        for item in items
    ]


@given(st.lists(transforms, max_size=4), st.lists(transforms, max_size=4))
def test_messages_in_turns_are_what_they_are_alone(one, other):
    repeated._forms.clear()
    for by in range(4):
        for items in (one, other):
            data = encode_transforms(moved(items, by))
            assert read_transforms(data) == moved(items, by)


def test_names_of_the_same_length_are_told_apart():
    pose = (0.0,) * 6 + (1.0,)
    for names in ("ab", "cd", "ef", "gh", "ij", "kl", "mn") * 2:
        items = [StampedTransform(names[0], names[1], 5, pose)]
        assert read_transforms(encode_transforms(items)) == items
    assert sum(map(len, repeated._forms.values())) == repeated._EACH


def test_memory_is_bounded():
    pose = (0.0,) * 6 + (1.0,)
    for length in range(1, 2 * repeated._SIZES):
        items = [StampedTransform("a" * 8 * length, "b", 5, pose)]
        assert read_transforms(encode_transforms(items)) == items
    assert len(repeated._forms) == repeated._SIZES


def test_big_endian_messages_are_read_as_ever():
    data = b"\0\0\0\0" + struct.pack(">IiII4sI4s", 1, 7, 8, 2, b"a\0\0\0", 2, b"b\0\0\0")
    data += bytes(-(len(data) - 4) % 8) + struct.pack(">7d", *range(7))
    assert read_transforms(data) == decode_transforms(data)
    assert not repeated._forms


@pytest.mark.parametrize("known", [False, True])
def test_what_is_no_message_is_refused(known):
    data = encode_transforms([StampedTransform("world", "base", 5, (0.0,) * 6 + (1.0,))])
    if known:
        read_transforms(data)
    for wrong in (data[:-9], data[:4] + struct.pack("<I", 2) + data[8:], b""):
        with pytest.raises(InputError, match="/tf can't be decoded"):
            read_transforms(wrong)
