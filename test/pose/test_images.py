"""Image messages to RGB: every encoding against OpenCV's own conversion, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.images import decode_compressed, decode_image

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
    "mono16": (
        WIDE[..., 0],
        cv2.cvtColor((WIDE[..., 0] >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB),
    ),
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


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            (b"\0" * 300, 10, 10, "bayer_rggb8", 30),
            "'bayer_rggb8' is not supported; known are rgb8",
        ),
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
