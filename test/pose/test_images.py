"""Image messages to RGB: every encoding against OpenCV's own conversion, and what is refused."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.images import FrozenCamera, decode_compressed, decode_image

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (10, 14, 3), dtype=np.uint8)
GREY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
WIDE = RNG.integers(0, 65536, (10, 14, 3), dtype=np.uint16)

# Encoding: the picture as it is sent, and what it shows.
SENT = {
    "rgb8": (RGB, RGB),
    "bgr8": (cv2.cvtColor(RGB, cv2.COLOR_RGB2BGR), RGB),
    "rgba8": (cv2.cvtColor(RGB, cv2.COLOR_RGB2RGBA), RGB),
    "bgra8": (cv2.cvtColor(RGB, cv2.COLOR_RGB2BGRA), RGB),
    "mono8": (GREY, cv2.cvtColor(GREY, cv2.COLOR_GRAY2RGB)),
    "8UC1": (GREY, cv2.cvtColor(GREY, cv2.COLOR_GRAY2RGB)),
    "8UC3": (cv2.cvtColor(RGB, cv2.COLOR_RGB2BGR), RGB),
    "8UC4": (cv2.cvtColor(RGB, cv2.COLOR_RGB2BGRA), RGB),
    "rgb16": (WIDE, (WIDE >> 8).astype(np.uint8)),
    "bgr16": (WIDE[..., ::-1], (WIDE >> 8).astype(np.uint8)),
    "rgba16": (np.dstack((WIDE, WIDE[..., 0])), (WIDE >> 8).astype(np.uint8)),
    "bgra16": (np.dstack((WIDE[..., ::-1], WIDE[..., 0])), (WIDE >> 8).astype(np.uint8)),
    "16UC3": (WIDE[..., ::-1], (WIDE >> 8).astype(np.uint8)),
}


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("encoding", SENT)
def test_every_encoding_shows_the_same_picture(encoding, is_bigendian, padding):
    picture, shown = SENT[encoding]
    ordered = picture.astype(picture.dtype.newbyteorder(">" if is_bigendian else "<"))
    rows = np.frombuffer(ordered.tobytes(), np.uint8).reshape(10, -1)
    sent = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
    decoded = decode_image(sent.tobytes(), 10, 14, encoding, sent.shape[1], is_bigendian)
    np.testing.assert_array_equal(decoded, shown)
    assert decoded.flags.c_contiguous


def test_what_is_rgb_already_is_not_copied():
    sent = np.frombuffer(RGB.tobytes(), np.uint8)
    assert np.shares_memory(decode_image(sent, 10, 14, "rgb8", 42), sent)


@pytest.mark.parametrize(
    ("encoding", "pack", "unpack"),
    [
        ("yuv422", cv2.COLOR_RGB2YUV_UYVY, cv2.COLOR_YUV2RGB_UYVY),
        ("uyvy", cv2.COLOR_RGB2YUV_UYVY, cv2.COLOR_YUV2RGB_UYVY),
        ("yuv422_yuy2", cv2.COLOR_RGB2YUV_YUYV, cv2.COLOR_YUV2RGB_YUYV),
        ("yuyv", cv2.COLOR_RGB2YUV_YUYV, cv2.COLOR_YUV2RGB_YUYV),
    ],
)
@pytest.mark.parametrize("padding", [0, 4])
def test_packed_yuv_keeps_colours(encoding, pack, unpack, padding):
    pairs = np.repeat(RGB[:, ::2], 2, axis=1)  # two pixels share their colour in these encodings
    packed = cv2.cvtColor(pairs, pack)
    sent = np.pad(packed.reshape(10, 28), ((0, 0), (0, padding)), constant_values=7)
    decoded = decode_image(sent.tobytes(), 10, 14, encoding, 28 + padding)
    np.testing.assert_array_equal(decoded, cv2.cvtColor(packed, unpack))
    assert np.abs(decoded.astype(int) - pairs).mean() < 6.0


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
@pytest.mark.parametrize("is_bigendian", [False, True])
def test_infrared_pictures_use_the_whole_range_of_grey_whatever_their_bits(
    bits, encoding, is_bigendian
):
    light = np.tile(np.linspace(0, 2**bits - 1, 256), (20, 1)).astype(np.uint16)
    sent = light.astype(light.dtype.newbyteorder(">" if is_bigendian else "<")).tobytes()
    shown = decode_image(sent, 20, 256, encoding, 512, is_bigendian)[..., 0]
    np.testing.assert_allclose(shown[0], np.arange(256), atol=4)
    dark = decode_image(bytes(20 * 512), 20, 256, encoding, 512)
    assert dark.max() == 0  # nothing is not noise


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_patterns_show_the_colours(pattern, bits):
    colours = {"r": 200, "g": 120, "b": 40}
    tile = np.array([colours[letter] for letter in pattern], np.uint16).reshape(2, 2)
    sent = (np.tile(tile, (8, 8)) << (bits - 8)).astype(np.uint8 if bits == 8 else "<u2")
    shown = decode_image(sent.tobytes(), 16, 16, f"bayer_{pattern}{bits}", 2 * bits)
    np.testing.assert_allclose(shown[4:12, 4:12], np.full((8, 8, 3), (200, 120, 40)), atol=1)


@pytest.mark.parametrize(("encoding", "order"), [("nv12", (0, 1)), ("nv21", (1, 0))])
def test_planar_yuv_shows_the_colours(encoding, order):
    planes = cv2.cvtColor(np.full((8, 10, 3), (200, 60, 30), np.uint8), cv2.COLOR_RGB2YUV_I420)
    colours = planes.ravel()[80:].reshape(2, 20)[list(order)]  # first and second of each pair
    sent = planes.ravel()[:80].tobytes() + colours.T.tobytes()
    shown = decode_image(sent, 8, 10, encoding, 10)
    assert shown.shape == (8, 10, 3)
    np.testing.assert_allclose(shown, np.full((8, 10, 3), (200, 60, 30)), atol=3)


def photograph(orientation: int) -> bytes:
    """A JPEG with a white corner and an EXIF orientation."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:10, :10] = 255
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    head = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"
    exif = head + bytes([orientation]) + bytes(6)
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


# What each EXIF orientation asks for.
UPRIGHT = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_cameras_jpeg_stays_as_its_calibration_knows_it_and_a_photograph_is_turned(orientation):
    as_sent = decode_compressed(photograph(orientation))
    assert as_sent.shape == (48, 64, 3)
    assert as_sent[:5, :5].min() > 200
    turned = decode_compressed(photograph(orientation), upright=True)
    np.testing.assert_array_equal(turned, UPRIGHT[orientation](as_sent))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["rgb16", "bayer_rggb16"])
def test_colours_of_a_sensor_of_fewer_bits_are_as_bright(encoding, is_bigendian, bits):
    shades = np.arange(256, dtype=np.uint16).reshape(16, 16)
    picture = shades if encoding.startswith("bayer") else np.dstack((shades,) * 3)
    sent = (picture << (bits - 8)).astype(">u2" if is_bigendian else "<u2")
    padded = np.pad(sent.view(np.uint8).reshape(16, -1), ((0, 0), (0, 6)))
    shown = decode_image(padded.tobytes(), 16, 16, encoding, padded.shape[1], is_bigendian)
    eight = decode_image(
        picture.astype(np.uint8).tobytes(), 16, 16, f"{encoding[:-2]}8", 16 * picture[0, 0].size
    )
    np.testing.assert_array_equal(shown, eight)


@pytest.mark.parametrize("bits", [10, 16])
def test_a_png_of_16_bits_is_not_black(bits):
    ramp = np.tile(np.linspace(0, 2**bits - 1, 256), (20, 1)).astype(np.uint16)
    for picture in (ramp, np.dstack((ramp,) * 3)):
        shown = decode_compressed(cv2.imencode(".png", picture)[1].tobytes())
        np.testing.assert_allclose(shown[0, :, 1], np.arange(256), atol=4)


def test_a_compressed_picture_of_grey_is_grey():
    sent = cv2.imencode(".png", GREY)[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(sent), cv2.cvtColor(GREY, cv2.COLOR_GRAY2RGB))


def test_a_compressed_picture_of_numbers_is_refused():
    sent = cv2.imencode(".tiff", np.ones((4, 5), np.float32))[1].tobytes()
    with pytest.raises(InputError, match=r"compressed image of \d+ bytes can't be decoded"):
        decode_compressed(sent)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ((b"\0" * 300, 10, 10, "jpeg2000", 30), "'jpeg2000' is not supported; known are rgb8"),
        ((b"\0" * 300, 5, 10, "nv12", 10), "in nv12 is 10×5 px; both must be even"),
        (
            (b"\0" * 299, 10, 10, "rgb8", 30),
            "has 299 bytes in rows of 30; it takes rows of at least",
        ),
        ((b"\0" * 300, 10, 10, "rgb8", 29), "rows of 29; it takes rows of at least 30"),
        ((b"", 0, 10, "rgb8", 30), "10×0 px; it needs at least one pixel"),
        ((b"\0" * 300, 10, 15, "yuv422", 30), "is 15 px wide; the width must be even"),
    ],
)
def test_what_contradicts_itself_is_refused_with_a_sentence(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        decode_image(*fields)


def test_compressed_pictures_are_decoded():
    for suffix in (".png", ".jpg"):
        data = cv2.imencode(suffix, cv2.cvtColor(RGB, cv2.COLOR_RGB2BGR))[1].tobytes()
        expected = cv2.cvtColor(
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
        )
        np.testing.assert_array_equal(decode_compressed(data), expected)


@settings(max_examples=40)
@given(st.integers(0, 600))
def test_a_truncated_picture_is_refused_wherever_it_is_cut(length):
    data = cv2.imencode(".jpg", RGB)[1].tobytes()
    with pytest.raises(InputError, match=r"truncated|can't be decoded"):
        decode_compressed(data[: min(length, len(data) - 2)])


@pytest.mark.parametrize("padding", [1, 100, 4000])
def test_zeros_behind_a_jpeg_are_no_fault_and_hide_none(padding):
    data = cv2.imencode(".jpg", RGB)[1].tobytes()
    np.testing.assert_array_equal(
        decode_compressed(data + b"\0" * padding), decode_compressed(data)
    )
    with pytest.raises(InputError, match="truncated"):
        decode_compressed(data[: len(data) // 2] + b"\0" * padding)


def test_a_frozen_camera_is_told_from_one_that_repeats_itself():
    camera = FrozenCamera(longest=3)
    first, second = RGB.tobytes(), GREY.tobytes()
    for picture in (first, first, second, second, second, first):  # to keep up a rate
        camera.check(picture)
    camera.check(first)
    camera.check(first)
    for times in (4, 5):
        with pytest.raises(InputError, match=f"same picture {times} times: it is frozen"):
            camera.check(first)
    camera.check(second)  # it goes on


def test_any_number_of_identical_pictures_is_taken_where_that_is_asked_for():
    camera = FrozenCamera(longest=0)
    for _ in range(100):
        camera.check(b"same")


@pytest.mark.parametrize("form", [".png", ".jpg"])
def test_a_header_that_promises_more_than_the_bytes_hold_takes_no_memory(form):
    data = bytearray(cv2.imencode(form, np.zeros((6, 8, 3), np.uint8))[1].tobytes())
    at = 16 if form == ".png" else data.index(b"\xff\xc0") + 5
    size = struct.pack(">II" if form == ".png" else ">HH", 30_000, 30_000)
    data[at : at + len(size)] = size
    with pytest.raises(InputError, match="promises 30000×30000 px; it is damaged"):
        decode_compressed(bytes(data))
