"""Virtual cameras: what the landmarks of recorded motion would look like to a detector.

>>> rng = np.random.default_rng(0)
>>> view = sample_view(rng, target=(0.0, 0.0, 0.9))
>>> pixels, confidence = observe(view, positions, rng)      # positions (T, J, 3) in the cell [m]
>>> in_camera = view.to_camera(positions)                   # (T, J, 3) in the optical frame
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.pose.camera import View, camera_from_view, rigid
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.placement import facing
from ses_gcn_ros.skeleton import get_layout

WIDTH, HEIGHT = 1280, 720  # px
DISTANCE = (2.0, 4.0)  # m, camera to target over the floor
MOUNTING = (1.2, 2.4)  # m, the camera above the floor
FIELD_OF_VIEW = (60.0, 70.0)  # deg, horizontal
NOISE = 3.0  # px, standard deviation in u and in v
OUTLIERS = 0.05  # share of joints found somewhere else on or about the body
MISSING = 0.10  # share of joints not found
_ROLL = math.radians(2.0)  # standard deviation of a camera that isn't quite level
_SIZE = 0.055  # standard deviation of a body's estimated size, the spread of adult stature
_SHAPE = (0.025, 0.025, 0.05)  # m, of landmarks about the hips: across, down and along the ray
_PIXEL_WHITE, _PIXEL_SLOW = 0.001, 0.01  # errors of MediaPipe's landmarks over the body's height
_POSTURE, _SLOW_SHAPE = 0.04, (0.02, 0.02, 0.05)  # of its metric ones: share of the size; m
_SLOW_TIME = 0.5  # s that they last
_CONFIDENCE = (0.5, 1.0)  # of a joint found, right or wrong: a detector that errs is as sure

Array = NDArray[np.float64]

_HEAD_RADIUS = 0.085  # m; the nose lies on it
_MARGIN = 0.02  # m of flesh beyond a limb's radius before a joint counts as hidden
_BLOCK = 4  # px that share their noise: stereo matches windows, not pixels
_HOLES = 0.05  # share of blocks without data
_WALL = 1.5  # m from the farthest joint to a wall behind it


def look_at(place: ArrayLike, target: ArrayLike, roll: float = 0.0) -> NDArray[np.float64]:
    """Optical frame in the cell, 4×4, of a camera at `place` that looks at `target`."""
    forward = np.asarray(target, np.float64) - np.asarray(place, np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    x = math.cos(roll) * right + math.sin(roll) * down
    y = math.cos(roll) * down - math.sin(roll) * right
    return rigid(np.column_stack((x, y, forward)), place)


def sample_view(
    rng: np.random.Generator,
    target: ArrayLike,
    *,
    heading: float | None = None,
    distance: tuple[float, float] = DISTANCE,
    field_of_view: tuple[float, float] = FIELD_OF_VIEW,
) -> View:
    """A camera somewhere around a target, looking at it.

    `target` (3,): what it looks at, in the cell [m]; the middle of a body, for instance.
    `heading`: direction from the target to the camera about the vertical [rad]; any by default.
    `distance`: least and greatest distance over the floor [m].
    `field_of_view`: least and greatest horizontal angle of view [deg].
    """
    aim = np.asarray(target, np.float64)
    angle = rng.uniform(-math.pi, math.pi) if heading is None else heading
    away = rng.uniform(*distance)
    place = np.array([aim[0] + away * math.cos(angle), aim[1] + away * math.sin(angle), 0.0])
    place[2] = rng.uniform(*MOUNTING)
    camera = camera_from_view(WIDTH, HEIGHT, rng.uniform(*field_of_view))
    return View(camera, look_at(place, aim, rng.normal(0.0, _ROLL)))


def sample_views(
    rng: np.random.Generator,
    target: ArrayLike,
    count: int,
    *,
    distance: tuple[float, float] = DISTANCE,
    field_of_view: tuple[float, float] = FIELD_OF_VIEW,
) -> list[View]:
    """Cameras around a target, each in its own sector so that no two look from one side."""
    sector = 2.0 * math.pi / count
    first = rng.uniform(-math.pi, math.pi)
    headings = first + sector * (np.arange(count) + rng.uniform(-0.25, 0.25, count))
    return [
        sample_view(rng, target, heading=h, distance=distance, field_of_view=field_of_view)
        for h in headings.tolist()
    ]


def observe(
    view: View,
    points: ArrayLike,
    rng: np.random.Generator,
    *,
    noise: float = NOISE,
    outliers: float = OUTLIERS,
    missing: float = MISSING,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a detector would find of joints: noisy, sometimes wrong, sometimes missing.

    `points` (..., J, 3): joints in the cell [m].
    `noise`: standard deviation in u and in v [px].
    `outliers`: share of joints that are found anywhere in the body's box, a quarter larger on each
    side.
    `missing`: share of joints that are not found. Those outside of the picture are never found.

    Returns `pixels` (..., J, 2): NaN where a joint was not found; `confidence` (..., J): 0 where a
    joint was not found; it does not tell right from wrong.
    """
    exact = view.project(points)
    pixels = exact + rng.normal(0.0, noise, exact.shape)
    with np.errstate(invalid="ignore"):
        low, high = np.nanmin(exact, -2, keepdims=True), np.nanmax(exact, -2, keepdims=True)
        anywhere = low + (high - low) * rng.uniform(-0.25, 1.25, exact.shape)
        astray = rng.random(exact.shape[:-1]) < outliers
        pixels = np.where(astray[..., None], anywhere, pixels)
        inside = view.camera.shows(exact) & view.camera.shows(pixels)
    found = inside & (rng.random(exact.shape[:-1]) >= missing)
    confidence = np.where(found, rng.uniform(*_CONFIDENCE, found.shape), 0.0)
    return np.where(found[..., None], pixels, np.nan), confidence


def landmarks_like_mediapipe(
    view: View,
    people: ArrayLike,
    rng: np.random.Generator,
    fps: float,
    stature: float | None = None,
) -> Landmarks:
    """What MediaPipe would make of a person in successive pictures.

    Its errors are slow: on the videos that the project is tested with, landmarks jitter by a
    thousandth of the body's height and the body's size in the metric ones changes by 4 % with
    posture, their depth by 5 cm, for about half a second each.

    `people` (T, J, 3): one person's joints in the cell [m], layout chico15.
    `fps`: pictures per second.
    `stature`: how much taller than the usual the person is, in standard deviations; any by default.

    Returns landmarks of T pictures (in place of N people). Joints beside the picture are guessed
    too, with little visibility.
    """
    joints = np.asarray(people, np.float64)
    count, number = joints.shape[:2]
    exact = view.project(joints)
    tall = np.nanmedian(np.nanmax(exact[..., 1], -1) - np.nanmin(exact[..., 1], -1))
    slow = _PIXEL_SLOW * _slow_noise(rng, (count, number, 2), fps)
    pixels = exact + tall * (slow + rng.normal(0.0, _PIXEL_WHITE, exact.shape))
    about = _about_root(view, joints)
    tall_by = rng.normal() if stature is None else stature
    size = (1.0 - _SIZE * tall_by) * (1.0 + _POSTURE * _slow_noise(rng, (count, 1, 1), fps))
    world = about * size + np.array(_SLOW_SHAPE) * _slow_noise(rng, joints.shape, fps)
    inside = view.camera.shows(exact)
    visibility = np.where(inside, rng.uniform(0.8, 1.0, inside.shape), 0.1)
    return Landmarks(pixels, world, visibility, "chico15")


def _slow_noise(
    rng: np.random.Generator, shape: tuple[int, ...], fps: float
) -> NDArray[np.float64]:
    """Noise of variance 1 that lasts for `_SLOW_TIME` along the first axis (Gauss-Markov)."""
    kept = math.exp(-1.0 / (fps * _SLOW_TIME))
    noise = rng.normal(size=shape)
    for frame in range(1, shape[0]):
        noise[frame] = kept * noise[frame - 1] + math.sqrt(1.0 - kept**2) * noise[frame]
    return noise


def estimate_shape(view: View, points: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """Landmarks about the hips as a detector would estimate them, of wrong size and noisy.

    Returns (..., J, 3) [m] in the optical axes of a camera that looks straight at the root.
    """
    about = _about_root(view, points)
    size = 1.0 + rng.normal(0.0, _SIZE, about.shape[:-2])
    return np.asarray(about * size[..., None, None] + rng.normal(0.0, _SHAPE, about.shape))


def _about_root(view: View, points: ArrayLike) -> Array:
    """Joints (..., J, 3) about the root in the axes of a camera that looks straight at it."""
    local = view.to_camera(points)
    return np.einsum("...ba,...jb->...ja", facing(local[..., 0, :]), local - local[..., :1, :])


def render_depth(
    view: View, bodies: Array, *, stoutness: float = 0.7
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Exact depth of people made of capsules, and which of their joints can be seen.

    `bodies` (N, J, 3): joints in the cell [m], layout chico15, z up, the floor at 0.
    `stoutness`: radii of the limbs over those of a large adult.

    Returns `depth` (H, W) [m]; `visible` (N, J): joints that nothing hides but the flesh around
    them.
    """
    camera = view.camera
    layout = get_layout("chico15")
    columns, rows = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    local = view.to_camera(bodies)
    depth = np.full(x.shape, float(local[..., 2].max()) + _WALL)
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
    inside = camera.shows(pixels)
    column, row = np.where(inside[..., None], pixels, 0.0).astype(int).swapaxes(0, -1)
    gap = local[..., 2] - depth[row.T, column.T]
    return depth.astype(np.float32), inside & (gap <= thickness + _MARGIN)


def measured_depth(
    depth: NDArray[np.float32], rng: np.random.Generator, noise: float = 0.01
) -> NDArray[np.float32]:
    """Depth (H, W) [m] as a stereo camera measures it: noise that neighbours share, and holes.

    `noise` is its standard deviation as a share of the exact depth.
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
