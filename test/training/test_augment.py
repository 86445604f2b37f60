"""Augmented motion could have been recorded: bodies stay bodies, sides stay alike."""

from __future__ import annotations

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import RandomWindows, read_recording
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.skeleton import get_layout
from ses_gcn_ros.training import augment
from ses_gcn_ros.training.forecasting import augmented_batch, framed_batch, turned
from ses_gcn_ros.training.recipe import AugmentRecipe

LAYOUT = "chico15"
PARENTS = np.array(get_layout(LAYOUT).parents)
MIRROR = np.array(get_layout(LAYOUT).mirror)


@pytest.fixture(scope="module")
def source(shared_data):
    sequences = read_recording(shared_data / "motion" / "cmu.npz").sequences
    return RandomWindows(sequences[:20], 35, 25.0)


@pytest.fixture
def drawn(source):
    return source.sample(np.random.default_rng(0), 200)


def bone_lengths(windows):
    children = PARENTS >= 0
    bones = windows[:, :, children] - windows[:, :, PARENTS[children]]
    return np.linalg.norm(bones, axis=-1)


def test_half_of_the_windows_are_mirrored_and_left_is_right_then(drawn):
    mirrored = augment.mirror(drawn, np.random.default_rng(0), LAYOUT)
    same = (mirrored == drawn).all(axis=(1, 2, 3))
    assert 0.35 < same.mean() < 0.65
    flipped = mirrored[~same]
    np.testing.assert_array_equal(flipped[..., 0], -drawn[~same][:, :, MIRROR][..., 0])
    np.testing.assert_array_equal(flipped[..., 1:], drawn[~same][:, :, MIRROR][..., 1:])


def test_a_resized_body_keeps_its_bones_rigid_and_its_sides_alike(drawn):
    resized = augment.resize(drawn, np.random.default_rng(0), LAYOUT, 0.15, 0.1)
    ratio = bone_lengths(resized) / bone_lengths(drawn)
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(35, axis=1), rtol=2e-3)
    joints = np.flatnonzero(PARENTS >= 0)
    others = [int(np.flatnonzero(joints == MIRROR[joint])[0]) for joint in joints]
    np.testing.assert_allclose(ratio[:, 0], ratio[:, 0, others], rtol=2e-3)
    assert np.exp(-0.25) - 1e-2 < ratio.min() < 0.85
    assert 1.18 < ratio.max() < np.exp(0.25) + 1e-2
    unchanged = augment.resize(drawn, np.random.default_rng(0), LAYOUT, 0, 0)
    np.testing.assert_allclose(unchanged, drawn, atol=1e-5)


def test_noise_has_the_strength_and_share_asked_for(drawn):
    noisy = augment.camera_noise(drawn, np.random.default_rng(0), 0.02, 0.5)
    strength = (noisy - drawn).std(axis=(1, 2, 3))
    assert 0.35 < (strength < 1e-6).mean() < 0.65
    assert strength.max() < 0.021


def test_misplaced_joints_stay_beside_where_they_are(drawn):
    moved = augment.misplace_joints(drawn, np.random.default_rng(0), 0.3, 0.5) - drawn
    np.testing.assert_allclose(moved, moved[:, :1].repeat(35, axis=1), atol=1e-5)
    wrong = (np.abs(moved[:, 0]) > 1e-4).any(axis=-1)
    assert 0.3 < wrong.any(axis=1).mean() < 0.55
    assert wrong.mean() < 0.12
    assert 0.25 < np.abs(moved).max() <= 0.3 + 1e-5


def test_hidden_joints_are_hidden_throughout(drawn):
    hidden = np.isnan(augment.drop_joints(drawn, np.random.default_rng(0), 0.5))
    assert (hidden.all(axis=(1, 3)) == hidden.any(axis=(1, 3))).all()
    affected = hidden.any(axis=(1, 2, 3)).mean()
    assert 0.3 < affected < 0.55
    assert not hidden.all(axis=(1, 2, 3)).any()


def test_turning_a_batch_is_turning_the_motion(drawn):
    config = ModelConfig(origin=True, offset=True, motion=True, visibility=True)
    batch = framed_batch(drawn[:5, :10], drawn[:5, 10:], config)
    rng = np.random.default_rng(0)
    angles = np.random.default_rng(0).uniform(-1, 1, 5)
    cosine, sine = np.cos(angles), np.sin(angles)
    rotation = np.zeros((5, 1, 3, 3))
    rotation[:, 0, 0, 0] = rotation[:, 0, 1, 1] = cosine
    rotation[:, 0, 0, 1], rotation[:, 0, 1, 0], rotation[:, 0, 2, 2] = sine, -sine, 1
    moved = (drawn[:5] @ rotation).astype(np.float32)
    expected = framed_batch(moved[:, :10], moved[:, 10:], config)
    result = turned(batch, rng, 1.0)
    np.testing.assert_allclose(result.features, expected.features, atol=1e-4)
    np.testing.assert_allclose(result.target, expected.target, atol=1e-2)


def test_a_batch_is_decided_by_its_seed(drawn):
    config = ModelConfig(origin=True, heading=True, offset=True, motion=True, visibility=True)
    recipe = AugmentRecipe(
        tempo=0.2,
        size=0.1,
        proportions=0.1,
        turn=0.5,
        noise=0.01,
        misplaced=0.2,
        misplaced_share=0.5,
        unseen_share=0.5,
    )
    first, again, other = (
        augmented_batch(drawn, np.random.default_rng(seed), config, recipe) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.features, again.features)
    np.testing.assert_array_equal(first.target, again.target)
    assert not np.array_equal(first.features, other.features)
    assert np.isfinite(first.features).all()
    assert np.isfinite(first.target).all()
    assert (first.weight == 0).any()


def test_slower_people_move_their_limbs_as_they_did_and_get_less_far(drawn):
    root = get_layout(LAYOUT).root
    slower = augment.slow_travel(drawn, np.random.default_rng(0), LAYOUT, 9, 0.5)
    about_root = [w - w[:, :, root : root + 1] for w in (drawn, slower)]
    np.testing.assert_allclose(about_root[0], about_root[1], atol=1e-5)
    np.testing.assert_array_equal(slower[:, 9], drawn[:, 9])
    np.testing.assert_array_equal(slower[..., 2], drawn[..., 2])
    before, after = (
        np.linalg.norm(w[:, -1, root, :2] - w[:, 9, root, :2], axis=-1) for w in (drawn, slower)
    )
    factor = after / before
    assert (factor <= 1 + 1e-4).all()
    assert 0.4 < np.mean(factor > 1 - 1e-4) < 0.6
    assert 0.15 < np.quantile(factor, 0.25) < 0.6


def test_a_camera_shows_some_windows_and_leaves_the_others(drawn):
    seen = augment.camera(drawn, np.random.default_rng(0), "chico15", 10, 0.5)
    same = (seen == drawn).all(axis=(1, 2, 3))
    assert 0.45 < same.mean() < 0.75
    assert np.isfinite(seen).all()


def test_where_a_camera_is_slow_straight_lines_lie_between_its_frames(drawn):
    slow = augment._at_low_rate(drawn, np.random.default_rng(0))
    bend = [np.linalg.norm(np.diff(x, n=2, axis=1), axis=-1).mean(axis=2) for x in (slow, drawn)]
    assert (bend[0] < 1e-5).mean() > 0.04 > 10 * (bend[1] < 1e-5).mean()
    assert np.abs(slow - drawn).mean() < 0.02
    even = np.linspace(0, 1, 35, dtype=np.float32)[None, :, None, None] * np.ones((9, 1, 15, 3))
    inner = augment._at_low_rate(even.astype(np.float32), np.random.default_rng(0))[:, 4:-4]
    np.testing.assert_allclose(inner, even[:, 4:-4], atol=1e-5)  # that has no corners to lose
