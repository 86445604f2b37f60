"""A person for node tests: the sample recording's skeletons, published as if seen now."""

from __future__ import annotations

from typing import Any

from rclpy.serialization import deserialize_message

from ses_gcn_ros.bags.rosbag2 import read_current
from ses_gcn_ros.msg import SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.resources import share_path

FRAME_TIME = 0.04  # s


class PersonStream:
    """Publish the sample recording's skeletons at 25 Hz with fresh stamps, to and fro.

    A person who jumps from the end to the beginning would be two: one who is there, and one who was
    not seen to leave.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        bag = share_path("config", "demo", "visitor")
        self.messages = [
            deserialize_message(raw.data, SkeletonArray) for raw in read_current(bag, ["skeletons"])
        ]
        self.publisher = node.create_publisher(SkeletonArray, "skeletons", qos.STREAM)
        self._next = 0
        self._timer: Any = None

    def start(self) -> None:
        """Begin, or go on."""
        self._timer = self._node.create_timer(FRAME_TIME, self._publish)

    def stop(self) -> None:
        """Fall silent, as a camera does whose cable is cut."""
        self._node.destroy_timer(self._timer)

    def _publish(self) -> None:
        last = len(self.messages) - 1
        message = self.messages[last - abs(last - self._next % (2 * last))]
        message.header.stamp = self._node.get_clock().now().to_msg()
        self.publisher.publish(message)
        self._next += 1
