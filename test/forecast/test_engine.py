"""Engines take and give metres for any number of people, and refuse what they can't answer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from untrained import make_weights

from ses_gcn_ros import forecast
from ses_gcn_ros.errors import InputError, ModelError
from ses_gcn_ros.forecast import build_engine
from ses_gcn_ros.forecast.baselines import constant_velocity, damped_velocity
from ses_gcn_ros.models.config import ModelConfig


def histories(clip: np.ndarray, count: int) -> np.ndarray:
    return np.stack([clip[i : i + 10] for i in range(count)])


@pytest.mark.parametrize("count", [0, 1, 7])
def test_any_number_of_people(engine, clip, count):
    history = histories(clip, count) if count else np.zeros((0, 10, 15, 3), np.float32)
    answer = engine.predict(history)
    assert answer.shape == (count, 25, 15, 3)
    assert answer.dtype == np.float32


def test_a_batch_answers_as_each_person_alone(engine, clip):
    history = histories(clip, 5)
    alone = np.concatenate([engine.predict(person[None]) for person in history])
    np.testing.assert_allclose(engine.predict(history), alone, atol=1e-5)


def test_metres_whatever_the_unit_of_the_weights(clip):
    metres = make_weights(ModelConfig(widths=(8, 3)))
    in_mm = dataclasses.replace(metres, config=dataclasses.replace(metres.config, unit="mm"))
    history = histories(clip, 2)
    direct = build_engine(metres, device="cpu").predict_with_scale(1000 * history)[0] / 1000
    np.testing.assert_allclose(
        build_engine(in_mm, device="cpu").predict(history), direct, rtol=1e-4, atol=1e-4
    )


def test_the_answer_moves_with_the_person(engine, clip):
    history = histories(clip, 3)
    quarter = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.float32)
    shift = np.float32([5, -3, 0])
    there = engine.predict(history @ quarter + shift)
    np.testing.assert_allclose(there, engine.predict(history) @ quarter + shift, atol=1e-3)


def test_joints_never_seen_come_back_as_nan_and_the_others_are_forecast(engine, clip):
    history = histories(clip, 2)
    history[1, :, 11] = np.nan
    answer = engine.predict(history)
    assert np.isnan(answer[1, :, 11]).all()
    assert np.isfinite(np.delete(answer[1], 11, axis=1)).all()
    assert np.isfinite(answer[0]).all()


def test_unusable_histories_are_refused(engine, clip):
    history = histories(clip, 2)
    with pytest.raises(
        InputError, match=r"shape \(2, 9, 15, 3\); 'untrained' takes \(N, 10, 15, 3\)"
    ):
        engine.predict(history[:, 1:])
    broken = history.copy()
    broken[1, 4, 3] = np.nan
    with pytest.raises(InputError, match="history 1 is NaN at frame 4, joint 3"):
        engine.predict(broken)
    broken[1, 4, 3] = np.inf
    with pytest.raises(InputError, match="infinite"):
        engine.predict(broken)
    with pytest.raises(InputError, match="in millimetres"):
        engine.predict(1000 * history)
    with pytest.raises(InputError, match="no joint at all"):
        engine.predict(np.full((1, 10, 15, 3), np.nan, np.float32))
    way_out = r"no array of numbers; give 'untrained' positions \(N, 10, 15, 3\) \[m\]"
    for given, named in (("walking", "'walking'"), ([[[[0.0] * 3], [[0.0] * 2]]], r"\[\[\[\[0.0")):
        with pytest.raises(InputError, match=f"history {named}.* is {way_out}"):
            engine.predict(given)


def test_weights_trained_on_whole_bodies_take_no_nan(clip):
    strict = build_engine(make_weights(ModelConfig(widths=(8, 3))), device="cpu")
    history = histories(clip, 1)
    history[0, :, 11] = np.nan
    with pytest.raises(InputError, match="takes no NaN"):
        strict.predict(history)


def test_unknown_engines_and_devices_are_named():
    with pytest.raises(ModelError, match="no engine 'abacus'; choose one of auto"):
        forecast.load(engine="abacus")
    with pytest.raises(ModelError, match="no device 'tpu'"):
        forecast.load(device="tpu")


def test_the_weights_that_ship_forecast_a_walk_better_than_constant_velocity(clip):
    engine = forecast.load(device="cpu")
    history = histories(clip, len(clip) - 35)
    future = np.stack([clip[i + 10 : i + 35] for i in range(len(history))])
    ours = np.linalg.norm(engine.predict(history) - future, axis=-1).mean(axis=(0, 2))
    for baseline in (constant_velocity, damped_velocity):
        theirs = np.linalg.norm(baseline(history, 25) - future, axis=-1).mean(axis=(0, 2))
        assert ours[-1] < theirs[-1]
        assert ours.mean() < theirs.mean()
