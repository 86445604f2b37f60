"""Messages, matrices and random trees that the tests of the transform buffer share."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import TransformStamped
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rclpy.time import Time
from scipy.spatial.transform import Rotation

PROPERTY = settings(derandomize=True, max_examples=60)

Matrix = NDArray[np.float64]
"""Rigid transform, shape (4, 4)."""


def at(seconds: float) -> Time:
    """Time in seconds since the epoch."""
    return Time(nanoseconds=round(seconds * 1e9))


def stamped(
    parent: str,
    child: str,
    seconds: float = 0.0,
    *,
    xyz: tuple[float, float, float] = (0.0, 0.0, 0.0),
    quaternion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0),
) -> TransformStamped:
    """Transform from `child` to `parent`; the quaternion in the order x, y, z, w."""
    msg = TransformStamped()
    msg.header.frame_id = parent
    msg.header.stamp = at(seconds).to_msg()
    msg.child_frame_id = child
    t, r = msg.transform.translation, msg.transform.rotation
    t.x, t.y, t.z = map(float, xyz)
    r.x, r.y, r.z, r.w = map(float, quaternion)
    return msg


def about_z(degrees: float) -> tuple[float, float, float, float]:
    """Quaternion of a turn about z."""
    half = np.radians(degrees) / 2.0
    return 0.0, 0.0, float(np.sin(half)), float(np.cos(half))


def translation(msg: TransformStamped) -> list[float]:
    """Translation x, y, z of a message."""
    t = msg.transform.translation
    return [t.x, t.y, t.z]


def matrix(msg: TransformStamped) -> Matrix:
    """Transform of a message."""
    r = msg.transform.rotation
    result = np.eye(4)
    result[:3, :3] = Rotation.from_quat([r.x, r.y, r.z, r.w]).as_matrix()
    result[:3, 3] = translation(msg)
    return result


def xyz() -> st.SearchStrategy[tuple[float, float, float]]:
    """Points within 10 m of the origin along each axis."""
    metre = st.floats(-10.0, 10.0, allow_subnormal=False)
    return st.tuples(metre, metre, metre)


def quaternions() -> st.SearchStrategy[tuple[float, float, float, float]]:
    """Unit quaternions."""
    one = st.floats(-1.0, 1.0, allow_subnormal=False)
    return (
        st.tuples(one, one, one, one)
        .map(np.array)
        .filter(lambda q: float(np.linalg.norm(q)) > 0.1)
        .map(lambda q: tuple((q / np.linalg.norm(q)).tolist()))
    )
