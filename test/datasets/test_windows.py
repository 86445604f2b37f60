"""Windows cover sequences without copying them, and random ones lie anywhere in them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import RandomWindows, Sequence, at_rate, windows
from ses_gcn_ros.errors import InputError


def ramp(frames: int, fps: float = 25.0, name: str = "ramp", start: int = 0) -> Sequence:
    """A body that moves by 1 mm per 1/25 s along every axis."""
    millimetres = start + np.round(np.arange(frames) * 25 / fps)[:, None, None]
    stored = np.broadcast_to(millimetres, (frames, 15, 3)).astype(np.int16)
    return Sequence(name, 0, "", frozenset(), fps, "chico15", stored)


def test_windows_start_every_stride_and_stay_within_a_sequence():
    parts = [(s.name, w) for s, w in windows([ramp(12), ramp(9), ramp(20)], 10, 25, stride=2)]
    assert [len(w) for _, w in parts] == [2, 6]
    first = 1000 * parts[1][1][:, 0, 0, 0]
    np.testing.assert_allclose(first, [0, 2, 4, 6, 8, 10], atol=1e-4)
    np.testing.assert_allclose(1000 * parts[1][1][3, :, 4, 2], np.arange(6, 16), atol=1e-4)
    assert not parts[1][1].flags.owndata


def test_other_rates_are_resampled():
    same = at_rate(ramp(31, fps=30), 25)
    assert same.shape == (26, 15, 3)
    np.testing.assert_allclose(1000 * same[:, 0, 0], np.arange(26), atol=0.5)
    assert len(at_rate(ramp(10), 25)) == 10


def test_sequences_that_are_all_too_short_are_refused():
    with pytest.raises(InputError, match="none of 2 sequences is as long as a window of 10 frames"):
        list(windows([ramp(9), ramp(3)], 10, 25, 1))
    with pytest.raises(InputError, match="none of 1 sequences"):
        RandomWindows([ramp(9)], 10, 25)


def test_random_windows_run_at_the_tempo_asked_for():
    source = RandomWindows([ramp(200), ramp(3), ramp(36)], 35, 25)
    drawn = 1000 * source.sample(np.random.default_rng(0), 500)[..., 0, 0]
    np.testing.assert_allclose(np.diff(drawn, axis=1), 1, atol=1e-2)
    assert drawn.min() >= 0
    assert drawn.max() <= 199
    assert drawn[:, 0].max() > 150  # from everywhere
    assert np.mod(drawn[:, 0], 1).std() > 0.2  # and from between frames

    changed = 1000 * source.sample(np.random.default_rng(0), 500, tempo=0.3)[..., 0, 0]
    speed = np.diff(changed, axis=1).mean(axis=1)
    assert np.exp(-0.3) - 1e-2 <= speed.min() < 0.8
    assert 1.2 < speed.max() <= np.exp(0.3) + 1e-2


def test_random_windows_stay_within_their_sequence():
    far = [ramp(40), ramp(40, start=10_000)]
    drawn = RandomWindows(far, 35, 25).sample(np.random.default_rng(0), 300, tempo=0.5)
    assert np.diff(drawn, axis=1).max() < 0.01


def test_tagged_sequences_are_drawn_more_often():
    plain, core = ramp(135), ramp(135, start=10_000)
    core = dataclasses.replace(core, tags=frozenset({"core", "walk"}))
    source = RandomWindows([plain, core], 35, 25, {"core": 3.0})
    drawn = source.sample(np.random.default_rng(0), 3000)[:, 0, 0, 0]
    assert np.mean(drawn > 5) == pytest.approx(0.75, abs=0.04)


def test_every_second_of_a_recording_is_as_likely():
    source = RandomWindows([ramp(235), ramp(135, start=10_000)], 35, 25)
    drawn = source.sample(np.random.default_rng(0), 3000)[:, 0, 0, 0]
    assert np.mean(drawn < 5) == pytest.approx(2 / 3, abs=0.04)
