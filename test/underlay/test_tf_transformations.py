"""Quaternions (x, y, z, w), Euler angles and matrices against scipy."""

from __future__ import annotations

import itertools
import math

import pytest

pytest.importorskip("tf_transformations")

import numpy as np
import tf_transformations as tf
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation, Slerp
from tf_frames import PROPERTY, quaternions, xyz

ANGLES = st.tuples(*[st.floats(-math.pi, math.pi)] * 3)
# Three axes of which no two neighbours are equal, standing still (s) or turning along (r).
SEQUENCES = [
    frame + "".join(axes)
    for frame in "sr"
    for axes in itertools.product("xyz", repeat=3)
    if axes[0] != axes[1] != axes[2]
]

Three = tuple[float, float, float]
Four = tuple[float, float, float, float]


def rotation(angles: Three, axes: str) -> Rotation:
    """Rotation of Euler angles by scipy, which writes axes that turn along in capitals."""
    return Rotation.from_euler(axes[1:].upper() if axes[0] == "r" else axes[1:], angles)


def same_rotation(quaternion: ArrayLike, expected: Rotation) -> bool:
    return bool(
        (Rotation.from_quat(np.asarray(quaternion, dtype=float)) * expected.inv()).magnitude()
        < 1e-9
    )


def test_roll_pitch_and_yaw_are_about_axes_that_stand_still() -> None:
    np.testing.assert_allclose(
        tf.quaternion_from_euler(0, 0, math.pi / 2), [0, 0, 0.5**0.5, 0.5**0.5]
    )
    roll, pitch, yaw = tf.euler_from_quaternion([0, 0, 0.5**0.5, 0.5**0.5])
    np.testing.assert_allclose([roll, pitch, yaw], [0, 0, math.pi / 2], atol=1e-12)


@PROPERTY
@given(angles=ANGLES, axes=st.sampled_from(SEQUENCES))
def test_euler_angles_become_rotations(angles: Three, axes: str) -> None:
    expected = rotation(angles, axes)
    assert same_rotation(tf.quaternion_from_euler(*angles, axes=axes), expected)
    np.testing.assert_allclose(
        tf.euler_matrix(*angles, axes=axes)[:3, :3], expected.as_matrix(), atol=1e-9
    )


@PROPERTY
@given(quaternion=quaternions(), axes=st.sampled_from(SEQUENCES))
def test_rotations_become_euler_angles(quaternion: Four, axes: str) -> None:
    expected = Rotation.from_quat(quaternion)
    for angles in (
        tf.euler_from_quaternion(quaternion, axes=axes),
        tf.euler_from_matrix(tf.quaternion_matrix(quaternion), axes=axes),
    ):
        # Where two axes fall together only the sum of their angles counts, and precision halves.
        np.testing.assert_allclose(
            rotation(angles, axes).as_matrix(), expected.as_matrix(), atol=1e-6
        )


@PROPERTY
@given(quaternion=quaternions(), shift=xyz())
def test_matrices_hold_rotation_and_translation(quaternion: Four, shift: Three) -> None:
    matrix = tf.concatenate_matrices(tf.translation_matrix(shift), tf.quaternion_matrix(quaternion))
    expected = np.eye(4)
    expected[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
    expected[:3, 3] = shift
    np.testing.assert_allclose(matrix, expected, atol=1e-9)
    np.testing.assert_allclose(tf.translation_from_matrix(matrix), shift, atol=1e-9)
    assert same_rotation(tf.quaternion_from_matrix(matrix), Rotation.from_quat(quaternion))
    np.testing.assert_allclose(
        tf.concatenate_matrices(tf.inverse_matrix(matrix), matrix), tf.identity_matrix(), atol=1e-9
    )


@PROPERTY
@given(first=quaternions(), second=quaternions())
def test_products_turn_by_the_right_one_first(first: Four, second: Four) -> None:
    expected = Rotation.from_quat(second) * Rotation.from_quat(first)
    assert same_rotation(tf.quaternion_multiply(second, first), expected)
    undone = tf.quaternion_multiply(tf.quaternion_inverse(first), first)
    np.testing.assert_allclose(undone, [0, 0, 0, 1], atol=1e-12)


def test_the_inverse_of_a_long_quaternion_is_short() -> None:
    np.testing.assert_allclose(tf.quaternion_inverse([0, 0, 0, 2]), [0, 0, 0, 0.5])
    np.testing.assert_allclose(tf.quaternion_conjugate([1, 2, 3, 4]), [-1, -2, -3, 4])


@PROPERTY
@given(start=quaternions(), end=quaternions(), fraction=st.floats(0.0, 1.0))
def test_slerp_takes_the_shorter_way_at_constant_speed(
    start: Four, end: Four, fraction: float
) -> None:
    both = Rotation.from_quat([start, end])
    assume((both[0].inv() * both[1]).magnitude() < 3.1)  # at half a turn either way is right
    expected = Slerp([0.0, 1.0], both)(fraction)
    assert same_rotation(tf.quaternion_slerp(start, end, fraction), expected)


@PROPERTY
@given(axis=xyz(), angle=st.floats(-math.pi, math.pi), point=xyz())
def test_turns_about_an_axis(axis: Three, angle: float, point: Three) -> None:
    length = float(np.linalg.norm(axis))
    assume(length > 0.1)
    expected = Rotation.from_rotvec(np.multiply(axis, angle / length))
    assert same_rotation(tf.quaternion_about_axis(angle, axis), expected)
    np.testing.assert_allclose(
        tf.rotation_matrix(angle, axis)[:3, :3], expected.as_matrix(), atol=1e-9
    )
    about_point = tf.rotation_matrix(angle, axis, point)
    np.testing.assert_allclose(about_point @ [*point, 1.0], [*point, 1.0], atol=1e-9)
    assume(abs(angle) > 1e-3)  # no turn, no axis
    found_angle, found_axis, _ = tf.rotation_from_matrix(tf.rotation_matrix(angle, axis))
    found = Rotation.from_rotvec(np.multiply(found_axis, found_angle))
    assert (found * expected.inv()).magnitude() < 1e-6
