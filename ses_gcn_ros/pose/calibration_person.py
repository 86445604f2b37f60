"""Where cameras stand, from a person of known height who walks before all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.sparse import lil_matrix
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.pose.stature import stature
from ses_gcn_ros.pose.triangulation import triangulate
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]

_MOMENTS = 60  # of the walk that enter the bundle adjustment
_COMMON = 40  # joints that two cameras must have seen at the same moments
_SIGMA = 4.0  # px of a landmark; beyond it errors count less and less
_ROUNDS = 3  # of leaving out what does not fit
_ANKLE_HEIGHT = 0.08  # m of the ankle's centre above the sole
_SPREAD = 0.35  # m that a walk must spread in a direction for the floor to have a slope there
_LEAN = np.radians(10.0)  # a floor is taken for one if it is no more inclined to the bodies


@dataclass(frozen=True, eq=False)
class Walk:
    """What one camera saw of the walk, at T moments that are the same for all cameras.

    Attributes
    ----------
    camera : Camera
        Its intrinsics.
    pixels : NDArray, shape (T, J, 2)
        Joints [px]; NaN where unseen.
    positions : NDArray, shape (T, J, 3)
        Joints in the optical frame as this camera alone places them [m]; NaN where it can't.
    """

    camera: Camera
    pixels: Array
    positions: Array


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Cameras in the frame of the cell.

    Attributes
    ----------
    base_from_camera : NDArray, shape (V, 4, 4)
        Optical frames. The origin is on the floor where the walk began, z is up, and x points
        from there to the first camera.
    errors : NDArray, shape (V,)
        Median reprojection error of each camera [px].
    joints : int
        Number of joints that the cameras were arranged by.
    """

    base_from_camera: Array
    errors: Array
    joints: int


def arrange_cameras(walks: Sequence[Walk], height: float, layout: str) -> Arrangement:
    """Arrange cameras around a walk by bundle adjustment.

    The cameras' own estimates of the person are laid over one another for a start; then poses and
    joints are adjusted to the landmarks in all pictures, the size of the whole to the person's.

    Parameters
    ----------
    walks : sequence of Walk
        One per camera.
    height : float
        The person's height [m].
    layout : str
        Joint layout.

    Raises
    ------
    InputError
        If there are fewer than two cameras, or two that saw too little of the same.
    """
    if len(walks) < 2:
        raise InputError(f"{len(walks)} camera saw the walk; arranging takes two at least")
    chosen = _moments(walks)
    pixels = np.stack([walk.pixels[chosen] for walk in walks])  # (V, M, J, 2)
    alone = np.stack([walk.positions[chosen] for walk in walks])
    poses = [np.eye(4)]
    for number, positions in enumerate(alone[1:], start=1):
        both = np.isfinite(positions).all(-1) & np.isfinite(alone[0]).all(-1)
        if both.sum() < _COMMON:
            raise InputError(
                f"cameras 1 and {number + 1} have {int(both.sum())} joints in common; "
                f"{_COMMON} are needed: walk where all cameras see you"
            )
        poses.append(_overlay(alone[0][both], positions[both]))
    first_from_camera = np.stack(poses)
    flat = pixels.reshape(len(walks), -1, 2)
    rays = np.stack(
        [
            walk.camera.normalise(np.nan_to_num(points))
            for walk, points in zip(walks, flat, strict=True)
        ]
    )
    seen = np.isfinite(flat).all(-1)
    focal = np.array([walk.camera.fx for walk in walks])
    for factor in np.linspace(4.0, 1.0, _ROUNDS):  # the start is rough: strict only at last
        sigma = factor * _SIGMA / focal
        inverse = _inverse(first_from_camera)
        placed = triangulate(rays, seen.astype(float), inverse, sigma)
        first_from_camera = _adjust(
            first_from_camera, placed.positions, rays, placed.supports, focal
        )
    placed = triangulate(rays, seen.astype(float), _inverse(first_from_camera), sigma)
    points = placed.positions.reshape(len(chosen), -1, 3)

    size = float(np.nanmedian(stature(points, layout)))
    if not np.isfinite(size) or size <= 0.0:
        raise InputError("the cameras never saw shoulders, hips, knees and ankles together")
    scale = height / size
    first_from_camera[:, :3, 3] *= scale
    base_from_first = _cell_from_walk(scale * points, layout)
    errors = np.nanmedian(placed.residuals, axis=1) * sigma * focal
    return Arrangement(
        base_from_first @ first_from_camera, errors, int(placed.supports.any(0).sum())
    )


def _inverse(transforms: Array) -> Array:
    return np.asarray(np.linalg.inv(transforms), np.float64)


def _moments(walks: Sequence[Walk]) -> NDArray[np.intp]:
    """Moments at which most cameras saw most, spread over the walk."""
    seen = np.stack([np.isfinite(walk.pixels).all(-1).sum(-1) for walk in walks])
    good = np.flatnonzero((seen >= 6).sum(0) >= 2)
    if len(good) < 5:
        raise InputError(
            f"two cameras saw the person together at {len(good)} moments; 5 are needed at least"
        )
    return good[np.linspace(0, len(good) - 1, min(_MOMENTS, len(good))).astype(int)]


def _overlay(goal: Array, source: Array) -> Array:
    """Rigid transform (4, 4) that lays points (N, 3) over others, outliers left out (Kabsch)."""
    keep = np.ones(len(goal), bool)
    transform = np.eye(4)
    for _ in range(_ROUNDS):
        middle_goal, middle_source = goal[keep].mean(0), source[keep].mean(0)
        rotation, _ = Rotation.align_vectors(goal[keep] - middle_goal, source[keep] - middle_source)
        transform[:3, :3] = rotation.as_matrix()
        transform[:3, 3] = middle_goal - transform[:3, :3] @ middle_source
        off = np.linalg.norm(source @ transform[:3, :3].T + transform[:3, 3] - goal, axis=-1)
        keep = off <= 2.0 * np.median(off) + 1e-9
    return transform


def _adjust(
    first_from_camera: Array,
    points: Array,
    rays: Array,
    supports: NDArray[np.bool_],
    focal: Array,
) -> Array:
    """Bundle adjustment of all cameras but the first, and of the points that two support."""
    views = len(rays)
    used = supports.sum(0) >= 2
    camera, point = np.nonzero(supports & used)
    number = np.cumsum(used) - 1
    inverse = _inverse(first_from_camera)
    turns = Rotation.from_matrix(inverse[:, :3, :3])
    span = float(np.linalg.norm(inverse[1:, :3, 3], axis=1).mean())  # held: size is free
    start = np.concatenate(
        (
            np.column_stack((np.zeros((views - 1, 3)), inverse[1:, :3, 3])).ravel(),
            points[used].ravel(),
        )
    )
    pose_size = 6 * (views - 1)

    def unpack(values: Array) -> tuple[Array, Array, Array]:
        poses = values[:pose_size].reshape(-1, 6)
        rotation = np.concatenate(
            (np.eye(3)[None], (Rotation.from_rotvec(poses[:, :3]) * turns[1:]).as_matrix())
        )
        shift = np.concatenate((np.zeros((1, 3)), poses[:, 3:]))
        return rotation, shift, values[pose_size:].reshape(-1, 3)

    def residuals(values: Array) -> Array:
        rotation, shift, spots = unpack(values)
        local = np.einsum("nab,nb->na", rotation[camera], spots[number[point]]) + shift[camera]
        off = local[:, :2] / np.maximum(local[:, 2:], 0.1) - rays[camera, point]
        size = np.linalg.norm(shift[1:], axis=1).mean() / span - 1.0
        return np.append((off * focal[camera, None] / _SIGMA).ravel(), 1e3 * size)

    rows = 2 * len(camera)
    sparsity = lil_matrix((rows + 1, len(start)), dtype=int)
    sparsity[rows, :pose_size] = 1
    for axis in range(2):
        each = 2 * np.arange(len(camera)) + axis
        for column in range(3):
            sparsity[each, pose_size + 3 * number[point] + column] = 1
        moving = camera > 0
        for column in range(6):
            sparsity[each[moving], 6 * (camera[moving] - 1) + column] = 1
    found = least_squares(
        residuals, start, jac_sparsity=sparsity, loss="soft_l1", x_scale="jac", max_nfev=30
    )
    rotation, shift, _ = unpack(found.x)
    camera_from_first = np.tile(np.eye(4), (views, 1, 1))
    camera_from_first[:, :3, :3], camera_from_first[:, :3, 3] = rotation, shift
    return _inverse(camera_from_first)


def _cell_from_walk(points: Array, layout: str) -> Array:
    """Cell's frame (4, 4) from the first camera's, by a walk (T, J, 3) seen there."""
    names = get_layout(layout).canonical
    ankles = points[:, [names.index("r_ankle"), names.index("l_ankle")]]
    shoulders = points[:, [names.index("r_shoulder"), names.index("l_shoulder")]]
    whole = np.isfinite(ankles).all((1, 2)) & np.isfinite(shoulders).all((1, 2))
    if not whole.any():
        raise InputError("the cameras never saw both shoulders and both ankles at one moment")
    ankles, shoulders = ankles[whole], shoulders[whole]
    upright = shoulders.mean(1) - ankles.mean(1)
    up = upright.sum(0) / np.linalg.norm(upright.sum(0))
    level = ankles @ up
    lower = ankles[np.arange(len(ankles)), level.argmin(1)]
    up = _floor_normal(lower, up)
    floor = float(np.percentile(lower @ up, 10.0)) - _ANKLE_HEIGHT
    origin = lower[0] + up * (floor - lower[0] @ up)
    toward = -origin - up * (-origin @ up)  # to the first camera, level
    x = toward / np.linalg.norm(toward)
    rotation = np.stack((x, np.cross(up, x), up))
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = rotation, -rotation @ origin
    return transform


def _floor_normal(lower: Array, up: Array) -> Array:
    """Normal (3,) of the floor under the lower ankles (T, 3).

    Along the walk, the floor tells; across it, where a straight walk leaves the floor's slope
    open, how the body stands does, since people lean forwards but hardly sideways.
    """
    keep = np.ones(len(lower), bool)
    normal = up
    for _ in range(_ROUNDS):
        middle = lower[keep].mean(0)
        _, spread, axes = np.linalg.svd(lower[keep] - middle, full_matrices=False)
        wide = spread / np.sqrt(keep.sum()) >= _SPREAD
        if len(spread) < 3 or not wide[0]:
            return up
        if wide[1]:
            normal = axes[2] * np.sign(axes[2] @ up)
        else:
            normal = up - axes[0] * (axes[0] @ up)
            normal = normal / np.linalg.norm(normal)
        off = np.abs((lower - middle) @ normal)
        keep = off <= 2.0 * np.median(off) + 1e-9
    return normal if normal @ up > np.cos(_LEAN) else up
