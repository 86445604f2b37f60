"""The radius follows what happens: it covers as often as asked whatever the motion turns into."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros import forecast
from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import AdaptiveRadius, ForecastConfig, Forecaster
from ses_gcn_ros.forecast.adaptive import ActionRadii, PendingForecasts, RadiusStore
from ses_gcn_ros.forecast.calibration import furthest
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.training.evaluation import StreamSchedule, measure_stream
from ses_gcn_ros.training.recipe import load_recipe
from ses_gcn_ros.training.sources import split

CONFIG = ForecastConfig()
STEPS, JOINTS = 5, 15
BASE = np.linspace(0.02, 0.5, STEPS, dtype=np.float32)[:, None].repeat(JOINTS, axis=1)


def fresh(config: ForecastConfig = CONFIG) -> AdaptiveRadius:
    return AdaptiveRadius(BASE, 0.95, config)


def errors_like(rng, size: float, people: int = 1):
    """Errors of which the calibrated radius times `size` holds 95 %."""
    return BASE * rng.exponential(size / np.log(20), (people, STEPS, JOINTS))


def teach(radius: AdaptiveRadius, rng, size: float, seconds: float, people: int = 1):
    """Let a radius see such errors at 25 Hz; share within the radius it had, per step."""
    held = []
    for _ in range(int(25 * seconds)):
        errors = errors_like(rng, size, people)
        held.append(errors <= radius.radius)
        radius.observe(errors, np.tile(radius.factor, (people, 1)), 0.04)
    return np.mean(held, axis=(0, 1, 3))


def test_it_starts_as_calibrated():
    np.testing.assert_allclose(fresh().radius, BASE, rtol=0.01)
    assert fresh().warning() == ""
    assert np.isnan(fresh().coverage).all()


@pytest.mark.parametrize("size", [0.3, 1.0, 2.5])
def test_coverage_comes_back_after_errors_grow_or_shrink(size):
    rng, radius = np.random.default_rng(0), fresh()
    teach(radius, rng, 1.0, 30)
    teach(radius, rng, size, 30, people=2)
    held = teach(radius, rng, size, 60, people=2)
    assert np.abs(held - 0.95).max() < 0.015
    np.testing.assert_allclose(radius.factor, size, rtol=0.15)
    np.testing.assert_allclose(radius.coverage, 0.95, atol=0.015)


def test_steps_learn_apart():
    rng, radius = np.random.default_rng(0), fresh()
    for _ in range(1500):
        errors = errors_like(rng, 1.0)
        errors[:, 0] *= 3
        errors[:, 2] = np.nan  # nothing is known of this one
        radius.observe(errors, radius.factor[None], 0.04)
    np.testing.assert_allclose(radius.factor[[0, 1, 3, 4]], [3, 1, 1, 1], rtol=0.2)
    assert radius.factor[2] == pytest.approx(1, abs=0.01)
    assert np.isnan(radius.coverage[2])


@settings(max_examples=10)
@given(st.floats(0, 1e6), st.integers(0, 2**31))
def test_it_stays_within_its_limits(size, seed):
    radius = fresh(ForecastConfig(adaptive_least=0.2, adaptive_most=4.0))
    teach(radius, np.random.default_rng(seed), size, 8)
    assert ((radius.factor >= 0.2) & (radius.factor <= 4.0)).all()
    assert np.isfinite(radius.radius).all()


def test_how_often_it_is_told_does_not_matter():
    rng, radius = np.random.default_rng(0), fresh()
    for _ in range(600):
        radius.observe(errors_like(rng, 2.0), radius.factor[None], 0.1)
    np.testing.assert_allclose(radius.factor, 2.0, rtol=0.2)
    assert radius.seconds == pytest.approx(60)
    np.testing.assert_allclose(radius.error, 2.0 * BASE[:, 0] / np.log(20), rtol=0.1)
    radius.observe(errors_like(rng, 2.0), radius.factor[None], 3600.0)
    assert radius.seconds == pytest.approx(60.5)  # a gap is no hour of data


def test_leaving_the_band_is_said_once_there_is_enough_data():
    rng = np.random.default_rng(0)
    stuck = fresh(ForecastConfig(adaptive_most=1.0))
    teach(stuck, rng, 3.0, 25)
    assert stuck.warning() == ""
    teach(stuck, rng, 3.0, 10)
    assert "asked 0.950 ± 0.030" in stuck.warning()
    free = fresh()
    teach(free, rng, 3.0, 120)
    assert free.warning() == ""
    assert free.report()["coverage least"].startswith("0.9")


def test_forecasts_are_compared_with_what_they_were_made_for():
    waiting = PendingForecasts(BASE, 0.04)
    walk = np.arange(1, STEPS + 1)[:, None, None] * np.float32([0.04, 0, 0])  # 1 m/s
    body = np.zeros((JOINTS, 3), np.float32)
    stride = np.float32([1 / 30, 0, 0])
    for frame in range(12):  # 30 Hz: steps fall due between observations
        now = body + frame * stride
        if frame:
            due = waiting.errors(
                ((frame - 1) / 30, now - stride), (frame / 30, now + np.float32([0, 0.3, 0]))
            )
            errors, factors = due.errors[0], due.factors
            known = np.isfinite(errors).all(axis=1)
        waiting.add(frame / 30, now + walk, np.full(STEPS, float(frame)), BASE)
    assert known.all()
    assert (np.diff(factors) <= 0).all()  # longer ago for later steps
    # The observation is 0.3 m off at its end and right at its beginning.
    assert ((errors >= -1e-6) & (errors <= 0.3 + 1e-6)).all()
    due = (factors[:, None] / 30 + 0.04 * np.arange(1, STEPS + 1)[:, None]).repeat(JOINTS, 1)
    np.testing.assert_allclose(errors, 0.3 * (due - 10 / 30) * 30, atol=1e-3)


def test_unseen_joints_and_steps_without_a_forecast_are_not_known():
    waiting = PendingForecasts(BASE, 0.04)
    body = np.zeros((JOINTS, 3), np.float32)
    waiting.add(0.0, np.zeros((STEPS, JOINTS, 3), np.float32), np.ones(STEPS), BASE)
    hidden = body.copy()
    hidden[11] = np.nan
    errors = waiting.errors((0.0, body), (0.09, hidden)).errors[0]
    assert np.isfinite(errors[:2, :11]).all()
    assert np.isnan(errors[:2, 11]).all()
    assert np.isnan(errors[2:]).all()


def watch(forecaster: Forecaster, clip: np.ndarray, start: float = 0.0) -> None:
    for frame, body in enumerate(clip):
        seen = np.ones(len(body), np.float32)
        forecaster.observe(start + frame / 25, [Skeleton("anna", "chico15", body, seen)])
        forecaster.forecast()


def test_a_forecaster_gives_out_the_radius_as_it_is(engine, clip):
    radius = AdaptiveRadius(engine.radius, engine.coverage, CONFIG)
    forecaster = Forecaster(engine, CONFIG, radius)
    watch(forecaster, np.concatenate([clip, clip[::-1]] * 2))
    (last,) = forecaster.forecast()
    body = clip[None, 0]  # where both passes end
    moved = (clip[0] - clip[1])[None] * 25
    cap = furthest(last.positions[None], body, moved, last.step, last.layout)[0]
    np.testing.assert_allclose(last.radius, np.minimum(radius.radius, cap + 0.05), rtol=1e-4)
    assert (last.radius == radius.radius).mean() > 0.9
    assert radius.seconds > 5
    assert not np.allclose(radius.factor, 1, rtol=0.05)  # nobody trained this network
    watch(forecaster, clip[:20], start=-50.0)  # the clock was set back
    assert np.isfinite(radius.radius).all()


def test_each_action_keeps_the_coverage_by_itself():
    rng, radii = np.random.default_rng(0), ActionRadii(fresh())
    held = []
    for _ in range(25 * 90):
        numbers, own = zip(*map(radii.of, ("idle", "walk", "")), strict=True)
        errors = np.concatenate([errors_like(rng, size) for size in (0.3, 2.5, 1.0)])
        held.append(errors <= np.stack([each.radius for each in own]))
        factors = np.stack([each.factor for each in own])
        actions = np.tile(np.array(numbers)[:, None], (1, STEPS))
        radii.observe(errors, factors, 0.04, errors / BASE, actions)
    held = np.mean(held[25 * 30 :], axis=(0, 2, 3))
    np.testing.assert_allclose(held[:2], 0.95, atol=0.015)
    np.testing.assert_allclose(radii.of("idle")[1].factor, 0.3, rtol=0.15)
    assert radii.of("")[1] is radii.common


def test_a_forecaster_learns_apart_what_people_do(engine, clip):
    radius = AdaptiveRadius(engine.radius, engine.coverage, CONFIG)
    forecaster = Forecaster(engine, CONFIG, radius)
    forecaster.doing = {"anna": "walk"}
    watch(forecaster, clip)
    number, walking = forecaster.radii.of("walk")
    assert number == 1
    assert walking.seconds == pytest.approx(radius.seconds, abs=0.1)
    forecaster.doing = {}
    watch(forecaster, clip, start=len(clip) / 25)
    assert radius.seconds > 1.5 * walking.seconds


def test_what_was_learnt_survives_a_restart(tmp_path):
    rng, first = np.random.default_rng(0), fresh()
    teach(first, rng, 2.0, 20)
    path = tmp_path / "state" / "radius.npz"
    RadiusStore(first, path).close()
    second = fresh()
    assert RadiusStore(second, path).problem == ""
    np.testing.assert_array_equal(second.radius, first.radius)
    np.testing.assert_array_equal(second.coverage, first.coverage)
    assert second.seconds == first.seconds


def test_it_is_written_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr("ses_gcn_ros.forecast.adaptive.EVERY", 0.0)
    radius, path = fresh(), tmp_path / "radius.npz"
    store = RadiusStore(radius, path)
    assert not path.exists()
    teach(radius, np.random.default_rng(0), 2.0, 1)
    store.keep()
    store.close()
    assert path.exists()
    RadiusStore(radius, None).keep()  # nowhere
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_or_foreign_state_is_named_and_ignored(tmp_path):
    radius, path = fresh(), tmp_path / "radius.npz"
    teach(radius, np.random.default_rng(0), 2.0, 20)
    path.write_bytes(radius.packed()[:400])
    other = fresh()
    assert "starts as calibrated: " in RadiusStore(other, path).problem
    np.testing.assert_allclose(other.radius, BASE, rtol=0.01)
    path.write_bytes(radius.packed())
    foreign = AdaptiveRadius(BASE * 2, 0.95, CONFIG)
    assert "with other weights" in RadiusStore(foreign, path).problem
    np.savez(path, alpha=np.ones(3))
    with pytest.raises(InputError, match="no state of an adaptive radius"):
        fresh().restore(path)


def test_a_state_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    radius = fresh()
    teach(radius, np.random.default_rng(0), 2.0, 1)
    store = RadiusStore(radius, tmp_path / "file" / "radius.npz")
    store.close()
    assert "the radius can't be kept in" in store.problem


def test_memory_does_not_grow():
    radius = fresh()
    teach(radius, np.random.default_rng(0), 1.0, 2)
    small = len(radius.packed())
    teach(radius, np.random.default_rng(0), 1.0, 20)
    assert len(radius.packed()) == small


@pytest.mark.slow
def test_coverage_is_back_thirty_seconds_after_cmu_turned_into_handovers(shared_data):
    engine = forecast.load(device="cpu")
    capture = read_recording(shared_data / "motion" / "cmu.npz").sequences
    first = split(capture, load_recipe("sesgcn_workcell").data).test
    second = read_recording(shared_data / "motion" / "handover_dev.npz").sequences
    result = measure_stream(
        engine, first, second, streams=2, seed=1, schedule=StreamSchedule(10, 30, 45)
    )
    covered = np.array(result["coverage_percent"])
    assert covered.shape == (engine.horizon,)
    assert covered.min() > 93
    assert covered.max() < 97
    calibrated = np.array(result["calibrated_percent"])
    assert np.abs(calibrated - 95).max() > np.abs(covered - 95).max()
    assert (np.diff(result["radius_mm"]) > 0).all()
