"""A camera at a place: what cells with several cameras, and virtual ones, are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.pose.camera import Camera


@dataclass(frozen=True, eq=False)
class View:
    """A camera and where it stands.

    Attributes
    ----------
    camera : Camera
        Its intrinsics.
    base_from_camera : NDArray, shape (4, 4)
        Its optical frame in the frame of the cell.
    """

    camera: Camera
    base_from_camera: NDArray[np.float64]

    @cached_property
    def camera_from_base(self) -> NDArray[np.float64]:
        """Frame of the cell in the optical frame, shape (4, 4)."""
        inverse = np.eye(4)
        rotation = self.base_from_camera[:3, :3].T
        inverse[:3, :3] = rotation
        inverse[:3, 3] = -rotation @ self.base_from_camera[:3, 3]
        return inverse

    @property
    def place(self) -> NDArray[np.float64]:
        """Where the camera is in the cell, shape (3,) [m]."""
        return self.base_from_camera[:3, 3]

    def to_camera(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the cell in the optical frame."""
        transform = self.camera_from_base
        return np.asarray(np.asarray(points) @ transform[:3, :3].T + transform[:3, 3])

    def to_base(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the optical frame in the cell."""
        transform = self.base_from_camera
        return np.asarray(np.asarray(points) @ transform[:3, :3].T + transform[:3, 3])

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of points (..., 3) of the cell; NaN behind the camera."""
        return self.camera.project(self.to_camera(points))
