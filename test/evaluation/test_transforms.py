"""Recorded transforms, looked up by time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from ses_gcn_ros.evaluation.transforms import TransformTree

IDENTITY = (0.0, 0.0, 0.0, 1.0)


def matrix(translation, quaternion) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
    pose[:3, 3] = translation
    return pose


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_poses_between_two_stamps_are_interpolated(seed, share):
    generator = np.random.default_rng(seed)
    translations = generator.normal(size=(2, 3))
    rotations = Rotation.random(2, random_state=seed)
    tree = TransformTree()
    for stamp, t, q in zip((5.0, 5.5), translations, rotations.as_quat(), strict=True):
        tree.add(stamp, "world", "tool", tuple(t), tuple(q), static=False)
    time = 5.0 + 0.5 * share
    (found,) = tree.poses("world", ("tool",), time)
    between = Slerp([5.0, 5.5], rotations)(time)
    expected = matrix((1 - share) * translations[0] + share * translations[1], between.as_quat())
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(st.integers(0, 2**31))
def test_a_chain_is_composed_and_read_from_any_frame(seed):
    generator = np.random.default_rng(seed)
    names = ("world", "base", "elbow", "tool")
    links = [
        (tuple(generator.normal(size=3)), tuple(Rotation.random(random_state=seed + i).as_quat()))
        for i in range(3)
    ]
    tree = TransformTree()
    for parent, child, (t, q) in zip(names[:-1], names[1:], links, strict=True):
        tree.add(1.0, parent, child, t, q, static=child != "tool")
    base, elbow, tool = (matrix(*link) for link in links)
    found = tree.poses("world", names[1:], 1.0)
    np.testing.assert_allclose(found, [base, base @ elbow, base @ elbow @ tool], atol=1e-9)
    (back,) = tree.poses("tool", ("base",), 1.0)
    np.testing.assert_allclose(back, np.linalg.inv(elbow @ tool), atol=1e-9)


def test_the_frame_itself_is_the_identity():
    np.testing.assert_array_equal(TransformTree().poses("world", ("world",), 3.0), [np.eye(4)])


@pytest.mark.parametrize("time", [0.9, 3.1, 2.5])
def test_nothing_is_known_outside_of_the_recording_or_across_a_gap(time):
    tree = TransformTree()
    for stamp in (1.0, 1.5, 3.0):  # from 1.5 to 3.0 nothing was heard
        tree.add(stamp, "world", "tool", (stamp, 0.0, 0.0), IDENTITY, static=False)
    assert tree.poses("world", ("tool",), time) is None
    assert tree.poses("world", ("tool",), 1.25) is not None


def test_a_frame_of_another_tree_is_unknown():
    tree = TransformTree()
    tree.add(0.0, "world", "base", (0.0, 0.0, 0.0), IDENTITY, static=True)
    tree.add(0.0, "map", "camera", (0.0, 0.0, 0.0), IDENTITY, static=True)
    assert tree.poses("world", ("base", "camera"), 0.0) is None


def test_a_loop_is_unknown_rather_than_endless():
    tree = TransformTree()
    tree.add(0.0, "a", "b", (1.0, 0.0, 0.0), IDENTITY, static=True)
    tree.add(0.0, "b", "a", (1.0, 0.0, 0.0), IDENTITY, static=True)
    assert tree.poses("world", ("a",), 0.0) is None


def test_transforms_out_of_order_are_dropped():
    tree = TransformTree()
    for stamp, x in ((1.0, 1.0), (2.0, 2.0), (1.5, 9.0)):
        tree.add(stamp, "world", "tool", (x, 0.0, 0.0), IDENTITY, static=False)
    (found,) = tree.poses("world", ("tool",), 1.5)
    assert found[0, 3] == pytest.approx(1.5)
