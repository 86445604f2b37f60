"""A jittery stream becomes a regular history, or a reason why it can't."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline

from ses_gcn_ros.forecast.observations import SPARSE, resample

FRAMES, FPS = 10, 25.0


def path(stamps: np.ndarray) -> np.ndarray:
    """Fifteen joints on straight lines, each its own, (M, 15, 3)."""
    speed = np.linspace(-1, 1, 45).reshape(15, 3)
    return ((stamps - 100.0)[:, None, None] * speed + speed[::-1]).astype(np.float32)


def stream(rate: float, seconds: float, jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    stamps = 100.0 + np.arange(0, seconds, 1 / rate)
    return stamps + rng.uniform(-jitter, jitter, len(stamps)) / rate


@given(
    rate=st.floats(10, 60),
    jitter=st.floats(0, 0.4),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["linear", "cubic", "auto"]),
)
def test_straight_motion_is_kept_at_any_rate_and_jitter(rate, jitter, seed, kind):
    stamps = stream(rate, 1.0, jitter, seed)
    result = resample(stamps, path(stamps), FRAMES, FPS, kind=kind)
    assert result.reason == ""
    grid = stamps[-1] - np.arange(FRAMES - 1, -1, -1) / FPS
    np.testing.assert_allclose(result.history, path(grid), atol=1e-5)


def test_the_last_grid_point_is_the_last_observation():
    stamps = stream(30, 1.0, 0.3)
    positions = np.random.default_rng(0).normal(size=(len(stamps), 15, 3)).astype(np.float32)
    history = resample(stamps, positions, FRAMES, FPS).history
    np.testing.assert_allclose(history[-1], positions[-1], atol=1e-6)


def test_observations_on_the_grid_come_back_as_they_are(clip):
    stamps = 5.0 + np.arange(10) / FPS
    for kind in ("linear", "cubic", "auto"):
        history = resample(stamps, clip[:10], FRAMES, FPS, kind=kind).history
        np.testing.assert_allclose(history, clip[:10], atol=1e-5)


def test_cubic_follows_real_motion_more_closely_than_linear(clip):
    stamps = np.arange(len(clip)) / FPS
    coarse, errors = slice(None, None, 2), {}
    for kind in ("linear", "cubic"):
        history = resample(stamps[:21][coarse], clip[:21][coarse], FRAMES, FPS, kind=kind).history
        errors[kind] = np.abs(history - clip[11:21]).mean()
    assert errors["cubic"] < errors["linear"]


def test_too_short_a_history_says_what_there_is_and_what_it_takes():
    stamps = stream(30, 0.21)
    result = resample(stamps, path(stamps), FRAMES, FPS)
    assert result.history is None
    assert result.reason == "history too short: 0.2 s of 0.4 s"
    assert resample(stamps[:1], path(stamps[:1]), FRAMES, FPS).history is None


def test_a_gap_in_the_stream_says_how_long_it_is():
    stamps = stream(30, 1.0)
    stamps = np.delete(stamps, slice(20, 28))
    result = resample(stamps, path(stamps), FRAMES, FPS, gap=0.2)
    assert result.reason == "gap too long: 0.30 s, limit 0.20 s"
    assert resample(stamps, path(stamps), FRAMES, FPS, gap=0.35).history is not None


def test_an_old_gap_does_not_matter():
    stamps = np.concatenate([stream(30, 0.5), 1.0 + stream(30, 0.6)])
    assert resample(stamps, path(stamps), FRAMES, FPS, gap=0.1).reason == ""


@pytest.mark.parametrize("missing", [slice(20, 24), slice(27, 30)], ids=["amid", "at the end"])
def test_a_joint_unseen_for_a_moment_is_interpolated(missing):
    stamps = stream(30, 1.0)
    positions = path(stamps)
    positions[missing, 4] = np.nan
    result = resample(stamps, positions, FRAMES, FPS, joint_gap=0.2)
    assert not result.unseen.any()
    assert np.isfinite(result.history).all()
    others = np.arange(15) != 4
    whole = resample(stamps, path(stamps), FRAMES, FPS).history
    np.testing.assert_allclose(result.history[:, others], whole[:, others])
    if missing.stop < 30:
        np.testing.assert_allclose(result.history, whole, atol=1e-5)


@pytest.mark.parametrize("missing", [slice(18, 27), slice(22, 30), slice(0, 30)])
def test_a_joint_unseen_for_longer_is_named_and_the_others_stay(missing):
    stamps = stream(30, 1.0)
    positions = path(stamps)
    positions[missing, 4] = np.nan
    result = resample(stamps, positions, FRAMES, FPS, joint_gap=0.2)
    assert result.unseen.tolist() == [joint == 4 for joint in range(15)]
    assert np.isnan(result.history[:, 4]).all()
    assert np.isfinite(np.delete(result.history, 4, axis=1)).all()


def test_a_slow_stream_is_no_gap_in_a_joint():
    stamps = stream(8, 1.5)
    result = resample(stamps, path(stamps), FRAMES, FPS, gap=0.2, joint_gap=0.1)
    assert result.reason == ""
    assert not result.unseen.any()


def test_nobody_to_see_is_a_reason():
    stamps = stream(30, 1.0)
    positions = path(stamps)
    positions[15:] = np.nan
    result = resample(stamps, positions, FRAMES, FPS, joint_gap=0.2)
    assert result.reason == "no joint seen throughout, limit 0.20 s"


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(2, 30),
    longest=st.floats(0.03, 0.3),
    hidden=st.sampled_from([0.0, 0.1, 0.5]),
    joint_gap=st.sampled_from([0.0, 0.1, 0.2]),
)
def test_the_compiled_loops_are_what_numpy_makes_of_it(seed, count, longest, hidden, joint_gap):
    rng = np.random.default_rng(seed)
    stamps = 1.7e9 + np.cumsum(rng.uniform(0.01, longest, count))
    positions = rng.normal(size=(count, 4, 3)).astype(np.float32)
    positions[rng.random((count, 4)) < hidden] = np.nan
    for kind in ("linear", "cubic", "auto"):
        found = resample(stamps, positions, FRAMES, FPS, joint_gap=joint_gap, kind=kind)
        if found.history is None and "no joint" not in found.reason:
            continue
        grid = stamps[-1] - np.arange(FRAMES - 1, -1, -1) / FPS
        first = max(int(np.searchsorted(stamps, grid[0], side="right")) - 2, 0)
        history, unseen = by_numpy(stamps[first:], positions[first:], grid, joint_gap, kind)
        np.testing.assert_array_equal(found.unseen, unseen)
        if found.history is not None and kind == "linear":
            np.testing.assert_array_equal(found.history, history)
        elif found.history is not None:
            np.testing.assert_allclose(found.history, history, atol=1e-5)


def by_numpy(stamps, positions, grid, joint_gap, kind):
    """Resample joint by joint; history (T, J, 3) and whether each joint was unseen for too long."""
    history = np.full((len(grid), *positions.shape[1:]), np.nan, np.float32)
    unseen = np.ones(positions.shape[1], bool)
    low = np.clip(np.searchsorted(stamps, grid, side="right") - 1, 0, len(stamps) - 2)
    share = np.clip((grid - stamps[low]) / (stamps[low + 1] - stamps[low]), 0, 1)[:, None]
    for joint in range(positions.shape[1]):
        seen = np.flatnonzero(np.isfinite(positions[:, joint]).all(axis=1))
        if not len(seen):
            continue
        start = max(grid[0], stamps[0])
        gaps = [stamps[b] - max(stamps[a], start) for a, b in pairwise(seen) if b > a + 1]
        gaps += [stamps[seen[0]] - start] if seen[0] else []
        gaps += [stamps[-1] - max(stamps[seen[-1]], start)] if seen[-1] < len(stamps) - 1 else []
        unseen[joint] = max(gaps, default=0) > joint_gap
        if unseen[joint]:
            continue
        after = np.clip(np.searchsorted(seen, np.arange(len(stamps))), 0, len(seen) - 1)
        before = np.searchsorted(seen, np.arange(len(stamps)), side="right") - 1
        a, b = seen[np.maximum(before, 0)], seen[after]
        between = (stamps - stamps[a]) / np.where(b > a, stamps[b] - stamps[a], 1)
        between = np.where(b > a, between, 0).astype(np.float32)[:, None]
        path = positions[a, joint] + between * (positions[b, joint] - positions[a, joint])
        lines = path[low] + share * (path[low + 1] - path[low])
        slopes = np.gradient(path.astype(float), stamps, axis=0)
        curve = CubicHermiteSpline(stamps, path.astype(float), slopes)
        sparse = {"linear": np.inf, "cubic": 0.0, "auto": SPARSE / FPS}[kind]
        curved = (stamps[low + 1] - stamps[low] > sparse)[:, None]
        history[:, joint] = np.where(curved, curve(np.clip(grid, stamps[0], stamps[-1])), lines)
    return history, unseen
