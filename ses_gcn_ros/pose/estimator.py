"""From an image to everybody's skeleton: landmarks, placement, identity, size, smoothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.association import Sighting
from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.landmarker import Landmarks, PoseLandmarker
from ses_gcn_ros.pose.limbs import LimbKeeper
from ses_gcn_ros.pose.model_files import locate_model
from ses_gcn_ros.pose.placers import make_placer
from ses_gcn_ros.pose.smoothing import OneEuroFilter
from ses_gcn_ros.pose.stature import SizeKeeper
from ses_gcn_ros.pose.tracking import Tracker
from ses_gcn_ros.pose.view import View
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

        self._placer = make_placer(config)
        height = config.body_height if config.mode in ("monocular", "lifting") else 0.0

        def make_memory() -> tuple[SizeKeeper, LimbKeeper, OneEuroFilter]:
            return (
                SizeKeeper(height),
                LimbKeeper(self._placer.layout),
                OneEuroFilter(config.smoothing_cutoff, config.smoothing_beta),
            )

        self._tracker = Tracker(config, make_memory)
        self.ray_sigma = np.zeros(0)  # m, of everybody in the last image
        self.sighting: Sighting | None = None  # the same people in the image, by the same names

    def process(
        self,
        stamp: float,
        rgb: NDArray[np.uint8],
        camera: Camera,
        target_from_camera: NDArray[np.float64] | None = None,
        depth: NDArray[np.float32] | None = None,
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
        depth : NDArray, shape (H, W), float32, optional
            Depth registered to the image [m], NaN where there is no data; for mode "rgbd".

        Raises
        ------
        InputError
            If the image is of another size than the camera's, its stamp is not after the last, or
            depth is missing or of another size.
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
        return self._skeletons(stamp, landmarks, camera, transform, depth)

    @property
    def delegate(self) -> str:
        """What the landmarker runs on, "cpu" or "gpu"."""
        return self._landmarker.delegate

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
        depth: NDArray[np.float32] | None,
    ) -> list[Skeleton]:
        layout, wanted = self._placer.layout, self._config.layout
        placed = self._placer.place(stamp, landmarks, camera, depth)
        known = np.isfinite(placed.ray_sigma)
        self.ray_sigma = placed.ray_sigma[known]
        rotation, origin = target_from_camera[:3, :3], target_from_camera[:3, 3]
        people = placed.positions[known] @ rotation.T + origin
        tracks = self._tracker.assign(stamp, people, origin, self.ray_sigma)
        self.sighting = Sighting(
            View(camera, target_from_camera),
            "mediapipe33",
            landmarks.pixels[known],
            landmarks.visibility[known],
            tuple(track.person_id for track in tracks),
        )
        skeletons = []
        for track, joints, confidence in zip(tracks, people, placed.confidence[known], strict=True):
            size, limbs, smoother = track.memory
            seen = np.where(confidence[:, None] > 0.0, size.fit(joints, origin), np.nan)
            smooth = smoother.smooth(stamp, limbs.fit(seen))
            positions, trust = convert(smooth, confidence, layout, wanted)
            skeletons.append(Skeleton(track.person_id, wanted, positions, trust))
        return skeletons
