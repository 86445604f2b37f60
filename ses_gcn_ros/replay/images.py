"""People in the images of a bag: the pose node's part of a replay."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.messages import Observation, to_seconds
from ses_gcn_ros.bags.reading import Bag
from ses_gcn_ros.errors import ConfigError, InputError, ModelError
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.transforms import TransformBuffer

if TYPE_CHECKING:
    from ses_gcn_ros.pose.camera import Camera
    from ses_gcn_ros.pose.estimator import PoseEstimator


class ImagePeople:
    """Find everybody in images as the pose node does, each image when its transform is known.

    Positions are in the target frame (the world by default) where transforms or the parameter
    ``camera_pose`` say where the camera is, else in the camera's optical frame. Close it when done.

    Parameters
    ----------
    bag : Bag
        Its calibration is read at once.
    topics : mapping
        The bag's names to ours.
    frames : mapping
        A frame of the bag to the name that it is to have here.
    world : str
        Target frame of a configuration that names none.

    Attributes
    ----------
    transforms : TransformBuffer
        Wants all transforms as they come, with our names of the frames.
    notes : list of str
        What has to be said about the camera.

    Raises
    ------
    ConfigError
        If the configuration asks for depth images.
    """

    def __init__(
        self,
        bag: Bag,
        topics: Mapping[str, str],
        config: PoseConfig,
        frames: Mapping[str, str],
        world: str,
    ) -> None:
        if config.mode == "rgbd":
            raise ConfigError(
                "pose mode is 'rgbd', but a replay finds people without depth images; "
                "take 'monocular' or 'lifting'"
            )
        self._config, self._frames = config, frames
        self._target = config.target_frame or world
        self._patience = config.tf_timeout if "/tf" in topics.values() else 0.0
        self._waiting: deque[tuple[float, Any]] = deque()
        self._estimator: PoseEstimator | None = None
        self._frame_id = ""
        self._adrift = ""
        self.transforms = TransformBuffer(self._target)
        self.notes: list[str] = []
        self._camera = self._calibration(bag, topics)

    def hear(self, content: Any, now: float) -> None:
        """Take in an Image or CompressedImage message that was recorded at `now` [s]."""
        self._waiting.append((now, content))

    def ready(self, now: float) -> Iterator[Observation | InputError]:
        """Everybody in the images whose transforms have come by `now` [s], or why that failed.

        An image waits for its transform as long as in the pose node (``tf_timeout``). Raises
        ModelError if the pose model can't be had.
        """
        while self._waiting:
            heard, content = self._waiting[0]
            stamp = to_seconds(content.header.stamp) or heard  # 0: in ROS, there is no time
            frame = content.header.frame_id or self._config.camera_frame
            frame = self._frames.get(frame, frame)
            placed = self._pose_of(frame, stamp)
            if isinstance(placed, InputError) and now - heard < self._patience:
                return
            self._waiting.popleft()
            if not isinstance(placed, InputError):
                yield self._people(content, stamp, frame, placed)
            elif self.transforms.joins(frame):
                yield placed
            else:
                yield self._people(content, stamp, frame, None)

    def close(self) -> None:
        """Release the model."""
        if self._estimator is not None:
            self._estimator.close()
            self._estimator = None

    def _pose_of(self, frame: str, stamp: float) -> NDArray[np.float64] | InputError:
        """target_from_camera at a stamp [s], or why it isn't known."""
        if self._config.camera_pose:
            from ses_gcn_ros.pose.camera import target_from_optical

            return target_from_optical(self._config.camera_pose)
        try:
            return self.transforms.pose(frame, stamp)
        except InputError as error:
            return error

    def _people(
        self, content: Any, stamp: float, frame: str, placed: NDArray[np.float64] | None
    ) -> Observation | InputError:
        from ses_gcn_ros.pose.camera import camera_from_view
        from ses_gcn_ros.pose.images import decode_image_message

        if placed is None and not self._adrift:
            self._adrift = frame
            self.notes.append(
                f"nothing says where the camera's frame '{frame}' is in '{self._target}'; people "
                "stay in the camera's frame, though forecasts want a frame with z up (record /tf, "
                "or give camera_pose and target_frame of pose_node in a parameter file)"
            )
        frame_id = frame if placed is None else self._target
        estimator = self._ready_estimator()
        if frame_id != self._frame_id:  # everybody would seem to jump
            estimator.restart()
            self._frame_id = frame_id
        try:
            rgb = decode_image_message(content)
            height, width = rgb.shape[:2]
            camera = self._camera or camera_from_view(width, height, self._config.field_of_view)
            return Observation(stamp, frame_id, estimator.process(stamp, rgb, camera, placed))
        except InputError as error:
            return error

    def _ready_estimator(self) -> PoseEstimator:
        if self._estimator is None:
            from ses_gcn_ros.pose.estimator import PoseEstimator

            self._estimator = PoseEstimator(self._config)
        return self._estimator

    def _calibration(self, bag: Bag, topics: Mapping[str, str]) -> Camera | None:
        """Camera of the first camera_info; a note if there is none that can be used."""
        try:
            from ses_gcn_ros.pose.camera import camera_from_info
        except ImportError as error:
            raise ModelError(
                f"the bag has images but no skeletons, and finding people in images needs "
                f"mediapipe and OpenCV ({error}); install requirements/pose.txt"
            ) from error
        reason = "no camera_info was recorded beside the images"
        names = {there: ours for there, ours in topics.items() if ours == "camera_info"}
        found = next((bag.decode(entry) for entry in bag.raw(names)), None) if names else None
        if found is not None:
            try:
                return camera_from_info(found)
            except InputError as error:
                reason = str(error)
        view = self._config.field_of_view
        if not view:
            raise ConfigError(
                f"{reason}, and field_of_view of pose_node is 0; set it to the camera's "
                "horizontal angle of view in degrees"
            )
        self.notes.append(f"{reason}; the camera is assumed to see {view:g}° wide")
        return None
