"""People come, go, hide a hand and flicker; each gets a forecast and what it stands on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from untrained import make_weights

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import AdaptiveRadius, ForecastConfig, Forecaster, build_engine
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.skeleton import Skeleton, get_layout

CONFIG = ForecastConfig()


def skeleton(positions: np.ndarray, person: str = "anna", layout: str = "chico15") -> Skeleton:
    seen = np.isfinite(positions).all(axis=-1)
    return Skeleton(person, layout, positions.astype(np.float32), seen.astype(np.float32))


def watch(
    forecaster: Forecaster, clip: np.ndarray, frames: int = 12, person: str = "anna"
) -> float:
    """Observe the first frames of a clip at 25 Hz; the last stamp."""
    for frame in range(frames):
        forecaster.observe(100 + frame / 25, [skeleton(clip[frame], person)])
    return 100 + (frames - 1) / 25


def test_a_regular_stream_is_forecast_as_the_engine_does(engine, clip):
    forecaster = Forecaster(engine, CONFIG)
    stamp = watch(forecaster, clip)
    (forecast,) = forecaster.forecast()
    np.testing.assert_allclose(forecast.positions, engine.predict(clip[None, 2:12])[0], atol=1e-4)
    assert (forecast.person_id, forecast.layout, forecast.model) == ("anna", "chico15", "untrained")
    assert forecast.stamp == stamp
    assert forecast.step == pytest.approx(0.04)
    assert forecast.coverage == 0.95
    np.testing.assert_array_equal(forecast.radius, engine.radius)


def test_everybody_is_forecast_in_one_pass(engine, clip, monkeypatch):
    forecaster = Forecaster(engine, CONFIG)
    batches = []
    predict = engine.predict_with_radius
    monkeypatch.setattr(
        engine, "predict_with_radius", lambda h, n: batches.append(len(h)) or predict(h, n)
    )
    people = {f"p{i}": np.float32([2 * i, 0, 0]) for i in range(4)}
    for frame in range(12):
        group = [skeleton(clip[frame] + shift, name) for name, shift in people.items()]
        forecaster.observe(frame / 25, group)
    forecasts = forecaster.forecast()
    assert batches == [4]
    assert [forecast.person_id for forecast in forecasts] == list(people)
    for forecast, shift in zip(forecasts, people.values(), strict=True):
        np.testing.assert_allclose(forecast.positions, forecasts[0].positions + shift, atol=1e-4)
    assert (forecaster.counts.people, forecaster.counts.forecasts) == (4, 4)


def test_somebody_new_is_forecast_at_constant_velocity_with_the_reason(engine):
    forecaster = Forecaster(engine, CONFIG)
    body = np.random.default_rng(0).normal(size=(15, 3))
    for frame in range(6):
        forecaster.observe(frame / 25, [skeleton(body + np.float32([0.04 * frame, 0, 0]))])  # 1 m/s
    (forecast,) = forecaster.forecast()
    assert forecast.model == "constant_velocity (history too short: 0.2 s of 0.4 s)"
    assert forecast.coverage == 0
    expected = body + [0.2, 0, 0] + np.arange(1, 26)[:, None, None] * [0.04, 0, 0]
    np.testing.assert_allclose(forecast.positions, expected, atol=1e-4)
    assert dict(forecaster.counts.fallbacks) == {"history too short": 1}


def test_the_radius_of_the_fallback_is_wider_and_grows(engine, clip):
    forecaster = Forecaster(engine, ForecastConfig(fallback_radius=0.1, fallback_growth=2.0))
    forecaster.observe(0.0, [skeleton(clip[0])])
    (forecast,) = forecaster.forecast()
    np.testing.assert_allclose(forecast.radius[:, 0], 0.1 + 2.0 * np.arange(1, 26) / 25, rtol=1e-5)
    np.testing.assert_allclose(forecast.positions, np.repeat(clip[None, 0], 25, axis=0), atol=1e-5)
    default = Forecaster(engine, CONFIG)
    default.observe(0.0, [skeleton(clip[0])])
    assert (default.forecast()[0].radius > engine.radius).all()


def test_a_gap_in_the_stream_is_named(engine, clip):
    forecaster = Forecaster(engine, CONFIG)
    stamp = watch(forecaster, clip)
    forecaster.observe(stamp + 0.5, [skeleton(clip[20])])
    (forecast,) = forecaster.forecast()
    assert forecast.model == "constant_velocity (gap too long: 0.50 s, limit 0.20 s)"
    assert np.isfinite(forecast.positions).all()


def test_a_hand_out_of_sight_is_nan_and_the_rest_is_forecast(engine, clip):
    hidden = clip.copy()
    hidden[:, 11] = np.nan
    forecaster = Forecaster(engine, CONFIG)
    watch(forecaster, hidden)
    (forecast,) = forecaster.forecast()
    assert forecast.model == "untrained"
    assert np.isnan(forecast.positions[:, 11]).all()
    assert np.isfinite(np.delete(forecast.positions, 11, axis=1)).all()


def test_a_hand_out_of_sight_is_a_reason_where_the_network_needs_every_joint(clip):
    strict = build_engine(make_weights(ModelConfig(widths=(8, 3))), device="cpu")
    hidden = clip.copy()
    hidden[:, 11] = np.nan
    forecaster = Forecaster(strict, CONFIG)
    watch(forecaster, hidden)
    (forecast,) = forecaster.forecast()
    assert forecast.model == "constant_velocity (joint unseen: r_wrist)"
    assert np.isnan(forecast.positions[:, 11]).all()
    assert np.isfinite(np.delete(forecast.positions, 11, axis=1)).all()


def test_a_hand_that_flickers_is_carried_over(engine, clip):
    flickering = clip.copy()
    flickering[[6, 7, 11], 11] = np.nan
    forecaster = Forecaster(engine, CONFIG)
    watch(forecaster, flickering)
    assert np.isfinite(forecaster.forecast()[0].positions).all()


def test_only_those_in_sight_are_forecast_and_those_long_gone_forgotten(engine, clip):
    forecaster = Forecaster(engine, ForecastConfig(forget_after=0.5))
    stamp = watch(forecaster, clip)
    forecaster.observe(stamp + 0.04, [])
    assert forecaster.forecast() == []
    assert forecaster.counts.people == 0
    forecaster.observe(stamp + 0.08, [skeleton(clip[14])])
    assert forecaster.forecast()[0].model == "untrained"  # a blink is bridged
    forecaster.observe(stamp + 1.0, [])
    forecaster.observe(stamp + 1.04, [skeleton(clip[15])])
    assert "history too short: 0.0 s" in forecaster.forecast()[0].model


def test_a_skeleton_without_joints_is_nobody(engine):
    forecaster = Forecaster(engine, CONFIG)
    forecaster.observe(0.0, [skeleton(np.full((15, 3), np.nan))])
    assert forecaster.forecast() == []


def test_other_layouts_become_the_models(engine, clip):
    joints = get_layout("coco17").joints
    rng = np.random.default_rng(0)
    body = rng.normal(size=(len(joints), 3))
    forecaster = Forecaster(engine, CONFIG)
    for frame in range(12):
        forecaster.observe(
            frame / 25, [skeleton(body, "guest", "coco17"), skeleton(clip[frame], "anna")]
        )
    guest, anna = sorted(forecaster.forecast(), key=lambda forecast: forecast.person_id)[::-1]
    assert guest.layout == anna.layout == "chico15"
    assert guest.positions.shape == (25, 15, 3)
    assert guest.model == anna.model == "untrained"


def test_a_long_watch_forecasts_from_its_end(engine, clip):
    forecaster = Forecaster(engine, CONFIG)
    frames = np.concatenate([clip, clip[::-1]] * 4)
    for frame, body in enumerate(frames):
        forecaster.observe(frame / 25, [skeleton(body)])
    assert len(frames) > 256
    expected = engine.predict(frames[None, -10:])[0]
    np.testing.assert_allclose(forecaster.forecast()[0].positions, expected, atol=1e-4)


@pytest.mark.parametrize("stamp", [100.44, 100.2], ids=["repeated", "out of order"])
def test_stamps_must_rise(engine, clip, stamp):
    forecaster = Forecaster(engine, CONFIG)
    watch(forecaster, clip)
    before = forecaster.forecast()[0].positions
    with pytest.raises(InputError, match="stamps must rise"):
        forecaster.observe(stamp, [skeleton(clip[12])])
    np.testing.assert_array_equal(forecaster.forecast()[0].positions, before)


def test_a_clock_that_is_set_back_starts_anew(engine, clip):
    forecaster = Forecaster(engine, CONFIG)
    watch(forecaster, clip)
    forecaster.observe(3.0, [skeleton(clip[0])])
    assert "history too short: 0.0 s" in forecaster.forecast()[0].model


def test_bad_skeletons_are_refused_and_nothing_is_taken_in(engine, clip):
    forecaster = Forecaster(engine, CONFIG)
    watch(forecaster, clip)
    with pytest.raises(InputError, match="'anna' is there twice"):
        forecaster.observe(101.0, [skeleton(clip[0]), skeleton(clip[1])])
    with pytest.raises(InputError, match="unknown joint layout 'martian9'"):
        forecaster.observe(101.0, [skeleton(clip[0], layout="martian9")])
    with pytest.raises(InputError, match="stamp of the skeletons is nan"):
        forecaster.observe(float("nan"), [skeleton(clip[0])])
    assert forecaster.forecast()[0].stamp == 100.44


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), hidden=st.sampled_from([0.0, 0.005, 0.1]))
def test_many_at_once_are_forecast_as_one_after_the_other(engine, clip, seed, hidden):
    rng = np.random.default_rng(seed)
    steps = rng.choice([0.0, 0.03, 0.04, 0.3, 1.5], 60, p=[0.02, 0.4, 0.5, 0.06, 0.02])
    stamps = 100 + np.cumsum(steps)
    if rng.random() < 0.5:
        stamps[40:] -= 50  # the clock is set back
    observations = []
    for frame, stamp in enumerate(stamps):
        people = []
        for name in range(3):
            positions = clip[(frame + 20 * name) % len(clip)] + np.float32([2 * name, 0, 0])
            positions[rng.random(15) < hidden] = np.nan
            if rng.random() < 0.95:
                people.append(skeleton(positions, f"p{name}"))
        observations.append((stamp, people))

    def fresh() -> Forecaster:
        return Forecaster(engine, CONFIG, AdaptiveRadius(engine.radius, engine.coverage, CONFIG))

    single, at_once, wanted = fresh(), fresh(), []
    for stamp, people in observations:
        try:
            single.observe(stamp, people)
            wanted.append(single.forecast())
            if rng.random() < 0.5:
                single.learn()  # as a node does, to have it behind it
        except InputError as error:
            wanted.append(str(error))
    found = [*at_once.replay(observations[:25]), *at_once.replay(observations[25:])]
    for now, then in zip(found, wanted, strict=True):
        if isinstance(then, str):
            assert str(now) == then
            continue
        for one, other in zip(now, then, strict=True):
            np.testing.assert_equal(vars(one), vars(other))
    assert at_once.counts == single.counts


def test_nothing_is_forecast_before_anything_is_seen(engine):
    assert Forecaster(engine, CONFIG).forecast() == []
    assert Forecaster(engine, CONFIG).replay([]) == []


def test_weights_of_other_coordinates_are_known_by_their_leap(engine, clip, monkeypatch):
    """The authors' networks take millimetres from CHICO's origin, and are metres off elsewhere."""
    forecaster = Forecaster(engine, CONFIG)
    predict = engine.predict_with_radius

    def elsewhere(histories, noise):
        paths, *rest = predict(histories, noise)
        return (paths + np.float32([2.0, 0.0, 0.0]), *rest)

    monkeypatch.setattr(engine, "predict_with_radius", elsewhere)
    watch(forecaster, clip)
    (forecast,) = forecaster.forecast()
    assert forecast.model.startswith("constant_velocity (network far off: it begins 2.")
    assert forecaster.counts.fallbacks == {"network far off": 1}
    assert forecast.coverage == 0.0
    moved = clip[11] - clip[10]
    np.testing.assert_allclose(forecast.positions[0], clip[11] + moved, atol=1e-4)
