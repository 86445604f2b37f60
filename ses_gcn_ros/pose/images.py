"""Image and depth messages to arrays, without cv_bridge."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError

_BGR, _RGBA, _BGRA = cv2.COLOR_BGR2RGB, cv2.COLOR_RGBA2RGB, cv2.COLOR_BGRA2RGB
_GREY, _UYVY, _YUYV = cv2.COLOR_GRAY2RGB, cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUYV
# Encoding: channels, bits of a channel, what OpenCV calls the way from it to RGB.
_ENCODINGS: dict[str, tuple[int, int, int | None]] = {
    "rgb8": (3, 8, None),
    "bgr8": (3, 8, _BGR),
    "rgba8": (4, 8, _RGBA),
    "bgra8": (4, 8, _BGRA),
    "mono8": (1, 8, _GREY),
    "rgb16": (3, 16, None),
    "bgr16": (3, 16, _BGR),
    "mono16": (1, 16, _GREY),
    "8UC1": (1, 8, _GREY),
    "8UC3": (3, 8, _BGR),
    "8UC4": (4, 8, _BGRA),
    "yuv422": (2, 8, _UYVY),
    "uyvy": (2, 8, _UYVY),
    "yuv422_yuy2": (2, 8, _YUYV),
    "yuyv": (2, 8, _YUYV),
}


_PADDING = 4096  # bytes of zeros that may follow a JPEG


def decode_image(
    data: bytes | bytearray | memoryview | NDArray[np.uint8],
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool = False,
) -> NDArray[np.uint8]:
    """RGB picture of the fields of a sensor_msgs/Image.

    Parameters
    ----------
    data : buffer
        Rows of `step` bytes each; what is beyond the pixels of a row is padding.
    height, width : int
        Size [px].
    encoding : str
        Name as in sensor_msgs/image_encodings.
    step : int
        Length of a row [bytes].
    is_bigendian : bool
        Byte order of 16-bit channels.

    Returns
    -------
    NDArray, shape (height, width, 3), uint8, contiguous; of an rgb8 image that is not padded, the
    data themselves and no copy

    Raises
    ------
    InputError
        If the encoding is not supported or the sizes contradict one another.
    """
    if encoding not in _ENCODINGS:
        raise InputError(
            f"image encoding '{encoding}' is not supported; known are {', '.join(_ENCODINGS)}"
        )
    channels, bits, way = _ENCODINGS[encoding]
    row = width * channels * bits // 8
    buffer = np.frombuffer(data, dtype=np.uint8)
    if height < 1 or width < 1:
        raise InputError(f"image is {width}×{height} px; it needs at least one pixel")
    if step < row or len(buffer) < height * step:
        raise InputError(
            f"{encoding} image of {width}×{height} px has {len(buffer)} bytes in rows of {step}; "
            f"it takes rows of at least {row} and {height} times that"
        )
    rows = buffer[: height * step].reshape(height, step)[:, :row]
    if way in (_UYVY, _YUYV) and width % 2:
        raise InputError(f"image in {encoding} is {width} px wide; the width must be even")
    pixels = rows.reshape(height, width, -1)
    if bits == 16:
        pixels = pixels[..., 0 if is_bigendian else 1 :: 2]  # the upper byte of each channel
    pixels = np.ascontiguousarray(pixels)
    # OpenCV takes a hundredth of the time that numpy takes to reorder channels.
    return pixels if way is None else np.asarray(cv2.cvtColor(pixels, way), dtype=np.uint8)


def rgb_from_bgr(picture: cv2.typing.MatLike) -> NDArray[np.uint8]:
    """OpenCV's picture (H, W, 3) with its channels in our order."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def decode_compressed(data: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
    """RGB picture, shape (H, W, 3), of a compressed image (JPEG, PNG, ...).

    Raises
    ------
    InputError
        If the data are truncated or no picture.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    # OpenCV fills up a truncated JPEG with grey and says nothing to the caller. Some cameras fill
    # up their buffers with zeros behind the end.
    head, tail = bytes(buffer[:2]), bytes(buffer[-_PADDING:]).rstrip(b"\0")[-64:]
    if head == b"\xff\xd8" and b"\xff\xd9" not in tail:
        raise InputError(f"JPEG of {len(buffer)} bytes has no end marker; it is truncated")
    picture = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if len(buffer) else None
    if picture is None:
        raise InputError(f"compressed image of {len(buffer)} bytes can't be decoded")
    return rgb_from_bgr(picture)


_UNITS: dict[str, tuple[np.dtype[Any], float]] = {  # encoding: type and metres per unit
    "16UC1": (np.dtype("uint16"), 1e-3),
    "mono16": (np.dtype("uint16"), 1e-3),
    "32FC1": (np.dtype("float32"), 1.0),
}
_FARTHEST = 20.0  # m; a cell is smaller, and some cameras write their largest number for no data


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
