"""Transform buffer, listener and broadcasters by the names of tf2_ros, for what this project uses.

The tree behind the buffer is the one that the safety node has; `test/underlay` holds both this and
the real tf2_ros against scipy.
"""

import threading
import time as system_time
from collections.abc import Iterable
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.transforms import StampedTransform, TransformBuffer

__all__ = [
    "Buffer",
    "StaticTransformBroadcaster",
    "TransformBroadcaster",
    "TransformException",
    "TransformListener",
]

_LASTING = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class TransformException(Exception):
    """A transform can't be given, and why."""


class Buffer:
    """Stores transforms, gives them on request, and waits for those that are yet to come.

    Safe to use from several threads at once. As in tf2, waiting goes by the wall clock even where
    the node runs on simulated time, and it blocks the calling thread.
    """

    def __init__(self) -> None:
        self._tree = TransformBuffer("")
        self._news = threading.Condition()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform of a moving frame; one that makes no sense is logged and left out."""
        self._add(transform, authority, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that holds at all times, and replaces the one before."""
        self._add(transform, authority, static=True)

    def clear(self) -> None:
        """Forget all transforms of moving frames."""
        with self._news:
            self._tree.forget()

    def can_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration | None = None
    ) -> bool:
        """Tell whether `lookup_transform` would succeed within `timeout`."""
        try:
            self.lookup_transform(target_frame, source_frame, time, timeout)
        except TransformException:
            return False
        return True

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration | None = None
    ) -> TransformStamped:
        """Transform that takes coordinates in `source_frame` to `target_frame`.

        At a time of rclpy or of a message, zero for the latest that all frames on the path have;
        waits for it for `timeout`. Raises TransformException.
        """
        asked = Time.from_msg(time) if hasattr(time, "nanosec") else time
        end = system_time.monotonic() + (timeout.nanoseconds * 1e-9 if timeout else 0.0)
        with self._news:
            while True:
                try:
                    return self._found(target_frame, source_frame, asked.nanoseconds)
                except (InputError, RobotError) as error:
                    left = end - system_time.monotonic()
                    if left <= 0.0:
                        raise TransformException(str(error)) from None
                    self._news.wait(left)

    def _found(self, target: str, source: str, stamp: int) -> TransformStamped:
        self._tree.take_to(target)
        if stamp:
            pose = self._tree.pose_at(source, stamp)
        else:
            seconds, (pose,) = self._tree.poses([source], 0.0)
            stamp = round(seconds * 1e9)
        found = TransformStamped(child_frame_id=source)
        found.header.frame_id = target
        found.header.stamp = Time(nanoseconds=stamp).to_msg()
        shift, turn = found.transform.translation, found.transform.rotation
        shift.x, shift.y, shift.z = pose[:3, 3].tolist()
        turn.x, turn.y, turn.z, turn.w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
        return found

    def _add(self, transform: TransformStamped, authority: str, *, static: bool) -> None:
        header, shift, turn = (
            transform.header,
            transform.transform.translation,
            transform.transform.rotation,
        )
        stamp = header.stamp.sec * 10**9 + header.stamp.nanosec
        pose = shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w
        item = StampedTransform(header.frame_id, transform.child_frame_id, stamp, pose)
        with self._news:
            for sentence in self._tree.add([item], static=static):
                get_logger("tf2").error(f"{sentence}, said by {authority}")
            self._tree.believe()
            self._news.notify_all()


class TransformListener:
    """Subscribes to `/tf` and `/tf_static` and hands what arrives to a buffer."""

    def __init__(self, buffer: Buffer, node: Node) -> None:
        self.node = node
        self.subscriptions = []
        for topic, add, profile in (
            ("/tf", buffer.set_transform, QoSProfile(depth=100)),
            ("/tf_static", buffer.set_transform_static, _LASTING),
        ):

            def receive(message: TFMessage, add: Any = add) -> None:
                for transform in message.transforms:
                    add(transform, "default_authority")  # messages do not say who sent them

            self.subscriptions.append(node.create_subscription(TFMessage, topic, receive, profile))

    def unregister(self) -> None:
        """Stop listening."""
        while self.subscriptions:
            self.node.destroy_subscription(self.subscriptions.pop())


class TransformBroadcaster:
    """Publishes transforms of moving frames on `/tf`."""

    def __init__(self, node: Node) -> None:
        self.pub_tf = node.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Publish one transform or several in one message."""
        several = list(transform) if isinstance(transform, Iterable) else [transform]
        self.pub_tf.publish(TFMessage(transforms=several))


class StaticTransformBroadcaster:
    """Publishes on `/tf_static`; every message holds all transforms sent so far.

    A late subscriber gets only the last message of a publisher.
    """

    def __init__(self, node: Node) -> None:
        profile = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.pub_tf = node.create_publisher(TFMessage, "/tf_static", profile)
        self._sent: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Publish one transform or several, along with those sent before."""
        several = list(transform) if isinstance(transform, Iterable) else [transform]
        self._sent.update((each.child_frame_id, each) for each in several)
        self.pub_tf.publish(TFMessage(transforms=list(self._sent.values())))
