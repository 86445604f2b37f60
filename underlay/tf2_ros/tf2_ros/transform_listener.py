"""Fills a transform buffer from the network."""

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from .buffer import Buffer

_AUTHORITY = "default_authority"  # messages do not say who sent them


class TransformListener:
    """Subscribes to `/tf` and `/tf_static` and hands what arrives to a buffer.

    Args:
        buffer: receives the transforms.
        node: subscribes.

    """

    def __init__(self, buffer: Buffer, node: Node) -> None:
        self.buffer = buffer
        self.node = node
        # Reentrant, so that another callback of the node may wait for a transform meanwhile.
        self.group = ReentrantCallbackGroup()
        lasting = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.tf_sub = node.create_subscription(
            TFMessage, "/tf", self.callback, QoSProfile(depth=100), callback_group=self.group
        )
        self.tf_static_sub = node.create_subscription(
            TFMessage, "/tf_static", self.static_callback, lasting, callback_group=self.group
        )

    def unregister(self) -> None:
        """Stop listening."""
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)

    def callback(self, data: TFMessage) -> None:
        """Take in transforms of moving frames."""
        for transform in data.transforms:
            self.buffer.set_transform(transform, _AUTHORITY)

    def static_callback(self, data: TFMessage) -> None:
        """Take in transforms of static frames."""
        for transform in data.transforms:
            self.buffer.set_transform_static(transform, _AUTHORITY)
