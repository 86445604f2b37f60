"""Does the robot obey: what is called disobedience, how soon, until when, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_scenes import column, column_at, settled

from ses_gcn_ros.safety import Level, RobotTracker, SafetyConfig, SeparationMonitor, braking
from ses_gcn_ros.safety.obedience import DISOBEYED, DISOBEYS, Obedience
from ses_gcn_ros.safety.people import Track
from ses_gcn_ros.studies.obedience import KINDS, SLACK, disobey, obey

TICK = 0.02  # s


def seconds_until(scene, word: str, longest: float = 3.0) -> float:
    for tick in range(round(longest / TICK)):
        if any(reason.startswith(word) for reason in scene.tick().reasons):
            return (tick + 1) * TICK
    pytest.fail(f"'{word}' was not said within {longest} s")


@pytest.fixture
def runaway():
    """A scene whose robot moves on although it was told to stop."""
    scene = settled(None)
    scene.robot_speed = 0.9
    assert scene.run(0.5).level is Level.CLEAR
    scene.monitor.fault("test", "told to stop")
    return scene


def test_a_robot_that_ignores_a_stop_is_named_with_its_speed_before_it_could_have_stood(runaway):
    config = runaway.config
    rest = float(braking(config)[0].time(config.robot_speed_max))
    took = seconds_until(runaway, DISOBEYS)
    assert took <= config.robot_reaction_time + rest + SLACK
    (reason,) = [r for r in runaway.tick().reasons if r.startswith(DISOBEYS)]
    assert "high at 0.90 m/s" in reason
    assert "after factor 0.00" in reason


def test_disobedience_stays_a_stop_until_reset_which_a_moving_robot_is_refused(runaway):
    seconds_until(runaway, DISOBEYS)
    monitor = runaway.monitor
    monitor.well("test")
    monitor.tracks.lost["somebody"] = Track("somebody", "chico15", runaway.now)
    asked = []
    refused = monitor.reset(lambda: asked.append("moved frames") or ["base"])
    assert refused == (False, "the robot still disobeys")
    assert asked == [], "what is refused trusts no frame"
    assert monitor.tracks.release() == 1, "what is refused releases nobody"
    runaway.robot_speed = 0.0
    seconds_until(runaway, DISOBEYED)
    runaway.monitor = SeparationMonitor(monitor.config, monitor.model)
    runaway.monitor.succeed(monitor, runaway.now)
    monitor = runaway.monitor
    answer = runaway.run(3.0)
    assert answer.level is Level.STOP
    assert answer.reasons[0].startswith(DISOBEYED)
    assert answer.reasons[0].endswith("; call ~/reset")
    done, why = monitor.reset(lambda: ["base"])
    assert done
    assert "obey again" in why
    assert "base trusted where tf_static has them now" in why
    assert runaway.run(3.0).level is Level.CLEAR


def test_a_standing_robot_that_creeps_is_named_by_the_way_it_made():
    scene = settled(None)
    scene.monitor.fault("test", "told to stop")
    scene.run(1.0)
    scene.robot_speed = -0.03  # below what any speed can be told from noise
    seconds_until(scene, f"{DISOBEYS}: high moved", 1.0)


def test_a_robot_whose_pose_is_wrong_once_is_left_alone():
    scene = settled(None)
    scene.run(0.5)
    for _ in range(20):
        scene.robot_x += 0.04  # for one pose: 1 m/s there, and 1 m/s back
        scene.tick()
        scene.robot_x -= 0.04
        scene.run(0.3)
    assert not scene.monitor.obedience.fault


def test_a_robot_that_was_out_of_sight_may_come_back_elsewhere():
    """As one whose driver was started anew: that its poses were missing is named already."""
    scene = settled(None)
    scene.robot_on = False
    assert scene.run(1.0).reasons[0].startswith("tf of the robot stale")
    scene.robot_on, scene.robot_x = True, 0.4
    assert scene.run(2.0).level is Level.CLEAR


@pytest.mark.parametrize("change", [{"obedience_tolerance": 0.0}, {"replay": True}])
def test_nobody_looks_where_that_is_switched_off_or_a_recording_played(change):
    scene = settled(0.9, **change)
    scene.robot_speed = -0.4
    reasons = scene.run(2.0).reasons
    assert not any(reason.startswith(DISOBEYS) for reason in reasons)


def test_a_clock_that_goes_back_forgets_what_was_allowed_but_no_fault(runaway):
    seconds_until(runaway, DISOBEYS)
    runaway.robot_speed = 0.0
    runaway.now -= 50.0
    runaway.monitor.assess(runaway.now)
    runaway.run(1.0)
    assert any(reason.startswith(DISOBEYED) for reason in runaway.tick().reasons)


brakes = st.sampled_from(
    [
        {"deceleration": 0.7},
        {"deceleration": 4.0},
        {"stopping_time": 0.4},
        {"stopping_speeds": (0.4, 1.0), "stopping_times": (0.3, 0.5)},
    ]
)
orders = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(1, 60)), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(brakes=brakes, orders=orders, late=st.integers(0, 2), share=st.floats(0.2, 1.0))
def test_a_robot_that_brakes_as_it_was_told_to_never_disobeys(brakes, orders, late, share):
    """At any share of its full speed, however many periods within its reaction time it takes."""
    config = replace(SafetyConfig(), robot_reaction_time=0.05, **brakes)
    tracker, obedience = RobotTracker(column()), Obedience(config, column())
    table = braking(config)[0]
    factors = [0.0] * (late + 1)
    x = pace = begun = 0.0
    ticks = [factor for factor, count in orders for _ in range(count)]
    for number, factor in enumerate(ticks):
        factors.append(factor)
        told = factors[number]
        if told >= pace:
            pace = begun = told
        else:
            slope = begun / max(float(table.time(begun * config.robot_speed_max)), 1e-3)
            pace = max(told, pace - slope * TICK)
            begun = begun if pace > told else told
        x += share * pace * config.robot_speed_max * TICK
        tracker.observe(100.0 + number * TICK, column_at(x))
        obedience.observe(tracker.state)
        obedience.send(100.0 + number * TICK, factor)
        assert not obedience.fault


def test_disobedient_robots_of_every_kind_are_named_in_time():
    """All 200 of them: ``ses-gcn obedience``."""
    for number in range(2 * len(KINDS)):
        named = disobey(number, seed=5)
        assert named.after is not None, named
        assert named.after <= named.reaction + named.rest + SLACK, named


def test_robots_that_obey_are_left_alone_for_minutes():
    """Eight hours: ``ses-gcn obedience``."""
    assert sum(obey(number, seed=6, seconds=20.0) for number in range(4)) == 0


class TestBridges:
    """The nodes that carry the factor to the robots."""

    def test_one_that_was_never_heard_or_fell_silent_is_a_stop_by_its_name(self):
        scene = settled(3.0, bridges=("left_bridge",))
        assert "no left_bridge yet" in scene.tick().reasons
        scene.monitor.observe_bridge("left_bridge", "", scene.now)
        assert not any("left_bridge" in reason for reason in scene.tick().reasons)
        scene.run(0.12)
        (reason,) = [r for r in scene.tick().reasons if r.startswith("left_bridge")]
        assert reason.startswith("left_bridge stale: 0.1")

    def test_one_whose_driver_fails_is_a_stop_with_its_words_until_it_does_not(self):
        scene = settled(3.0, bridges=("arm",))
        scene.monitor.observe_bridge("arm", "set_speed_ratio refused", scene.now)
        answer = scene.tick()
        assert answer.level is Level.STOP
        assert "arm: set_speed_ratio refused" in answer.reasons
        scene.monitor.observe_bridge("arm", "", scene.now)
        assert "arm: set_speed_ratio refused" not in scene.tick().reasons

    def test_by_the_steady_clock_where_there_is_one(self):
        steady = [7.0]
        config = SafetyConfig(bridges=("arm",))
        monitor = SeparationMonitor(config, column(), steady=lambda: steady[0])
        monitor.observe_bridge("arm", "", 100.0)
        steady[0] += 0.05
        assert not any("arm" in reason for reason in monitor.assess(500.0).reasons)
        steady[0] += 0.1
        assert any("arm stale" in reason for reason in monitor.assess(500.1).reasons)
