"""Image messages to RGB arrays, without cv_bridge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError

_UYVY, _YUYV = cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUYV
# Encoding: channels, bits of a channel, order of R, G and B among the channels or OpenCV's code.
_ENCODINGS: dict[str, tuple[int, int, tuple[int, int, int] | int]] = {
    "rgb8": (3, 8, (0, 1, 2)),
    "bgr8": (3, 8, (2, 1, 0)),
    "rgba8": (4, 8, (0, 1, 2)),
    "bgra8": (4, 8, (2, 1, 0)),
    "mono8": (1, 8, (0, 0, 0)),
    "rgb16": (3, 16, (0, 1, 2)),
    "bgr16": (3, 16, (2, 1, 0)),
    "mono16": (1, 16, (0, 0, 0)),
    "8UC1": (1, 8, (0, 0, 0)),
    "8UC3": (3, 8, (2, 1, 0)),
    "8UC4": (4, 8, (2, 1, 0)),
    "yuv422": (2, 8, _UYVY),
    "uyvy": (2, 8, _UYVY),
    "yuv422_yuy2": (2, 8, _YUYV),
    "yuyv": (2, 8, _YUYV),
}


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
    NDArray, shape (height, width, 3), uint8, contiguous

    Raises
    ------
    InputError
        If the encoding is not supported or the sizes contradict one another.
    """
    if encoding not in _ENCODINGS:
        raise InputError(
            f"image encoding '{encoding}' is not supported; known are {', '.join(_ENCODINGS)}"
        )
    channels, bits, order = _ENCODINGS[encoding]
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
    if isinstance(order, int):
        if width % 2:
            raise InputError(f"image in {encoding} is {width} px wide; the width must be even")
        packed = np.ascontiguousarray(rows).reshape(height, width, 2)
        return np.asarray(cv2.cvtColor(packed, order), dtype=np.uint8)
    pixels = rows.reshape(height, width, -1)
    if bits == 16:
        pixels = pixels[..., 0 if is_bigendian else 1 :: 2]  # the upper byte of each channel
    return np.ascontiguousarray(pixels[..., list(order)])


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
    # OpenCV fills up a truncated JPEG with grey and says nothing to the caller.
    head, tail = bytes(buffer[:2]), bytes(buffer[-64:])
    if head == b"\xff\xd8" and b"\xff\xd9" not in tail:
        raise InputError(f"JPEG of {len(buffer)} bytes has no end marker; it is truncated")
    picture = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if len(buffer) else None
    if picture is None:
        raise InputError(f"compressed image of {len(buffer)} bytes can't be decoded")
    return rgb_from_bgr(picture)
