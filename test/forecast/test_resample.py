"""A jittery stream becomes a regular history, or a reason why it can't."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ses_gcn_ros.forecast.resample import resample, resample_people

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
    kind=st.sampled_from(["linear", "cubic"]),
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
    for kind in ("linear", "cubic"):
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


@given(seed=st.integers(0, 1000))
def test_people_seen_together_are_resampled_as_each_alone(seed):
    rng = np.random.default_rng(seed)
    stamps = np.cumsum(rng.uniform(0.02, 0.05, 20))
    people = rng.normal(0, 1, (20, 3, 4, 3)).astype(np.float32)
    people[rng.random((20, 3, 4)) < 0.1] = np.nan
    people[:, 1, 2] = np.nan
    together = resample_people(stamps, people, 10, 25.0, joint_gap=0.1)
    for person, result in enumerate(together):
        alone = resample(stamps, people[:, person], 10, 25.0, joint_gap=0.1)
        assert result.reason == alone.reason
        np.testing.assert_array_equal(result.unseen, alone.unseen)
        if alone.history is None:
            assert result.history is None
        else:
            np.testing.assert_array_equal(result.history, alone.history)
