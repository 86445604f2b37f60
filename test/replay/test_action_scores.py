"""What a recording tells of people's actions divides its forecasts, stops and time among them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ses_gcn_ros.datasets.actions import read_segments, write_segments
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.replay.evaluate import evaluate
from ses_gcn_ros.replay.events import ActionTimeline, PeopleForecast, PeopleSeen, recorded_actions
from ses_gcn_ros.replay.forecast_scores import ForecastScores
from ses_gcn_ros.skeleton import Skeleton

STEPS, STEP = 25, 0.04


@given(st.lists(st.floats(0.1, 5.0), min_size=1, max_size=8), st.floats(0, 1))
def test_a_person_does_what_the_stretch_around_the_moment_says(lengths: list[float], share: float):
    edges = np.cumsum([0.0, *lengths])
    segments = [("ann", edges[i], edges[i + 1], f"a{i}") for i in range(len(lengths))]
    timeline = ActionTimeline(segments[::-1])
    for number, (_, start, end, label) in enumerate(segments):
        moment = start + share * 0.99 * (end - start)
        assert timeline.at("ann", moment) == label == f"a{number}"
    assert timeline.at("ann", -0.1) == timeline.at("ann", edges[-1] + 1.0) == ""
    assert timeline.at("bob", 0.05) == ""
    assert sum(timeline.seconds().values()) == pytest.approx(edges[-1])


def test_errors_and_coverage_are_those_of_the_moments_of_an_action():
    """Somebody stands for 4 s and then moves at 1 m/s; what is forecast is that they stand."""
    pose = np.random.default_rng(0).normal(size=(15, 3)).astype(np.float32)
    timeline = ActionTimeline([("1", 0.0, 4.0, "stand"), ("1", 4.0, 8.0, "go")])
    scores, certain = ForecastScores(timeline), np.ones(15, np.float32)
    for frame in range(200):
        stamp = STEP * frame
        seen = pose + np.float32([max(0.0, stamp - 4.0), 0, 0])
        scores.observe(PeopleSeen(stamp, stamp, "world", [Skeleton("1", "chico15", seen, certain)]))
        stays = np.repeat(seen[None], STEPS, axis=0)
        radius = np.full((STEPS, 15), 0.3, np.float32)
        made = Forecast("1", "chico15", stamp, STEP, stays, radius, 0.9, "m")
        scores.forecast(PeopleForecast(stamp, stamp, "world", [made]))
    scores.finish()
    found = scores.by_action()
    assert set(found) == {"go", "stand"}
    # While going a forecast k steps ahead is off by what is gone in k steps.
    np.testing.assert_allclose(found["go"]["mpjpe_mm"], 40 * np.arange(1, 26), rtol=1e-3)
    assert found["go"]["coverage"] == pytest.approx(7 / 25, abs=0.05)  # 0.3 m is reached after 7
    assert found["stand"]["mpjpe_mm"][0] < 1
    assert found["stand"]["coverage"] > 0.9
    assert ForecastScores().by_action() == {}


def test_a_corrected_table_beside_a_bag_is_told_by_and_left_as_it_is(shift_bag: Path, tmp_path):
    bag, out = tmp_path / "bag", tmp_path / "out"
    shutil.copytree(shift_bag, bag)
    plain = evaluate(bag, None)
    assert "actions" not in plain
    write_segments(bag / "actions.csv", [("1", 0.0, 4e9, "hand_work")])
    before = (bag / "actions.csv").read_bytes()
    assert recorded_actions(bag) == read_segments(bag / "actions.csv")
    told = evaluate(bag, out)
    assert (bag / "actions.csv").read_bytes() == before
    assert read_segments(out / "actions.csv") == read_segments(bag / "actions.csv")
    assert set(told["actions"]) == {"hand_work"}
    assert told["actions"]["hand_work"]["stops"] <= told["safety"]["stops_by_people"]
    assert "What people were doing" in (out / "report.html").read_text(encoding="utf-8")
    assert json.loads((out / "summary.json").read_text())["actions"] == told["actions"]
    del told["actions"]
    assert told == plain
