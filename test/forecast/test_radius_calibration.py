"""Radii hold as often as asked for every kind of motion, are flat where errors are, and end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from untrained import FRAMED, make_weights

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast import build_engine, read_weights, write_weights
from ses_gcn_ros.forecast.calibration import (
    KINDS,
    Calibration,
    calibrate,
    flat_norm,
    furthest,
    kind_of_motion,
)
from ses_gcn_ros.models.config import ModelConfig

LEARNT = ModelConfig(widths=(16, 8), head="linear", gate=12, **FRAMED)


def errors(seed: int, flat: float = 1.0):
    """Errors twice as large where the scale says so, and half as large as it says when still."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, 8000)
    scale = rng.uniform(0.02, 0.2, (8000, 3, 2)).astype(np.float32)
    size = scale * np.array([0.5, 1.0, 1.5, 3.0])[kind][:, None, None]
    difference = rng.normal(size=(8000, 3, 2, 3)) * size[..., None] * [1, 1, flat]
    return difference.astype(np.float32), scale, kind


@pytest.mark.parametrize("flat", [1.0, 0.3])
def test_every_kind_of_motion_is_covered_alike_on_what_was_not_seen(flat):
    found = calibrate(*errors(0, flat), 0.95)
    difference, scale, kind = errors(1, flat)
    within = flat_norm(difference, found.flatness) <= found.radius(scale, kind)
    for k in range(len(KINDS)):
        assert within[kind == k].mean() == pytest.approx(0.95, abs=0.01)
    assert (found.flatness < 0.8) == (flat < 1)


def test_a_kind_that_was_hardly_seen_takes_what_holds_for_all():
    difference, scale, kind = errors(0)
    kind = np.where(kind == 3, 2, kind)
    found = calibrate(difference, scale, kind, 0.9)
    np.testing.assert_array_equal(
        found.quantile[3], calibrate(difference, scale, 0 * kind, 0.9).quantile[0]
    )
    with pytest.raises(ModelError, match="20 windows are too few to calibrate a radius; it takes"):
        calibrate(difference[:20], scale[:20], kind[:20], 0.9)


def test_people_are_told_apart_by_how_fast_they_move(clip):
    history = np.repeat(clip[None, :10], 4, axis=0)
    still = history[:, -1:]
    history = still + np.float32([0, 0.03, 0.3, 1.0])[:, None, None, None] * (history - still)
    history[1, :, 3] = np.nan
    kinds = kind_of_motion(history, 25.0)
    assert kinds[0] == 0
    assert (np.diff(kinds) >= 0).all()
    assert kinds[3] == 3  # a walk


def test_nobody_can_be_further_than_a_body_can_go():
    last = np.zeros((1, 15, 3), np.float32)
    stand = np.zeros((1, 25, 15, 3), np.float32)
    reach = furthest(stand, last, last, 0.04, "chico15")[0]
    assert reach[-1, 0] == pytest.approx(1.6)  # a walk begun
    assert reach[-1, 11] == pytest.approx(2.0)  # an arm stretched out
    assert reach[0, 0] == pytest.approx(10 * 0.04**2)
    running = furthest(stand, last, last + np.float32([5, 0, 0]), 0.04, "chico15")[0]
    assert running[-1, 0] == pytest.approx(5.0)
    assert (np.diff(reach, axis=0) > 0).all()


def test_it_is_kept_in_the_weights_and_given_out_by_the_engine(tmp_path, clip):
    weights = make_weights(LEARNT)
    quantile = np.full((4, 25, 15), 2.0, np.float32)
    quantile[3] = 3
    weights = dataclasses.replace(weights, calibration=Calibration(quantile, 0.5))
    write_weights(tmp_path / "w.safetensors", weights)
    engine = build_engine(read_weights(tmp_path / "w.safetensors"))
    history = np.stack([clip[:10], np.repeat(clip[:1], 10, axis=0)])
    _, scale = engine.predict_with_scale(history)
    _, radius, kind, _ = engine.predict_with_radius(history)
    assert kind.tolist() == [3, 0]
    np.testing.assert_allclose(radius, scale * np.float32([3, 2])[:, None, None])
    assert engine.flatness == 0.5
    wrong = dataclasses.replace(weights, calibration=Calibration(quantile[:3], 0.5))
    with pytest.raises(ModelError, match=r"calibration of .* quantiles of shape \(3, 25, 15\)"):
        write_weights(tmp_path / "x.safetensors", wrong)
