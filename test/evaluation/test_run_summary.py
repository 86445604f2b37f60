"""The numbers of a run, from recordings whose numbers are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ses_gcn_ros.evaluation.metrics import Comparison
from ses_gcn_ros.evaluation.recording import Recording, States
from ses_gcn_ros.evaluation.run_summary import summarise, summary_lines
from ses_gcn_ros.forecast import Forecast

CLEAR, REDUCED, STOP = 0, 1, 2
NOTHING = Comparison(
    np.zeros(0),
    {name: np.zeros(0) for name in ("forecast", "last_pose", "constant_velocity")},
    0,
    math.nan,
    math.nan,
)


def recording(levels: list[int], separation: list[float] | None = None, lead: float = 1.0):
    """Record 10 s of observations from t = 100 s, and states at 10 Hz that begin `lead` earlier."""
    stamps = [100 - lead + i / 10 for i in range(len(levels))]
    states = States(
        stamps=stamps,
        level=levels,
        factor=[{CLEAR: 1.0, REDUCED: 0.5, STOP: 0.0}[level] for level in levels],
        separation=separation or [1.0] * len(levels),
        protective=[0.4] * len(levels),
        skeleton_age=[math.inf] * 5 + [0.02] * (len(levels) - 5),
        human_limb=["r_elbow-r_wrist"] * len(levels),
        robot_frame=["tool"] * len(levels),
        reasons=[("too near",) if level else () for level in levels],
    )
    return Recording("run", "world", stamps=[100 + i / 25 for i in range(251)], states=states)


def test_the_states_share_the_time_of_the_recording():
    summary = summarise(
        recording([STOP] * 20 + [CLEAR] * 50 + [REDUCED] * 30 + [STOP] * 30), NOTHING
    )
    assert summary.duration_s == pytest.approx(10)
    # The first second of states lies before the recording, the last beyond it.
    assert summary.seconds == pytest.approx({"CLEAR": 5.0, "REDUCED": 3.0, "STOP": 2.0})
    assert summary.full_speed_share == pytest.approx(0.5)


def test_the_first_stop_is_the_first_after_the_robot_was_allowed_to_move():
    separation = [2.0] * 130
    separation[90] = 0.25
    levels = [STOP] * 20 + [CLEAR] * 30 + [STOP] * 60 + [CLEAR] * 20
    summary = summarise(recording(levels, separation), NOTHING)
    assert summary.first_stop_at_s == pytest.approx(4.0)
    assert summary.first_stop_reasons == ("too near",)
    assert summary.lowest_separation_m == 0.25
    assert summary.lowest_separation_at_s == pytest.approx(8.0)
    assert summary.stop_before_closest_s == pytest.approx(4.0)
    assert summary.stopped_at_closest_s == pytest.approx(4.0)
    assert summary.closest_pair == ("r_elbow-r_wrist", "tool")


def test_a_stop_that_was_released_does_not_count_for_the_closest_approach():
    separation = [2.0] * 110
    separation[90] = 0.25
    levels = [CLEAR] * 30 + [STOP] * 20 + [CLEAR] * 20 + [STOP] * 40
    summary = summarise(recording(levels, separation), NOTHING)
    assert summary.stop_before_closest_s == pytest.approx(6.0)
    assert summary.stopped_at_closest_s == pytest.approx(2.0)


def test_a_stop_that_comes_late_is_called_late():
    separation = [2.0] * 110
    separation[30] = 0.1
    summary = summarise(recording([CLEAR] * 50 + [STOP] * 60, separation), NOTHING)
    assert summary.stop_before_closest_s == pytest.approx(-2.0)
    assert math.isnan(summary.stopped_at_closest_s)
    assert "2.00 s after the closest approach" in dict(summary_lines(summary))["first STOP"]


@pytest.mark.parametrize("levels", [[STOP] * 110, [CLEAR] * 110, [REDUCED] * 110])
def test_without_a_stop_there_is_none(levels):
    summary = summarise(recording(levels), NOTHING)
    assert math.isnan(summary.first_stop_at_s)
    assert dict(summary_lines(summary))["first STOP"] == "none"


def test_unknown_and_infinite_separations_are_not_the_lowest():
    separation = [math.nan, math.inf, 0.7] + [math.nan] * 107
    assert summarise(recording([CLEAR] * 110, separation), NOTHING).lowest_separation_m == 0.7


def test_fallbacks_are_counted_by_reason_whatever_its_numbers():
    run = recording([CLEAR] * 110)
    names = ["sesgcn_workcell"] * 3
    names += [f"constant_velocity (history too short: {i / 25} s of 0.4 s)" for i in range(4)]
    names += ["constant_velocity (model failed)"]
    run.forecasts = [
        Forecast("1", "chico15", 100.0, 0.04, np.zeros((25, 15, 3)), np.zeros((25, 15)), 0.0, name)
        for name in names
    ]
    summary = summarise(run, NOTHING)
    assert summary.forecasts == 8
    assert summary.models == {"sesgcn_workcell": 3, "constant_velocity": 5}
    assert summary.fallbacks == {"history too short": 4, "model failed": 1}


def test_errors_are_read_at_the_horizons_of_the_table():
    steps = np.arange(1, 26)
    errors = {"forecast": steps / 1e3, "last_pose": steps / 1e2, "constant_velocity": steps / 1e3}
    comparison = Comparison(0.04 * steps, errors, 7, 0.9, 0.9)
    summary = summarise(recording([CLEAR] * 110), comparison)
    assert [row.horizon_ms for row in summary.errors] == [80, 400, 1000]
    assert [row.forecast for row in summary.errors] == pytest.approx([2, 10, 25])
    assert [row.last_pose for row in summary.errors] == pytest.approx([20, 100, 250])
    assert [row.forecast_mean for row in summary.errors] == pytest.approx([1.5, 5.5, 13])
    assert summary.compared == 7


def test_horizons_that_were_not_forecast_are_left_out():
    steps = np.arange(1, 11)
    errors = {name: steps / 1e3 for name in ("forecast", "last_pose", "constant_velocity")}
    summary = summarise(recording([CLEAR] * 110), Comparison(0.04 * steps, errors, 1, 0.9, 0.9))
    assert [row.horizon_ms for row in summary.errors] == [80, 400]


def test_latencies_have_a_measure_each():
    run = recording([CLEAR] * 110)
    run.diagnostics = {
        "forecaster_node": {"latency_median_ms": "1.5", "latency_p99_ms": "9.0"},
        "demo_robot": {"latency_median_ms": "nan", "latency_p99_ms": "nan"},
        "camera": {"rate": "30"},
    }
    found = {(row.node, row.measure): row for row in summarise(run, NOTHING).latencies}
    own = next(row for (_, measure), row in found.items() if "own" in measure)
    assert (own.node, own.median_ms, own.p99_ms) == ("forecaster_node", 1.5, 9.0)
    age = next(row for (node, _), row in found.items() if node == "safety_node")
    assert age.median_ms == pytest.approx(20)
    assert len(found) == 2


def test_json_has_null_where_nothing_is_known():
    plain = summarise(recording([STOP] * 110, [math.nan] * 110), NOTHING).to_dict()
    assert plain["lowest_separation_m"] is None
    assert plain["first_stop_at_s"] is None
    assert plain["coverage"] is None
    assert plain["seconds"]["STOP"] == pytest.approx(10)
    json.dumps(plain, allow_nan=False)
