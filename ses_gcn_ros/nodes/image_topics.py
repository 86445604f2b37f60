"""The topics of a camera: images, plain or compressed, their depth, and the calibration."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.nodes.conversions import to_seconds
from ses_gcn_ros.nodes.managed_node import STEADY, ManagedNode
from ses_gcn_ros.pose.camera import Camera, camera_from_calibration
from ses_gcn_ros.pose.images import (
    decode_compressed,
    decode_compressed_depth,
    decode_depth,
    decode_image,
)
from ses_gcn_ros.pose.sources import NewestFrame, Pairer

_LOOK_OUT = 0.2  # s between looks at who publishes the images


@dataclass(frozen=True, eq=False)
class Arrival:
    """An image message, when it came [s, monotonic], and the depth image of its time."""

    message: Image | CompressedImage
    arrived: float
    depth: Image | CompressedImage | None = None

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

    def decode_depth(self) -> NDArray[np.float32] | None:
        """Depth (H, W) [m], None without one; raises InputError for what is none."""
        if self.depth is None:
            return None
        if isinstance(self.depth, CompressedImage):
            return decode_compressed_depth(self.depth.data)
        return decode_depth(
            self.depth.data,
            self.depth.height,
            self.depth.width,
            self.depth.encoding,
            self.depth.step,
            bool(self.depth.is_bigendian),
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
    depth_tolerance : float, optional
        Greatest difference in time [s] of an image and the image of ``depth`` (or
        ``depth/compressedDepth``) that it is paired with; by default depth is not heard.
    """

    def __init__(
        self,
        node: ManagedNode,
        compressed: bool,
        reliability: str,
        depth_tolerance: float | None = None,
    ) -> None:
        super().__init__()
        self._pairer: Pairer[Arrival, Image | CompressedImage] | None = None
        if depth_tolerance is not None:
            self._pairer = Pairer(depth_tolerance)
        self._depth_topic = "depth/compressedDepth" if compressed else "depth"
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

    @property
    def unpaired(self) -> int:
        """Images given up because no depth image was near enough in time."""
        return self._pairer.unpaired if self._pairer else 0

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
        topics: list[tuple[Any, str, Any, ReliabilityPolicy]] = [
            (CameraInfo, "camera_info", self._on_camera_info, ReliabilityPolicy.BEST_EFFORT),
            (self._kind, self._topic, self._on_image, reliability),
        ]
        if self._pairer is not None:
            topics.append((self._kind, self._depth_topic, self._on_depth, reliability))
        for kind, topic, handler, trust in topics:
            profile = QoSProfile(depth=5, reliability=trust)
            self._subscriptions.append(
                self._node.create_subscription(kind, topic, handler, profile)
            )

    def _on_image(self, message: Image | CompressedImage) -> None:
        arrival = Arrival(message, time.monotonic())
        if self._pairer is None:
            self.put(arrival)
            return
        self._put_pairs(self._pairer.add_colour(to_seconds(message.header.stamp), arrival))

    def _on_depth(self, message: Image | CompressedImage) -> None:
        assert self._pairer is not None
        self._put_pairs(self._pairer.add_depth(to_seconds(message.header.stamp), message))

    def _put_pairs(self, pairs: list[tuple[Arrival, Image | CompressedImage]]) -> None:
        for colour, depth in pairs:
            self.put(replace(colour, depth=depth))

    def _on_camera_info(self, message: CameraInfo) -> None:
        try:
            self.camera = camera_from_calibration(
                message.width, message.height, message.k, message.d, message.distortion_model
            )
        except InputError as error:
            self._node.monitor.fail("camera_info")
            self._node.get_logger().warning(str(error), throttle_duration_sec=2.0)
