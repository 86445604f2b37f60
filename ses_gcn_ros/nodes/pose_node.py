"""image, video or webcam → skeletons in metres; the newest image wins, a bad one is counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tf2_ros
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time as RosTime
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ses_gcn_ros import msg
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import skeletons_to_msg, to_seconds, to_time
from ses_gcn_ros.nodes.managed_node import STEADY, ManagedNode, run
from ses_gcn_ros.pose.camera import (
    Camera,
    camera_from_calibration,
    camera_from_view,
    target_from_optical,
)
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import PoseEstimator
from ses_gcn_ros.pose.images import decode_compressed, decode_image
from ses_gcn_ros.pose.sources import Frame, NewestFrame, VideoFile, Webcam
from ses_gcn_ros.pose.worker import Outcome, Source, Worker

_SILENCE = 1.0  # s without an image after which it is diagnosed
_FAREWELL = Duration(seconds=1)  # for the last skeletons to reach everybody


@dataclass(frozen=True, eq=False)
class _Arrival:
    """An image message and when it came in [ns, system clock]."""

    message: Image | CompressedImage
    nanoseconds: int


class PoseNode(ManagedNode):
    """Find everybody in the images and publish `skeletons`."""

    config: PoseConfig

    def __init__(self) -> None:
        super().__init__("pose_node", PoseConfig)
        self.estimator: PoseEstimator | None = None
        self.worker: Worker[Any, msg.SkeletonArray] | None = None

    def configure(self) -> None:
        """Load the landmark model."""
        self.estimator = PoseEstimator(self.config)
        self.people = 0
        self.camera: Camera | None = None

    def activate(self) -> None:
        """Open the source and publish."""
        assert self.estimator is not None
        self.estimator.restart()
        source = self._open_source()  # first: what is missing is told before anything is open
        self.heard = time.monotonic()
        self.skeletons = self.while_active(
            self.create_publisher(msg.SkeletonArray, "skeletons", qos.STREAM)
        )
        self.tf_buffer = tf2_ros.Buffer()
        self.tf_listener = tf2_ros.TransformListener(self.tf_buffer, self)
        self.deliver = self.guarded(self.on_outcome)
        self.wake = self.create_guard_condition(self.on_wake)
        self.worker = Worker(source, self._estimate, self.wake.trigger)
        self.begin = self.while_active(self.create_timer(0.02, self.on_begin, clock=STEADY))

    def deactivate(self) -> None:
        """End the worker and its source."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None
        self.destroy_guard_condition(self.wake)
        self.tf_listener.unregister()

    def release(self) -> None:
        """Give the model's memory back and end its threads."""
        if self.estimator is not None:
            self.estimator.close()
            self.estimator = None

    def _open_source(self) -> Source[Any]:
        config = self.config
        if config.source == "video":
            return VideoFile(config.video, config.realtime, self.now)
        if config.source == "webcam":
            return Webcam(config.webcam, self.now)
        newest: NewestFrame[_Arrival] = NewestFrame()
        profile = QoSProfile(depth=5, reliability=ReliabilityPolicy[config.reliability.upper()])
        kind, topic = Image, "image"
        if config.source == "compressed":
            kind, topic = CompressedImage, "image/compressed"

        def on_image(message: Image | CompressedImage, info: dict[str, int]) -> None:
            newest.put(_Arrival(message, info["received_timestamp"]))

        self.while_active(self.create_subscription(kind, topic, on_image, profile))
        self.while_active(
            self.create_subscription(CameraInfo, "camera_info", self.on_camera_info, profile)
        )
        return newest

    # In the executor's thread -----------------------------------------------------------------

    def on_begin(self) -> None:
        """Start working once enough listeners are there."""
        if self.skeletons.get_subscription_count() >= self.config.subscribers:
            self.begin.cancel()
            self.heard = time.monotonic()
            assert self.worker is not None
            self.worker.start()

    def on_camera_info(self, message: CameraInfo) -> None:
        """Take the calibration over, if it is one."""
        try:
            self.camera = camera_from_calibration(
                message.width, message.height, message.k, message.d, message.distortion_model
            )
        except InputError as error:
            self.monitor.fail("camera_info")
            self.get_logger().warning(str(error), throttle_duration_sec=2.0)

    def on_wake(self) -> None:
        """Publish what the worker has ready; see to the end of a video."""
        worker = self.worker
        if worker is None:
            return
        ended = worker.ended  # before taking: what comes later is taken at the next wake
        for outcome in worker.take():
            arrived = getattr(outcome.frame, "nanoseconds", None) or time.time_ns()
            self.deliver(outcome, {"received_timestamp": arrived})
        if ended:
            self.get_logger().info(f"{self.config.source} has ended")
            if self.config.exit_at_end:
                self.skeletons.wait_for_all_acked(_FAREWELL)
                self.finish()

    def on_outcome(self, outcome: Outcome[Any, msg.SkeletonArray]) -> None:
        """Publish a result; raise the error that took its place."""
        self.heard = time.monotonic()
        if outcome.error is not None:
            raise outcome.error
        assert outcome.result is not None
        self.people = len(outcome.result.skeletons)
        self.skeletons.publish(outcome.result)

    # In the worker's thread -------------------------------------------------------------------

    def _estimate(self, frame: Frame | _Arrival) -> msg.SkeletonArray:
        assert self.estimator is not None
        if isinstance(frame, Frame):
            stamp, frame_id, rgb = to_time(frame.stamp), "", frame.rgb
        else:
            stamp, frame_id = frame.message.header.stamp, frame.message.header.frame_id
            rgb = _decode(frame.message)
        frame_id = frame_id or self.config.camera_frame
        people = self.estimator.process(
            to_seconds(stamp), rgb, self._camera_of(rgb), self._transform(stamp, frame_id)
        )
        return skeletons_to_msg(stamp, self.config.target_frame or frame_id, people)

    def _camera_of(self, rgb: NDArray[np.uint8]) -> Camera:
        if self.camera is not None:
            return self.camera
        if not self.config.field_of_view:
            raise InputError(
                "no camera_info has come yet; publish it beside the images, or set 'field_of_view' "
                "to the camera's horizontal angle of view in degrees"
            )
        return camera_from_view(rgb.shape[1], rgb.shape[0], self.config.field_of_view)

    def _transform(self, stamp: Time, frame_id: str) -> NDArray[np.float64] | None:
        target = self.config.target_frame
        if target in ("", frame_id):
            return None
        if self.config.camera_pose:
            return target_from_optical(self.config.camera_pose)
        timeout = Duration(seconds=self.config.tf_timeout)
        try:
            found = self.tf_buffer.lookup_transform(
                target, frame_id, RosTime.from_msg(stamp), timeout
            ).transform
        except tf2_ros.TransformException as error:
            raise InputError(
                f"no transform from '{frame_id}' to target_frame '{target}' ({error}); "
                "publish it, or set 'camera_pose'"
            ) from error
        transform = np.eye(4)
        turn, move = found.rotation, found.translation
        transform[:3, :3] = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
        transform[:3, 3] = move.x, move.y, move.z
        return transform

    # Diagnostics ------------------------------------------------------------------------------

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """People, dropped images, camera, and how sure the distances are."""
        if self.estimator is None:
            return DiagnosticStatus.WARN, "not configured", {}
        if self.worker is None:
            return DiagnosticStatus.OK, "not active", {}
        view = f"assumed, {self.config.field_of_view:g}° wide"
        values = {
            "people": self.people,
            "dropped": self.worker.source.dropped,
            "distance_sigma_m": " ".join(f"{sigma:.2f}" for sigma in self.estimator.ray_sigma),
            "camera": "calibrated" if self.camera else view,
            "model": self.config.model,
        }
        silent = time.monotonic() - self.heard
        if self.worker.ended:
            return DiagnosticStatus.OK, f"{self.config.source} has ended", values
        if not self.begin.is_canceled():
            return DiagnosticStatus.OK, "waiting for listeners", values
        if silent > _SILENCE:
            return DiagnosticStatus.ERROR, f"no image for {silent:.1f} s", values
        if self.monitor.problems:
            return DiagnosticStatus.WARN, "some images could not be used", values
        if self.camera is None:
            return DiagnosticStatus.WARN, f"no camera_info: camera {view}", values
        return DiagnosticStatus.OK, "watching", values


def _decode(message: Image | CompressedImage) -> NDArray[np.uint8]:
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data)
    return decode_image(
        message.data,
        message.height,
        message.width,
        message.encoding,
        message.step,
        bool(message.is_bigendian),
    )


def main(args: list[str] | None = None) -> int:
    """Entry point of ``ros2 run ses_gcn_ros pose_node``."""
    return run(lambda: [PoseNode()], args)
