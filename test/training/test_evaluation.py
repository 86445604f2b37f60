"""Figures of an evaluation are the ones of the definition, and a radius covers what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ses_gcn_ros import forecast
from ses_gcn_ros.datasets.sequences import Sequence, read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.training.evaluation import (
    as_csv,
    as_text,
    conformal_radius,
    coverage_by_step,
    measure,
    summarise,
)
from ses_gcn_ros.training.recipe import load_recipe
from ses_gcn_ros.training.sources import split


@pytest.fixture(scope="module")
def engine():
    return forecast.load(device="cpu")


@pytest.fixture(scope="module")
def test_part(shared_data):
    sequences = read_recording(shared_data / "motion" / "cmu.npz").sequences
    return split(sequences, load_recipe("sesgcn_workcell").data).test


def steady(frames: int, speed_mm: float, layout: str = "chico15") -> Sequence:
    stored = np.round(np.arange(frames)[:, None, None] * speed_mm) * np.ones((1, 15, 3))
    return Sequence("steady", 0, "", frozenset({"test"}), 25.0, layout, stored.astype(np.int16))


def test_errors_of_steady_motion_are_known_exactly(engine):
    errors = measure(engine, [steady(40, 10)], 1)
    assert errors.distance["constant_velocity"].shape == (6, 25, 15)
    np.testing.assert_allclose(errors.distance["constant_velocity"], 0, atol=1e-6)
    per_step = errors.distance["last_pose"].mean(axis=(0, 2))
    np.testing.assert_allclose(per_step, 0.01 * np.sqrt(3) * np.arange(1, 26), rtol=1e-4)


def test_per_frame_and_averaged_figures_are_told_apart(engine):
    summary = summarise(measure(engine, [steady(40, 10)], 1), engine)
    figures = summary["methods"]["last_pose"]
    frames = np.array(summary["frames"])
    per_mm = 10 * np.sqrt(3)
    np.testing.assert_allclose(figures["at_frame"], per_mm * frames, atol=0.06)
    np.testing.assert_allclose(figures["up_to_frame"], per_mm * (frames + 1) / 2, atol=0.06)
    assert figures["mean"] == pytest.approx(per_mm * 13, abs=0.06)
    text = as_text(summary)
    assert text.index("at the frame") < text.index("averaged up to the frame")
    lines = as_csv(summary).splitlines()
    assert lines[0] == "table,name,frame,mpjpe_at_frame_mm,mpjpe_up_to_frame_mm,quoted_mm,source"
    assert len(lines) == 1 + 4 * 25 + (1 + 15) * len(frames)  # methods; one group, the joints
    assert json.loads(json.dumps(summary)) == summary


def test_another_layout_is_refused(engine):
    with pytest.raises(InputError, match=r"has layout coco17; .* takes chico15"):
        measure(engine, [steady(40, 10, layout="coco17")], 1)


def test_the_radius_covers_new_errors_as_often_as_it_says():
    rng = np.random.default_rng(0)
    seen, new = rng.gamma(2, 0.1, (2, 4000, 3, 5)).astype(np.float32)
    for coverage in (0.8, 0.95):
        radius = conformal_radius(seen, coverage)
        np.testing.assert_allclose(coverage_by_step(new, radius), coverage, atol=0.01)


def test_the_radius_is_the_rank_that_conformal_prediction_asks_for():
    distance = np.arange(1, 20, dtype=np.float32)[:, None, None]
    assert conformal_radius(distance, 0.95)[0, 0] == 19
    assert conformal_radius(distance, 0.5)[0, 0] == 10
    with pytest.raises(InputError, match=r"18 windows are too few .* it takes 19"):
        conformal_radius(distance[:18], 0.95)


def test_the_radius_that_ships_holds_on_sequences_it_has_not_seen(engine, test_part):
    errors = measure(engine, test_part, stride=4)
    coverage = coverage_by_step(errors.distance[engine.name], engine.radius)
    assert engine.coverage == 0.95
    assert coverage.min() > 0.93
    assert coverage.max() < 0.97


def test_the_weights_that_ship_beat_damped_velocity_at_every_frame(engine, test_part):
    summary = summarise(measure(engine, test_part, stride=4), engine)
    assert summary["worst_ratio"] < 1
    assert summary["gain_percent"][-1] > 20
