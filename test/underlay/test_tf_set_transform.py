"""Which transforms a buffer takes in: what makes no sense is logged and left out."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("tf2_ros")

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from tf2_ros import Buffer, TransformException
from tf_frames import about_z, at, matrix, stamped

NAN = math.nan


def refused(buffer: Buffer, transform: TransformStamped) -> bool:
    """Tell whether a transform to the frame "child" is left out, moving and static alike."""
    for add in (buffer.set_transform, buffer.set_transform_static):
        assert add(transform, "test") is None  # never an error for the sender
        if buffer.can_transform("parent", "child", Time()):
            return False
    return True


def test_a_frame_cannot_be_its_own_parent(buffer: Buffer) -> None:
    buffer.set_transform(stamped("child", "child", 1.0), "test")
    buffer.set_transform(stamped("/child", "child", 1.0), "test")
    buffer.set_transform(stamped("other", "parent", 1.0), "test")
    with pytest.raises(TransformException):
        buffer.lookup_transform("parent", "child", Time())


@pytest.mark.parametrize(("parent", "child"), [("", "child"), ("parent", ""), ("/", "child")])
def test_frame_ids_cannot_be_empty(buffer: Buffer, parent: str, child: str) -> None:
    assert refused(buffer, stamped(parent, child, 1.0))


@pytest.mark.parametrize("xyz", [(NAN, 0, 0), (0, NAN, 0), (0, 0, NAN)])
def test_translations_cannot_be_nan(buffer: Buffer, xyz: tuple[float, float, float]) -> None:
    assert refused(buffer, stamped("parent", "child", 1.0, xyz=xyz))


@pytest.mark.parametrize("axis", range(4))
def test_rotations_cannot_be_nan(buffer: Buffer, axis: int) -> None:
    values = [0.0, 0.0, 0.0, 1.0]
    values[axis] = NAN
    x, y, z, w = values
    assert refused(buffer, stamped("parent", "child", 1.0, quaternion=(x, y, z, w)))


def test_a_quaternion_of_length_zero_is_no_rotation(buffer: Buffer) -> None:
    assert refused(buffer, stamped("parent", "child", 1.0, quaternion=(0, 0, 0, 0)))


@pytest.mark.parametrize("length", [0.5, 0.999, 1.0, 1.02, -3.0])
def test_a_quaternion_of_another_length_is_normalised(buffer: Buffer, length: float) -> None:
    x, y, z, w = (length * value for value in about_z(50))
    buffer.set_transform(stamped("parent", "child", 1.0, quaternion=(x, y, z, w)), "test")
    rotation = buffer.lookup_transform("parent", "child", at(1)).transform.rotation
    np.testing.assert_allclose(
        [rotation.x, rotation.y, rotation.z, rotation.w], about_z(50), atol=1e-12
    )


def test_one_leading_slash_is_dropped_from_frame_ids(buffer: Buffer) -> None:
    buffer.set_transform(stamped("/parent", "/child", 1.0, xyz=(1, 2, 3)), "test")
    assert buffer.can_transform("parent", "child", at(1))


def test_the_sender_may_change_its_message_afterwards(buffer: Buffer) -> None:
    message = stamped("parent", "child", 1.0, xyz=(1, 2, 3))
    buffer.set_transform(message, "test")
    before = matrix(buffer.lookup_transform("parent", "child", at(1)))
    message.transform.translation.x = 9.0
    np.testing.assert_array_equal(matrix(buffer.lookup_transform("parent", "child", at(1))), before)
