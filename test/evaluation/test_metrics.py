"""Errors of forecasts, by hand and by property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.evaluation.metrics import compare_forecasts, joint_errors, mean_up_to, mpjpe
from ses_gcn_ros.evaluation.recording import Recording, Track
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.skeleton import convert

STEPS, STEP = 25, 0.04


def walk(frames: int = 80, speed: float = 1.0, layout_joints: int = 15) -> np.ndarray:
    """Return somebody who glides along x with the given speed [m/s], shape (T, J, 3)."""
    pose = np.random.default_rng(0).normal(size=(layout_joints, 3))
    steps = np.zeros((frames, 1, 3))
    steps[:, 0, 0] = speed * STEP * np.arange(frames)
    return (pose + steps).astype(np.float32)


def recording_of(positions: np.ndarray, predict, layout: str = "chico15", **forecast) -> Recording:
    """Record a person and the forecasts that `predict(frame)` makes."""
    stamps = [100 + STEP * i for i in range(len(positions))]
    recording = Recording("test", "world", stamps=stamps)
    recording.tracks["1"] = Track(layout, stamps, list(positions))
    fields = {
        "radius": np.full((STEPS, 15), 0.1, np.float32),
        "coverage": 0.0,
        "layout": "chico15",
        "model": "m",
        **forecast,
    }
    recording.forecasts = [
        Forecast(person_id="1", stamp=stamp, step=STEP, positions=predict(i), **fields)
        for i, stamp in enumerate(stamps)
    ]
    return recording


def test_mpjpe_is_the_mean_distance_of_the_joints():
    truth = np.zeros((2, 3, 4, 3))
    predicted = truth.copy()
    predicted[0, 1, :, 0] = 3.0
    predicted[0, 1, :, 1] = 4.0
    np.testing.assert_allclose(mpjpe(joint_errors(predicted, truth)), [0, 2.5, 0])


def test_unknown_joints_are_left_out():
    truth = np.zeros((1, 2, 2, 3))
    truth[0, 0, 0] = np.nan
    truth[0, 1] = np.nan
    predicted = np.ones((1, 2, 2, 3))
    np.testing.assert_allclose(mpjpe(joint_errors(predicted, truth)), [np.sqrt(3), np.nan])


def test_the_mean_up_to_a_horizon_counts_every_step_once():
    np.testing.assert_allclose(mean_up_to([1.0, 3.0, 8.0]), [1, 2, 4])


@given(st.integers(0, 2**31))
def test_errors_do_not_depend_on_the_frame(seed):
    generator = np.random.default_rng(seed)
    predicted, truth = generator.normal(size=(2, 3, 5, 4, 3))
    rotation, shift = Rotation.random(random_state=seed).as_matrix(), generator.normal(size=3)
    moved = joint_errors(predicted @ rotation.T + shift, truth @ rotation.T + shift)
    np.testing.assert_allclose(moved, joint_errors(predicted, truth), atol=1e-12)


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match=r"\(2, 3, 4, 3\) and \(2, 3, 5, 3\)"):
        joint_errors(np.zeros((2, 3, 4, 3)), np.zeros((2, 3, 5, 3)))


def test_a_forecast_of_what_comes_has_no_error():
    positions = walk(speed=1.0)
    ahead = walk(len(positions) + STEPS)
    comparison = compare_forecasts(
        recording_of(positions, lambda frame: ahead[frame + 1 : frame + 1 + STEPS])
    )
    np.testing.assert_allclose(comparison.errors["forecast"], 0, atol=1e-5)
    np.testing.assert_allclose(comparison.horizons, STEP * np.arange(1, 26))


def test_baselines_face_the_same_moments():
    positions = walk(speed=1.0)
    comparison = compare_forecasts(
        recording_of(positions, lambda frame: np.repeat(positions[frame][None], STEPS, axis=0))
    )
    walked = STEP * np.arange(1, 26)
    np.testing.assert_allclose(comparison.errors["forecast"], walked, atol=1e-4)
    np.testing.assert_allclose(comparison.errors["last_pose"], walked, atol=1e-4)
    np.testing.assert_allclose(comparison.errors["constant_velocity"], 0, atol=1e-4)
    # The first nine lack a full history; after the last nothing was seen.
    assert comparison.compared == len(positions) - 9 - 1


def test_forecasts_of_another_layout_are_compared_in_that_layout():
    positions = walk(layout_joints=17)
    whole = convert(positions, np.ones(positions.shape[:-1]), "coco17", "chico15")[0]
    comparison = compare_forecasts(
        recording_of(
            positions, lambda frame: np.repeat(whole[frame][None], STEPS, axis=0), layout="coco17"
        )
    )
    np.testing.assert_allclose(comparison.errors["forecast"], STEP * np.arange(1, 26), atol=1e-4)


def test_coverage_is_the_share_of_joints_within_their_radius():
    positions = walk(speed=1.0)
    comparison = compare_forecasts(
        recording_of(
            positions,
            lambda frame: np.repeat(positions[frame][None], STEPS, axis=0),
            radius=np.full((STEPS, 15), 0.5, np.float32),
            coverage=0.9,
        )
    )
    # 0.5 m are walked in 12.5 steps: the whole forecasts cover 12 of 25, those at the end more.
    assert 0.48 <= comparison.coverage < 0.75
    assert comparison.promised == pytest.approx(0.9)


def test_without_radius_there_is_no_coverage():
    positions = walk()
    comparison = compare_forecasts(
        recording_of(positions, lambda frame: np.repeat(positions[frame][None], STEPS, axis=0))
    )
    assert np.isnan(comparison.coverage)


def test_a_track_is_interpolated_within_and_unknown_beyond():
    track = Track("chico15", [1.0, 1.04, 1.5], list(walk(3)))
    found = track.at(np.array([0.99, 1.0, 1.02, 1.04, 1.2, 1.5, 1.51]))
    x = found[:, 0, 0] - track.positions[0][0, 0]
    np.testing.assert_allclose(x, [np.nan, 0, 0.02, 0.04, np.nan, 0.08, np.nan], atol=1e-5)


def test_an_unseen_joint_hides_only_itself():
    positions = walk(3)
    positions[1, 4] = np.nan
    found = Track("chico15", [0.0, 0.04, 0.08], list(positions)).at(np.array([0.0, 0.02, 0.08]))
    assert np.isnan(found[:, 4]).any(axis=1).tolist() == [False, True, False]
    assert np.isfinite(np.delete(found, 4, axis=1)).all()
