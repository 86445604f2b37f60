"""The topics of a camera: images, plain or compressed, their depth, and the calibration."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.nodes.conversions import to_seconds
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.pose.camera import Camera, camera_from_info
from ses_gcn_ros.pose.sources import NewestFrame, Pairer

_LOOK_OUT = 0.2  # s between looks at who publishes the images


@dataclass(frozen=True, eq=False)
class Arrival:
    """An image message, when it came [s, monotonic], and the depth image of its time."""

    message: Image | CompressedImage
    arrived: float
    depth: Image | CompressedImage | None = None


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
        self.refused = ""  # why the last camera_info can't be used
        if reliability == "auto":
            node.every(_LOOK_OUT, self._look_out)
        else:
            self._subscribe(ReliabilityPolicy[reliability.upper()])

    @property
    def unpaired(self) -> int:
        """Images given up because no depth image was near enough in time."""
        return self._pairer.unpaired if self._pairer else 0

    def why_silent(self) -> str:
        """Why no image comes: nobody publishes, or not as asked for."""
        name = self._node.resolve_topic_name(self._topic)
        publishers = self._node.get_publishers_info_by_topic(name)
        if not publishers:
            return f"nobody publishes '{name}'"
        kinds = {publisher.topic_type for publisher in publishers}
        wanted = f"sensor_msgs/msg/{self._kind.__name__}"
        if wanted not in kinds:
            return f"'{name}' carries {', '.join(sorted(kinds))}, not {wanted}"
        offered = {publisher.qos_profile.reliability for publisher in publishers}
        asks = self._reliability == ReliabilityPolicy.RELIABLE
        if asks and ReliabilityPolicy.RELIABLE not in offered:
            return f"'{name}' is published best_effort, but 'reliability' asks for reliable"
        return f"'{name}' has a publisher, but nothing comes from it"

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
        if not np.any(message.k):
            return  # the driver says that it is not calibrated
        try:
            self.camera, self.refused = camera_from_info(message), ""
        except InputError as error:
            self.camera, self.refused = None, str(error)
            self._node.monitor.fail("camera_info")
            self._node.get_logger().warning(str(error), throttle_duration_sec=2.0)
