"""From an image to everybody's skeleton: landmarks, placement, identity, size, smoothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.models.lifting_weights import read_lifting_weights
from ses_gcn_ros.pose.camera import Camera, Detections, View
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.landmarker import Landmarks, PoseLandmarker, locate_model
from ses_gcn_ros.pose.lifting import ImageHistory, Lifter
from ses_gcn_ros.pose.placement import BodyScaleEstimator, place
from ses_gcn_ros.pose.rgbd import check_aligned, place_with_depth
from ses_gcn_ros.pose.smoothing import BoneLengthFilter, OneEuroFilter
from ses_gcn_ros.pose.tracking import Tracker
from ses_gcn_ros.skeleton import Skeleton, convert, mapping

_RESTART = 1.0  # s that a stamp may lie back before it means that the recording starts over


_LIFTING_FPS = 25.0  # Hz, of the images that the lifting networks are trained on
_DEPTH_SIGMA = 0.01  # share of the distance that a depth camera is off


@dataclass(frozen=True, eq=False)
class Placed:
    """Everybody in the optical frame; J joints of the placer's layout.

    Attributes
    ----------
    positions : NDArray, shape (N, J, 3)
        [m]. A joint may have an estimate although it counts as unseen.
    confidence : NDArray, shape (N, J)
        0 where a joint is unseen.
    ray_sigma : NDArray, shape (N,)
        Standard deviation of each person's distance from the camera [m]; NaN for who can't be
        placed.
    """

    positions: NDArray[np.float64]
    confidence: NDArray[np.float64]
    ray_sigma: NDArray[np.float64]


class Placer(Protocol):
    """Gives landmarks their third dimension.

    Attributes
    ----------
    layout : str
        Joint layout of what it gives.
    needs_depth : bool
        Whether `place` must be given a depth image.
    """

    layout: str
    needs_depth: bool

    def place(
        self,
        stamp: float,
        landmarks: Landmarks,
        camera: Camera,
        depth: NDArray[np.float32] | None,
    ) -> Placed:
        """Place everybody found in the image of time `stamp` [s].

        `depth` (H, W) [m] is registered to the image.
        """
        ...


class MonocularPlacer:
    """Landmarks in metres, placed so that they project to where they are seen."""

    layout = "mediapipe33"
    needs_depth = False

    def __init__(self, config: PoseConfig) -> None:
        self._config = config

    def place(
        self,
        stamp: float,
        landmarks: Landmarks,
        camera: Camera,
        depth: NDArray[np.float32] | None,
    ) -> Placed:
        """Place everybody by the landmarks alone."""
        pixels, visibility = landmarks.pixels, landmarks.visibility
        inside = np.all((pixels >= 0) & (pixels < (camera.width, camera.height)), axis=-1)
        seen = visibility >= self._config.min_visibility
        rays = camera.normalise(np.where(inside[..., None], pixels, (camera.cx, camera.cy)))
        weights = np.where(seen & inside, visibility, 0.0)
        size_known = self._config.body_height > 0.0
        placed = place(landmarks.world, rays, weights, size_known=size_known)
        return Placed(placed.positions, np.where(seen, visibility, 0.0), placed.ray_sigma)


class DepthPlacer:
    """Joints measured by a depth camera, hidden ones filled in from the body's shape."""

    layout = "mediapipe33"
    needs_depth = True

    def __init__(self, config: PoseConfig) -> None:
        self._config = config

    def place(
        self,
        stamp: float,
        landmarks: Landmarks,
        camera: Camera,
        depth: NDArray[np.float32] | None,
    ) -> Placed:
        """Place everybody who has depth."""
        if depth is None:
            raise InputError("mode 'rgbd' got an image without depth; give the one of its time")
        check_aligned(depth, camera)
        positions, confidence = place_with_depth(
            landmarks.world,
            landmarks.pixels,
            landmarks.visibility,
            depth,
            camera,
            min_visibility=self._config.min_visibility,
        )
        distance = np.full(len(positions), np.nan)
        known = (confidence > 0.0).any(axis=1)
        distance[known] = np.nanmean(np.linalg.norm(positions[known], axis=-1), axis=1)
        return Placed(positions, confidence, _DEPTH_SIGMA * distance)


class LiftingPlacer:
    """Joints of the last images lifted by a trained network, which learned bodies from motion.

    It needs no landmarks in metres, so that any detector of joints in the image would do.
    """

    layout = "chico15"
    needs_depth = False

    def __init__(self, config: PoseConfig) -> None:
        self._config = config
        self._lifter = Lifter(
            read_lifting_weights(config.lifting_weights) if config.lifting_weights else None
        )
        if self._lifter.layout != self.layout:
            raise ConfigError(
                f"lifting weights '{config.lifting_weights}' are for layout "
                f"{self._lifter.layout}; mode 'lifting' takes {self.layout}"
            )
        self._history = ImageHistory(self._lifter.frames, _LIFTING_FPS)
        self._joints = mapping("mediapipe33", self.layout)

    def place(
        self,
        stamp: float,
        landmarks: Landmarks,
        camera: Camera,
        depth: NDArray[np.float32] | None,
    ) -> Placed:
        """Place everybody by where the joints were in the last images."""
        pixels = landmarks.pixels
        inside = np.all((pixels >= 0) & (pixels < (camera.width, camera.height)), axis=-1)
        seen = inside & (landmarks.visibility >= self._config.min_visibility)
        visibility = np.where(seen, landmarks.visibility, 0.0)
        # A joint that is made of several is seen when all of them are.
        made_of = self._joints > 0.0
        confidence = np.where(made_of, visibility[:, None, :], 1.0).min(axis=-1)
        rays = camera.normalise(np.where(inside[..., None], pixels, (camera.cx, camera.cy)))
        rays = np.where(confidence[..., None] > 0.0, self._joints @ rays, np.nan)
        past, trust = self._history.add(stamp, rays, confidence)
        joints = self._lifter.lift(past, trust)
        lifted = np.asarray(np.isfinite(joints).all(axis=(1, 2)))
        placed = place(
            np.where(lifted[:, None, None], joints, 0.0),
            rays,
            np.where(lifted[:, None], confidence, 0.0),
            size_known=self._config.body_height > 0.0,
            upright=True,
        )
        return Placed(placed.positions, confidence, placed.ray_sigma)


_PLACERS: dict[str, Callable[[PoseConfig], Placer]] = {
    "monocular": MonocularPlacer,
    "rgbd": DepthPlacer,
    "lifting": LiftingPlacer,
}


def make_placer(config: PoseConfig) -> Placer:
    """The placer of the configured `mode`."""
    return _PLACERS[config.mode](config)


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

        def make_memory() -> tuple[BodyScaleEstimator, BoneLengthFilter, OneEuroFilter]:
            return (
                BodyScaleEstimator(height),
                BoneLengthFilter(self._placer.layout),
                OneEuroFilter(config.smoothing_cutoff, config.smoothing_beta),
            )

        self._tracker = Tracker(config, make_memory)
        self.ray_sigma = np.zeros(0)  # m, of everybody in the last image
        self.detections: Detections | None = None  # the same people in the image, by the same names

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
        self.detections = Detections(
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
