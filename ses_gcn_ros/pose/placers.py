"""Where the third dimension comes from: a table of placers, one per `mode`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.models.lifting_weights import read_lifting_weights
from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.depth import check_aligned
from ses_gcn_ros.pose.image_history import ImageHistory
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.lifting import Lifter
from ses_gcn_ros.pose.placement import place
from ses_gcn_ros.pose.rgbd import place_with_depth
from ses_gcn_ros.skeleton import mapping

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
