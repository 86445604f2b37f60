"""Forecasts are held against what was seen later, and so are the baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.forecast.baselines import BASELINES
from ses_gcn_ros.replay.events import PeopleForecast, PeopleSeen
from ses_gcn_ros.replay.forecast_scores import NAMES, ForecastScores, JudgedTrack
from ses_gcn_ros.replay.summary import _forecast_lines
from ses_gcn_ros.skeleton import Skeleton, convert

STEPS, STEP = 25, 0.04
AHEAD = STEP * np.arange(1, STEPS + 1)  # s


def walk(frames: int = 80, speed: float = 1.0, layout_joints: int = 15) -> np.ndarray:
    """Return somebody who glides along x with the given speed [m/s], shape (T, J, 3)."""
    pose = np.random.default_rng(0).normal(size=(layout_joints, 3))
    steps = np.zeros((frames, 1, 3))
    steps[:, 0, 0] = speed * STEP * np.arange(frames)
    return (pose + steps).astype(np.float32)


def judged(positions: np.ndarray, predict, layout: str = "chico15", **forecast) -> dict[str, Any]:
    """Judge a person and the forecasts that `predict(frame)` makes."""
    scores = ForecastScores()
    certain = np.ones(positions.shape[1], np.float32)
    fields = {
        "radius": np.full((STEPS, 15), 0.1, np.float32),
        "coverage": 0.0,
        "layout": "chico15",
        "model": "m",
        **forecast,
    }
    for frame, joints in enumerate(positions):
        stamp = 100 + STEP * frame
        person = Skeleton("1", layout, joints, certain)
        scores.observe(PeopleSeen(stamp, stamp, "world", [person]))
        made = Forecast(person_id="1", stamp=stamp, step=STEP, positions=predict(frame), **fields)
        scores.forecast(PeopleForecast(stamp, stamp, "world", [made]))
    scores.finish()
    return scores.summary()


def stands(positions: np.ndarray):
    return lambda frame: np.repeat(positions[frame][None], STEPS, axis=0)


def test_baselines_face_the_same_moments():
    positions = walk()
    found = judged(positions, stands(positions))
    at = found["mpjpe_mm"]["at"]
    np.testing.assert_allclose(at["forecast"], 1e3 * AHEAD, atol=0.1)
    np.testing.assert_allclose(at["last_pose"], 1e3 * AHEAD, atol=0.1)
    np.testing.assert_allclose(at["constant_velocity"], 0, atol=0.1)
    np.testing.assert_allclose(found["horizons_s"], AHEAD)
    # The first nine lack a full history; after the last nothing was seen.
    assert found["compared"] == len(positions) - 9 - 1


def test_the_mean_up_to_a_horizon_counts_every_step_once():
    positions = walk()
    found = judged(positions, stands(positions))
    mean = [1e3 * AHEAD[:k].mean() for k in range(1, STEPS + 1)]
    np.testing.assert_allclose(found["mpjpe_mm"]["up_to"]["forecast"], mean, atol=0.1)


def test_a_part_of_the_body_has_the_error_of_its_joints():
    positions = walk(speed=0.0)
    raised = positions.copy()
    raised[:, 11] += [0.0, 0.0, 0.3]  # r_wrist
    found = judged(positions, stands(raised))
    assert found["per_joint_mm"]["r_wrist"]["at"][0] == pytest.approx(300, abs=0.1)
    assert found["per_part_mm"]["arms"]["at"][0] == pytest.approx(300 / 4, abs=0.1)
    assert found["per_part_mm"]["legs"]["at"][0] == pytest.approx(0, abs=0.1)
    assert found["mpjpe_mm"]["at"]["forecast"][0] == pytest.approx(300 / 15, abs=0.1)


def test_forecasts_of_another_layout_are_compared_in_that_layout():
    positions = walk(layout_joints=17)
    whole = convert(positions, np.ones(positions.shape[:-1]), "coco17", "chico15")[0]
    found = judged(positions, stands(whole), layout="coco17")
    np.testing.assert_allclose(found["mpjpe_mm"]["at"]["forecast"], 1e3 * AHEAD, atol=0.1)


def test_unseen_joints_are_left_out():
    positions = walk()
    hidden = positions.copy()
    hidden[:, 4] = np.nan
    found = judged(hidden, stands(positions))
    np.testing.assert_allclose(found["mpjpe_mm"]["at"]["forecast"], 1e3 * AHEAD, atol=0.1)
    assert np.isnan(found["per_joint_mm"]["l_hip"]["at"]).all()


def test_coverage_is_the_share_of_joints_within_their_radius():
    positions = walk()
    radius = np.full((STEPS, 15), 0.5, np.float32)
    found = judged(positions, stands(positions), radius=radius, coverage=0.9)["coverage"]
    # 0.5 m are walked in 12.5 steps: the whole forecasts cover 12 of 25, those at the end more.
    assert 0.48 <= found["measured"] < 0.75
    assert found["promised"] == pytest.approx(0.9)
    assert found["per_step"][:12] == [1.0] * 12
    assert found["per_step"][12:] == [0.0] * 13


def test_without_radius_there_is_no_coverage():
    positions = walk()
    assert judged(positions, stands(positions))["coverage"]["measured"] is None


def test_fallbacks_are_counted_by_reason_whatever_its_numbers():
    positions = walk(30)
    name = "constant_velocity (history too short: 3 of 10 frames)"
    found = judged(positions, stands(positions), model=name)
    assert found["fallbacks"] == {"history too short": 30}
    assert found["models"] == {"constant_velocity": 30}


def test_forecasts_that_the_network_is_not_believed_in_are_told():
    positions = walk(30)
    name = "sesgcn_workcell (unlike known motion)"
    found = judged(positions, stands(positions), model=name)
    assert ("  of these", f"30 × {name}") in _forecast_lines(found)


def test_a_track_is_interpolated_within_and_unknown_beyond():
    track = JudgedTrack("chico15", [1.0, 1.04, 1.5], list(walk(3)))
    found = track.at(np.array([0.99, 1.0, 1.02, 1.04, 1.2, 1.5, 1.51]))
    x = found[:, 0, 0] - track.positions[0][0, 0]
    np.testing.assert_allclose(x, [np.nan, 0, 0.02, 0.04, np.nan, 0.08, np.nan], atol=1e-5)


def test_an_unseen_joint_hides_only_itself():
    positions = walk(3)
    positions[1, 4] = np.nan
    found = JudgedTrack("chico15", [0.0, 0.04, 0.08], list(positions)).at(
        np.array([0.0, 0.02, 0.08])
    )
    assert np.isnan(found[:, 4]).any(axis=1).tolist() == [False, True, False]
    assert np.isfinite(np.delete(found, 4, axis=1)).all()


@given(seed=st.integers(0, 2**31), count=st.integers(1, 20))
def test_a_track_is_what_interpolation_point_by_point_makes_of_it(seed, count):
    rng = np.random.default_rng(seed)
    stamps = 1.7e9 + np.cumsum(rng.choice([0.03, 0.04, 0.3], count))
    positions = rng.normal(size=(count, 4, 3)).astype(np.float32)
    times = np.sort(rng.uniform(stamps[0] - 0.5, stamps[-1] + 0.5, 30))
    found = JudgedTrack("chico15", stamps.tolist(), list(positions)).at(times)
    for time, points in zip(times, found, strict=True):
        near = np.abs(stamps - time).argmin()
        after = int(np.searchsorted(stamps, time))
        if abs(stamps[near] - time) < 1e-5:
            np.testing.assert_allclose(points, positions[near], atol=1e-2)
        elif not 0 < after < count or stamps[after] - stamps[after - 1] > 0.2:
            assert np.isnan(points).all()
        else:
            pair = stamps[after - 1 : after + 1]
            expected = [
                np.interp(time, pair, positions[after - 1 : after + 1, j, k])
                for j in range(4)
                for k in range(3)
            ]
            np.testing.assert_allclose(points.ravel(), expected, atol=1e-3)


@given(seed=st.integers(0, 2**31), hidden=st.sampled_from([0.0, 0.1, 0.4]))
@settings(max_examples=20)
def test_errors_are_means_over_the_joints_whose_errors_are_all_known(seed, hidden):
    """Against a loop over forecasts, steps and joints, with the forecaster's own baselines."""
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(40, 15, 3)).astype(np.float32)
    positions[rng.random((40, 15)) < hidden] = np.nan
    guess = rng.normal(size=(STEPS, 15, 3)).astype(np.float32)
    found = judged(positions, lambda frame: guess, coverage=0.9)
    errors: dict[str, list[list[float]]] = {name: [[] for _ in range(STEPS)] for name in NAMES}
    compared = 0
    for frame in range(9, 40):
        history = positions[None, frame - 9 : frame + 1]
        future = positions[frame + 1 : frame + 1 + STEPS]
        if not np.isfinite(history).any(axis=(2, 3)).all() or not np.isfinite(future).any():
            continue
        compared += 1
        paths = {"forecast": guess}
        paths |= {name: predict(history, STEPS)[0] for name, predict in BASELINES.items()}
        for step, truth in enumerate(future):
            away = {n: np.linalg.norm(path[step] - truth, axis=-1) for n, path in paths.items()}
            known = np.isfinite(list(away.values())).all(axis=0)
            for name in NAMES:
                errors[name][step] += away[name][known].tolist()
    assert found["compared"] == compared
    for name in NAMES:
        expected = [1e3 * np.mean(each) if each else np.nan for each in errors[name]]
        np.testing.assert_allclose(found["mpjpe_mm"]["at"][name], expected, rtol=1e-4)
    inside = np.mean([error <= np.float32(0.1) for each in errors["forecast"] for error in each])
    assert found["coverage"]["measured"] == pytest.approx(inside)
    assert found["coverage"]["promised"] == pytest.approx(0.9)


def test_a_joint_that_comes_into_sight_spoils_no_baseline():
    positions = walk()
    hidden = positions.copy()
    hidden[:30, 4] = np.nan
    at = judged(hidden, stands(positions))["mpjpe_mm"]["at"]
    np.testing.assert_allclose(at["constant_velocity"], 0, atol=0.1)
