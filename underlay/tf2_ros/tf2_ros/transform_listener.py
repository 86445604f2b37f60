"""Fills a transform buffer from the network."""

from contextlib import suppress
from threading import Thread

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from .buffer import Buffer

DEFAULT_TF_TOPIC = "/tf"
DEFAULT_STATIC_TF_TOPIC = "/tf_static"
_AUTHORITY = "default_authority"  # messages do not say who sent them


class TransformListener:
    """Subscribes to `/tf` and `/tf_static` and hands what arrives to a buffer.

    Args:
        buffer: receives the transforms.
        node: subscribes.
        spin_thread: spin the node on a thread of its own, until the listener is unregistered or the
            context is shut down. Not for a node that an executor spins already.
        qos: of `/tf`; reliable with a depth of 100 if not given; a number is a depth.
        static_qos: of `/tf_static`; the same and transient local if not given.
        tf_topic: topic of moving frames.
        tf_static_topic: topic of static frames.

    """

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        *,
        spin_thread: bool = False,
        qos: QoSProfile | int | None = None,
        static_qos: QoSProfile | int | None = None,
        tf_topic: str = DEFAULT_TF_TOPIC,
        tf_static_topic: str = DEFAULT_STATIC_TF_TOPIC,
    ) -> None:
        if qos is None:
            qos = QoSProfile(depth=100)
        if static_qos is None:
            static_qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.buffer = buffer
        self.node = node
        # Reentrant, so that another callback of the node may wait for a transform meanwhile.
        self.group = ReentrantCallbackGroup()
        self.tf_sub = node.create_subscription(
            TFMessage, tf_topic, self.callback, qos, callback_group=self.group
        )
        self.tf_static_sub = node.create_subscription(
            TFMessage, tf_static_topic, self.static_callback, static_qos, callback_group=self.group
        )
        if spin_thread:
            self.executor = SingleThreadedExecutor(context=node.context)
            self.executor.add_node(node)
            self.dedicated_listener_thread = Thread(target=self._spin, daemon=True)
            self.dedicated_listener_thread.start()

    def unregister(self) -> None:
        """Stop listening. Not from a callback of the dedicated thread, which is waited for."""
        if hasattr(self, "executor"):
            self.executor.shutdown()
            self.dedicated_listener_thread.join()
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

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self.executor.spin()
