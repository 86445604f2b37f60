"""Quaternions, Euler angles and homogeneous matrices, as the package tf_transformations has them.

Quaternions are in the order x, y, z, w of ROS; angles in radians; matrices of shape (4, 4) act on
column vectors. Euler angles come with an axis sequence: `s` for axes that stand still or `r` for
axes that turn along, then three axes; the default `sxyz` is roll, pitch, yaw.
"""

import math

import numpy as np
import transforms3d.affines
import transforms3d.axangles
import transforms3d.euler
import transforms3d.quaternions
from numpy.typing import ArrayLike, NDArray

Quaternion = tuple[float, float, float, float]

_PARALLEL = 4.0 * float(np.finfo(float).eps)  # below this, two directions count as one


def identity_matrix() -> NDArray[np.float64]:
    """Give the transform that changes nothing."""
    return np.identity(4)


def translation_matrix(direction: ArrayLike) -> NDArray[np.float64]:
    """Give the transform that shifts by `direction`, shape (3,)."""
    return _homogeneous(np.identity(3), direction)


def translation_from_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    """Give the translation of a transform, shape (3,)."""
    return np.array(matrix, dtype=float)[:3, 3]


def rotation_matrix(
    angle: float, direction: ArrayLike, point: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Give the turn by `angle` about the axis `direction` through `point`, by default the origin.

    `direction` has shape (3,) and any length but zero; `point` has shape (3,).
    """
    return transforms3d.axangles.axangle2aff(np.asarray(direction, dtype=float), angle, point=point)


def rotation_from_matrix(
    matrix: ArrayLike,
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Give angle, axis (3,) and a point on the axis (4,) of a turn; inverts `rotation_matrix`.

    Raises:
        ValueError: `matrix` is no rotation.

    """
    direction, angle, point = transforms3d.axangles.aff2axangle(np.asarray(matrix, dtype=float))
    return angle, direction, point


def euler_matrix(ai: float, aj: float, ak: float, axes: str = "sxyz") -> NDArray[np.float64]:
    """Give the rotation by three Euler angles."""
    return _homogeneous(transforms3d.euler.euler2mat(ai, aj, ak, axes=axes))


def euler_from_matrix(matrix: ArrayLike, axes: str = "sxyz") -> tuple[float, float, float]:
    """Give Euler angles of a rotation of shape (3, 3) or (4, 4)."""
    return transforms3d.euler.mat2euler(np.asarray(matrix, dtype=float), axes=axes)


def euler_from_quaternion(quaternion: ArrayLike, axes: str = "sxyz") -> tuple[float, float, float]:
    """Give Euler angles of a quaternion."""
    return euler_from_matrix(quaternion_matrix(quaternion), axes)


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = "sxyz") -> Quaternion:
    """Give the unit quaternion of three Euler angles."""
    return _xyzw(transforms3d.euler.euler2quat(ai, aj, ak, axes=axes))


def quaternion_about_axis(angle: float, axis: ArrayLike) -> Quaternion:
    """Give the unit quaternion of a turn by `angle` about `axis`, shape (3,)."""
    return _xyzw(transforms3d.quaternions.axangle2quat(np.asarray(axis, dtype=float), angle))


def quaternion_matrix(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Give the rotation of a quaternion of any length; the identity where its length is zero."""
    return _homogeneous(transforms3d.quaternions.quat2mat(_wxyz(quaternion)))


def quaternion_from_matrix(matrix: ArrayLike) -> Quaternion:
    """Give the unit quaternion of a transform's rotation, with w not negative."""
    return _xyzw(transforms3d.quaternions.mat2quat(np.asarray(matrix, dtype=float)[:3, :3]))


def quaternion_multiply(quaternion1: ArrayLike, quaternion0: ArrayLike) -> Quaternion:
    """Give the product `quaternion1` × `quaternion0`: first turn by `quaternion0`."""
    return _xyzw(transforms3d.quaternions.qmult(_wxyz(quaternion1), _wxyz(quaternion0)))


def quaternion_conjugate(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Give the quaternion with x, y, z negated, shape (4,)."""
    return np.asarray(quaternion, dtype=float) * (-1.0, -1.0, -1.0, 1.0)


def quaternion_inverse(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Give the quaternion, shape (4,), whose product with `quaternion` is 0, 0, 0, 1."""
    return quaternion_conjugate(quaternion) / np.dot(quaternion, quaternion)


def quaternion_slerp(
    quat0: ArrayLike, quat1: ArrayLike, fraction: float, *, shortestpath: bool = True
) -> NDArray[np.float64]:
    """Interpolate between two quaternions of any length at constant angular speed.

    Args:
        quat0: result at fraction 0.
        quat1: result at fraction 1.
        fraction: how far to go.
        shortestpath: take the shorter of the two ways round.

    Returns:
        Unit quaternion, shape (4,).

    """
    start = _unit(quat0)
    end = _unit(quat1)
    cosine = float(np.dot(start, end))
    if shortestpath and cosine < 0.0:
        cosine, end = -cosine, -end
    if 1.0 - abs(cosine) < _PARALLEL:
        return start
    angle = math.acos(cosine)
    return (
        math.sin((1.0 - fraction) * angle) * start + math.sin(fraction * angle) * end
    ) / math.sin(angle)


def inverse_matrix(matrix: ArrayLike) -> NDArray[np.float64]:
    """Invert a matrix.

    Raises:
        numpy.linalg.LinAlgError: it is singular.

    """
    return np.linalg.inv(np.asarray(matrix, dtype=float))


def concatenate_matrices(*matrices: ArrayLike) -> NDArray[np.float64]:
    """Multiply transforms from left to right; the identity where none is given."""
    product = np.identity(4)
    for matrix in matrices:
        product = product @ np.asarray(matrix, dtype=float)
    return product


def _homogeneous(
    rotation: NDArray[np.float64], translation: ArrayLike = (0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    return transforms3d.affines.compose(translation, rotation, np.ones(3))


def _unit(quaternion: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(quaternion, dtype=float) / np.linalg.norm(quaternion)


def _wxyz(quaternion: ArrayLike) -> NDArray[np.float64]:
    return np.roll(np.asarray(quaternion, dtype=float), 1)


def _xyzw(quaternion: ArrayLike) -> Quaternion:
    w, x, y, z = np.asarray(quaternion, dtype=float).tolist()
    return x, y, z, w
