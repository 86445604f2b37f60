"""Images, calibrations and skeletons between topics and the pose estimator."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tf2_ros
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.time import Time as RosTime
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.msg import LandmarksArray, PersonLandmarks
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import TransformSender, flat, to_seconds
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.pose.camera import (
    Camera,
    Detections,
    View,
    camera_from_calibration,
    camera_from_info,
    rigid,
)
from ses_gcn_ros.pose.ros4hri import frames_of, key_points
from ses_gcn_ros.pose.sources import NewestFrame, Pairer
from ses_gcn_ros.skeleton import Skeleton, get_layout

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
    one gets nothing from a best-effort camera, a best-effort one loses most large images of a
    reliable camera to the network's buffers.

    `compressed`: whether to subscribe to ``image/compressed`` instead of ``image``.
    `reliability`: "auto", "reliable" or "best_effort".
    `depth_tolerance`: greatest difference in time [s] of an image and the image of ``depth`` (or
    ``depth/compressedDepth``) that it is paired with; by default there is no depth.
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
        self.missing = "no camera_info"  # what is wrong where neither a camera nor that is there
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
        name, publishers = self._publishers()
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
        """Unsubscribe and end the iteration."""
        super().close()
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def _publishers(self) -> tuple[str, list[Any]]:
        """Full name of the topic of images, and who publishes it."""
        name = self._node.resolve_topic_name(self._topic)
        return name, self._node.get_publishers_info_by_topic(name)

    def _look_out(self) -> None:
        _, publishers = self._publishers()
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
        # The calibration is taken from whoever publishes it; it is small and comes again.
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
            self.missing = "camera_info without a calibration"  # as its driver says
            return
        try:
            self.camera, self.refused = camera_from_info(message), ""
        except InputError as error:
            self.camera, self.refused = None, str(error)
            self._node.statistics.fail("camera_info", self.refused)
            self._node.get_logger().warning(str(error), throttle_duration_sec=2.0)


def landmarks_to_msg(stamp: Time, frame_id: str, detections: Detections) -> LandmarksArray:
    """Message of everybody in the picture taken at `stamp` by the camera of `frame_id`."""
    camera = detections.view.camera
    message = LandmarksArray(
        width=camera.width,
        height=camera.height,
        intrinsics=[camera.fx, camera.fy, camera.cx, camera.cy],
        distortion_model=camera.model,
        distortion=list(camera.distortion),
        calibrated=not camera.assumed,
    )
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    message.people = [
        PersonLandmarks(
            person_id=name,
            layout=detections.layout,
            points=flat(points),
            confidence=flat(confidence),
        )
        for name, points, confidence in zip(
            detections.names, detections.pixels, detections.confidence, strict=True
        )
    ]
    return message


def camera_from_msg(message: LandmarksArray) -> Camera:
    """Camera that a message of landmarks comes from.

    Raises InputError if it is not calibrated or the calibration is unusable.
    """
    frame = message.header.frame_id
    if not message.calibrated:
        raise InputError(
            f"camera '{frame}' is not calibrated, its angle of view is a guess; publish its "
            "camera_info, or people can't be triangulated"
        )
    fx, fy, cx, cy = message.intrinsics
    matrix = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
    return camera_from_calibration(
        message.width,
        message.height,
        matrix,
        message.distortion,
        message.distortion_model,
        cropped=True,
    )


def detections_from_msg(
    message: LandmarksArray, camera: Camera, base_from_camera: NDArray[np.float64]
) -> Detections:
    """Everybody in a message, seen by a camera at a place.

    Raises InputError for mixed or unknown layouts, arrays of the wrong length, an infinite point, a
    confidence outside of 0 to 1 or two people of the same name.
    """
    view = View(camera, base_from_camera)
    layouts = sorted({entry.layout for entry in message.people}) or ["mediapipe33"]
    if len(layouts) > 1:
        raise InputError(f"one message has landmarks of layouts {', '.join(layouts)}; use one")
    joints = len(get_layout(layouts[0]).joints)
    for entry in message.people:
        if len(entry.points) != 2 * joints or len(entry.confidence) != joints:
            raise InputError(
                f"landmarks of '{entry.person_id}': {len(entry.points)} values and "
                f"{len(entry.confidence)} confidences; layout '{entry.layout}' takes "
                f"{2 * joints} and {joints}"
            )
    names = tuple(entry.person_id for entry in message.people)
    if len(set(names)) != len(names):
        raise InputError(f"a person_id appears twice in one message: {', '.join(names)}")
    pixels = np.array([entry.points for entry in message.people], np.float64)
    confidence = np.array([entry.confidence for entry in message.people], np.float64)
    if np.isinf(pixels).any() or not ((confidence >= 0.0) & (confidence <= 1.0)).all():
        raise InputError(
            f"landmarks from '{message.header.frame_id}' have an infinite point or a confidence "
            "outside of 0 to 1; an unseen joint is NaN with confidence 0"
        )
    return Detections(
        view, layouts[0], pixels.reshape(-1, joints, 2), confidence.reshape(-1, joints), names
    )


def matrix(stamped: TransformStamped) -> NDArray[np.float64]:
    """Matrix (4, 4) of a transform."""
    turn, shift = stamped.transform.rotation, stamped.transform.translation
    rotation = Rotation.from_quat((turn.x, turn.y, turn.z, turn.w)).as_matrix()
    return rigid(rotation, (shift.x, shift.y, shift.z))


class TransformLookup:
    """Where cameras are by TF, while a node is active.

    `timeout`: how long a lookup waits for a transform [s].
    """

    def __init__(self, node: ManagedNode, target: str, timeout: float) -> None:
        self._target, self._timeout = target, Duration(seconds=timeout)
        # Given the node, the buffer would leave its handler with the node's clock for good.
        self._buffer = tf2_ros.Buffer()
        node.when_clock_jumps(self._buffer.clear)
        node.when_inactive(tf2_ros.TransformListener(self._buffer, node).unregister)

    def matrix(self, frame_id: str, stamp: Time, hint: str) -> NDArray[np.float64]:
        """target_from_frame (4, 4) at a stamp; raises InputError, with a hint at what to do."""
        when = RosTime.from_msg(stamp)
        try:
            found = self._buffer.lookup_transform(self._target, frame_id, when, self._timeout)
        except tf2_ros.TransformException as error:
            raise InputError(
                f"no transform from '{frame_id}' to target_frame '{self._target}' ({error}); {hint}"
            ) from error
        return matrix(found)


class BodyFramesPublisher:
    """Everybody's body frame on /tf, and the joints' where asked for.

    `node`: publishes, while it is active.
    `joints`: whether joints get frames too.
    """

    def __init__(self, node: ManagedNode, joints: bool) -> None:
        self._joints = joints
        self._transforms = node.publisher(TFMessage, "/tf", qos.TRANSFORMS)

    def publish(self, header: Any, people: Sequence[Skeleton]) -> None:
        """Send the frames of people in the frame and at the stamp of a header."""
        names, poses = frames_of(people, self._joints)
        if names:
            sender = TransformSender([(header.frame_id, name) for name in names])
            self._transforms.publish(sender.fill(to_seconds(header.stamp), poses))


class Ros4HriPublisher:
    """``humans/bodies/tracked`` and everybody's ``humans/bodies/ID/skeleton2d``.

    Raises ConfigError if hri_msgs is not installed.
    """

    def __init__(self, node: ManagedNode) -> None:
        try:
            self._msg: Any = importlib.import_module("hri_msgs.msg")
        except ImportError as error:
            raise ConfigError(
                f"parameter 'ros4hri' needs the package hri_msgs ({error}); install "
                "ros-<distribution>-hri-msgs, or set it to false"
            ) from error
        self._node = node
        self._ids = node.publisher(self._msg.IdsList, "humans/bodies/tracked", qos.STREAM)
        self._skeletons: dict[str, Publisher] = {}

    def publish(self, header: Any, picture: Any, detections: Detections) -> None:
        """Send who is there, and where in the picture."""
        self._ids.publish(self._msg.IdsList(header=header, ids=list(detections.names)))
        for name in [name for name in self._skeletons if name not in detections.names]:
            self._node.destroy_publisher(self._skeletons.pop(name))
        camera = detections.view.camera
        for name, pixels, confidence in zip(
            detections.names, detections.pixels, detections.confidence, strict=True
        ):
            points = key_points(
                pixels, confidence, detections.layout, (camera.width, camera.height)
            )
            message = self._msg.Skeleton2D(
                header=picture,
                skeleton=[
                    self._msg.NormalizedPointOfInterest2D(x=x, y=y, c=c)
                    for x, y, c in points.tolist()
                ],
            )
            if name not in self._skeletons:
                self._skeletons[name] = self._node.create_publisher(
                    self._msg.Skeleton2D, f"humans/bodies/{name}/skeleton2d", qos.STREAM
                )
            self._skeletons[name].publish(message)

    def close(self) -> None:
        """Withdraw everybody's topic."""
        while self._skeletons:
            self._node.destroy_publisher(self._skeletons.popitem()[1])
