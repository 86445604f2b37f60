"""The figures of a report, once more from the messages of its bag by a few lines of numpy.

Nothing of the package reads the bag or reckons here, so that one mistake can't be in both.
"""

from __future__ import annotations

import json
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

HISTORY = 9  # frames before the last, which a forecast needs to be compared with the baselines


def seconds(time: Any) -> float:
    return time.sec + 1e-9 * getattr(time, "nanosec", 0)


@pytest.fixture(scope="module")
def run(run_bag, run_report) -> SimpleNamespace:
    """Joints over time, forecasts with their stamps, states, and the report's summary."""
    heard = defaultdict(list)
    with AnyReader([run_bag]) as bag:
        for connection, _, raw in bag.messages():
            if connection.topic in ("/skeletons", "/forecasts", "/safety_state"):
                heard[connection.topic].append(bag.deserialize(raw, connection.msgtype))
    seen = [message for message in heard["/skeletons"] if message.skeletons]
    return SimpleNamespace(
        times=np.array([seconds(message.header.stamp) for message in seen]),
        joints=np.array([message.skeletons[0].positions for message in seen], float),
        forecasts=[(seconds(m.header.stamp), f) for m in heard["/forecasts"] for f in m.forecasts],
        states=heard["/safety_state"],
        summary=json.loads((run_report / "summary.json").read_text()),
    )


def at(run: SimpleNamespace, times: np.ndarray) -> np.ndarray:
    """Joints at some times, NaN after the last, shape (T, J, 3)."""
    columns = [np.interp(times, run.times, column, right=np.nan) for column in run.joints.T]
    return np.stack(columns, axis=1).reshape(len(times), -1, 3)


def test_errors_baselines_and_coverage(run):
    errors, last, within, radii = [], [], [], []
    for stamp, forecast in run.forecasts:
        steps = stamp + seconds(forecast.step) * np.arange(1, forecast.steps + 1)
        if np.sum(run.times <= stamp + 1e-3) <= HISTORY:
            continue
        truth = at(run, steps)
        positions = np.reshape(forecast.positions, truth.shape).astype(float)
        errors.append(np.linalg.norm(positions - truth, axis=-1))
        last.append(np.linalg.norm(at(run, np.array([stamp])) - truth, axis=-1))
        radii.append(np.reshape(forecast.radius, errors[-1].shape))
        within.append(np.where(np.isnan(errors[-1]), np.nan, errors[-1] <= radii[-1]))
    found = run.summary["forecasts"]
    told = found["mpjpe_mm"]["at"]
    for name, own in (("forecast", errors), ("last_pose", last)):
        assert np.allclose(told[name], 1e3 * np.nanmean(own, axis=(0, 2)), atol=0.3), name
    up_to = found["mpjpe_mm"]["up_to"]["forecast"]
    assert np.allclose(up_to, [np.mean(told["forecast"][: k + 1]) for k in range(len(up_to))])
    assert found["coverage"]["measured"] == pytest.approx(np.nanmean(within), abs=2e-3)
    known = np.where(np.isnan(errors), np.nan, radii)
    radius = 1e3 * np.nanmean(known, axis=(0, 2))
    assert np.allclose(found["coverage"]["radius_mm"], radius, rtol=2e-3)


def test_the_protective_distance_of_every_state(run):
    """S_p = v_h (T_r + T_s) + v_r T_r + S_s + C + Z_d + Z_r of ISO/TS 15066, 5.5.4.2.3."""
    known = [state for state in run.states if np.isfinite(state.protective_distance)]
    assert len(known) > 100
    for s in known:
        people = s.human_speed * (s.reaction_time + s.stopping_time)
        robot = s.robot_speed * s.reaction_time + s.stopping_term
        apart = people + robot + s.intrusion + s.human_uncertainty + s.robot_uncertainty
        assert s.protective_distance == pytest.approx(apart, abs=1e-6)
        assert s.margin == pytest.approx(s.separation - apart, abs=1e-6)


def test_times_speed_and_the_closest_approach(run):
    times = np.array([seconds(state.header.stamp) for state in run.states])
    lasted = np.diff(times, append=times[-1])
    levels = np.array([state.level for state in run.states])
    safety = run.summary["safety"]
    for level, name in enumerate(("CLEAR", "REDUCED", "STOP")):
        assert safety["seconds"][name] == pytest.approx(lasted[levels == level].sum(), abs=1e-3)
    factors = np.array([state.speed_factor for state in run.states])
    assert safety["mean_factor"] == pytest.approx(np.average(factors, weights=lasted), abs=1e-3)
    nearest = min(state.separation for state in run.states if np.isfinite(state.separation))
    assert safety["worst"]["separation_m"] == pytest.approx(nearest, abs=1e-3)
