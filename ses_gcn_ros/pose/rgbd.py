"""People in metres from landmarks and the depth behind them, gaps filled from the body's shape."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.pose.depth import surfaces
from ses_gcn_ros.pose.placement import place
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]

# From the skin to the joint's centre [m], side left out: half of an adult's breadths and depths.
_TO_CENTRE = {
    "pelvis": 0.10, "hip": 0.09, "knee": 0.06, "ankle": 0.04, "neck": 0.07, "shoulder": 0.06,
    "elbow": 0.045, "wrist": 0.03, "index": 0.01, "pinky": 0.01, "thumb": 0.01, "heel": 0.03,
    "toe": 0.02,
}  # fmt: skip
_WINDOW = 0.6  # half the window, as a share of that distance
_LEAST_WINDOW = 0.015  # m
_SHARE = 0.15  # of a window that a surface must fill
_NEAR_MODEL = 0.25  # m between a measured joint and the body's shape, beyond which it is not it
_NEEDED = 4  # measured joints that a person must have
_FILLED = 0.3  # highest confidence of a joint that depth does not show
_ROUNDS = 3


def place_with_depth(
    world: Array,
    pixels: Array,
    visibility: Array,
    depth: NDArray[np.float32],
    camera: Camera,
    *,
    layout: str = "mediapipe33",
    min_visibility: float = 0.5,
) -> tuple[Array, Array]:
    """Joints of everybody in an image, measured where depth shows them.

    The landmarks about the hips are placed by their projection and scaled about the camera to the
    depth that most joints have. Each joint then takes the surface around its pixel that fits this
    shape best; one that none fits is hidden by something or astray, and is filled in from the
    shape, moved as its measured neighbours are.

    Parameters
    ----------
    world : NDArray, shape (N, J, 3)
        Landmarks about the hips [m], as `Landmarks.world`.
    pixels : NDArray, shape (N, J, 2)
        The same in the image.
    visibility : NDArray, shape (N, J)
        Probability that a joint is in the image and not hidden.
    depth : NDArray, shape (H, W)
        Depth registered to the image [m], NaN where there is no data.
    camera : Camera
        Intrinsics of the image.
    layout : str
        Joint layout.
    min_visibility : float
        Joints less visible than this are not measured.

    Returns
    -------
    positions : NDArray, shape (N, J, 3)
        Joints in the optical frame [m]; NaN outside of the image and for who has no depth.
    confidence : NDArray, shape (N, J)
        Visibility where measured, 0.3 at most where filled in, 0 where the position is NaN.
    """
    if not len(world):
        return np.zeros((0, *world.shape[1:])), np.zeros((0, world.shape[1]))
    size = (camera.width, camera.height)
    with np.errstate(invalid="ignore"):
        inside = np.all((pixels >= 0.0) & (pixels < size), axis=-1)
    rays = camera.normalise(np.where(inside[..., None], pixels, (camera.cx, camera.cy)))
    visible = inside & (visibility >= min_visibility)
    shape = place(world, rays, np.where(visible, visibility, 0.0)).positions
    to_centre = _to_centre(layout)

    distance = np.nan_to_num(shape[..., 2], nan=3.0).clip(0.3)
    radius = np.maximum(_WINDOW * to_centre, _LEAST_WINDOW) * camera.fx / distance
    found, shares = surfaces(depth, np.where(visible[..., None], pixels, np.nan), radius)
    length = np.sqrt(1.0 + np.sum(rays**2, axis=-1))
    centre = found + (to_centre / length)[..., None]  # depth of the joint behind each surface
    centre = np.where(shares >= _SHARE, centre, np.nan)
    chosen = centre[..., 0]
    for _ in range(_ROUNDS):
        scale = _nanmedian(chosen / shape[..., 2])
        scaled = shape * scale[:, None, None]
        off = np.abs(centre - scaled[..., 2:])
        best = np.where(np.isfinite(off), off, np.inf).argmin(-1)
        chosen = np.take_along_axis(centre, best[..., None], -1)[..., 0]
        with np.errstate(invalid="ignore"):
            chosen = np.where(np.abs(chosen - scaled[..., 2]) <= _NEAR_MODEL, chosen, np.nan)

    measured = np.concatenate((rays, np.ones_like(rays[..., :1])), -1) * chosen[..., None]
    residual = measured - scaled
    residual -= _nanmedian(residual.swapaxes(1, 2))[:, None]
    with np.errstate(invalid="ignore"):
        good = np.linalg.norm(residual, axis=-1) <= _NEAR_MODEL
    positions = np.where(good[..., None], measured, _filled(scaled, measured, good, layout))
    known = inside & (good.sum(1) >= _NEEDED)[:, None] & np.isfinite(positions).all(-1)
    confidence = np.where(good, visibility, np.minimum(_FILLED, np.maximum(visibility, 0.1)))
    return np.where(known[..., None], positions, np.nan), np.where(known, confidence, 0.0)


def _filled(shape: Array, measured: Array, good: NDArray[np.bool_], layout: str) -> Array:
    """The shape (N, J, 3), each joint moved as its measured neighbours are, else as the body is."""
    moved = np.where(good[..., None], measured - shape, 0.0)
    near = _neighbours(layout)
    weight = np.einsum("jk,nk->nj", near, good.astype(np.float64))
    shift = np.einsum("jk,nkc->njc", near, moved) / np.maximum(weight, 1e-9)[..., None]
    body = _nanmedian(np.where(good[..., None], measured - shape, np.nan).swapaxes(1, 2))
    return shape + np.where(weight[..., None] > 0.0, shift, body[:, None])


@cache
def _neighbours(layout: str) -> Array:
    """Which joints a limb ties together, shape (J, J)."""
    table = get_layout(layout)
    near = np.zeros((len(table.joints),) * 2)
    for a, b in table.limbs:
        near[a, b] = near[b, a] = 1.0
    return near


@cache
def _to_centre(layout: str) -> Array:
    names = [n[2:] if n[:2] in ("r_", "l_") else n for n in get_layout(layout).canonical]
    return np.array([_TO_CENTRE.get(name, 0.0) for name in names])


def _nanmedian(values: Array) -> Array:
    """Median over the last axis, NaN left out; NaN where all are."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = np.isfinite(ordered).sum(-1)
    low, high = np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2
    pair = np.take_along_axis(ordered, np.stack((low, high), -1), -1)
    return np.asarray(pair.mean(-1))
