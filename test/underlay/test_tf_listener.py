"""Transforms on the network: listener and broadcasters over DDS."""

from __future__ import annotations

import pytest

pytest.importorskip("tf2_ros")

from rclpy.time import Time
from tf2_ros import Buffer, StaticTransformBroadcaster, TransformBroadcaster, TransformListener
from tf_frames import at, stamped, translation
from tf_network import Network

# Of tf2_msgs/msg/TFMessage in ROS 2 Jazzy and Kilted. Nodes talk to each other only if it is equal.
TF_MESSAGE_HASH = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"


def test_moving_frames_arrive(network: Network, buffer: Buffer) -> None:
    TransformListener(buffer, network.node("listener"))
    broadcaster = TransformBroadcaster(network.node("robot"))
    network.spin_until(lambda: broadcaster.pub_tf.get_subscription_count() == 1)
    broadcaster.sendTransform(stamped("base", "arm", 10.0, xyz=(1, 0, 0)))
    broadcaster.sendTransform(
        [stamped("base", "arm", 11.0, xyz=(2, 0, 0)), stamped("arm", "tool", 11.0, xyz=(0, 1, 0))]
    )
    network.spin_until(lambda: buffer.can_transform("base", "tool", at(11)))
    assert translation(buffer.lookup_transform("base", "tool", at(11))) == [2, 1, 0]
    assert translation(buffer.lookup_transform("base", "arm", at(10.5))) == [1.5, 0, 0]


def test_static_frames_reach_who_listens_later(network: Network, buffer: Buffer) -> None:
    broadcaster = StaticTransformBroadcaster(network.node("cell"))
    broadcaster.sendTransform(stamped("world", "camera", xyz=(0, 0, 2)))
    broadcaster.sendTransform([stamped("world", "base", xyz=(1, 0, 0))])
    TransformListener(buffer, network.node("listener"))
    network.spin_until(lambda: buffer.can_transform("base", "camera", at(1234)))
    assert translation(buffer.lookup_transform("base", "camera", Time())) == [-1, 0, 2]


def test_an_unregistered_listener_is_gone(network: Network, buffer: Buffer) -> None:
    listener = TransformListener(buffer, network.node("listener"))
    broadcaster = TransformBroadcaster(network.node("robot"))
    network.spin_until(lambda: broadcaster.pub_tf.get_subscription_count() == 1)
    listener.unregister()
    network.spin_until(lambda: broadcaster.pub_tf.get_subscription_count() == 0)


@pytest.mark.parametrize(
    ("broadcaster", "topic"),
    [(TransformBroadcaster, "/tf"), (StaticTransformBroadcaster, "/tf_static")],
)
def test_the_type_on_the_wire_is_that_of_every_other_ros(
    network: Network,
    broadcaster: type[TransformBroadcaster | StaticTransformBroadcaster],
    topic: str,
) -> None:
    node = network.node("robot")
    broadcaster(node)
    network.spin_until(lambda: node.count_publishers(topic) == 1)
    (endpoint,) = node.get_publishers_info_by_topic(topic)
    assert endpoint.topic_type == "tf2_msgs/msg/TFMessage"
    assert str(endpoint.topic_type_hash) == TF_MESSAGE_HASH
