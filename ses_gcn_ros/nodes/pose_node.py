"""Images, a video or a webcam → skeletons in metres; the newest image wins, bad ones count."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.duration import Duration

from ses_gcn_ros import msg
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import skeletons_to_msg, to_seconds, to_time
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.nodes.pose_messages import (
    Arrival,
    BodyFramesPublisher,
    ImageTopics,
    Ros4HriPublisher,
    TransformLookup,
    landmarks_to_msg,
)
from ses_gcn_ros.pose.camera import (
    Camera,
    CameraMotionDetector,
    Detections,
    camera_from_view,
    target_from_optical,
)
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.depth import decode_depth_message
from ses_gcn_ros.pose.estimator import PoseEstimator
from ses_gcn_ros.pose.images import FrozenCamera, decode_image_message
from ses_gcn_ros.pose.sources import Frame, Source, VideoFile, VideoOutcome, Webcam, Worker
from ses_gcn_ros.skeleton import Skeleton

_SILENCE, _LOUD_SILENCE = 1.0, 1.9  # s without an image after which it is diagnosed, and logged
_FAREWELL = Duration(seconds=1)  # for the last skeletons to reach everybody


class PoseAnswer(NamedTuple):
    """What is published for one image."""

    skeletons: msg.SkeletonArray
    landmarks: msg.LandmarksArray
    people: Sequence[Skeleton]
    detections: Detections


class PoseNode(ManagedNode):
    """Find everybody in the images and publish `skeletons`."""

    config_type = PoseConfig
    config: PoseConfig

    def __init__(self) -> None:
        super().__init__()
        self.estimator: PoseEstimator | None = None
        self.worker: Worker[Any, PoseAnswer] | None = None

    def configure(self) -> None:
        """Load the landmark model."""
        self.estimator = PoseEstimator(self.config)
        self.people = 0
        config = self.config
        placed = "camera_pose" if config.camera_pose else "TF"
        where = f"in {config.target_frame} by {placed}" if config.target_frame else "in its frame"
        self.get_logger().info(
            f"model {config.model}, {config.source} of {config.camera_frame}, people {where}; "
            f"{config.field_of_view:g}° wide unless camera_info says otherwise"
        )
        self.unpaired = 0  # images without depth, when the last one with depth was answered

    def activate(self) -> None:
        """Open the source and publish."""
        assert self.estimator is not None
        self.estimator.restart()
        self.motion = CameraMotionDetector()
        self.frozen = FrozenCamera(self.config.identical_pictures)
        source = self._open_source()  # first: what is missing is told before anything is open
        self.answered = time.monotonic()
        self.skeletons = self.publisher(msg.SkeletonArray, "skeletons", qos.STREAM)
        self.landmarks = self.publisher(msg.LandmarksArray, "landmarks", qos.STREAM)
        frames, ros4hri = self.config.frames, self.config.ros4hri
        self.hri = Ros4HriPublisher(self) if ros4hri else None
        self.frames = None
        if ros4hri or frames != "none":
            self.frames = BodyFramesPublisher(self, joints=frames == "joints")
        self.transforms = TransformLookup(self, self.config.target_frame, self.config.tf_timeout)
        self.worker = Worker(source, self._estimate, self._wake)
        self.begin = self.every(0.02, self.on_begin)

    def deactivate(self) -> None:
        """End the worker and its source."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None
        if self.hri is not None:
            self.hri.close()

    def release(self) -> None:
        """Give the model's memory back and end its threads."""
        if self.estimator is not None:
            self.estimator.close()
            self.estimator = None

    def _open_source(self) -> Source[Any]:
        config = self.config
        if config.source == "video":
            return VideoFile(config.video, config.realtime, self.now, config.loop)
        if config.source == "webcam":
            return Webcam(config.webcam, self.now)
        tolerance = config.depth_tolerance if config.mode == "rgbd" else None
        return ImageTopics(self, config.source == "compressed", config.reliability, tolerance)

    # In the executor's thread -----------------------------------------------------------------

    def on_begin(self) -> None:
        """Start working once enough subscribers are there."""
        if self.skeletons.get_subscription_count() >= self.config.subscribers:
            self.begin.cancel()
            self.answered = time.monotonic()
            assert self.worker is not None
            self.worker.start()

    def on_wake(self) -> None:
        """Publish what the worker has ready; see to the end of a video."""
        worker = self.worker
        if worker is None:
            return
        ended = worker.ended  # before taking: what comes later is taken at the next wake
        for outcome in worker.take():
            self.attempt(self.on_outcome, outcome, getattr(outcome.frame, "arrived", None))
        if ended:
            self.get_logger().info(f"{self.config.source} has ended")
            if self.config.exit_at_end:
                self.skeletons.wait_for_all_acked(_FAREWELL)
                self.finish()

    def on_outcome(self, outcome: VideoOutcome[Any, PoseAnswer]) -> None:
        """Publish a result; raise the error that took its place."""
        self.answered = time.monotonic()
        assert self.worker is not None
        self.unpaired = getattr(self.worker.source, "unpaired", 0)
        if outcome.error is not None:
            raise outcome.error
        assert outcome.result is not None
        answer = outcome.result
        header = answer.skeletons.header
        self.people = len(answer.people)
        self.skeletons.publish(answer.skeletons)
        if self.landmarks.get_subscription_count():
            self.landmarks.publish(answer.landmarks)
        if self.frames is not None:
            self.frames.publish(header, answer.people)
        if self.hri is not None:
            self.hri.publish(header, answer.landmarks.header, answer.detections)

    # In the worker's threads ------------------------------------------------------------------

    def _wake(self) -> None:
        executor = self.executor
        if executor is not None:
            executor.create_task(self.on_wake)

    def _estimate(self, frame: Frame | Arrival) -> Future[PoseAnswer]:
        estimator = self.estimator
        assert estimator is not None
        depth = None
        if isinstance(frame, Frame):
            stamp, frame_id, rgb = to_time(frame.stamp), "", frame.rgb
        else:
            stamp, frame_id = frame.message.header.stamp, frame.message.header.frame_id
            self.frozen.check(frame.message.data)
            rgb = decode_image_message(frame.message)
            depth = None if frame.depth is None else decode_depth_message(frame.depth)
        frame_id = frame_id or self.config.camera_frame

        def answer(people: Sequence[Skeleton]) -> PoseAnswer:
            detections = estimator.detections
            assert detections is not None
            if self.config.target_frame:
                self.motion.update(to_seconds(stamp), rgb, detections.pixels)
            return PoseAnswer(
                skeletons_to_msg(stamp, self.config.target_frame or frame_id, people),
                landmarks_to_msg(stamp, frame_id, detections),
                people,
                detections,
            )

        camera, placed = self._camera_of(rgb), self._transform(stamp, frame_id)
        return estimator.begin(answer, to_seconds(stamp), rgb, camera, placed, depth)

    def _calibration(self) -> tuple[Camera | None, str, str]:
        """The camera, why its last camera_info was refused, and what is missing without one."""
        source = self.worker.source if self.worker is not None else None
        if isinstance(source, ImageTopics):
            return source.camera, source.refused, source.missing
        return None, "", "no camera_info"

    def _camera_of(self, rgb: NDArray[np.uint8]) -> Camera:
        camera, refused, missing = self._calibration()
        if camera is not None:
            return camera
        if refused:
            raise InputError(refused)
        if not self.config.field_of_view:
            raise InputError(
                f"{missing} has come; publish a calibration beside the images, or set "
                "'field_of_view' to the camera's horizontal angle of view in degrees"
            )
        return camera_from_view(rgb.shape[1], rgb.shape[0], self.config.field_of_view)

    def _transform(self, stamp: Time, frame_id: str) -> NDArray[np.float64] | None:
        if self.config.target_frame in ("", frame_id):
            return None
        if self.config.camera_pose:
            return target_from_optical(self.config.camera_pose)
        return self.transforms.matrix(frame_id, stamp, "publish it, or set 'camera_pose'")

    # Diagnostics ------------------------------------------------------------------------------

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """People, dropped images, camera, and how sure the distances are."""
        assert self.estimator is not None
        assert self.worker is not None
        camera, refused, missing = self._calibration()
        view = f"assumed, {self.config.field_of_view:g}° wide"
        values = {
            "people": self.people,
            "dropped": self.worker.source.dropped,
            "distance_sigma_m": " ".join(f"{sigma:.2f}" for sigma in self.estimator.ray_sigma),
            "camera": "calibrated" if camera else "refused" if refused else view,
            "model": f"{self.config.model} on the {self.estimator.delegate}",
            "mode": self.config.mode,
        }
        unpaired = getattr(self.worker.source, "unpaired", 0)
        if self.config.mode == "rgbd":
            values["without_depth"] = unpaired
        silent = time.monotonic() - self.answered
        if self.worker.ended:
            return DiagnosticStatus.OK, f"{self.config.source} has ended", values
        if not self.begin.is_canceled():
            return DiagnosticStatus.OK, "waiting for listeners", values
        if refused or not (camera or self.config.field_of_view):
            text = refused or f"{missing}, and 'field_of_view' is 0"
            return DiagnosticStatus.ERROR, text, values
        if silent > _SILENCE and unpaired > self.unpaired:
            text = f"no depth within {self.config.depth_tolerance:g} s of the images"
            return DiagnosticStatus.ERROR, text, values
        if silent > _SILENCE:
            text = f"no image for {silent:.1f} s"
            if isinstance(self.worker.source, ImageTopics):
                text += f": {self.worker.source.why_silent()}"
            if silent > _LOUD_SILENCE:
                self.get_logger().warning(text, throttle_duration_sec=30.0)
            return DiagnosticStatus.ERROR, text, values
        if self.motion.moved:
            far = self.motion.shift
            way = f"by {far:.0f} px" if math.isfinite(far) else "to another view"
            text = f"camera moved {way} since the start; calibrate again, skeletons are elsewhere"
            return DiagnosticStatus.ERROR, text, values
        if self.estimator.off_floor:
            text = (
                "feet are not on the floor of "
                f"'{self.config.target_frame}' at {self.config.floor_height:g} m; set floor_height"
            )
            return DiagnosticStatus.WARN, text, values
        if self.statistics.problems:
            text = f"some images could not be used: {self.statistics.last}"
            return DiagnosticStatus.WARN, text, values
        if camera is None:
            return DiagnosticStatus.WARN, f"{missing}: camera {view}", values
        return DiagnosticStatus.OK, "watching", values
