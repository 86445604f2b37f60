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


def test_a_frame_cannot_be_its_own_parent(buffer: Buffer) -> None:
    buffer.set_transform(stamped("child", "child", 1.0), "test")
    buffer.set_transform(stamped("/child", "child", 1.0), "test")
    buffer.set_transform(stamped("other", "parent", 1.0), "test")
    with pytest.raises(TransformException):
        buffer.lookup_transform("parent", "child", Time())


@pytest.mark.parametrize(
    "transform",
    [
        *(stamped(*names, 1.0) for names in (("", "child"), ("parent", ""), ("/", "child"))),
        stamped("parent", "child", 1.0, xyz=(0, math.nan, 0)),
        stamped("parent", "child", 1.0, quaternion=(0, 0, math.nan, 1)),
        stamped("parent", "child", 1.0, quaternion=(0, 0, 0, 0)),
    ],
)
def test_what_makes_no_sense_is_left_out(buffer: Buffer, transform: TransformStamped) -> None:
    for add in (buffer.set_transform, buffer.set_transform_static):
        assert add(transform, "test") is None  # never an error for the sender
        assert not buffer.can_transform("parent", "child", Time())


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
