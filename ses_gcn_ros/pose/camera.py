"""Cameras: intrinsics with distortion, where they stand, and whom they detect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import InputError

_COEFFICIENTS = {  # numbers of coefficients by distortion model
    "": (0,),
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (8,),
    "equidistant": (4,),
}
# Camera body axes (x forward, y left, z up; REP-103) from the optical ones (x right, y down).
BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Camera:
    """Pinhole camera with lens distortion; optical frame x right, y down, z forward.

    Attributes
    ----------
    width, height : int
        Image size [px].
    fx, fy, cx, cy : float
        Focal lengths and principal point [px].
    distortion : tuple of float
        Coefficients of the distortion model, in OpenCV's order.
    model : str
        "plumb_bob", "rational_polynomial" or "equidistant" (fisheye), as in CameraInfo.
    assumed : bool
        Whether this is a guess from an angle of view and not a calibration.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    model: str = "plumb_bob"
    assumed: bool = False

    def normalise(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Undistorted image coordinates at unit depth, shape (..., 2), of pixels (..., 2)."""
        points = np.asarray(pixels, dtype=np.float64)
        if not any(self.distortion):
            return (points - (self.cx, self.cy)) / (self.fx, self.fy)
        undistort = cv2.fisheye.undistortPoints if self._fisheye else cv2.undistortPoints
        flat = undistort(points.reshape(-1, 1, 2), self._matrix, np.asarray(self.distortion))
        return np.asarray(flat, dtype=np.float64).reshape(points.shape)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of points (..., 3) [m] in the optical frame; NaN behind the camera."""
        given = np.asarray(points, dtype=np.float64)
        flat = given.reshape(-1, 3)
        pixels = np.full((len(flat), 2), np.nan)
        ahead = flat[:, 2] > 0.0
        if ahead.any():
            project = cv2.fisheye.projectPoints if self._fisheye else cv2.projectPoints
            still = np.zeros(3)
            distortion = np.asarray(self.distortion or (0.0,) * 4)
            seen = flat[ahead].reshape(-1, 1, 3)
            found, _ = project(seen, still, still, self._matrix, distortion)
            pixels[ahead] = found.reshape(-1, 2)
        return pixels.reshape(*given.shape[:-1], 2)

    @property
    def _matrix(self) -> NDArray[np.float64]:
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def _fisheye(self) -> bool:
        return self.model == "equidistant"


def camera_from_view(width: int, height: int, field_of_view: float) -> Camera:
    """Distortion-free camera of a horizontal angle of view [deg], its centre the image's."""
    focal = 0.5 * width / math.tan(math.radians(field_of_view) / 2.0)
    return Camera(width, height, focal, focal, width / 2.0, height / 2.0, assumed=True)


def camera_from_calibration(
    width: int, height: int, matrix: ArrayLike, distortion: Sequence[float], model: str
) -> Camera:
    """Camera of a calibration as CameraInfo carries it: K (9 values, row by row) and D.

    Raises
    ------
    InputError
        If the camera is not calibrated or its distortion model is unknown.
    """
    k = np.asarray(matrix, dtype=np.float64).reshape(3, 3)
    if not (np.isfinite(k).all() and k[0, 0] > 0.0 and k[1, 1] > 0.0):
        raise InputError(
            f"camera_info has focal lengths {k[0, 0]:g} and {k[1, 1]:g} px; calibrate the camera"
        )
    if model not in _COEFFICIENTS:
        raise InputError(
            f"camera_info has distortion model '{model}'; "
            f"known are {', '.join(name for name in _COEFFICIENTS if name)}"
        )
    if len(distortion) not in _COEFFICIENTS[model] or not np.isfinite(distortion).all():
        raise InputError(
            f"camera_info has {len(distortion)} distortion coefficients; model '{model}' takes "
            f"{' or '.join(str(n) for n in _COEFFICIENTS[model])} finite ones"
        )
    coefficients = tuple(float(value) for value in distortion)
    return Camera(
        width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2], coefficients, model or "plumb_bob"
    )


def target_from_optical(pose: Sequence[float]) -> NDArray[np.float64]:
    """Optical frame in the target frame, 4×4, of a camera at x, y, z [m], roll, pitch, yaw [rad].

    The angles turn the camera's body (x forward, y left, z up), about fixed axes x, y, z in turn.
    """
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("xyz", pose[3:]).as_matrix() @ BODY_FROM_OPTICAL
    transform[:3, 3] = pose[:3]
    return transform


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


@dataclass(frozen=True, eq=False)
class Detections:
    """Everybody in one picture.

    Attributes
    ----------
    view : View
        The camera and its place.
    layout : str
        Joint layout.
    pixels : NDArray, shape (N, J, 2)
        Joints [px]; NaN where unseen.
    confidence : NDArray, shape (N, J)
        Confidence per joint, 0 where unseen.
    names : tuple of str
        What the camera's own node calls them; tells who is who from one frame to the next.
    """

    view: View
    layout: str
    pixels: NDArray[np.float64]
    confidence: NDArray[np.float64]
    names: tuple[str, ...]
