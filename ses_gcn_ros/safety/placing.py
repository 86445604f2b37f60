"""Places as descriptions of robots and zones give them."""

from __future__ import annotations

from math import cos, sin

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pose_from_xyz_rpy(xyz: ArrayLike, rpy: ArrayLike) -> NDArray[np.float64]:
    """Pose from a position and angles about fixed axes, as in URDF.

    Parameters
    ----------
    xyz : array_like, shape (3,)
        Position [m].
    rpy : array_like, shape (3,)
        Turns about the parent's x, then y, then z [rad].

    Returns
    -------
    ndarray, shape (4, 4)
        parent_from_child.
    """
    roll, pitch, yaw = np.asarray(rpy, np.float64).tolist()
    about_x = [[1.0, 0.0, 0.0], [0.0, cos(roll), -sin(roll)], [0.0, sin(roll), cos(roll)]]
    about_y = [[cos(pitch), 0.0, sin(pitch)], [0.0, 1.0, 0.0], [-sin(pitch), 0.0, cos(pitch)]]
    about_z = [[cos(yaw), -sin(yaw), 0.0], [sin(yaw), cos(yaw), 0.0], [0.0, 0.0, 1.0]]
    pose = np.eye(4)
    pose[:3, :3] = np.array(about_z) @ about_y @ about_x
    pose[:3, 3] = xyz
    return pose
