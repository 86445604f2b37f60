"""Depth images: messages to metres, and people measured by them, gaps filled from the body."""

from __future__ import annotations

import struct
import sys
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Camera, homogeneous
from ses_gcn_ros.pose.images import Buffer, check_size, image_fields, pixel_rows
from ses_gcn_ros.pose.placement import nanmedian, place
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]

# From the skin to the joint's centre [m], side left out: half of an adult's breadths and depths.
_TO_CENTRE = {
    "pelvis": 0.10, "hip": 0.09, "knee": 0.06, "ankle": 0.04, "neck": 0.07, "shoulder": 0.06,
    "elbow": 0.045, "wrist": 0.03, "index": 0.01, "pinky": 0.01, "thumb": 0.01, "heel": 0.03,
    "toe": 0.02,
}  # fmt: skip
_DEPTH_UNITS: dict[str, tuple[np.dtype[Any], float]] = {  # encoding: type and metres per unit
    "16UC1": (np.dtype("uint16"), 1e-3),
    "mono16": (np.dtype("uint16"), 1e-3),
    "32FC1": (np.dtype("float32"), 1.0),
}
_FARTHEST = 20.0  # m; a cell is smaller, and some cameras write their largest number for no data
_PNG = b"\x89PNG"
_WINDOW = 0.6  # half the window, as a share of that distance
_LEAST_WINDOW = 0.015  # m
_SHARE = 0.15  # of a window that a surface must fill
_NEAR_MODEL = 0.25  # m between a measured joint and the body's shape, beyond which it is not it
_FILLED = 0.3  # highest confidence of a joint that depth does not show
_ROUNDS = 3
_SKIN_SIGMA, _DEPTH_NOISE = 0.025, 0.01  # m of flesh before a measured joint; share of the depth
_PIXEL_SIGMA, _JOINT_SIGMA = 3.0, 0.02  # px, m: of a landmark beside the joint's centre
_LONE_SIGMA, _FILLED_SIGMA = 0.10, 0.15  # m, of a joint without a body to fit; of one filled in
_CLUSTERS = 4  # surfaces told apart in a window, nearest first
_STEP = 0.06  # m between two depths that makes them two surfaces, and
_STEP_SHARE = 0.02  # so much of the depth in addition, as stereo noise grows
SAMPLES = 7  # rows and columns that a window is sampled in


def decode_depth(
    data: Buffer, height: int, width: int, encoding: str, step: int, is_bigendian: bool = False
) -> NDArray[np.float32]:
    """Depth (H, W) [m] of the fields of a sensor_msgs/Image, NaN where there is no data.

    16UC1 counts millimetres and 32FC1 metres (REP-118); 0, NaN, infinity and what is beyond 20 m
    are no data. Raises InputError if the encoding is not supported or the sizes contradict one
    another.
    """
    if encoding not in _DEPTH_UNITS:
        raise InputError(
            f"depth encoding '{encoding[:40]}' is not supported; known are "
            f"{', '.join(_DEPTH_UNITS)}"
        )
    kind, unit = _DEPTH_UNITS[encoding]
    rows = pixel_rows(data, height, width, f"depth {encoding}", step, kind.itemsize)
    values = np.ascontiguousarray(rows).view(kind)
    if is_bigendian != (sys.byteorder == "big"):
        values = values.byteswap()
    return _known(values.astype(np.float32) * np.float32(unit))


def decode_compressed_depth(data: Buffer, encoding: str | None = None) -> NDArray[np.float32]:
    """Depth (H, W) [m] of a 16-bit PNG as compressed_depth_image_transport sends it.

    Twelve bytes come before the PNG: the format, and two numbers A and B. Of an image of whole
    millimetres they are zero; of one in metres the PNG holds A / depth + B. Without `encoding`, the
    message's ``format`` such as "32FC1; compressedDepth png", A and B tell. Raises InputError if
    the data are no such picture.
    """
    buffer = np.frombuffer(data, np.uint8)
    start = bytes(buffer[:64]).find(_PNG)  # a header of parameters may come first
    check_size(bytes(buffer[max(start, 0) :]))
    picture = cv2.imdecode(buffer[start:], cv2.IMREAD_UNCHANGED) if start >= 0 else None
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 2:
        way = (
            " but RVL; let the publisher's 'format' be png"
            if encoding and "rvl" in encoding
            else ""
        )
        raise InputError(f"compressed depth of {len(buffer)} bytes is no 16-bit PNG{way}")
    scale, shift = struct.unpack("<ff", bytes(buffer[start - 8 : start])) if start >= 8 else (0, 0)
    inverse = encoding.startswith("32FC1") if encoding else scale > 0.0
    if not inverse:
        return _known(picture.astype(np.float32) * np.float32(1e-3))
    if not (np.isfinite((scale, shift)).all() and scale > 0.0):
        raise InputError(
            f"compressed depth in metres has parameters {scale:g} and {shift:g} before its PNG; "
            "the first must be positive"
        )
    with np.errstate(divide="ignore"):
        depth = np.float32(scale) / (picture.astype(np.float32) - np.float32(shift))
    return _known(np.where(picture > 0, depth, np.nan))


def decode_depth_message(message: Any) -> NDArray[np.float32]:
    """Depth (H, W) [m] of a sensor_msgs Image or CompressedImage (its fields).

    Raises InputError as `decode_depth` and `decode_compressed_depth`.
    """
    if not hasattr(message, "encoding"):
        return decode_compressed_depth(message.data, message.format)
    return decode_depth(*image_fields(message))


def _known(depth: NDArray[np.floating]) -> NDArray[np.float32]:
    """Depth [m] with NaN where it can't be."""
    known = np.asarray(depth, np.float32)
    with np.errstate(invalid="ignore"):
        known[~((known > 0.0) & (known < _FARTHEST))] = np.nan
    return known


class Measured(NamedTuple):
    """People of an image with depth; N people, J joints."""

    # (N, J, 3): joints in the optical frame [m]; NaN outside of the image and for who has no depth
    positions: Array
    # (N, J): visibility where measured, 0.3 at most where filled in, 0 where the position is NaN
    confidence: Array
    # (N, J): standard deviations along and across the ray [m]
    along: Array
    across: Array


def place_with_depth(
    world: Array,
    pixels: Array,
    visibility: Array,
    depth: NDArray[np.float32],
    camera: Camera,
    *,
    layout: str = "mediapipe33",
    min_visibility: float = 0.5,
) -> Measured:
    """Joints of everybody in an image, measured where depth shows them.

    The landmarks about the hips are placed by their projection and scaled about the camera to the
    depth that most joints have. Each joint then takes the surface around its pixel that fits this
    shape best; one that none fits is hidden by something or astray, and is filled in from the
    shape, moved as its measured neighbours are. Somebody of whom too little is seen for a shape, a
    hand for instance, has the joints that are seen, at the nearest surface.

    `world` (N, J, 3): landmarks about the hips [m], as `Landmarks.world`.
    `pixels` (N, J, 2): the same in the image.
    `visibility` (N, J): probability that a joint is in the image and not hidden.
    `min_visibility`: joints less visible than this are not measured.
    """
    if not len(world):
        nothing = np.zeros((0, world.shape[1]))
        return Measured(np.zeros((0, *world.shape[1:])), nothing, nothing, nothing)
    rays, inside = camera.rays(pixels)
    visible = inside & (visibility >= min_visibility)
    shape = place(world, rays, np.where(visible, visibility, 0.0)).positions
    to_centre = _to_centre(layout)

    distance = np.nan_to_num(shape[..., 2], nan=3.0).clip(0.3)
    radius = np.maximum(_WINDOW * to_centre, _LEAST_WINDOW) * camera.fx / distance
    found, shares = surfaces(depth, np.where(visible[..., None], pixels, np.nan), radius)
    length = np.sqrt(1.0 + np.sum(rays**2, axis=-1))
    centre = found + (to_centre / length)[..., None]  # depth of the joint behind each surface
    centre = np.where(shares >= _SHARE, centre, np.nan)
    nearest = chosen = centre[..., 0]
    shapeless = ~np.isfinite(shape[..., 2])
    for _ in range(_ROUNDS):
        scale = nanmedian(chosen / shape[..., 2])
        scaled = shape * scale[:, None, None]
        off = np.abs(centre - scaled[..., 2:])
        best = np.where(np.isfinite(off), off, np.inf).argmin(-1)
        chosen = np.take_along_axis(centre, best[..., None], -1)[..., 0]
        with np.errstate(invalid="ignore"):
            chosen = np.where(np.abs(chosen - scaled[..., 2]) <= _NEAR_MODEL, chosen, np.nan)

    measured = homogeneous(rays) * chosen[..., None]
    residual = measured - scaled
    residual -= nanmedian(residual.swapaxes(1, 2))[:, None]
    with np.errstate(invalid="ignore"):
        good = np.linalg.norm(residual, axis=-1) <= _NEAR_MODEL
    lone = homogeneous(rays) * nearest[..., None]
    measured = np.where(shapeless[..., None], lone, measured)
    good |= shapeless & np.isfinite(nearest)
    positions = np.where(good[..., None], measured, _filled(scaled, measured, good, layout))
    known = inside & good.any(1)[:, None] & np.isfinite(positions).all(-1)
    confidence = np.where(good, visibility, np.minimum(_FILLED, np.maximum(visibility, 0.1)))
    seen_sigma = np.where(shapeless, _LONE_SIGMA, np.hypot(_SKIN_SIGMA, _DEPTH_NOISE * distance))
    return Measured(
        np.where(known[..., None], positions, np.nan),
        np.where(known, confidence, 0.0),
        np.where(good, seen_sigma, _FILLED_SIGMA),
        np.where(good, np.hypot(_JOINT_SIGMA, _PIXEL_SIGMA / camera.fx * distance), _FILLED_SIGMA),
    )


def _filled(shape: Array, measured: Array, good: NDArray[np.bool_], layout: str) -> Array:
    """The shape (N, J, 3), each joint moved as its measured neighbours are, else as the body is."""
    moved = np.where(good[..., None], measured - shape, 0.0)
    near = _neighbours(layout)
    weight = np.einsum("jk,nk->nj", near, good.astype(np.float64))
    shift = np.einsum("jk,nkc->njc", near, moved) / np.maximum(weight, 1e-9)[..., None]
    body = nanmedian(np.where(good[..., None], measured - shape, np.nan).swapaxes(1, 2))
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


def check_aligned(depth: NDArray[np.float32], camera: Camera) -> None:
    """Check that depth and colour show the same pixels. Raises InputError if their sizes differ."""
    if depth.shape != (camera.height, camera.width):
        raise InputError(
            f"depth is {depth.shape[1]}×{depth.shape[0]} px, but the colour image is "
            f"{camera.width}×{camera.height}; publish depth registered to colour (depth_registered)"
        )


def surfaces(
    depth: NDArray[np.float32], pixels: NDArray[np.float64], radius: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The surfaces that lie around points of the image, nearest first.

    A window around each point is sampled; depths that follow one another without a step are one
    surface, so that the edge of an arm is not averaged with the wall behind it.

    `pixels` (..., 2): points; NaN or outside of the image gives nothing.
    `radius` (...): half the width of the window [px].

    Returns `depths` (..., C): median depth of each surface [m]; NaN where there are fewer; `shares`
    (..., C): share of the window that it fills.
    """
    height, width = depth.shape
    grid = np.linspace(-1.0, 1.0, SAMPLES)
    offset = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    centre = np.nan_to_num(pixels, nan=-1.0)
    spots = np.floor(centre[..., None, :] + radius[..., None, None] * offset)
    inside = np.all((spots >= 0) & (spots < (width, height)), axis=-1)
    inside &= np.all((centre >= 0) & (centre < (width, height)), -1)[..., None]
    column, row = np.moveaxis(np.where(inside[..., None], spots, 0).astype(int), -1, 0)
    values = np.sort(np.where(inside, depth[row, column], np.nan), axis=-1).astype(np.float64)

    with np.errstate(invalid="ignore"):
        steps = np.diff(values, axis=-1) > _STEP + _STEP_SHARE * values[..., :-1]
    number = np.concatenate(
        (np.zeros_like(steps[..., :1], int), np.cumsum(steps, axis=-1)), axis=-1
    )
    known = np.isfinite(values)
    found, shares = [], []
    for cluster in range(_CLUSTERS):
        members = known & (number == cluster)
        count = members.sum(-1)
        middle = members.argmax(-1) + count // 2
        median = np.take_along_axis(
            values, np.minimum(middle, values.shape[-1] - 1)[..., None], -1
        )[..., 0]
        found.append(np.where(count > 0, median, np.nan))
        shares.append(count / len(offset))
    return np.stack(found, -1), np.stack(shares, -1)
