"""Depth images: messages to metres, and what they say around a joint."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Camera

_UNITS: dict[str, tuple[np.dtype[Any], float]] = {  # encoding: type and metres per unit
    "16UC1": (np.dtype("uint16"), 1e-3),
    "mono16": (np.dtype("uint16"), 1e-3),
    "32FC1": (np.dtype("float32"), 1.0),
}
_FARTHEST = 20.0  # m; a cell is smaller, and some cameras write their largest number for no data
_CLUSTERS = 4  # surfaces told apart in a window, nearest first
_STEP = 0.06  # m between two depths that makes them two surfaces, and
_STEP_SHARE = 0.02  # so much of the depth in addition, as stereo noise grows
SAMPLES = 7  # rows and columns that a window is sampled in


def decode_depth(
    data: bytes | bytearray | memoryview | NDArray[np.uint8],
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool = False,
) -> NDArray[np.float32]:
    """Depth [m] of the fields of a sensor_msgs/Image, NaN where there is no data.

    16UC1 counts millimetres and 32FC1 metres (REP-118); 0, NaN, infinity and what is beyond 20 m
    are no data.

    Parameters
    ----------
    data : buffer
        Rows of `step` bytes each.
    height, width : int
        Size [px].
    encoding : str
        16UC1, mono16 or 32FC1.
    step : int
        Length of a row [bytes].
    is_bigendian : bool
        Byte order.

    Raises
    ------
    InputError
        If the encoding is another or the sizes contradict one another.
    """
    if encoding not in _UNITS:
        raise InputError(
            f"depth encoding '{encoding}' is not supported; known are {', '.join(_UNITS)}"
        )
    kind, unit = _UNITS[encoding]
    buffer = np.frombuffer(data, np.uint8)
    row = width * kind.itemsize
    if height < 1 or width < 1 or step < row or len(buffer) < height * step:
        raise InputError(
            f"{encoding} depth of {width}×{height} px has {len(buffer)} bytes in rows of {step}; "
            f"it takes rows of at least {row} and {height} times that"
        )
    rows = np.ascontiguousarray(buffer[: height * step].reshape(height, step)[:, :row])
    values = rows.view(kind)
    if is_bigendian != (sys.byteorder == "big"):
        values = values.byteswap()
    depth = values.astype(np.float32) * np.float32(unit)
    with np.errstate(invalid="ignore"):
        depth[~((depth > 0.0) & (depth < _FARTHEST))] = np.nan
    return depth


def decode_compressed_depth(data: bytes | bytearray | memoryview) -> NDArray[np.float32]:
    """Depth [m] of a 16-bit PNG in millimetres, as compressed_depth_image_transport sends it.

    Raises
    ------
    InputError
        If the data are no such picture.
    """
    buffer = np.frombuffer(data, np.uint8)
    start = bytes(buffer[:64]).find(b"\x89PNG")  # a header of parameters may come first
    picture = cv2.imdecode(buffer[start:], cv2.IMREAD_UNCHANGED) if start >= 0 else None
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 2:
        raise InputError(f"compressed depth of {len(buffer)} bytes is no 16-bit PNG")
    height, width = picture.shape
    return decode_depth(picture.tobytes(), height, width, "16UC1", 2 * width)


def check_aligned(depth: NDArray[np.float32], camera: Camera) -> None:
    """Check that depth and colour show the same pixels.

    Raises
    ------
    InputError
        If their sizes differ.
    """
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

    Parameters
    ----------
    depth : NDArray, shape (H, W)
        [m], NaN where there is no data.
    pixels : NDArray, shape (..., 2)
        Points; NaN or outside of the image gives nothing.
    radius : NDArray, shape (...)
        Half the width of the window [px].

    Returns
    -------
    depths : NDArray, shape (..., C)
        Median depth of each surface [m]; NaN where there are fewer.
    shares : NDArray, shape (..., C)
        Share of the window that it fills.
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
