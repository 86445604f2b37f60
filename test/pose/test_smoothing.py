"""The One-Euro filter: less jitter, little delay, nothing invented."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.tracking import OneEuroFilter

FPS = 25.0


def smooth(paths: np.ndarray, cutoff: float = 2.0, beta: float = 3.0) -> np.ndarray:
    smoother = OneEuroFilter(cutoff, beta)
    return np.stack([smoother.smooth(frame / FPS, joints) for frame, joints in enumerate(paths)])


@pytest.fixture(scope="module")
def reaching(shared_data: Path) -> np.ndarray:
    """Workcell-like motion of CMU, 12 clips of 6 s in metres, shape (clips, T, 15, 3)."""
    motion = np.load(shared_data / "motion" / "cmu.npz")
    listing = json.loads((shared_data / "motion" / "cmu.json").read_text())["sequences"]
    core = [bool(entry["core"]) for entry in listing]
    starts = np.concatenate(([0], np.cumsum(motion["lengths"])[:-1]))
    chosen = [
        motion["positions_mm"][start : start + 150] * 1e-3
        for start, length, wanted in zip(starts, motion["lengths"], core, strict=True)
        if wanted and length >= 150
    ]
    return np.stack(chosen[:: max(1, len(chosen) // 12)][:12])


def delay(paths: np.ndarray, late: np.ndarray) -> float:
    """Delay [s] at which the late paths fit the true ones best, to a tenth of a frame."""
    shifts = np.arange(0.0, 3.0, 0.1)
    frames = np.arange(5, len(paths))

    def shifted(shift: float) -> np.ndarray:
        low = np.floor(frames - shift).astype(int)
        part = (frames - shift - low)[:, None, None]
        return (1.0 - part) * paths[low] + part * paths[np.minimum(low + 1, len(paths) - 1)]

    errors = [np.mean((shifted(shift) - late[5:]) ** 2) for shift in shifts]
    return float(shifts[np.argmin(errors)]) / FPS


def test_jitter_falls_by_more_than_60_percent_for_less_than_40_ms(reaching):
    config = PoseConfig()
    rng = np.random.default_rng(0)
    noisy = reaching + rng.normal(0.0, 0.02, reaching.shape)
    smoothed = np.stack(
        [smooth(clip, config.smoothing_cutoff, config.smoothing_beta) for clip in noisy]
    )
    jitter = [
        np.sqrt(np.mean(np.diff(paths - reaching, 2, axis=1) ** 2)) for paths in (noisy, smoothed)
    ]
    assert jitter[1] <= 0.4 * jitter[0]
    delays = [delay(clip, late) for clip, late in zip(reaching, smoothed, strict=True)]
    assert np.mean(delays) <= 0.040
    error = [np.mean(np.abs(paths - reaching)) for paths in (noisy, smoothed)]
    assert error[1] < error[0]  # what the delay costs is less than what the filter gains


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_it_turns_and_moves_with_the_axes(seed):
    rng = np.random.default_rng(seed)
    paths = np.cumsum(rng.normal(0.0, 0.05, (12, 4, 3)), axis=0)
    turn, move = Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3)
    np.testing.assert_allclose(
        smooth(paths @ turn.T + move), smooth(paths) @ turn.T + move, atol=1e-9
    )


@given(st.floats(0.1, 10.0), st.floats(0.0, 10.0))
def test_who_stands_still_is_not_moved(cutoff, beta):
    still = np.broadcast_to(np.arange(12.0).reshape(4, 3), (8, 4, 3))
    np.testing.assert_allclose(smooth(still, cutoff, beta), still)


@given(st.lists(st.booleans(), min_size=20, max_size=20), st.integers(0, 2**32 - 1))
def test_unseen_joints_stay_unseen_and_leave_the_others_alone(hidden, seed):
    rng = np.random.default_rng(seed)
    paths = np.cumsum(rng.normal(0.0, 0.02, (20, 3, 3)), axis=0)
    gappy = paths.copy()
    gappy[hidden, 1] = np.nan
    result = smooth(gappy)
    assert np.isnan(result[:, 1]).all(axis=-1).tolist() == hidden
    np.testing.assert_array_equal(result[:, [0, 2]], smooth(paths)[:, [0, 2]])


def test_a_joint_long_unseen_starts_anew_where_it_is():
    paths = np.zeros((40, 1, 3))
    paths[2:30] = np.nan
    paths[30:] = 2.0
    result = smooth(paths)
    np.testing.assert_allclose(result[30:], 2.0)  # not dragged from where it was a second ago


def test_without_a_cutoff_everything_passes():
    paths = np.random.default_rng(1).normal(size=(5, 4, 3))
    np.testing.assert_array_equal(smooth(paths, cutoff=0.0), paths)


def test_a_joint_that_leaps_is_held_more_than_one_that_moves_and_said_to_be_uncertain():
    rng = np.random.default_rng(0)
    times = np.arange(100) / FPS
    paths = np.zeros((100, 3, 3))
    paths[:, 0, 0] = 0.3 * rng.integers(0, 2, 100)  # a hidden wrist, in one of two places
    paths[:, 1, 0] = 1.5 * times
    paths += rng.normal(0.0, 0.001, paths.shape)
    smoother = OneEuroFilter(2.0, 6.0)
    smoothed = np.stack([smoother.smooth(t, p) for t, p in zip(times, paths, strict=True)])
    leaps = [np.std(np.diff(values[50:, 0, 0])) for values in (paths, smoothed)]
    assert leaps[1] < 0.4 * leaps[0]
    late = 1.5 * times - smoothed[:, 1, 0]
    assert late[50:].max() < 0.025
    leaping, moving, still = np.sqrt(np.trace(smoother.covariance(), axis1=1, axis2=2))
    assert 0.1 < leaping < 0.4
    assert late[-1] - 0.004 < moving < late[-1] + 0.004
    assert still < 0.005


def test_what_is_not_smoothed_is_not_late():
    smoother = OneEuroFilter(0.0, 6.0)
    for frame in range(5):
        smoother.smooth(frame / FPS, np.full((2, 3), 0.1 * frame))
    assert not smoother.covariance().any()
