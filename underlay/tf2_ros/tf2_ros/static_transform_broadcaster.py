"""Sends transforms that hold at all times."""

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from .transform_broadcaster import as_list


class StaticTransformBroadcaster:
    """Publishes on `/tf_static`; who subscribes later receives it as well.

    Every message holds all transforms sent so far, the last one for each child frame, because a
    late subscriber gets only the last message of a publisher.

    Args:
        node: publishes.
        qos: reliable, transient local, with a depth of 1 if not given; a number is a depth.

    """

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        if qos is None:
            qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.pub_tf = node.create_publisher(TFMessage, "/tf_static", qos)
        self._sent: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Publish one transform or several, along with those sent before."""
        self._sent.update((each.child_frame_id, each) for each in as_list(transform))
        self.pub_tf.publish(TFMessage(transforms=list(self._sent.values())))
