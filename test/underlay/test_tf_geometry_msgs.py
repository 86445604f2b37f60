"""Points, vectors and poses in other frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

pytest.importorskip("tf2_geometry_msgs")

from geometry_msgs.msg import PointStamped, Pose, PoseStamped, Quaternion, Vector3Stamped
from hypothesis import given
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from tf2_geometry_msgs import do_transform_point, do_transform_pose, do_transform_vector3
from tf2_ros import Buffer, ExtrapolationException
from tf_frames import PROPERTY, about_z, at, matrix, quaternions, stamped, xyz


def values(msg: object, names: str = "xyz") -> list[float]:
    return [getattr(msg, name) for name in names]


def fill(msg: object, numbers: Iterable[float], names: str = "xyz") -> None:
    for name, number in zip(names, numbers, strict=True):
        setattr(msg, name, number)


@pytest.fixture
def cell(buffer: Buffer) -> Buffer:
    """A base that drives from (1, 0, 0) to (2, 0, 0) of the world, turned by 90 degrees."""
    for second, x in ((10.0, 1.0), (11.0, 2.0)):
        pose = stamped("world", "base", second, xyz=(x, 0, 0), quaternion=about_z(90))
        buffer.set_transform(pose, "test")
    return buffer


def header(second: float) -> Header:
    return Header(frame_id="base", stamp=at(second).to_msg())


def test_a_point_moves_with_its_frame(cell: Buffer) -> None:
    point = PointStamped(header=header(10.5))
    point.point.x = 1.0
    moved = cell.transform(point, "world")
    np.testing.assert_allclose(values(moved.point), [1.5, 1, 0], atol=1e-12)
    assert moved.header.frame_id == "world"
    assert moved.header.stamp == point.header.stamp
    assert point.header.frame_id == "base"


def test_a_vector_only_turns(cell: Buffer) -> None:
    vector = Vector3Stamped(header=header(10.5))
    vector.vector.x = 1.0
    moved = cell.transform(vector, "world")
    np.testing.assert_allclose(values(moved.vector), [0, 1, 0], atol=1e-12)


def test_a_pose_moves_and_turns(cell: Buffer) -> None:
    pose = PoseStamped(header=header(11))
    pose.pose.position.x = 1.0
    fill(pose.pose.orientation, about_z(-90), "xyzw")
    moved = cell.transform(pose, "world")
    np.testing.assert_allclose(values(moved.pose.position), [2, 1, 0], atol=1e-12)
    np.testing.assert_allclose(values(moved.pose.orientation, "xyzw"), [0, 0, 0, 1], atol=1e-12)
    assert moved.header.frame_id == "world"


def test_a_time_without_data_is_an_error(cell: Buffer) -> None:
    with pytest.raises(ExtrapolationException):
        cell.transform(PointStamped(header=header(12)), "world")


def test_a_point_may_be_moved_to_another_time(cell: Buffer) -> None:
    point = PointStamped(header=header(10))
    moved = cell.transform_full(point, "base", at(11), "world")
    np.testing.assert_allclose(values(moved.point), [0, 1, 0], atol=1e-12)


def test_a_type_that_nobody_registered_is_an_error(cell: Buffer) -> None:
    with pytest.raises(Exception, match=r"(?i)not .*supported"):
        cell.transform(stamped("base", "tool", 10.0), "world")


def test_an_orientation_of_length_zero_counts_as_none(cell: Buffer) -> None:
    pose = Pose(orientation=Quaternion(x=0.0, y=0.0, z=0.0, w=0.0))
    moved = do_transform_pose(pose, cell.lookup_transform("world", "base", at(10)))
    np.testing.assert_allclose(values(moved.orientation, "xyzw"), about_z(90), atol=1e-12)


@PROPERTY
@given(shift=xyz(), turn=quaternions(), position=xyz(), orientation=quaternions())
def test_any_transform_of_anything(
    shift: tuple[float, float, float],
    turn: tuple[float, float, float, float],
    position: tuple[float, float, float],
    orientation: tuple[float, float, float, float],
) -> None:
    transform = stamped("a", "b", xyz=shift, quaternion=turn)
    a_from_b = matrix(transform)
    expected = a_from_b @ [*position, 1.0]

    point = PointStamped()
    fill(point.point, position)
    moved = do_transform_point(point, transform)
    np.testing.assert_allclose(values(moved.point), expected[:3], atol=1e-9)

    pose = Pose()
    fill(pose.position, position)
    fill(pose.orientation, orientation, "xyzw")
    turned = do_transform_pose(pose, transform)
    np.testing.assert_allclose(values(turned.position), expected[:3], atol=1e-9)
    np.testing.assert_allclose(
        Rotation.from_quat(values(turned.orientation, "xyzw")).as_matrix(),
        a_from_b[:3, :3] @ Rotation.from_quat(orientation).as_matrix(),
        atol=1e-9,
    )

    vector = Vector3Stamped()
    fill(vector.vector, position)
    free = do_transform_vector3(vector, transform)
    np.testing.assert_allclose(values(free.vector), a_from_b[:3, :3] @ position, atol=1e-9)
