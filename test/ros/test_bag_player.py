"""A recording of a cell plays as the cell was: people and robot, on the recording's clock."""

from __future__ import annotations

import pytest
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage
from tf_messages import transforms_message

from ses_gcn_ros.bags.rosbag2 import BagWriter, read_current
from ses_gcn_ros.msg import SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_seconds
from ses_gcn_ros.resources import share_path

SECOND = 10**9


def transform(stamp: int, parent: str, child: str):
    return transforms_message([(stamp / SECOND, parent, child, (0, 0, 1), (0, 0, 0, 1))])


@pytest.fixture
def recording(tmp_path):
    """Two seconds of the sample recording with a robot's transforms beside it."""
    path = tmp_path / "cell"
    people = list(read_current(share_path("config", "demo", "visitor"), ["skeletons"]))[:50]
    with BagWriter(path) as writer:
        tf = transform(people[0].stamp, "world", "base")
        writer.write_message("/tf_static", people[0].stamp, tf)
        for message in people:
            writer.write("/skeletons", message.type, message.stamp, message.data)
            tf = transform(message.stamp, "base", "tool")
            writer.write_message("/tf", message.stamp, tf)
    return path, people


def test_people_and_transforms_come_in_order_on_the_recordings_clock(cell, recording):
    path, people = recording
    heard = cell.listen(SkeletonArray, "skeletons", qos.STREAM)
    moving = cell.listen(TFMessage, "/tf", qos.TRANSFORMS)
    static = cell.listen(TFMessage, "/tf_static", qos.STATIC_TRANSFORMS)
    clock = cell.listen(Clock, "/clock", qos.STREAM)
    process = cell.start("bag_player", bag=str(path), rate=2.0)
    cell.wait_for(lambda: process.poll() is not None, "the end of the recording")
    assert process.returncode == 0
    assert len(heard) == len(people)
    assert len(moving) == len(people)
    assert static[0].transforms[0].child_frame_id == "base"
    stamps = [to_seconds(message.header.stamp) for message in heard]
    assert stamps == sorted(stamps)
    times = [to_seconds(message.clock) for message in clock]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(people[-1].stamp / SECOND, abs=0.1)


def test_a_second_clock_ends_the_player_by_name(cell, recording):
    path, _ = recording
    clock = cell.publisher(Clock, "/clock", qos.STREAM)
    process = cell.start("bag_player", bag=str(path), subscribers=9)
    cell.wait_for(lambda: process.poll() is not None, "the end of the player")
    assert process.returncode == 1
    assert b"somebody else publishes /clock; give each replay a ROS_DOMAIN" in process.stderr.read()
    assert clock.topic_name == "/clock"
