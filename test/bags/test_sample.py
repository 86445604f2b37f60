"""The sample recording that ships: what the issue asks of it, and where it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.bags.rosbag2 import read_current, read_messages, read_skeletons, topics_of
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.replay.convert import VISITOR, cut, write_sample
from ses_gcn_ros.safety import DemoRobotConfig, RobotModel, Urdf
from ses_gcn_ros.safety.robot_motion import SweepMotion
from ses_gcn_ros.skeleton import get_layout

JOINTS = get_layout("chico15").joints


@pytest.fixture(scope="module")
def positions(sample: Path) -> np.ndarray:
    """Return the person's joints, shape (T, 15, 3)."""
    observations = list(read_skeletons(sample))
    assert {len(observation.people) for observation in observations} == {1}
    assert {observation.frame_id for observation in observations} == {"world"}
    assert {observation.people[0].layout for observation in observations} == {"chico15"}
    np.testing.assert_allclose(np.diff([o.stamp for o in observations]), 0.04, atol=1e-6)
    return np.stack([observation.people[0].positions for observation in observations])


@pytest.fixture(scope="module")
def tip() -> np.ndarray:
    """Return the way of the robot's tool over one sweep, shape (N, 3)."""
    config, urdf = DemoRobotConfig(), Urdf.load("demo")
    motion, model = SweepMotion(config, urdf), RobotModel.from_urdf(urdf)
    way = []
    for _ in range(int(config.period * 50) + 50):
        motion.advance(0.02, 1.0)
        poses = urdf.forward(dict(zip(motion.joints, motion.positions, strict=True)))
        way.append(model.place(np.stack([poses[frame] for frame in model.frames]))[1][-1])
    return np.array(way)


def distance(points: np.ndarray, way: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - way, axis=-1).min(axis=1)


def test_somebody_walks_up_reaches_and_leaves(positions, tip):
    hip = distance(positions[:, JOINTS.index("hip")], tip)
    assert hip[0] > 1.5
    assert hip[-1] > 1.5
    wrists = [positions[:, JOINTS.index(f"{side}_wrist")] for side in "rl"]
    reach = np.minimum(*(distance(wrist, tip) for wrist in wrists))
    assert 0.2 < reach.min() < 0.45
    assert 10 < len(positions) / 25 < 25


def test_the_feet_are_on_the_floor_in_coming_and_going(positions):
    feet = positions[:, [JOINTS.index("r_foot"), JOINTS.index("l_foot")], 2].min(axis=1)
    assert (feet > 0).all()
    assert feet[:75].max() < 0.2
    assert feet[-75:].max() < 0.2


def test_the_acknowledgement_travels_with_the_data(sample):
    (text,) = (m.content.data for m in read_messages(sample, ["sample/acknowledgement"]))
    for words in ("mocap.cs.cmu.edu", "NSF EIA-0196217"):
        assert words in text
        assert words in (sample / "README.md").read_text()
        assert words in (sample / "metadata.yaml").read_text().replace("\n      ", "")
    assert "subject 01" in text


def test_it_is_small(sample):
    assert sum(path.stat().st_size for path in sample.iterdir()) < 1.5e6


def test_it_is_what_the_command_makes_of_the_cmu_data(sample, shared_data, tmp_path):
    motion = shared_data / "motion" / "cmu.npz"
    write_sample(motion, tmp_path / "visitor")
    assert list(read_current(tmp_path / "visitor")) == list(read_current(sample))
    assert topics_of(tmp_path / "visitor") == topics_of(sample)
    assert (tmp_path / "visitor" / "README.md").read_text() == (sample / "README.md").read_text()


def test_the_motion_is_moved_rigidly_and_else_left_alone(shared_data, positions):
    data = np.load(shared_data / "motion" / "cmu.npz")
    index = list(data["ids"]).index(VISITOR.sequence)
    start = data["lengths"][:index].sum()
    original = data["positions_mm"][start + VISITOR.first : start + VISITOR.last] / 1000
    placed, _ = cut(shared_data / "motion" / "cmu.npz", VISITOR)
    np.testing.assert_array_equal(placed, positions)
    for a, b in [(0, 8), (8, 14), (3, 11)]:
        before = np.linalg.norm(original[:, a] - original[:, b], axis=1)
        after = np.linalg.norm(positions[:, a] - positions[:, b], axis=1)
        np.testing.assert_allclose(after, before, atol=1e-5)
    np.testing.assert_allclose(positions[..., 2], original[..., 2], atol=1e-6)
    # Not mirrored: the person's left stays on the left of the way.
    across = positions[:, JOINTS.index("l_hip")] - positions[:, JOINTS.index("r_hip")]
    velocity = np.gradient(positions[:, 0], 0.04, axis=0)
    walking = np.linalg.norm(velocity[:, :2], axis=1) > 0.8
    left = np.cross([0, 0, 1], velocity)
    assert np.median((left * across).sum(axis=1)[walking]) > 0


def test_missing_data_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no recording at .*nothing\.npz"):
        write_sample(tmp_path / "nothing.npz", tmp_path / "bag")
    assert list(tmp_path.iterdir()) == []
