"""Image messages to RGB arrays, without cv_bridge."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError

Buffer = bytes | bytearray | memoryview | NDArray[np.uint8]

_BGR, _RGBA, _BGRA = cv2.COLOR_BGR2RGB, cv2.COLOR_RGBA2RGB, cv2.COLOR_BGRA2RGB
_GREY, _UYVY, _YUYV = cv2.COLOR_GRAY2RGB, cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUYV
# ROS names a Bayer pattern by its first two pixels, OpenCV by the second row's second and third.
_BAYER = {
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}
_PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}  # brightness, colours
# Encoding: channels, bits of a channel, what OpenCV calls the way from it to RGB.
_ENCODINGS: dict[str, tuple[int, int, int | None]] = {
    "rgb8": (3, 8, None),
    "bgr8": (3, 8, _BGR),
    "rgba8": (4, 8, _RGBA),
    "bgra8": (4, 8, _BGRA),
    "mono8": (1, 8, _GREY),
    "rgb16": (3, 16, None),
    "bgr16": (3, 16, _BGR),
    "rgba16": (4, 16, _RGBA),
    "bgra16": (4, 16, _BGRA),
    "mono16": (1, 16, _GREY),
    "8UC1": (1, 8, _GREY),
    "8UC3": (3, 8, _BGR),
    "8UC4": (4, 8, _BGRA),
    "16UC1": (1, 16, _GREY),
    "16UC3": (3, 16, _BGR),
    "yuv422": (2, 8, _UYVY),
    "uyvy": (2, 8, _UYVY),
    "yuv422_yuy2": (2, 8, _YUYV),
    "yuyv": (2, 8, _YUYV),
    **{name: (1, 8, way) for name, way in _PLANAR.items()},
    **{f"{name}{bits}": (1, bits, way) for name, way in _BAYER.items() for bits in (8, 16)},
}
_DENSEST = 1100  # pixels of a byte: deflate packs no more, JPEG less
_SMALL = 1 << 24  # pixels that there is always room for
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers of the picture's size
_PADDING = 4096  # bytes of zeros that may follow a JPEG
_DARKEST, _BRIGHTEST = 1.0, 99.5  # percentiles of a grey 16-bit picture that become black and white
_SENSORS = (10, 12, 14, 16)  # bits of a pixel that is sent in 16
_LEAST_RANGE = 64  # values between them: less is noise of a dark picture


def decode_image(
    data: Buffer, height: int, width: int, encoding: str, step: int, is_bigendian: bool = False
) -> NDArray[np.uint8]:
    """RGB picture of the fields of a sensor_msgs/Image.

    Channels of 16 bits give the upper byte of the 10, 12, 14 or 16 bits that they use; grey ones
    are stretched over the range that they use. Raises InputError if the encoding is not supported
    or the sizes contradict one another.

    `data`: rows of `step` bytes each; what is beyond the pixels of a row is padding.

    Returns (height, width, 3), contiguous; of an rgb8 image that is not padded, the data themselves
    and no copy.
    """
    if encoding not in _ENCODINGS:
        raise InputError(
            f"image encoding '{encoding[:40]}' is not supported; known are {', '.join(_ENCODINGS)}"
        )
    channels, bits, way = _ENCODINGS[encoding]
    if encoding in _PLANAR and (width % 2 or height % 2):
        raise InputError(f"image in {encoding} is {width}×{height} px; both must be even")
    if way in (_UYVY, _YUYV) and width % 2:
        raise InputError(f"image in {encoding} is {width} px wide; the width must be even")
    lines = height * 3 // 2 if encoding in _PLANAR else height
    rows = pixel_rows(data, lines, width, encoding, step, channels * bits // 8)
    pixels = np.ascontiguousarray(rows)
    if bits == 16:
        values = pixels.view(">u2" if is_bigendian else "<u2")
        pixels = _eight_bits(values, grey=way == _GREY)
    pixels = pixels.reshape(lines, width, -1)
    # OpenCV takes a hundredth of the time that numpy takes to reorder channels.
    return pixels if way is None else np.asarray(cv2.cvtColor(pixels, way), dtype=np.uint8)


def pixel_rows(
    data: Buffer, height: int, width: int, encoding: str, step: int, pixel: int
) -> NDArray[np.uint8]:
    """Bytes of the pixels, shape (height, width · pixel), padding left out."""
    buffer, row = np.frombuffer(data, dtype=np.uint8), width * pixel
    if height < 1 or width < 1:
        raise InputError(f"image is {width}×{height} px; it needs at least one pixel")
    if step < row or len(buffer) < height * step:
        raise InputError(
            f"{encoding} image of {width}×{height} px has {len(buffer)} bytes in rows of {step}; "
            f"it takes rows of at least {row} and {height} times that"
        )
    return buffer[: height * step].reshape(height, step)[:, :row]


def _eight_bits(values: NDArray[np.unsignedinteger], *, grey: bool) -> NDArray[np.uint8]:
    """Channels of 16 bits on 8: grey ones by the range, others by the depth that they use."""
    return _stretched(values) if grey else _upper_byte(values)


def _stretched(values: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
    """Grey values (H, W) of 16 bits on 8 bits, from the darkest used to the brightest."""
    sample = values[:: max(1, len(values) // 100), :: max(1, values.shape[1] // 100)]
    low, high = np.percentile(sample, (_DARKEST, _BRIGHTEST))
    scale = 255.0 / max(high - low, _LEAST_RANGE)
    return np.asarray(((values - low) * scale).clip(0.0, 255.0), np.uint8)


def _upper_byte(values: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
    """Values of 16 bits on 8 bits, taken for those of the least depth of a sensor that holds them.

    Cameras send 10 or 12 bits in the lower ones, and all but black would be lost.
    """
    bits = next(bits for bits in _SENSORS if int(values.max()) >> bits == 0)
    return np.asarray(values >> (bits - 8), np.uint8)


def rgb_from_bgr(picture: cv2.typing.MatLike) -> NDArray[np.uint8]:
    """OpenCV's picture (H, W, 3) with its channels in our order."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def decode_compressed(data: Buffer, upright: bool = False) -> NDArray[np.uint8]:
    """RGB picture, shape (H, W, 3), of a compressed image (JPEG, PNG, ...).

    Raises InputError if the data are truncated or no picture.

    `upright`: whether to turn a photograph as its EXIF orientation says. A camera's image is not to
    be turned: its calibration is that of the pixels as they are sent.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    # OpenCV fills up a truncated JPEG with grey and says nothing to the caller. Some cameras fill
    # up their buffers with zeros behind the end.
    head, tail = bytes(buffer[:2]), bytes(buffer[-_PADDING:]).rstrip(b"\0")[-64:]
    if head == b"\xff\xd8" and b"\xff\xd9" not in tail:
        raise InputError(f"JPEG of {len(buffer)} bytes has no end marker; it is truncated")
    check_size(bytes(buffer))
    form = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    turn = 0 if upright else cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(buffer, form | turn) if len(buffer) else None
    except cv2.error:  # a header of billions of pixels, for instance
        picture = None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise InputError(f"compressed image of {len(buffer)} bytes can't be decoded")
    if picture.dtype == np.uint16:
        picture = _eight_bits(np.asarray(picture, np.uint16), grey=picture.ndim == 2)
    return np.asarray(cv2.cvtColor(picture, _GREY if picture.ndim == 2 else _BGR), np.uint8)


def check_size(data: bytes) -> None:
    """Refuse a PNG or JPEG that promises more than so few bytes can hold.

    OpenCV makes room for all pixels, and for a whole chunk of a PNG, before it looks whether they
    are there, which may take gigabytes. Raises InputError.
    """
    width = height = 0
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        at, kind = 8, b""
        while kind != b"IEND" and at + 8 <= len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            at += 12 + length
        if at > len(data):
            raise InputError(f"compressed image of {len(data)} bytes can't be decoded")
    elif data[:2] == b"\xff\xd8":
        at = 2
        while at + 9 <= len(data):
            kind, length, _, rows, columns = struct.unpack_from(">xBHBHH", data, at)
            if kind in _FRAMES:
                width, height = columns, rows
                break
            at += 2 + length
    if width * height > max(_SMALL, _DENSEST * len(data)):
        raise InputError(
            f"compressed image of {len(data)} bytes promises {width}×{height} px; it is damaged"
        )


def decode_image_message(message: Any) -> NDArray[np.uint8]:
    """RGB picture, shape (H, W, 3), of a sensor_msgs Image or CompressedImage (its fields).

    Raises InputError as `decode_image` and `decode_compressed`.
    """
    if not hasattr(message, "encoding"):
        return decode_compressed(message.data)
    return decode_image(*image_fields(message))


def image_fields(message: Any) -> tuple[Buffer, int, int, str, int, bool]:
    """Data, height, width, encoding, step and endianness of a sensor_msgs Image (its fields)."""
    m = message
    return m.data, m.height, m.width, m.encoding, m.step, bool(m.is_bigendian)


class FrozenCamera:
    """Refuse a picture that a camera sends over and over.

    A filter behind it would go on moving people for a second, and the safety node would take that
    for news. No sensor has the same noise twice; a node that repeats images to keep up a rate has
    one or two of each.

    `longest`: identical pictures in a row that are taken; 0: any number.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._last: int | None = None
        self._times = 0

    def check(self, data: Any) -> None:
        """Look at the bytes of the next picture.

        Raises InputError if it is the same as too many before it.
        """
        checksum = zlib.crc32(data)
        self._times = self._times + 1 if checksum == self._last else 1
        self._last = checksum
        if self._longest and self._times > self._longest:
            raise InputError(
                f"the camera has sent the same picture {self._times} times: it is frozen; nothing "
                "is published until it sends another ('identical_pictures')"
            )
