"""A bag → its topics and /clock, at the pace of the recording or a multiple of it."""

from __future__ import annotations

import time
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rosgraph_msgs.msg import Clock

from ses_gcn_ros.bags.messages import RawMessage
from ses_gcn_ros.bags.rosbag2 import read_current, topics_of
from ses_gcn_ros.bringup import PlayerConfig
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import message_type
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.resources import share_path

TRANSFORMS = {"/tf": qos.TRANSFORMS, "/tf_static": qos.STATIC_TRANSFORMS}
_PATIENCE = Duration(seconds=1.0)  # with listeners that don't confirm a topic's last message
ROBOT = {*TRANSFORMS, "joint_states"}  # not waited for: who listens to it depends on the cell


class BagPlayer(ManagedNode):
    """Play a recording once its listeners are there, and end with it."""

    config_type = PlayerConfig
    config: PlayerConfig

    def configure(self) -> None:
        """Open the bag."""
        self.bag = self.config.bag or share_path("config", "demo", "visitor")
        self.types = topics_of(self.bag)
        transforms = [topic for topic in TRANSFORMS if topic in self.types]
        self.topics = self.config.topics or ("skeletons", *transforms)
        self.messages = read_current(self.bag, self.topics)
        self.next: RawMessage | None = next(self.messages, None)
        if self.next is None:
            raise BagError(f"bag '{self.bag}' has no message on {', '.join(self.topics)}")
        self.begin = self.next.stamp

    def activate(self) -> None:
        """Start the clock, which waits for the listeners."""
        self.clock = self.publisher(Clock, "/clock", qos.STREAM)
        self.outputs: dict[str, Any] = {
            topic: self.publisher(
                message_type(self.types[topic]), topic, TRANSFORMS.get(topic, qos.STREAM)
            )
            for topic in self.topics
        }
        self.started: float | None = None
        period = 1.0 / self.config.clock_frequency
        self.every(period, self.tick)

    def tick(self) -> None:
        """Move the clock on and publish what is due."""
        if self.count_publishers("/clock") > 1:
            self.get_logger().error(
                "somebody else publishes /clock; give each replay a ROS_DOMAIN_ID of its own"
            )
            self.finish(1)
            return
        now = time.monotonic()
        if self.started is None and self._heard():
            self.started = now
        elapsed = 0.0 if self.started is None else (now - self.started) * self.config.rate
        moment = self.begin + int((elapsed - self.config.lead_in) * 1e9)
        self.clock.publish(Clock(clock=Time(sec=moment // 10**9, nanosec=moment % 10**9)))
        while self.next is not None and self.next.stamp <= moment:
            self.outputs[self.next.topic].publish(self.next.data)
            self.monitor.handle(now, time.monotonic() - now)
            self.next = next(self.messages, None)
        if self.next is None:
            for publisher in self.outputs.values():  # the last message goes with its publisher
                publisher.wait_for_all_acked(_PATIENCE)
            self.finish()

    def _heard(self) -> bool:
        return all(
            publisher.get_subscription_count() >= self.config.subscribers
            for topic, publisher in self.outputs.items()
            if topic not in ROBOT
        )
