"""From an image to everybody's skeleton: landmarks, placement, identity, size, smoothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.landmarker import Landmarks, PoseLandmarker
from ses_gcn_ros.pose.model_files import locate_model
from ses_gcn_ros.pose.placement import place
from ses_gcn_ros.pose.smoothing import OneEuroFilter
from ses_gcn_ros.pose.stature import SizeKeeper
from ses_gcn_ros.pose.tracking import Tracker
from ses_gcn_ros.skeleton import Skeleton, convert

_RESTART = 1.0  # s that a stamp may lie back before it means that the recording starts over


class PoseEstimator:
    """Skeletons in metres from the images of one camera. Close it when done.

    Parameters
    ----------
    config : PoseConfig
        Model, camera and filter settings.

    Raises
    ------
    ModelError
        If the model can't be had.
    """

    def __init__(self, config: PoseConfig) -> None:
        self._config = config
        self._landmarker = PoseLandmarker(locate_model(config.model), config)
        self._stamp: float | None = None
        self._camera: Camera | None = None

        def make_memory() -> tuple[SizeKeeper, OneEuroFilter]:
            return SizeKeeper(config.body_height), OneEuroFilter(
                config.smoothing_cutoff, config.smoothing_beta
            )

        self._tracker = Tracker(config, make_memory)
        self.ray_sigma = np.zeros(0)  # m, of everybody in the last image

    def process(
        self,
        stamp: float,
        rgb: NDArray[np.uint8],
        camera: Camera,
        target_from_camera: NDArray[np.float64] | None = None,
    ) -> list[Skeleton]:
        """Everybody in one more image.

        Parameters
        ----------
        stamp : float
            When the image was taken [s], after the one before. A stamp more than a second back
            starts over: everybody is new.
        rgb : NDArray, shape (H, W, 3), uint8
            The image.
        camera : Camera
            Its intrinsics.
        target_from_camera : NDArray, shape (4, 4), optional
            Camera's optical frame in the frame of the skeletons; by default that frame itself.

        Raises
        ------
        InputError
            If the image is of another size than the camera's, or its stamp is not after the last.
        """
        height, width = rgb.shape[:2]
        if (width, height) != (camera.width, camera.height):
            raise InputError(
                f"image is {width}×{height} px, but camera_info says "
                f"{camera.width}×{camera.height}; calibrate at the size that is sent"
            )
        elapsed = self._elapsed(stamp)
        if camera != self._camera:  # everybody would seem to jump
            self._tracker.forget()
            self._camera = camera
        landmarks = self._landmarker.detect(elapsed, rgb)
        transform = np.eye(4) if target_from_camera is None else target_from_camera
        return self._skeletons(stamp, landmarks, camera, transform)

    def restart(self) -> None:
        """Start over with the next image, whatever its stamp: everybody is new."""
        self._tracker.forget()
        self._stamp = None

    def close(self) -> None:
        """Release the model and end its threads."""
        self._landmarker.close()

    def _elapsed(self, stamp: float) -> float:
        last, self._stamp = self._stamp, stamp
        if last is None:
            return 0.0
        if stamp <= last - _RESTART:
            self.restart()
            self._stamp = stamp
            return 0.0
        if stamp <= last:
            self._stamp = last
            raise InputError(
                f"image stamp {stamp:.6f} s is not after the last one, {last:.6f} s; image ignored"
            )
        return stamp - last

    def _skeletons(
        self,
        stamp: float,
        landmarks: Landmarks,
        camera: Camera,
        target_from_camera: NDArray[np.float64],
    ) -> list[Skeleton]:
        config = self._config
        world, pixels = landmarks.world, landmarks.pixels
        inside = np.all((pixels >= 0) & (pixels < (camera.width, camera.height)), axis=-1)
        seen = landmarks.visibility >= config.min_visibility
        rays = camera.normalise(np.where(inside[..., None], pixels, (camera.cx, camera.cy)))
        weights = np.where(seen & inside, landmarks.visibility, 0.0)
        placed = place(world, rays, weights, size_known=config.body_height > 0.0)

        known = np.isfinite(placed.ray_sigma)
        self.ray_sigma = placed.ray_sigma[known]
        rotation, origin = target_from_camera[:3, :3], target_from_camera[:3, 3]
        people = placed.positions[known] @ rotation.T + origin
        tracks = self._tracker.assign(stamp, people, origin, self.ray_sigma)
        skeletons = []
        for track, joints, confidence, sight in zip(
            tracks, people, landmarks.visibility[known], seen[known], strict=True
        ):
            size, smoother = track.memory
            sized = size.fit(joints, origin)
            smooth = smoother.smooth(stamp, np.where(sight[:, None], sized, np.nan))
            positions, trust = convert(
                smooth, np.where(sight, confidence, 0.0), "mediapipe33", config.layout
            )
            skeletons.append(Skeleton(track.person_id, config.layout, positions, trust))
        return skeletons
