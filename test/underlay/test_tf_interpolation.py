"""Transforms of random trees against composition and interpolation by scipy."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("tf2_ros")

import numpy as np
from geometry_msgs.msg import TransformStamped
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp
from tf2_ros import Buffer
from tf_frames import PROPERTY, Matrix, at, matrix, quaternions, stamped, xyz

START, END = 100.0, 100.5  # s, the two samples of each moving frame

Motion = tuple[TransformStamped, TransformStamped]


@st.composite
def trees(draw: st.DrawFn) -> list[Motion]:
    """Frames f1, f2, … each a child of one before it or of f0, with a transform at two times."""
    motions = []
    for index in range(1, draw(st.integers(2, 10)) + 1):
        parent = f"f{draw(st.integers(0, index - 1))}"
        start, end = (
            stamped(parent, f"f{index}", t, xyz=draw(xyz()), quaternion=draw(quaternions()))
            for t in (START, END)
        )
        # At half a turn both ways round are equally short, and either is right.
        turn = np.linalg.inv(matrix(start)) @ matrix(end)
        assume(Rotation.from_matrix(turn[:3, :3]).magnitude() < 3.1)
        motions.append((start, end))
    return motions


def between(motion: Motion, ratio: float) -> Matrix:
    """Blend two transforms with scipy."""
    start, end = map(matrix, motion)
    result = np.eye(4)
    turn = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([start[:3, :3], end[:3, :3]])))
    result[:3, :3] = turn(ratio).as_matrix()
    result[:3, 3] = (1.0 - ratio) * start[:3, 3] + ratio * end[:3, 3]
    return result


def root_from(frame: str, motions: list[Motion], ratio: float) -> Matrix:
    """Chain the blended transforms up to the root with matrix products."""
    result = np.eye(4)
    while frame != "f0":
        motion = motions[int(frame[1:]) - 1]
        result = between(motion, ratio) @ result
        frame = motion[0].header.frame_id
    return result


def filled(motions: list[Motion]) -> Buffer:
    buffer = Buffer()
    for motion in motions:
        for transform in motion:
            buffer.set_transform(transform, "test")
    return buffer


@PROPERTY
@given(motions=trees(), ratio=st.floats(0.0, 1.0), pick=st.data())
def test_any_two_frames_at_any_time(
    motions: list[Motion], ratio: float, pick: st.DataObject
) -> None:
    frames = [f"f{index}" for index in range(len(motions) + 1)]
    target, source = pick.draw(st.sampled_from(frames)), pick.draw(st.sampled_from(frames))
    time = at(START + ratio * (END - START))
    ratio = (time.nanoseconds - START * 1e9) / ((END - START) * 1e9)
    answer = filled(motions).lookup_transform(target, source, time)
    expected = np.linalg.inv(root_from(target, motions, ratio)) @ root_from(source, motions, ratio)
    np.testing.assert_allclose(matrix(answer), expected, atol=1e-9)
    r = answer.transform.rotation
    np.testing.assert_allclose(np.linalg.norm([r.x, r.y, r.z, r.w]), 1.0, atol=1e-12)


@PROPERTY
@given(angle=st.floats(1e-12, 1e-3), ratio=st.floats(0.0, 1.0))
def test_turns_too_small_to_see(angle: float, ratio: float) -> None:
    buffer = Buffer()
    buffer.set_transform(stamped("f0", "f1", START), "test")
    small = (0.0, math.sin(angle / 2.0), 0.0, math.cos(angle / 2.0))
    buffer.set_transform(stamped("f0", "f1", END, quaternion=small), "test")
    time = at(START + ratio * (END - START))
    y = buffer.lookup_transform("f0", "f1", time).transform.rotation.y
    np.testing.assert_allclose(y, ratio * angle / 2.0, atol=1e-9)
