"""Motion unlike any known is forecast with more caution, and said to be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.interpolate import interp1d

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast import build_engine, read_weights, write_weights
from ses_gcn_ros.forecast.baselines import cautious
from ses_gcn_ros.forecast.calibration import familiarise
from ses_gcn_ros.forecast.learnt_base import looks
from ses_gcn_ros.forecast.observations import resample
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS


@pytest.fixture(scope="module")
def shipped():
    return read_weights(DEFAULT_WEIGHTS)


@pytest.fixture
def known(clip):
    return np.stack([clip[i : i + 10] for i in range(0, len(clip) - 10, 5)]).astype(np.float32)


@pytest.fixture
def guessed(known):
    """As one camera guesses it: every joint wanders by itself, and bones change with it."""
    rng = np.random.default_rng(0)
    wander = np.cumsum(rng.normal(0, 0.015, known.shape), axis=1)
    return (known + wander).astype(np.float32)


def test_motion_capture_is_believed_and_what_one_camera_guesses_is_not(shipped, known, guessed):
    engine = build_engine(shipped)
    assert (engine.doubt(known) < 0.5).mean() > 0.95
    assert (engine.doubt(guessed) == 1).all()


def test_a_person_of_a_simulation_who_glides_without_a_tremor_is_believed(shipped, known):
    glide = known[:1, -1:] + np.arange(10, dtype=np.float32)[:, None, None] * [0.06, 0, 0]
    assert build_engine(shipped).doubt(glide.astype(np.float32)) == 0


def every(rate: float, seconds: float) -> np.ndarray:
    return np.arange(0, seconds, 1 / rate)


def with_gaps(rate: float, seconds: float) -> np.ndarray:
    """A third of the frames are lost, never two in a row."""
    stamps = every(rate, seconds)
    kept = np.random.default_rng(0).random(len(stamps)) > 0.45
    return stamps[kept | ~np.roll(kept, 1)]


@pytest.mark.parametrize("seen", [lambda end: every(12, end), lambda end: with_gaps(25, end)])
def test_handovers_seen_seldom_or_with_gaps_are_no_unknown_motion(shipped, shared_data, seen):
    """Straight lines between what is seen shorten bones, which tells noise."""
    doubts: dict[str, list[float]] = {"linear": [], "auto": []}
    engine = build_engine(shipped)
    recording = read_recording(shared_data / "motion" / "handover_dev.npz")
    for sequence in recording.sequences[:60]:
        motion, fps = np.asarray(sequence.positions, np.float32), sequence.fps
        stamps = seen((len(motion) - 1) / fps)
        positions = interp1d(np.arange(len(motion)) / fps, motion, axis=0)(stamps)
        for end in range(15, len(stamps), 5):
            for kind, found in doubts.items():
                observed = stamps[:end], positions[:end].astype(np.float32)
                history = resample(*observed, engine.observed, engine.fps, kind=kind).history
                found.append(float(engine.doubt(history[None])[0]))
    share = {kind: np.mean(np.array(found) >= 0.5) for kind, found in doubts.items()}
    assert share["auto"] < 0.15, share
    assert share["linear"] > 2 * share["auto"], share


def test_what_is_not_believed_is_the_cautious_forecast(shipped, guessed):
    free = dataclasses.replace(shipped, config=dataclasses.replace(shipped.config, bones=False))
    engine = build_engine(free)
    np.testing.assert_allclose(engine.predict(guessed), cautious(guessed, 25), atol=1e-5)


def test_a_cautious_forecast_goes_on_and_comes_to_rest(known):
    tremor = np.random.default_rng(0).normal(0, 0.01, (1, 10, 15, 3)).astype(np.float32)
    for history, rest in ((known, 48), (known[:1, -1:] + tremor, 12)):
        path = cautious(history, 60)
        moved = history[:, -1] - history[:, -2]
        assert (
            np.linalg.norm(path[:, 0] - history[:, -1], axis=-1) <= np.linalg.norm(moved, axis=-1)
        ).all()
        still = np.repeat(history[:, -1:], 60 - rest, axis=1)
        np.testing.assert_array_equal(path[:, rest:], still)
    assert np.abs(cautious(known, 25)[:, 20] - known[:, -1]).max() > 0.01  # who moves is not there


def test_a_body_that_goes_goes_on_and_one_that_trembles_on_the_spot_stays(known):
    glide = known[:1, -1:] + np.arange(10, dtype=np.float32)[:, None, None] * [0.02, 0, 0]
    carried = cautious(glide, 1)[0, 0] - glide[0, -1]
    np.testing.assert_allclose(carried[:, 0], 0.02 * 0.9 * 47 / 48, rtol=1e-4)
    tremor = np.random.default_rng(0).normal(0, 0.01, (1, 10, 15, 3)).astype(np.float32)
    tremor = known[:1, -1:] + tremor
    moved = np.linalg.norm(tremor[0, -1] - tremor[0, -2], axis=-1)
    stays = np.linalg.norm(cautious(tremor, 1)[0, 0] - tremor[0, -1], axis=-1)
    assert stays.mean() < 0.2 * moved.mean()


def test_a_joint_that_is_not_seen_changes_nothing_for_the_others(known):
    hidden = known.copy()
    hidden[:, :, 11] = np.nan
    path = cautious(hidden, 25)
    assert np.isnan(path[:, :, 11]).all()
    assert np.isfinite(np.delete(path, 11, axis=2)).all()


def test_how_motion_looks_does_not_depend_on_where_and_how_somebody_stands(known):
    turned = known @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.float32) + np.float32(1.5)
    np.testing.assert_allclose(looks(turned, "chico15"), looks(known, "chico15"), atol=2e-3)


def test_joints_that_are_not_seen_do_not_count(known):
    arms = known.copy()
    arms[:, :, 1:7] = np.nan
    assert np.isfinite(looks(arms, "chico15")).all()


def test_two_in_a_hundred_held_out_windows_are_doubted_at_most():
    rng = np.random.default_rng(1)
    seen, held_out = rng.normal(size=(2, 4000, 10)).astype(np.float32)
    learnt = familiarise(seen, np.ones(len(seen)), held_out)
    assert 0.003 < (learnt.doubt(held_out) > 0).mean() < 0.015  # of those whose bones wobble
    assert (learnt.doubt(held_out + 9) == 1).all()


def test_what_is_known_is_kept_in_the_file_and_checked(shipped, tmp_path):
    write_weights(tmp_path / "kept.safetensors", shipped)
    kept = read_weights(tmp_path / "kept.safetensors").familiarity
    for name, value in vars(shipped.familiarity).items():
        np.testing.assert_array_equal(getattr(kept, name), value)
    wrong = dataclasses.replace(shipped.familiarity, limits=np.array([2, 1], np.float32))
    with pytest.raises(ModelError, match="limits that rise"):
        write_weights(
            tmp_path / "wrong.safetensors", dataclasses.replace(shipped, familiarity=wrong)
        )
