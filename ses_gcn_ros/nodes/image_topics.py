"""The topics of a camera: images, plain or compressed, and its calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.nodes.managed_node import STEADY, ManagedNode
from ses_gcn_ros.pose.camera import Camera, camera_from_calibration
from ses_gcn_ros.pose.images import decode_compressed, decode_image
from ses_gcn_ros.pose.sources import NewestFrame

_LOOK_OUT = 0.2  # s between looks at who publishes the images


@dataclass(frozen=True, eq=False)
class Arrival:
    """An image message and when it came in [ns, system clock]."""

    message: Image | CompressedImage
    nanoseconds: int

    def decode(self) -> NDArray[np.uint8]:
        """RGB picture, shape (H, W, 3); raises InputError for what is none."""
        if isinstance(self.message, CompressedImage):
            return decode_compressed(self.message.data)
        return decode_image(
            self.message.data,
            self.message.height,
            self.message.width,
            self.message.encoding,
            self.message.step,
            bool(self.message.is_bigendian),
        )


class ImageTopics(NewestFrame[Arrival]):
    """The newest image of a topic, and the camera that it is from.

    With reliability "auto" the subscriptions are as reliable as the images' publishers: a reliable
    one never hears a best-effort camera, a best-effort one loses most large images of a reliable
    camera to the network's buffers.

    Parameters
    ----------
    node : ManagedNode
        Subscribes.
    compressed : bool
        Whether to hear ``image/compressed`` instead of ``image``.
    reliability : str
        "auto", "reliable" or "best_effort".
    """

    def __init__(self, node: ManagedNode, compressed: bool, reliability: str) -> None:
        super().__init__()
        self._node = node
        self._topic = "image/compressed" if compressed else "image"
        self._kind = CompressedImage if compressed else Image
        self._subscriptions: list[Subscription] = []
        self._reliability: ReliabilityPolicy | None = None
        self.camera: Camera | None = None
        if reliability == "auto":
            node.while_active(node.create_timer(_LOOK_OUT, self._look_out, clock=STEADY))
        else:
            self._subscribe(ReliabilityPolicy[reliability.upper()])

    def close(self) -> None:
        """Stop listening and end the iteration."""
        super().close()
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def _look_out(self) -> None:
        name = self._node.resolve_topic_name(self._topic)
        publishers = self._node.get_publishers_info_by_topic(name)
        if not publishers:
            return
        offered = {publisher.qos_profile.reliability for publisher in publishers}
        reliable = offered == {ReliabilityPolicy.RELIABLE}
        wanted = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        if wanted != self._reliability:
            self._subscribe(wanted)

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())
        self._reliability = reliability
        # The calibration is heard from whoever sends it; it is small and comes again.
        for kind, topic, handler, trust in (
            (CameraInfo, "camera_info", self._on_camera_info, ReliabilityPolicy.BEST_EFFORT),
            (self._kind, self._topic, self._on_image, reliability),
        ):
            profile = QoSProfile(depth=5, reliability=trust)
            self._subscriptions.append(
                self._node.create_subscription(kind, topic, handler, profile)
            )

    def _on_image(self, message: Image | CompressedImage, info: dict[str, int]) -> None:
        self.put(Arrival(message, info["received_timestamp"]))

    def _on_camera_info(self, message: CameraInfo) -> None:
        try:
            self.camera = camera_from_calibration(
                message.width, message.height, message.k, message.d, message.distortion_model
            )
        except InputError as error:
            self._node.monitor.fail("camera_info")
            self._node.get_logger().warning(str(error), throttle_duration_sec=2.0)
