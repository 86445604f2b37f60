"""Limb lengths: learnt from noisy frames, kept, and nothing else disturbed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.pose.tracking import BoneLengthFilter


@pytest.fixture(scope="module")
def walk(shared_data: Path) -> np.ndarray:
    """A CMU walk, shape (120, 15, 3) [m]."""
    motion = np.load(shared_data / "motion" / "cmu.npz")
    starts = np.concatenate(([0], np.cumsum(motion["lengths"])[:-1]))
    index = list(motion["ids"]).index("cmu_06_01")
    return motion["positions_mm"][starts[index] : starts[index] + 120] * 1e-3


def test_limbs_keep_their_length_and_joints_come_nearer_to_the_truth(walk):
    rng = np.random.default_rng(0)
    noisy = walk + rng.normal(0.0, 0.03, walk.shape)
    keeper = BoneLengthFilter("chico15")
    held = np.stack([keeper.fit(frame) for frame in noisy])
    forearm = [np.linalg.norm(p[30:, 11] - p[30:, 10], axis=-1) for p in (noisy, held)]
    assert forearm[1].std() < 0.4 * forearm[0].std()
    error = [np.linalg.norm(p[30:] - walk[30:], axis=-1).mean() for p in (noisy, held)]
    assert error[1] < 0.95 * error[0]


def test_exact_joints_stay_where_they_are(walk):
    keeper = BoneLengthFilter("chico15")
    moved = [np.abs(keeper.fit(frame) - frame).max() for frame in walk]
    assert max(moved) < 0.03  # the clavicles of the recording are no bones of constant length
    assert moved[:9] == [0.0] * 9  # nothing is held before it is known


def test_the_joint_that_is_less_certain_gives_way(walk):
    keeper = BoneLengthFilter("chico15")
    for frame in walk[:60]:
        keeper.fit(frame)
    bent = walk[60].copy()
    bent[11] += 0.4 * (bent[11] - bent[10])  # a wrist too far out
    sigma = np.full(15, 0.01)
    sigma[11] = 0.2
    held = keeper.fit(bent, sigma)
    assert np.linalg.norm(held[11] - walk[60, 11]) < 0.03
    assert np.linalg.norm(held[10] - walk[60, 10]) < 0.01


def test_unseen_joints_stay_unseen(walk):
    rng = np.random.default_rng(1)
    keeper = BoneLengthFilter("chico15")
    for frame in walk[:80]:
        hidden = rng.random(15) < 0.3
        held = keeper.fit(np.where(hidden[:, None], np.nan, frame))
        np.testing.assert_array_equal(np.isnan(held).all(-1), hidden)
