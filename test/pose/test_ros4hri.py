"""ROS4HRI: bodies stand where they are, face where they face, and key points have their order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ses_gcn_ros.pose.ros4hri import KEY_POINTS, body_pose, frames_of, key_points
from ses_gcn_ros.skeleton import Skeleton, get_layout

JOINTS = get_layout("chico15").joints


def person(turn: Rotation | None = None, place=(0.0, 0.0, 0.0)) -> Skeleton:
    """Somebody upright who faces +x, turned and moved."""
    points = np.zeros((15, 3))
    for name, spot in {
        "r_hip": (0, -0.1, 1.0), "l_hip": (0, 0.1, 1.0), "hip": (0, 0, 1.0),
        "r_shoulder": (0, -0.2, 1.5), "l_shoulder": (0, 0.2, 1.5), "nose": (0.1, 0, 1.7),
    }.items():  # fmt: skip
        points[JOINTS.index(name)] = spot
    points = (turn.apply(points) if turn else points) + place
    return Skeleton("p3", "chico15", points.astype(np.float32), np.ones(15, np.float32))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_a_body_s_frame_moves_with_the_body(seed):
    turn = Rotation.random(random_state=seed)
    place = np.random.default_rng(seed).normal(size=3)
    pose = body_pose(person(turn, place))
    assert pose is not None
    np.testing.assert_allclose(pose[:3, :3], turn.as_matrix(), atol=1e-5)
    np.testing.assert_allclose(pose[:3, 3], turn.apply((0, 0, 1.0)) + place, atol=1e-5)


def test_a_trunk_that_is_not_seen_has_no_frame():
    someone = person()
    someone.positions[JOINTS.index("l_hip")] = np.nan
    assert body_pose(someone) is None
    names, poses = frames_of([someone], joints=False)
    assert names == []
    assert poses.shape == (0, 4, 4)


def test_joints_seen_get_frames_where_asked_for():
    someone = person()
    someone.positions[JOINTS.index("r_wrist")] = np.nan
    assert frames_of([someone], joints=False)[0] == ["body_p3"]
    names, poses = frames_of([someone], joints=True)
    assert len(names) == 15
    assert "r_wrist_p3" not in names
    np.testing.assert_allclose(poses[names.index("nose_p3")][:3, 3], (0.1, 0, 1.7), atol=1e-6)


@pytest.mark.parametrize("layout", ["mediapipe33", "coco17"])
def test_key_points_have_their_order_and_are_shares_of_the_picture(layout):
    names = get_layout(layout).joints
    pixels = np.column_stack((10.0 * np.arange(len(names)), np.full(len(names), 90.0)))
    points = key_points(pixels, np.full(len(names), 0.8), layout, (640, 360))
    assert points.shape == (18, 3)
    for name, point in zip(KEY_POINTS, points, strict=True):
        if name in names:
            np.testing.assert_allclose(point, (names.index(name) / 64.0, 0.25, 0.8))
    shoulders = [points[KEY_POINTS.index(f"{side}_shoulder")] for side in "rl"]
    np.testing.assert_allclose(points[1], np.mean(shoulders, axis=0))  # the neck


def test_key_points_not_found_or_outside_are_zero():
    pixels = np.full((33, 2), 100.0)
    pixels[get_layout("mediapipe33").joints.index("l_wrist")] = np.nan
    pixels[get_layout("mediapipe33").joints.index("l_ankle")] = (100.0, 400.0)
    points = key_points(pixels, np.ones(33), "mediapipe33", (640, 360))
    for joint in ("l_wrist", "l_ankle"):
        np.testing.assert_array_equal(points[KEY_POINTS.index(joint)], 0.0)
    assert (points[:, 2] == 1.0).sum() == 16
