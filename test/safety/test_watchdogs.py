"""Floods, stuck people among others, clocks that leap, a loop that is held up."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from safety_scenes import STANDING, forecast_of, person, settled

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety import ClockMonitor, Decision, Level, Limit, SafetyConfig
from ses_gcn_ros.safety.watchdogs import Inputs

CONFIG = SafetyConfig()


def flood(scene, rate: float, seconds: float) -> list:
    """Skeletons and forecasts at a rate, assessed at each of them."""
    scene.skeletons_on = scene.forecasts_on = False
    rng = np.random.default_rng(2)
    answers = []
    for _ in range(round(seconds * rate)):
        scene.now += 1.0 / rate
        people = [person(3.0, joints=STANDING + rng.normal(scale=1e-3, size=(15, 3)))]
        scene.monitor.observe_robot(scene.now, _still())
        scene.monitor.observe_skeletons(scene.now, people, scene.now)
        scene.monitor.observe_forecasts(scene.now, [forecast_of(people[0], scene.now)], scene.now)
        answers.append(scene.monitor.assess(scene.now))
    return answers


def _still() -> np.ndarray:
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[:, 2, 3] = (0.3, 1.3)
    return poses


def test_nothing_is_from_the_future_of_a_clock_that_has_not_begun():
    inputs = Inputs(CONFIG)
    with pytest.raises(InputError, match="skeletons not used: no time on /clock yet"):
        inputs.arrive("skeletons", 1.7e9, 0.0)
    assert not inputs.limits()
    with pytest.raises(InputError, match=r"stamped 3\.00 s ahead of the clock"):
        inputs.arrive("skeletons", 1.7e9 + 3.0, 1.7e9)
    assert inputs.limits()


def test_a_flood_stops_the_robot_within_half_a_second_and_is_named():
    answers = flood(settled(), 200.0, 0.5)
    assert answers[-1].level is Level.STOP
    reasons = " ".join(answers[-1].reasons)
    assert "skeletons flood: 200 Hz > 120 Hz" in reasons
    assert "forecasts flood: 200 Hz > 120 Hz" in reasons


def test_the_robot_moves_again_once_the_flood_is_over():
    scene = settled()
    flood(scene, 200.0, 0.5)
    scene.skeletons_on = scene.forecasts_on = True
    assert scene.run(2.5).level is Level.CLEAR


@pytest.mark.parametrize("rate", [15.0, 60.0, 100.0])
def test_a_fast_camera_is_no_flood(rate):
    assert all(a.level is Level.CLEAR for a in flood(settled(), rate, 1.0))


def test_refused_messages_count_as_well():
    scene = settled()
    for _ in range(100):
        scene.now += 1e-3
        with contextlib.suppress(InputError):
            scene.monitor.observe_skeletons(scene.now - 0.5, [], scene.now)
    assert any("skeletons flood" in reason for reason in scene.tick().reasons)


def test_one_frozen_person_among_others_is_noticed():
    scene = settled(frozen_time=0.5)
    scene.skeletons_on = scene.forecasts_on = False
    rng = np.random.default_rng(3)
    for _ in range(40):
        scene.now += 0.02
        moving = STANDING + rng.normal(scale=1e-3, size=(15, 3))
        people = [person(3.0, "alive", joints=moving), person(5.0, "stuck")]
        scene.monitor.observe_robot(scene.now, _still())
        scene.monitor.observe_skeletons(scene.now, people, scene.now)
        answer = scene.monitor.assess(scene.now)
    (reason,) = (reason for reason in answer.reasons if "frozen" in reason)
    assert reason.startswith("skeletons frozen: person stuck unchanged for 0.7")
    assert answer.level is Level.STOP


class TestClocks:
    def test_a_regular_loop_has_no_fault(self):
        clocks = ClockMonitor(CONFIG, 100.0, 5.0)
        for step in range(1, 200):
            assert clocks.check(100.0 + step * 0.02, 5.0 + step * 0.02) == {}

    def test_a_leap_of_the_clock_is_named_once(self):
        clocks = ClockMonitor(CONFIG, 100.0, 5.0)
        assert clocks.check(101.02, 5.02) == {"clock": "clock jumped ahead 1.00 s"}
        assert clocks.check(101.04, 5.04) == {}

    def test_a_paused_clock_is_named_after_a_moment(self):
        clocks = ClockMonitor(CONFIG, 100.0, 5.0)
        faults = [clocks.check(100.0, 5.0 + step * 0.02) for step in range(1, 40)]
        assert faults[10] == {}
        assert faults[-1] == {"clock": "clock stands still for 0.8 s"}
        assert clocks.check(100.02, 5.82) == {}

    def test_a_loop_that_was_held_up_is_named(self):
        clocks = ClockMonitor(CONFIG, 100.0, 5.0)
        late = clocks.check(100.3, 5.3)
        assert late == {"loop": "safety node late: 0.30 s between two states > 0.20 s"}


class TestSteps:
    def test_the_factor_rises_in_steps_and_falls_at_once(self):
        decision = Decision(SafetyConfig(factor_step=0.1, release_time=0.0))
        factors = []
        for tick in range(50):
            verdict = decision.update(0.02 * tick, [Limit(0.55, "near")])
            factors.append(verdict.factor)
        rises = np.diff([factor for factor in dict.fromkeys(factors)])
        assert len(rises) == 5
        assert (rises >= 0.1 - 1e-9).all()
        assert decision.update(1.0, [Limit(0.49, "nearer")]).factor == 0.49

    def test_the_last_step_reaches_the_full_speed(self):
        decision = Decision(SafetyConfig(factor_step=0.3, release_time=0.0))
        for tick in range(80):
            verdict = decision.update(0.02 * tick, [])
        assert verdict.level is Level.CLEAR
        assert verdict.factor == 1.0


def test_a_tenth_more_messages_than_may_come_are_no_flood_and_one_more_is():
    for count, flood in ((66, False), (67, True)):
        inputs = Inputs(SafetyConfig(input_rate_max=120.0))
        for now in np.linspace(0.0, 0.499, count).tolist():
            inputs.arrive("skeletons", now, now)
        assert bool(inputs.limits()) == flood


def test_a_camera_of_the_highest_rate_may_come_early_and_late():
    inputs, late = Inputs(SafetyConfig(input_rate_max=120.0)), np.random.default_rng(4)
    for now in np.arange(1200) / 120.0 + late.uniform(0.0, 0.008, 1200):
        inputs.arrive("skeletons", float(now), float(now))
        assert not inputs.limits()
