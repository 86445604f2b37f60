"""The transform tree gives poses, interpolates, and says what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.transforms import StampedTransform, TransformBuffer

SECOND = 10**9
STILL = (0.0, 0.0, 0.0, 1.0)


def moved(parent: str, child: str, at: float, x: float, turn=STILL) -> StampedTransform:
    return StampedTransform(parent, child, round(at * SECOND), (x, 0.0, 0.0, *turn))


def arm() -> TransformBuffer:
    """World, a fixed base one metre up the x axis, and two links that move along it."""
    buffer = TransformBuffer("world")
    buffer.add([moved("world", "base", 0.0, 1.0)], static=True)
    for at in (10.0, 10.1, 10.2):
        buffer.add([moved("base", "a", at, at)], static=False)
    for at in (10.0, 10.1):
        buffer.add([moved("a", "b", at, 0.5)], static=False)
    return buffer


def test_frames_are_given_at_the_last_time_that_all_of_them_are_known():
    stamp, poses = arm().poses(["a", "b"], now=11.0)
    assert stamp == pytest.approx(10.1)
    np.testing.assert_allclose(poses[:, 0, 3], [1.0 + 10.1, 1.0 + 10.1 + 0.5], atol=1e-9)


def test_what_was_seen_at_a_transforms_stamp_is_placed_by_it_whatever_seconds_round():
    buffer, today = TransformBuffer("world"), 1_796_000_000 * SECOND
    for stamp in range(today, today + SECOND, 7_654_321):
        item = StampedTransform("world", "camera", stamp, (float(stamp - today), 0.0, 0.0, *STILL))
        buffer.add([item], static=False)
        assert buffer.pose("camera", stamp * 1e-9)[0, 3] == pytest.approx(stamp - today, abs=500)


def test_frames_that_never_move_hold_now():
    stamp, poses = arm().poses(["base"], now=123.0)
    assert stamp == 123.0
    assert poses[0, 0, 3] == 1.0


def test_between_two_transforms_rotations_go_along_the_great_arc():
    turns = Rotation.from_rotvec([[0.2, -0.1, 0.4], [1.0, 0.3, -0.2]])
    buffer = TransformBuffer("world")
    for at, turn in zip((1.0, 1.1), turns, strict=True):
        buffer.add([moved("world", "head", at, at, tuple(turn.as_quat()))], static=False)
    point = np.array([[0.3, 0.5, -0.2]], np.float32)
    found = buffer.points(point, "head", 1.03)
    between = Slerp([1.0, 1.1], turns)(1.03)
    np.testing.assert_allclose(found, between.apply(point) + np.array([1.03, 0, 0]), atol=1e-6)


def test_points_of_the_world_stay_and_a_frame_has_to_be_named():
    points = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(arm().points(points, "world", 0.0), points)
    with pytest.raises(InputError, match="frame_id"):
        arm().points(points, "", 10.0)


def test_before_the_first_and_after_the_last_transform_nothing_is_known():
    for stamp in (9.9, 10.3):
        with pytest.raises(InputError, match="not known at"):
            arm().points(np.ones((1, 3), np.float32), "a", stamp)


def test_what_is_known_of_a_frame_that_is_placed_from_its_child_is_said():
    buffer = TransformBuffer("tool")
    buffer.add(
        [moved("world", "tool", stamp, stamp) for stamp in (90.0, 95.0, 103.0)], static=False
    )
    with pytest.raises(InputError, match=r"'tool' is not known at 91\.000 s, only from 93\.000"):
        buffer.pose("world", 91.0)


def test_what_does_not_connect_is_said():
    buffer = arm()
    buffer.add([moved("elsewhere", "tool", 10.0, 0.0)], static=False)
    with pytest.raises(RobotError, match="'tool' hangs on 'elsewhere'"):
        buffer.poses(["tool"], 10.0)
    with pytest.raises(RobotError, match="nothing was heard of frame 'gripper'"):
        buffer.poses(["gripper"], 10.0)
    with pytest.raises(RobotError, match="nothing joins 'elsewhere' to 'world'"):
        buffer.poses(["elsewhere"], 10.0)
    buffer.add([moved("y", "x", 10.0, 0.0), moved("x", "y", 10.0, 0.0)], static=False)
    with pytest.raises(RobotError, match="loop"):
        buffer.poses(["x"], 10.0)


def test_a_loop_through_the_world_is_said():
    """Where a link also has the world as its child, either way round may be the right one."""
    buffer = arm()
    buffer.add([moved("a", "world", 10.1, 5.0)], static=False)
    with pytest.raises(RobotError, match="world, a, base form a loop"):
        buffer.poses(["a"], 10.1)


def test_a_loop_is_forgotten_once_whoever_made_it_is_silent_for_long():
    buffer = arm()
    buffer.add([moved("a", "world", 10.1, 5.0)], static=False)
    for at in (15.0, 20.05, 20.2):  # the last that is said of it
        buffer.add([moved("base", "a", at, at)], static=False)
        with pytest.raises(RobotError, match="world, a, base form a loop"):
            buffer.poses(["a"], at)
    stamp, poses = buffer.poses(["a"], 20.2)
    assert stamp == pytest.approx(20.2)
    np.testing.assert_allclose(poses[0, 0, 3], 1.0 + 20.2)


def test_what_is_from_the_future_is_refused_until_better_comes():
    buffer = arm()
    left_out = buffer.add([moved("base", "/a", 15.3, 9.0)], static=False, latest=10.25)
    assert left_out == ["transform of 'a' is from the future, by 5.05 s more than may be"]
    with pytest.raises(RobotError, match=r"tf of a is from the future, by 5\.05 s"):
        buffer.poses(["b"], 10.25)
    buffer.add([moved("base", "a", 10.24, 10.24)], static=False, latest=10.25)
    stamp, poses = buffer.poses(["b"], 10.25)
    assert stamp == pytest.approx(10.1)
    assert poses[0, 0, 3] == pytest.approx(1.0 + 10.1 + 0.5)


@pytest.mark.parametrize(
    ("again", "told"),
    [
        (moved("world", "base", 0.0, 1.3), "told 300 mm and 0.0° from where it was"),
        (moved("world", "/base", 0.0, 1.0, (0, 0, 0.1, 1)), "told 0 mm and 11.4° from"),
        (moved("shelf", "base", 0.0, 1.0), "told in 'shelf' after 'world'"),
    ],
)
def test_a_static_frame_that_is_told_elsewhere_is_not_trusted(again, told):
    buffer = arm()
    buffer.add([moved("world", "shelf", 0.0, 0.0)], static=True)
    before = moved("world", "base", 3.0, 1.0 + 1e-6)  # as another program rounds it
    for item in (before, again):
        assert buffer.add([item], static=True) == []
    for _ in range(2):
        with pytest.raises(RobotError, match=f"tf of base is static, but {told}"):
            buffer.poses(["b"], 11.0)
        with pytest.raises(InputError, match=f"tf of base is static, but {told}"):
            buffer.points(np.zeros((1, 3), np.float32), "a", 10.1)
        buffer.add([again], static=True)
    buffer.add([before], static=True)  # back again
    assert buffer.poses(["b"], 11.0)[1][0, 0, 3] == pytest.approx(1.0 + 10.1 + 0.5, abs=1e-5)


def test_a_static_frame_is_trusted_elsewhere_once_somebody_has_looked():
    buffer = arm()
    buffer.add([moved("world", "base", 0.0, 1.3)], static=True)
    assert buffer.believe() == ["base"]
    assert buffer.poses(["b"], 11.0)[1][0, 0, 3] == pytest.approx(1.3 + 10.1 + 0.5)
    buffer.add([moved("world", "base", 0.0, 1.0)], static=True)
    with pytest.raises(RobotError, match="tf of base is static, but told 300 mm"):
        buffer.poses(["b"], 11.0)


def test_a_static_frame_that_nobody_asks_for_may_be_anywhere():
    buffer = arm()
    for x in (1.0, 2.0):
        buffer.add([moved("world", "shelf", 0.0, x)], static=True)
    assert len(buffer.poses(["b"], 11.0)[1]) == 1


def test_a_frame_of_which_nothing_could_be_used_says_why():
    buffer = arm()
    buffer.add([StampedTransform("b", "tool", SECOND, (0.0,) * 7)], static=False)
    with pytest.raises(RobotError, match="tf of tool missing: transform of 'tool' in 'b' unusable"):
        buffer.poses(["tool"], 11.0)
    buffer.add([moved("b", "tool", 10.1, 0.1)], static=False)
    assert buffer.poses(["tool"], 11.0)[0] == pytest.approx(10.1)


def test_a_frame_may_get_another_parent():
    buffer = arm()
    buffer.add([moved("world", "a", 10.3, 7.0)], static=False)
    _, poses = buffer.poses(["a"], 10.3)
    assert poses[0, 0, 3] == 7.0


def test_memory_is_bounded():
    buffer = TransformBuffer("world")
    for number in range(5000):
        buffer.add([moved("world", "a", number / 100, 0.0)], static=False)
    edge = buffer._edges["a"]
    assert len(edge.stamps) == len(edge.known) <= 2001
    with pytest.raises(InputError, match=r"only from 3\d\.\d+ s"):
        buffer.pose("a", 29.0)


def test_the_world_may_be_any_frame_of_the_tree():
    buffer = TransformBuffer("tool")
    turn = Rotation.from_rotvec([0.3, -0.4, 0.5])
    buffer.add([moved("root", "base", 0.0, 1.0)], static=True)
    buffer.add([moved("base", "tool", 5.0, 2.0, tuple(turn.as_quat()))], static=False)
    buffer.add([moved("root", "camera", 5.0, -1.0)], static=False)
    stamp, (camera, root, tool) = buffer.poses(["camera", "root", "tool"], 6.0)
    assert stamp == 5.0
    np.testing.assert_allclose(camera[:3, 3], turn.inv().apply([-4.0, 0.0, 0.0]), atol=1e-12)
    np.testing.assert_allclose(root[:3, :3], turn.inv().as_matrix(), atol=1e-12)
    np.testing.assert_allclose(tool, np.eye(4), atol=1e-12)


def test_what_comes_late_is_put_in_its_place():
    buffer = TransformBuffer("world")
    for at, x in ((1.0, 0.0), (3.0, 0.0), (2.0, 8.0)):
        buffer.add([moved("world", "a", at, x)], static=False)
    assert buffer.pose("a", 1.5)[0, 3] == pytest.approx(4.0)
    assert buffer.poses(["a"], 4.0)[0] == 3.0


def test_a_clock_set_back_begins_anew():
    buffer = TransformBuffer("world")
    for at in (100.0, 50.0, 50.1):
        buffer.add([moved("world", "a", at, at)], static=False)
    stamp, poses = buffer.poses(["a"], 51.0)
    assert (stamp, poses[0, 0, 3]) == (50.1, 50.1)


def test_at_a_time_before_it_was_hung_elsewhere_a_frame_is_where_it_was():
    buffer = TransformBuffer("world")
    buffer.add([moved("world", "table", 0.0, 5.0)], static=True)
    for at in (1.0, 1.1):
        buffer.add([moved("world", "cup", at, at)], static=False)
    buffer.add([moved("table", "cup", 1.2, 0.0)], static=False)
    assert buffer.poses(["cup"], 2.0)[1][0, 0, 3] == 5.0
    assert buffer.pose("cup", 1.05)[0, 3] == pytest.approx(1.05)
    assert buffer.pose("cup", 1.15)[0, 3] == pytest.approx(1.1)


def test_forgetting_keeps_what_never_moves():
    buffer = arm()
    buffer.forget()
    assert buffer.poses(["base"], 1.0)[0] == 1.0
    with pytest.raises(RobotError, match="tf of a missing: nothing was heard"):
        buffer.poses(["a"], 1.0)


def test_poses_asked_for_twice_are_not_shared():
    buffer = arm()
    first = buffer.poses(["a"], 11.0)[1]
    first[:] = 0.0
    assert buffer.poses(["a"], 11.0)[1][0, 0, 3] == pytest.approx(11.2)


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        (moved("world", "world", 1.0, 0.0), "own parent"),
        (moved("", "a", 1.0, 0.0), "no name"),
        (moved("world", "a", 1.0, float("nan")), "not finite"),
        (moved("world", "a", 1.0, 0.0, (0.0, 0.0, 0.0, 0.0)), "no direction"),
        (moved("world", "a", 1.0, 0.0, (0.0, float("nan"), 0.0, 1.0)), "no direction"),
    ],
)
def test_what_makes_no_sense_is_left_out_and_said(item, fault):
    buffer = arm()
    (sentence,) = buffer.add([item], static=False)
    assert fault in sentence
    assert buffer.poses(["a"], 11.0)[0] == pytest.approx(10.2)
