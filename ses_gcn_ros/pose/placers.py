"""Where the third dimension comes from: a table of placers, one per `mode`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.depth import check_aligned
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.placement import place
from ses_gcn_ros.pose.rgbd import place_with_depth

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
        self, landmarks: Landmarks, camera: Camera, depth: NDArray[np.float32] | None
    ) -> Placed:
        """Place everybody found in an image; `depth` (H, W) [m] is registered to it."""
        ...


class MonocularPlacer:
    """Landmarks in metres, placed so that they project to where they are seen."""

    layout = "mediapipe33"
    needs_depth = False

    def __init__(self, config: PoseConfig) -> None:
        self._config = config

    def place(
        self, landmarks: Landmarks, camera: Camera, depth: NDArray[np.float32] | None
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
        self, landmarks: Landmarks, camera: Camera, depth: NDArray[np.float32] | None
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


_PLACERS: dict[str, Callable[[PoseConfig], Placer]] = {
    "monocular": MonocularPlacer,
    "rgbd": DepthPlacer,
}


def make_placer(config: PoseConfig) -> Placer:
    """The placer of the configured `mode`."""
    return _PLACERS[config.mode](config)
