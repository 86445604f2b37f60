"""Skeletons straight from their bytes are what the library's decoder makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ses_gcn_ros.bags.bag_messages import (
    Observation,
    observation_from_message,
    skeletons_message,
)
from ses_gcn_ros.bags.bag_reader import open_bag
from ses_gcn_ros.bags.bag_types import typestore
from ses_gcn_ros.bags.bags import BagWriter
from ses_gcn_ros.bags.skeleton_codec import TYPE, decode_skeletons
from ses_gcn_ros.replay.events import Events
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.topics import find_topics
from ses_gcn_ros.skeleton import Skeleton, get_layout, layout_names

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


@st.composite
def observations(draw) -> Observation:
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    people = []
    for name in draw(st.lists(texts, max_size=4)):
        layout = draw(st.sampled_from(layout_names()))
        joints = len(get_layout(layout).joints)
        positions = rng.normal(size=(joints, 3)).astype(np.float32)
        positions[rng.random(joints) < 0.2] = np.nan
        people.append(Skeleton(name, layout, positions, rng.random(joints).astype(np.float32)))
    return Observation(draw(st.integers(0, 2**30)) + 0.25, draw(texts), people)


def as_bytes(seen: Observation, *, little_endian: bool = True) -> bytes:
    content = skeletons_message(seen)
    return bytes(typestore().serialize_cdr(content, TYPE, little_endian=little_endian))


def assert_same(found: Observation, wanted: Observation) -> None:
    assert found[:2] == wanted[:2]
    for one, other in zip(found.people, wanted.people, strict=True):
        assert (one.person_id, one.layout) == (other.person_id, other.layout)
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.confidence, other.confidence)


@given(observations())
def test_everything_is_read(seen):
    data = as_bytes(seen)
    assert_same(decode_skeletons(data), seen)
    assert_same(decode_skeletons(memoryview(data)), seen)
    assert_same(
        decode_skeletons(data), observation_from_message(typestore().deserialize_cdr(data, TYPE))
    )


@given(observations(), st.data())
def test_what_is_cut_off_or_encoded_otherwise_is_left_to_the_library(seen, data):
    whole = as_bytes(seen)
    assert decode_skeletons(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None
    assert decode_skeletons(whole + bytes(4)) is None
    assert decode_skeletons(as_bytes(seen, little_endian=False)) is None
    assert decode_skeletons(b"\x00\x07" + whole[2:]) is None


@pytest.mark.parametrize("change", ["layout", "positions"])
def test_what_fits_no_layout_is_left_to_the_library(change):
    joints = 15 if change == "layout" else 14
    layout = "unheard" if change == "layout" else "chico15"
    person = Skeleton("1", layout, np.zeros((joints, 3), np.float32), np.ones(15, np.float32))
    assert decode_skeletons(as_bytes(Observation(1.0, "world", [person]))) is None


def people_of(path) -> list[Observation]:
    options = Options()
    with open_bag(path) as bag:
        topics = find_topics(bag.topics, options.topics())
        events = list(Events(bag, topics, options.naming, "world", options.pose, ()))
    assert {event.kind for event in events} == {"people"}
    return [event.content for event in events]


def seen_by(person: str) -> Observation:
    positions = np.random.default_rng(0).normal(size=(15, 3)).astype(np.float32)
    return Observation(
        100.0, "world", [Skeleton(person, "chico15", positions, np.ones(15, np.float32))]
    )


def test_a_bag_of_big_endian_messages_is_read(tmp_path):
    seen = seen_by("anna")
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/skeletons", TYPE, 10**11, as_bytes(seen, little_endian=False))
        bag.write("/skeletons", TYPE, 10**11 + 1, as_bytes(seen))
    for found in people_of(tmp_path / "bag"):
        assert_same(found, seen)


def test_a_bag_with_a_definition_of_its_own_is_read_by_that(tmp_path):
    """Another order of fields, as an older or newer version may have."""
    store = get_typestore(Stores.ROS2_KILTED)
    fields = "string layout\nstring person_id\nfloat32[] positions\nfloat32[] confidence"
    store.register(get_types_from_msg(fields, "ses_gcn_ros/msg/Skeleton"))
    array = "std_msgs/Header header\nses_gcn_ros/Skeleton[] skeletons"
    store.register(get_types_from_msg(array, TYPE))
    seen = seen_by("anna")
    types, kilted = store.types, seen.people[0]
    entry = types["ses_gcn_ros/msg/Skeleton"](
        person_id="anna",
        layout="chico15",
        positions=kilted.positions.ravel(),
        confidence=kilted.confidence,
    )
    header = types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](sec=100, nanosec=0), frame_id="world"
    )
    content = types[TYPE](header=header, skeletons=[entry])
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/skeletons", TYPE, typestore=store)
        writer.write(connection, 10**11, bytes(store.serialize_cdr(content, TYPE)))
    (found,) = people_of(tmp_path / "bag")
    assert_same(found, seen)
