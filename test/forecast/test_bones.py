"""Bones of a forecast keep the length that they have in the history."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ses_gcn_ros.models.framing import hold_bones
from ses_gcn_ros.skeleton import get_layout

PARENTS = np.array(get_layout("chico15").parents)
OUTER = np.flatnonzero(PARENTS >= 0)


def lengths(pose: np.ndarray) -> np.ndarray:
    return np.linalg.norm(pose[..., OUTER, :] - pose[..., PARENTS[OUTER], :], axis=-1)


@given(seed=st.integers(0, 2**31), off=st.floats(0, 0.1))
def test_they_end_as_long_as_they_were_and_joints_hardly_move(clip, seed, off):
    history, rng = clip[None, 5:15], np.random.default_rng(seed)
    path = (clip[None, 15:40] + rng.normal(0, off, (1, 25, 15, 3))).astype(np.float32)
    wanted, kept = lengths(history).mean(axis=1), path.copy()
    hold_bones(kept, history, "chico15")
    change = np.abs(lengths(kept)[:, -1] / wanted - 1)
    assert change.mean() < 0.01
    assert change.max() < 0.1
    moved = np.linalg.norm(kept - path, axis=-1)
    assert moved.mean() <= np.abs(lengths(path) - wanted[:, None]).mean() + 0.005


def test_those_of_unseen_joints_are_left_alone(clip):
    history, path = clip[None, 5:15].copy(), 1.1 * clip[None, 15:40]
    history[:, :, 3] = path[:, :, 3] = np.nan
    hold_bones(path, history, "chico15")
    assert np.isnan(path[:, :, 3]).all()
    assert np.isfinite(np.delete(path, 3, axis=2)).all()


def moved_bone_by_bone(path: np.ndarray, history: np.ndarray) -> np.ndarray:
    """The definition: 12 sweeps over the bones of each pose, one after the other."""
    ends = [(child, PARENTS[child]) for child in OUTER]
    last, path = history[-1], path.astype(float)
    observed = [np.linalg.norm(history[:, c] - history[:, p], axis=-1) for c, p in ends]
    still = np.abs(history - last).max(axis=(0, 2)) < 1e-4
    path[:, still] = last[still]
    for step, pose in enumerate(path):
        light = np.where(still, 0, np.linalg.norm(pose - last, axis=-1) + 1e-3)
        late = step / (len(path) - 1)
        for _ in range(12):
            for (child, parent), seen in zip(ends, observed, strict=True):
                away, both = pose[child] - pose[parent], light[child] + light[parent]
                if both > 0:
                    length = seen[-1] + (seen.mean() - seen[-1]) * late
                    change = (1 - length / np.linalg.norm(away)) * away / both
                    pose[child] -= change * light[child]
                    pose[parent] += change * light[parent]
    return path


def test_all_steps_at_once_are_moved_as_each_alone(clip):
    rng = np.random.default_rng(5)
    history = clip[5:15].copy()
    history[:, [2, 3]] = history[-1, [2, 3]]  # a leg that is fixed to something
    path = (clip[15:40] + rng.normal(0, 0.05, (25, 15, 3))).astype(np.float32)
    kept = path[None].copy()
    hold_bones(kept, history[None], "chico15")
    np.testing.assert_allclose(kept[0], moved_bone_by_bone(path, history), atol=1e-5)
