"""Radii hold as often as asked for every kind of motion, are flat where errors are, and end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from untrained import FRAMED, make_weights

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast import build_engine, read_weights, write_weights
from ses_gcn_ros.forecast.calibration import (
    CELLS,
    Calibration,
    calibrate,
    cell_of,
    flat_norm,
    furthest,
    kind_of_motion,
)
from ses_gcn_ros.forecast.learnt_base import looks, wobble_of
from ses_gcn_ros.models.config import ModelConfig

LEARNT = ModelConfig(widths=(16, 8), head="linear", gate=12, **FRAMED)


def errors(seed: int, flat: float = 1.0):
    """Errors as large as the scale says times what the kind and the bones' wobble make of it."""
    rng = np.random.default_rng(seed)
    cell = rng.integers(0, CELLS, 12000)
    scale = rng.uniform(0.02, 0.2, (12000, 3, 2)).astype(np.float32)
    size = scale * np.linspace(0.3, 3.0, CELLS)[cell][:, None, None]
    difference = rng.normal(size=(12000, 3, 2, 3)) * size[..., None] * [1, 1, flat]
    return difference.astype(np.float32), scale, cell


@pytest.mark.parametrize("flat", [1.0, 0.3])
def test_every_cell_is_covered_alike_on_what_was_not_seen(flat):
    found = calibrate(*errors(0, flat), 0.95)
    difference, scale, cell = errors(1, flat)
    within = flat_norm(difference, found.flatness) <= found.radius(scale, cell)
    for k in range(CELLS):
        assert within[cell == k].mean() == pytest.approx(0.95, abs=0.015)
    assert (found.flatness < 0.8) == (flat < 1)
    whole = np.ones((1, 3, 2), np.float32) * [0.02, 0.1]  # what is expected of one joint counts
    even = found.radius(whole, np.array([0]))[0] / found.quantile[0]  # for the other, too
    np.testing.assert_allclose(even, np.tile([0.032, 0.088], (3, 1)), rtol=1e-5)


def test_a_cell_that_was_hardly_seen_takes_what_holds_for_its_kind_or_for_all():
    difference, scale, cell = errors(0)
    cell = np.where(cell == 7, 2, cell)  # of walkers with shaky bones there are none,
    cell = np.where(cell % 4 == 1, 2, cell)  # of people at work neither
    found = calibrate(difference, scale, cell, 0.9)
    kinds = calibrate(difference, scale, cell % 4, 0.9).quantile
    np.testing.assert_array_equal(found.quantile[7], kinds[3])
    whole = calibrate(difference, scale, 0 * cell, 0.9).quantile[0]
    np.testing.assert_array_equal(found.quantile[1::4], np.tile(whole, (2, 1, 1)))
    with pytest.raises(ModelError, match="20 windows are too few to calibrate a radius; it takes"):
        calibrate(difference[:20], scale[:20], cell[:20], 0.9)


def test_weights_from_before_bones_counted_hold_for_all_of_them(tmp_path):
    quantile = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((25, 15), np.float32)
    path = tmp_path / "w.safetensors"
    whole = Calibration(np.tile(quantile, (CELLS // 4, 1, 1)), 0.5)
    write_weights(path, dataclasses.replace(make_weights(LEARNT), calibration=whole))
    with safe_open(path, "numpy") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file({**tensors, "calibration.quantile": quantile}, path, header)
    found = read_weights(path).calibration
    assert found is not None
    np.testing.assert_array_equal(found.quantile, whole.quantile)
    del tensors["calibration.own"]  # nor did what is expected of the other joints
    save_file(tensors, path, header)
    found = read_weights(path).calibration
    assert found is not None
    np.testing.assert_array_equal(found.radius(quantile, np.arange(4)), quantile * quantile)


def test_people_whose_bones_a_camera_guesses_are_a_cell_of_their_own(clip):
    """Noise of a tracker, 0.3 mm, and of a depth camera are as in motion capture."""
    noise = np.random.default_rng(0).normal(size=(10, 15, 3))
    strength = np.array([0.0, 0.3e-3, 1.5e-3, 8e-3])[:, None, None, None]
    history = (clip[:1] + strength * noise).astype(np.float32)
    wobble = wobble_of(looks(history, "chico15"))
    bones = np.linalg.norm(history[:, :, 10] - history[:, :, 9], axis=-1)
    assert wobble[0] < 1e-6
    assert (np.diff(wobble) > 0).all()
    assert wobble[2] == pytest.approx(1.5e-3 * 2**0.5, rel=0.3), bones.std(axis=1)
    assert cell_of(np.full(4, 2), wobble).tolist() == [2, 2, 2, 6]
    assert cell_of(np.array([3]), np.float32([1.0])) == CELLS - 1


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
    quantile = np.full((CELLS, 25, 15), 2.0, np.float32)
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
