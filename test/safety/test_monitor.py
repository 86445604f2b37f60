"""What the monitor answers while everything works: slow in time, stop in time, let go in time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_scenes import TICK, Scene, column, column_at, person, settled

from ses_gcn_ros.safety import Decision, Level, Limit, SafetyConfig, SeparationMonitor
from ses_gcn_ros.safety.separation import RobotSpeeds, assess_now


def approach(speed: float, **changes) -> list:
    """Assessments while a person walks from 5 m up to the standing robot."""
    scene = settled(5.0, **changes)
    scene.speed = -speed
    assessments = []
    while scene.x > 0.3:
        assessments.append(scene.tick())
    return assessments


class TestReactiveLayer:
    def test_the_speed_falls_steadily_to_a_stop_as_a_person_comes(self):
        factors = np.array([a.speed_factor for a in approach(1.0)])
        assert factors[0] == 1.0
        assert factors[-1] == 0.0
        assert (np.diff(factors) <= 1e-9).all()
        assert np.abs(np.diff(factors)).max() < 0.12  # smooth on the way down

    def test_the_levels_come_in_order_and_each_has_its_reason(self):
        assessments = approach(1.0)
        levels = [a.level for a in assessments]
        assert levels == sorted(levels)
        assert set(levels) == set(Level)
        for a in assessments:
            assert bool(a.reasons) == (a.level is not Level.CLEAR)

    def test_the_breakdown_adds_up_to_the_protective_distance(self):
        for a in approach(1.0)[::20]:
            assert a.breakdown.total == pytest.approx(a.protective_distance)
            assert a.margin == pytest.approx(a.separation - a.protective_distance)

    def test_a_standing_robot_needs_the_distance_of_the_reaction_alone(self):
        a = settled(3.0).tick()
        config = SafetyConfig()
        fixed = config.intrusion + config.human_uncertainty + config.robot_uncertainty
        expected = config.human_speed * config.reaction_time + fixed
        assert a.protective_distance == pytest.approx(expected)

    def test_a_fast_approach_counts_with_its_own_speed(self):
        a = approach(2.4)[50]
        assert a.breakdown.human_speed == pytest.approx(2.4, rel=0.02)

    def test_a_slow_approach_counts_with_the_floor(self):
        assert approach(0.4)[50].breakdown.human_speed == pytest.approx(1.6)

    def test_arms_are_reckoned_with_at_their_own_speed(self):
        """Both a hand and the trunk are expected to be faster than they are, the hand most."""
        people = settled(3.0).monitor.tracks.people()
        floors = dict(zip(people.limbs.names, people.floor.tolist(), strict=True))
        assert floors["r_elbow-r_wrist"] == floors["l_shoulder-l_elbow"] == 2.0
        assert floors["r_hip-r_knee"] == floors["r_knee-r_foot"] == 1.6

    def test_a_person_moving_away_may_be_credited_with_it(self):
        """Not by default: nobody is kept from turning around while the robot stops."""
        credit = {"receding_credit": 1.0, "accept_reduced_safety": True}
        leaving, coming = Scene(1.2, **credit), Scene(1.2, **credit)
        leaving.speed, coming.speed = 1.6, -1.6
        leaving.x, coming.x = 0.7, 1.7
        away, near = leaving.run(0.3), coming.run(0.3)
        assert away.breakdown.human_speed < 0.8
        assert away.protective_distance < near.protective_distance - 0.1

    @pytest.mark.parametrize("credit", [0.0, 1.0])
    @pytest.mark.parametrize("noise", [2e-3, 30e-3])
    def test_who_stands_is_never_reckoned_with_below_the_floor(self, credit, noise):
        scene = Scene(1.5, receding_credit=credit, accept_reduced_safety=credit > 0)
        scene.jitter = noise
        speeds = [scene.tick().breakdown.human_speed for _ in range(300)]
        assert min(speeds) >= 1.6

    def test_a_link_moving_away_needs_the_distance_until_the_robot_stands(self):
        """It closes no gap until it reacts, but for what it may turn; the rest is the same."""
        away, towards = Scene(1.8), Scene(1.8)
        away.robot_speed, towards.robot_speed = -0.5, 0.5
        scenes = [scene.run(0.3).breakdown for scene in (away, towards)]
        assert scenes[0].stopping_time == pytest.approx(scenes[1].stopping_time, rel=1e-3)
        assert scenes[0].stopping_time == pytest.approx(0.5 / 3.0, rel=0.01)
        assert scenes[0].human_term == pytest.approx(scenes[1].human_term, rel=0.01)
        assert scenes[0].stopping_term == pytest.approx(0.5 * 0.5 * 0.5 / 3.0, rel=0.01)
        turned = 0.5 * 3.0 * 0.15**2  # m, at the brakes' 3 m/s²
        assert scenes[0].reaction_term == pytest.approx(turned, rel=0.01)
        assert scenes[1].reaction_term == pytest.approx(0.5 * 0.15, rel=0.01)

    def test_a_link_moving_towards_needs_more_than_a_standing_one(self):
        scene, standing = Scene(3.0), Scene(3.0)
        scene.robot_speed = 0.8
        moving, still = scene.run(0.3), standing.run(0.3)
        assert moving.breakdown.robot_speed == pytest.approx(0.8, rel=0.05)
        assert moving.protective_distance > still.protective_distance + 0.3

    def test_a_robot_that_obeys_is_never_in_breach(self):
        """At the allowed speed, straight at the person, the margin is that of the slow-down."""
        scene = settled(4.0)
        for _ in range(400):
            a = scene.tick()
            scene.robot_speed = a.speed_factor * scene.config.robot_speed_max
            assert a.margin > 0
        assert a.level is Level.STOP
        assert scene.x - scene.robot_x > 0.5

    def test_a_person_inside_the_robot_is_a_stop(self):
        a = Scene(0.1).tick()
        assert a.separation < 0
        assert a.level is Level.STOP

    def test_the_nearer_of_two_people_decides(self):
        monitor = SeparationMonitor(SafetyConfig(), column())
        monitor.observe_robot(1.0, column_at(0.0))
        monitor.observe_skeletons(1.0, [person(4.0, "far"), person(1.0, "near")])
        a = monitor.assess(1.0)
        assert a.person_id == "near"
        assert a.people == 2

    def test_the_closest_points_lie_on_the_surfaces_that_the_distance_is_between(self):
        a = settled(2.0).tick()
        gap = np.linalg.norm(a.pair.human_point - a.pair.robot_point)
        assert gap == pytest.approx(a.separation, abs=1e-6)

    def test_a_robot_speed_that_is_still_unknown_counts_as_the_highest(self):
        monitor = SeparationMonitor(SafetyConfig(), column())
        monitor.observe_robot(1.0, column_at(0.0))
        monitor.observe_skeletons(1.0, [person(2.0)])
        assert monitor.assess(1.0).breakdown.robot_speed == SafetyConfig().robot_speed_max


@settings(max_examples=60)
@given(
    st.floats(0.3, 3.0),
    st.sampled_from(
        [
            "human_speed",
            "arm_speed",
            "intrusion",
            "human_uncertainty",
            "robot_uncertainty",
            "reaction_time",
            "body_scale",
            "hand_reach",
        ]
    ),
    st.floats(0.01, 0.5),
)
def test_a_stricter_parameter_never_lets_the_robot_go_faster(x, name, by):
    mild = SafetyConfig()
    strict = dataclasses.replace(mild, **{name: getattr(mild, name) + by})
    factors = []
    for config in (mild, strict):
        scene = Scene(x, config=config)
        scene.run(0.1)
        people, robot = scene.monitor.tracks.people(), scene.monitor.robot.state
        growth = np.zeros(len(people.person))
        speeds = RobotSpeeds.of(config, robot.fastest(column().robot)[0])
        case = scene.now, config.reaction_time, 0.0
        answer = assess_now(config, people, growth, column(), robot, speeds, *case)
        factors.append(min([held.factor for held in answer.limits], default=1.0))
    assert factors[1] <= factors[0]


class TestDecision:
    def test_it_begins_stopped(self):
        assert Decision(SafetyConfig()).update(0.0, []).level is Level.STOP

    def test_it_tightens_at_once(self):
        decision = running()
        assert decision.update(10.02, [Limit(0.3, "near")]).factor == 0.3
        assert decision.update(10.04, [Limit(0.0, "breach")]).level is Level.STOP

    def test_a_stop_is_released_only_after_its_cause_was_gone_for_a_while(self):
        decision = running()
        decision.update(10.0, [Limit(0.0, "breach")])
        for step in range(1, 25):
            held = decision.update(10.0 + step * TICK, [])
            assert held.level is Level.STOP
            assert "stop held" in held.reasons[0]
        decision.update(10.5, [Limit(0.0, "breach again")])  # the wait begins anew
        assert decision.update(10.9, []).level is Level.STOP
        assert decision.update(11.2, []).level is Level.STOP
        assert decision.update(11.41, []).level is not Level.STOP

    def test_the_factor_rises_no_faster_than_its_rate(self):
        decision = running()
        decision.update(10.0, [Limit(0.0, "breach")])
        verdicts = [decision.update(10.0 + step * TICK, []) for step in range(1, 120)]
        factors = np.array([v.factor for v in verdicts])
        assert np.diff(factors).max() == pytest.approx(SafetyConfig().recovery_rate * TICK)
        assert factors[-1] == 1.0
        assert verdicts[-1].reasons == ()

    def test_a_stalled_loop_does_not_leap(self):
        decision = running()
        decision.update(10.0, [Limit(0.2, "near")])
        assert decision.update(20.0, []).factor <= 0.2 + 0.1 * SafetyConfig().recovery_rate

    def test_the_worst_reason_comes_first(self):
        verdict = running().update(
            10.0, [Limit(0.5, "half"), Limit(0.0, "stop"), Limit(0.9, "most"), Limit(1.0, "none")]
        )
        assert verdict.reasons == ("stop", "half", "most")

    def test_a_factor_too_small_to_move_is_a_stop(self):
        assert running().update(10.0, [Limit(0.04, "near")]).level is Level.STOP

    def test_an_unknown_factor_is_a_stop(self):
        assert running().update(10.0, [Limit(float("nan"), "?")]).factor == 0.0

    def test_a_latched_stop_waits_for_its_reset(self):
        decision = running(latch_stops=True)
        assert decision.reset() == (False, "no stop is latched")
        decision.update(10.0, [Limit(0.0, "breach")])
        assert decision.reset() == (False, "the cause of the stop is still there")
        decision.update(10.02, [])
        held = decision.update(20.0, [])
        assert held.level is Level.STOP
        assert held.reasons == ("stop latched: call ~/reset",)
        assert decision.reset() == (True, "released")
        assert decision.update(20.02, []).level is not Level.STOP


def running(**changes) -> Decision:
    """A decision that has come to CLEAR at 10 s."""
    decision = Decision(SafetyConfig(**changes))
    for step in range(500):
        decision.update(step * TICK, [])
    return decision
