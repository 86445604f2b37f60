"""The nodes' transform tree hears what tf2's broadcasters say and answers as tf2's buffer does."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from tf2_ros import (
    Buffer,
    StaticTransformBroadcaster,
    TransformBroadcaster,
    TransformException,
)

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.nodes.conversions import Frames, to_time
from ses_gcn_ros.nodes.managed_node import ManagedNode, make_executor
from ses_gcn_ros.nodes.pose_messages import TransformLookup, matrix
from ses_gcn_ros.safety import SafetyConfig
from ses_gcn_ros.transforms import StampedTransform, TransformBuffer

NAMES = ("root", "world", "a", "b", "c")
TENTH = 10**8  # ns


def message(item: StampedTransform) -> TransformStamped:
    stamped = TransformStamped(child_frame_id=item.child)
    stamped.header.frame_id = item.parent
    stamped.header.stamp = to_time(item.stamp * 1e-9)
    x, y, z, *turn = item.pose
    shift, rotation = stamped.transform.translation, stamped.transform.rotation
    shift.x, shift.y, shift.z = x, y, z
    rotation.x, rotation.y, rotation.z, rotation.w = turn
    return stamped


@st.composite
def transforms(draw) -> tuple[StampedTransform, bool]:
    """A transform of a frame in one named before it, mostly with one parent; static by its name."""
    child = draw(st.integers(1, len(NAMES) - 1))
    parent = draw(st.sampled_from([child - 1, child - 1, draw(st.integers(0, child - 1))]))
    turn = Rotation.from_rotvec(draw(st.tuples(*[st.floats(-1.5, 1.5)] * 3))).as_quat().tolist()
    shift = draw(st.tuples(*[st.floats(-2, 2)] * 3))
    stamp = draw(st.integers(1, 6)) * TENTH
    item = StampedTransform(NAMES[parent], NAMES[child], stamp, (*shift, *turn))
    return item, NAMES[child] == "c"


@settings(derandomize=True, max_examples=150)
@given(
    heard=st.lists(transforms(), min_size=4, max_size=20, unique_by=lambda t: t[0][1:3]),
    world=st.sampled_from(NAMES),
    at=st.integers(1, 12),
)
def test_it_answers_as_tf2_does(heard, world, at):
    ours, theirs = TransformBuffer(world), Buffer()
    for item, static in heard:
        ours.add([item], static=static)
        add = theirs.set_transform_static if static else theirs.set_transform
        add(message(item), "")
    ours.believe()  # which tf2 does at once
    for frame in NAMES:
        for stamp in (0, at * TENTH // 2):
            try:
                found = theirs.lookup_transform(world, frame, Time(nanoseconds=stamp))
            except TransformException:
                with pytest.raises((InputError, RobotError)):
                    _ = ours.pose(frame, stamp * 1e-9) if stamp else ours.poses([frame], 1.0)
            else:
                if stamp:
                    pose = ours.pose(frame, stamp * 1e-9)
                else:
                    known = frame == world or found.header.stamp != Time().to_msg()
                    when, (pose,) = ours.poses([frame], 0.0)
                    if known and frame != world:
                        assert to_time(when) == found.header.stamp
                np.testing.assert_allclose(pose, matrix(found), atol=1e-9)


class Listener(ManagedNode):
    """A node that listens to transforms and no more."""

    config_type = SafetyConfig

    def __init__(self) -> None:
        super().__init__()
        self.frames = Frames(self, "map")

    def hears(self, names: list[str]) -> tuple[float, np.ndarray]:
        deadline = time.monotonic() + 120.0
        while True:
            try:
                return self.frames.poses(names, 9.0)
            except RobotError:
                if time.monotonic() > deadline:
                    raise
                self.executor.spin_once(timeout_sec=0.02)

    def hears_while(self, say: Callable[[], dict[str, list[str]]], seconds: float):
        deadline, found = time.monotonic() + seconds, {}
        while not found and time.monotonic() < deadline:
            found = say()
        return found


def test_broadcasters_are_heard(node):
    static, moving = StaticTransformBroadcaster(node), TransformBroadcaster(node)
    half = float(np.sqrt(0.5))
    static.sendTransform(
        message(StampedTransform("map", "base", 0, (1.0, 0.0, 0.0, 0.0, 0.0, half, half)))
    )
    listener, executor = Listener(), make_executor()
    executor.add_node(listener)
    assert listener.hears(["base"])[0] == 9.0
    while not moving.pub_tf.get_subscription_count():
        time.sleep(0.02)
    link = StampedTransform("base", "link", 7 * 10**9 + 5, (2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    moving.sendTransform([message(link), message(link._replace(parent="link"))])
    stamp, poses = listener.hears(["link", "base"])
    assert stamp == pytest.approx(7.0)
    np.testing.assert_allclose(poses[:, :3, 3], [[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]], atol=1e-12)
    point = listener.frames.points(np.array([[1.0, 0.0, 0.0]], np.float32), "link", 7.0 + 5e-9)
    np.testing.assert_allclose(point, [[1.0, 3.0, 0.0]], atol=1e-12)
    listener.close()


class Placed(ManagedNode):
    """A node that asks tf2 where a camera is."""

    config_type = SafetyConfig
    lookup: TransformLookup

    def activate(self) -> None:
        self.lookup = TransformLookup(self, "world", 0.0)


def test_a_clock_calls_nobody_back_who_was_deactivated(node):
    """What a clock would call then is gone; every hundredth activation failed for it."""
    placed = Placed()
    placed.trigger_configure()
    for _ in range(150):
        assert placed.trigger_activate() == TransitionCallbackReturn.SUCCESS
        placed.trigger_deactivate()
    assert placed.trigger_activate() == TransitionCallbackReturn.SUCCESS
    pose = StampedTransform("world", "camera", TENTH, (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    placed.lookup._buffer.set_transform(message(pose), "")
    assert placed.lookup.matrix("camera", to_time(0.1), "")[0, 3] == 1.0
    placed.set_parameters([Parameter("use_sim_time", value=True)])
    with pytest.raises(InputError, match="no transform from 'camera'"):
        placed.lookup.matrix("camera", to_time(0.1), "")
    placed.close()


def test_nothing_is_ahead_of_a_clock_that_has_not_begun(node):
    listener, executor = Listener(), make_executor()
    executor.add_node(listener)
    listener.set_parameters([Parameter("use_sim_time", value=True)])
    listener.frames = Frames(listener, "map", 0.1)
    moving = TransformBroadcaster(node)
    while moving.pub_tf.get_subscription_count() < 2:
        time.sleep(0.02)
    link = StampedTransform("map", "link", 7 * 10**9, (2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    moving.sendTransform(message(link))
    assert listener.now() == 0.0
    assert listener.hears(["link"])[0] == pytest.approx(7.0)
    listener.close()


@pytest.mark.parametrize("broadcaster", [TransformBroadcaster, StaticTransformBroadcaster])
def test_two_who_publish_one_frame_are_named(node, broadcaster):
    listener, executor = Listener(), make_executor()
    executor.add_node(listener)
    speakers = [broadcaster(node) for _ in range(2)]
    while any(not speaker.pub_tf.get_subscription_count() for speaker in speakers):
        time.sleep(0.02)
    joint = StampedTransform("map", "joint", 7 * 10**9, (2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    link = joint._replace(parent="joint", child="link")
    other = message(joint._replace(child="other"))

    def say(count: int) -> dict[str, list[str]]:
        speakers[0].sendTransform([message(joint), message(link)])
        for speaker in speakers[:count]:
            speaker.sendTransform(message(joint))
        for speaker in speakers:
            speaker.sendTransform(other)  # of a frame that is none of the robot's
        for _ in range(2 * len(speakers) + 2):
            executor.spin_once(timeout_sec=0.02)
        return listener.frames.doubled(["link"])

    assert listener.hears_while(lambda: say(1), 0.3) == {}
    speaker = node.get_fully_qualified_name()
    assert listener.hears_while(lambda: say(2), 120.0) == {"joint": [speaker] * 2}
    node.destroy_publisher(speakers[1].pub_tf)
    deadline = time.monotonic() + 120.0
    while listener.frames.doubled(["link"]) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.02)
    assert listener.frames.doubled(["link"]) == {}, "who is gone speaks no more"
    listener.close()
