"""What a depth camera would see of recorded people, a floor and a wall."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.pose.view import View
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]

_HEAD_RADIUS = 0.085  # m; the nose lies on it
_MARGIN = 0.02  # m of flesh beyond a limb's radius before a joint counts as hidden
_BLOCK = 4  # px that share their noise: stereo matches windows, not pixels
_HOLES = 0.05  # share of blocks without data


def render_depth(
    view: View, bodies: Array, *, stoutness: float = 0.7, wall: float = 1.5
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Exact depth of people made of capsules, and which of their joints can be seen.

    Parameters
    ----------
    view : View
        The camera.
    bodies : NDArray, shape (N, J, 3)
        Joints in the cell [m], layout chico15, z up, the floor at 0.
    stoutness : float
        Radii of the limbs over those of a large adult.
    wall : float
        Distance of a wall behind the farthest joint [m].

    Returns
    -------
    depth : NDArray, shape (H, W), float32
        [m].
    visible : NDArray of bool, shape (N, J)
        Joints that nothing hides but the flesh around them.
    """
    camera = view.camera
    layout = get_layout("chico15")
    columns, rows = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    local = view.to_camera(bodies)
    depth = np.full(x.shape, float(local[..., 2].max()) + wall)
    up = view.camera_from_base[:3, 2]
    with np.errstate(divide="ignore"):
        floor = -float(view.place[2]) / (up[0] * x + up[1] * y + up[2])
    depth = np.where((floor > 0.0) & (floor < depth), floor, depth)

    radii = np.array(layout.limb_radii) * stoutness
    thickness = np.zeros(len(layout.joints))
    for (a, b), radius in zip(layout.limbs, radii, strict=True):
        thickness[[a, b]] = np.maximum(thickness[[a, b]], radius)
    nose, neck = layout.joints.index("nose"), layout.joints.index("c_shoulder")
    thickness[nose] = 0.0
    for body, joints in zip(local, bodies, strict=True):
        head = body[nose] - _HEAD_RADIUS * view.camera_from_base[:3, :3] @ _facing(joints)
        for (a, b), radius in zip(layout.limbs, radii, strict=True):
            end, size = (head, _HEAD_RADIUS) if b == nose else (body[b], radius)
            start = head if (a, b) == (neck, nose) else body[a]
            _draw_capsule(depth, x, y, view, start, end, size)

    pixels = camera.project(local)
    size_px = (camera.width, camera.height)
    inside = np.all((pixels >= 0.0) & (pixels < size_px), axis=-1)
    column, row = np.where(inside[..., None], pixels, 0.0).astype(int).swapaxes(0, -1)
    gap = local[..., 2] - depth[row.T, column.T]
    return depth.astype(np.float32), inside & (gap <= thickness + _MARGIN)


def measured_depth(
    depth: NDArray[np.float32], rng: np.random.Generator, noise: float = 0.01
) -> NDArray[np.float32]:
    """Depth as a stereo camera measures it: noise that neighbours share, and holes.

    Parameters
    ----------
    depth : NDArray, shape (H, W)
        Exact depth [m].
    rng : Generator
        Chance.
    noise : float
        Standard deviation as a share of the depth.
    """
    height, width = depth.shape
    blocks = (-(-height // _BLOCK), -(-width // _BLOCK))
    error = rng.normal(0.0, noise, blocks)
    error[rng.random(blocks) < _HOLES] = np.nan
    spread = cv2.resize(
        error, (blocks[1] * _BLOCK, blocks[0] * _BLOCK), interpolation=cv2.INTER_NEAREST
    )
    return np.asarray(depth * (1.0 + spread[:height, :width]), dtype=np.float32)


def _facing(joints: Array) -> Array:
    """Where a body (J, 3) faces, a level unit vector."""
    names = get_layout("chico15").joints
    across = joints[names.index("l_shoulder")] - joints[names.index("r_shoulder")]
    ahead = np.array([across[1], -across[0], 0.0])
    return ahead / max(float(np.linalg.norm(ahead)), 1e-9)


def _draw_capsule(
    depth: Array, x: Array, y: Array, view: View, start: Array, end: Array, radius: float
) -> None:
    """Put a capsule of the optical frame before what `depth` holds."""
    nearest = min(start[2], end[2]) - radius
    if nearest <= 0.1:
        return
    camera = view.camera
    reach = radius * camera.fx / nearest * 1.5
    corners = camera.project(np.stack((start, end)))
    left, top = np.floor(np.clip(corners.min(0) - reach, 0, None)).astype(int)
    right, bottom = np.ceil(corners.max(0) + reach).clip(0).astype(int)
    box = np.s_[top:bottom, left:right]
    rays = np.stack((x[box], y[box], np.ones_like(x[box])), -1)
    if not rays.size:
        return
    axis = end - start
    square, ray_square = float(axis @ axis), np.sum(rays**2, -1)
    along, toward = rays @ axis, rays @ -start
    base, offset = float(axis @ -start), float(start @ start)
    a = square * ray_square - along**2
    b = square * toward - base * along
    c = square * offset - base**2 - radius**2 * square
    with np.errstate(invalid="ignore", divide="ignore"):
        side = (-b - np.sqrt(b**2 - a * c)) / a
        place = base + side * along
        hit = np.where((place > 0.0) & (place < square), side, np.inf)
        for centre in (start, end):
            reach_to = rays @ centre
            under = reach_to**2 - ray_square * (float(centre @ centre) - radius**2)
            ball = (reach_to - np.sqrt(under)) / ray_square
            hit = np.fmin(hit, ball)
    hit = np.where(np.isfinite(hit), hit, np.inf)
    depth[box] = np.minimum(depth[box], hit)
