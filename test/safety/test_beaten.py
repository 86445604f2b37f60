"""Ways in which the monitor was beaten once: each has to end with the robot at rest, by name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from safety_scenes import (
    LATENCY,
    MOVING,
    STANDING,
    TICK,
    Loop,
    Scene,
    column,
    column_at,
    forecast_of,
    person,
    settled,
)

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.pose.tracking import OneEuroFilter
from ses_gcn_ros.safety import ClockMonitor, Level, RobotModel, SafetyConfig, SeparationMonitor
from ses_gcn_ros.safety.people import PeopleTracks
from ses_gcn_ros.safety.separation import allowed_speed, braking
from ses_gcn_ros.skeleton import Skeleton, get_layout


def stopped_by(answer, words: str) -> bool:
    return answer.level is Level.STOP and any(words in reason for reason in answer.reasons)


class TestStopping:
    def test_a_link_that_moves_across_takes_as_long_to_stop_as_any(self):
        """0.70 m/s across, 1 m/s²: 0.70 s to stand, S_h and S_s for that time."""
        config = SafetyConfig(deceleration=1.0, forecast_lost_factor=1.0)
        monitor = SeparationMonitor(config, column())
        for tick in range(10):
            poses = column_at(0.0)
            poses[:, 1, 3] = 0.7 * TICK * (tick - 9)
            monitor.observe_robot(1.0 + tick * TICK, poses)
        monitor.observe_skeletons(1.18, [person(2.0)])
        terms = monitor.assess(1.18)
        assert terms.breakdown.stopping_time == pytest.approx(0.70, rel=1e-3)
        assert terms.breakdown.stopping_term == pytest.approx(0.5 * 0.7 * 0.7, rel=1e-3)
        assert terms.protective_distance > 1.8

    @pytest.mark.parametrize("deceleration", [0.7, 1.0, 3.0])
    @pytest.mark.parametrize("start", [2.0, 2.5, 3.0, 3.5])
    def test_nobody_who_walks_up_to_a_crossing_axis_is_touched_by_it(self, deceleration, start):
        loop = Loop(lambda t, y: (max(start - 1.55 * max(t - 2.0, 0.0), 0.1), y),
                    deceleration=deceleration)  # fmt: skip
        assert loop.speed_at_contact(5.0) <= MOVING

    def test_a_robot_that_stands_may_start_towards_anybody(self):
        """Nobody knows where it will go: it may be as fast as one that goes straight at them."""
        scene = Scene(1.3, release_time=0.0, recovery_rate=100.0, forecast_lost_factor=1.0)
        scene.forecasts_on = False
        answer = scene.run(0.4)
        terms, config = answer.breakdown, scene.config
        room = answer.separation - terms.intrusion - terms.human_uncertainty
        straight = allowed_speed(
            room - terms.robot_uncertainty - config.slowdown_margin,
            human_speed=terms.human_speed,
            reaction_time=terms.reaction_time,
            table=braking(config)[0],
        )
        assert 0.05 < straight < 0.9
        assert 0.95 * straight < answer.speed_factor < straight + 0.01  # a limb may have less room

    def test_the_robot_that_brakes_worst_is_not_judged_by_the_others(self):
        other = "{frames: [a, b], radii: [0.07], deceleration: 0.5}"
        config = SafetyConfig(more_robots=(other,), forecast_lost_factor=1.0)
        model = RobotModel.from_frames(("low", "high"), (0.07,))
        model = model.joined(RobotModel.from_frames(("a", "b"), (0.07,)).of_robot(1))
        found = []
        for moving in (0, 1):
            monitor = SeparationMonitor(config, model)
            for tick in range(10):
                poses = np.concatenate([column_at(0.0), column_at(0.0)])
                poses[2 * moving : 2 * moving + 2, 1, 3] = 0.5 * TICK * (tick - 9)
                monitor.observe_robot(1.0 + tick * TICK, poses)
            monitor.observe_skeletons(1.18, [person(2.0)])
            found.append(monitor.assess(1.18).breakdown.stopping_time)
        assert found == pytest.approx([0.5 / 3.0, 1.0], rel=1e-3)


class TestSecondPublisher:
    def test_empty_messages_with_fresher_stamps_hide_nobody(self):
        scene = settled(0.6)
        answers = []
        for _ in range(100):
            scene.tick()
            scene.monitor.observe_skeletons(scene.now + 0.005, [], scene.now + 0.005)
            answers.append(scene.monitor.assess(scene.now + 0.005))
        assert all(answer.level is Level.STOP for answer in answers[10:])
        assert answers[-1].people == 1

    def test_messages_that_are_refused_one_after_the_other_are_a_fault(self):
        scene = settled(3.0)
        for _ in range(5):
            answer = scene.tick()
            scene.monitor.observe_skeletons(scene.now + 0.015, [person(3.0)], scene.now + 0.015)
            with pytest.raises(InputError, match="out of order"):
                scene.monitor.observe_skeletons(scene.now + 0.01, [person(3.0)], scene.now + 0.015)
        assert stopped_by(answer, "skeletons refused: 3 out of order")
        assert scene.run(3.0).level is Level.CLEAR


class TestRedundantSkeletons:
    def both(self, first: float | None, second: float | None, seconds: float = 2.0):
        """Two cameras that see somebody at a distance, or nobody; the answer after a while."""
        config = SafetyConfig(redundant_skeletons=("other",), forecast_lost_factor=1.0)
        monitor, rng = SeparationMonitor(config, column()), np.random.default_rng(0)
        for tick in range(round(seconds / TICK)):
            now = 100.0 + tick * TICK
            monitor.observe_robot(now, column_at(0.0))
            for topic, x in (("skeletons", first), ("other", second)):
                joints = STANDING + rng.normal(scale=1e-3, size=(15, 3))
                seen = [person(x, joints=joints)] if x is not None else []
                monitor.observe_skeletons(now, seen, now, topic)
            answer = monitor.assess(now)
        return monitor, answer

    def test_whoever_either_sees_counts_and_the_nearer_one_decides(self):
        answers = [self.both(*seen)[1] for seen in ((0.5, None), (None, 0.5), (0.5, 3.0))]
        assert {answer.level for answer in answers} == {Level.STOP}
        assert [answer.people for answer in answers] == [1, 1, 2]
        assert max(answer.separation for answer in answers) < 0.5
        assert self.both(3.0, 3.1)[1].level is Level.CLEAR

    def test_one_that_falls_silent_stops_the_robot_by_name(self):
        monitor, answer = self.both(3.0, 3.0)
        for tick in range(20):
            now = answer.stamp + tick * TICK
            monitor.observe_robot(now, column_at(0.0))
            monitor.observe_skeletons(now + 1e-3, [person(3.0)], now + 1e-3)
            last = monitor.assess(now + 1e-3)
        assert stopped_by(last, "other stale: 0.")
        assert last.skeleton_age > 0.25

    def test_one_topic_twice_is_refused(self):
        for topics in (("skeletons",), ("other", "other"), ("",)):
            with pytest.raises(ConfigError, match="redundant_skeletons is"):
                SeparationMonitor(SafetyConfig(redundant_skeletons=topics), column())


class TestForgotten:
    @pytest.mark.parametrize("speed", [0.3, 1.0, 1.55])
    @pytest.mark.parametrize("lost_at", [1.0, 2.0, 4.0])
    def test_nobody_who_walks_in_unseen_is_touched(self, speed, lost_at):
        """Seen at 4 m, lost on the way; the robot would reach full speed again by then."""
        loop = Loop(
            lambda t, y: (max(4.0 - speed * max(t - 2.0, 0.0), 0.1), y),
            seen=lambda t: 4.0 - speed * max(t - 2.0, 0.0) >= lost_at,
        )
        assert loop.speed_at_contact(2.0 + 4.0 / speed) <= MOVING

    def test_a_stranger_replaces_nobody(self):
        scene = settled(2.2)
        scene.skeletons_on = scene.forecasts_on = False
        for _ in range(40):  # lost for 0.8 s, so that the stranger might be the same by distance
            scene.now += TICK
            scene.monitor.observe_robot(scene.now, column_at(0.0))
            scene.monitor.observe_skeletons(scene.now, [], scene.now)
            scene.monitor.assess(scene.now)
        scene.now += TICK
        scene.monitor.observe_skeletons(scene.now, [person(2.2 + 1.75, "stranger")], scene.now)
        answer = scene.monitor.assess(scene.now)
        assert answer.people == 2
        assert any("p1 lost" in reason for reason in answer.reasons)

    def test_who_is_seen_in_one_image_of_six_is_assessed_always(self):
        """Under a new identity each time, as trackers give them."""
        monitor = SeparationMonitor(SafetyConfig(forecast_lost_factor=1.0), column())
        distances, people = [], []
        for tick in range(300):
            now, x = 100.0 + tick / 60.0, 3.0 - 1.0 * tick / 120.0
            seen = [person(x, f"p{tick}")] if tick % 6 == 0 else []
            monitor.observe_robot(now, column_at(0.0))
            monitor.observe_skeletons(now, seen, now)
            answer = monitor.assess(now)
            distances.append(answer.separation)
            people.append(answer.people)
        assert np.isfinite(distances).all()
        assert set(people) == {1}  # the same, each time where the last one was lost
        assert answer.level is Level.STOP

    def test_who_left_through_the_border_is_gone_and_who_was_lost_inside_is_not(self):
        cell = (-3.0, -3.0, 3.0, -3.0, 3.0, 3.0, -3.0, 3.0)
        for x, held in ((4.0, 0), (2.0, 1)):
            scene = settled(x, cell=cell)
            scene.x = None
            assert scene.tick().people == held

    def test_who_is_half_outside_has_not_left(self):
        scene = settled(3.0, cell=(-9.0, -9.0, 3.0, -9.0, 3.0, 9.0, -9.0, 9.0))
        scene.x = None  # the nose was within
        assert scene.tick().people == 1

    def test_of_whom_a_hand_alone_was_seen_outside_has_not_left(self):
        """The body behind it may still be within."""
        scene = settled(4.0, cell=(-9.0, -9.0, 3.0, -9.0, 3.0, 9.0, -9.0, 9.0))
        scene.hide = tuple(range(13))
        scene.run(0.1)
        scene.x = None
        assert scene.tick().people == 1

    def test_who_is_told_with_other_joints_and_none_of_them_seen_is_held(self):
        """Or one message of another layout would make the robot forget somebody."""
        scene = settled(1.5)
        unseen = np.full((17, 3), np.nan, np.float32)
        nobody = Skeleton("p1", "h36m17", unseen, np.zeros(17, np.float32))
        scene.monitor.observe_skeletons(scene.now + 1e-3, [nobody])
        scene.x = None
        assert scene.tick().people == 1
        assert scene.run(3.0).level is Level.STOP

    def test_who_is_told_with_other_joints_in_the_same_place_is_the_same(self):
        scene = settled(2.0)
        known, wanted = (get_layout(name).canonical for name in ("chico15", "h36m17"))
        places = [known.index(name) if name in known else 0 for name in wanted]
        positions = person(2.0).positions[places]
        other = Skeleton("p1", "h36m17", positions, np.ones(17, np.float32))
        scene.monitor.observe_skeletons(scene.now + 1e-3, [other])
        assert scene.monitor.assess(scene.now + 1e-3).people == 1

    def test_a_reset_lets_go_of_the_lost(self):
        scene = settled(2.0)
        scene.x = None
        assert scene.run(3.0).level is Level.STOP
        done, why = scene.monitor.reset()
        assert done
        assert why.startswith("1 lost people released")
        assert scene.run(3.0).level is Level.CLEAR

    def test_the_clock_going_back_lets_go_of_nobody(self):
        scene = settled(2.0)
        scene.x = None
        before = scene.run(0.5)
        scene.now -= 10.0
        assert scene.monitor.assess(scene.now).people == 1
        after = scene.tick()
        assert after.people == 1
        assert after.separation == pytest.approx(before.separation, abs=0.1)

    def test_an_identity_that_jumps_leaves_somebody_behind(self):
        """p1 is hidden, and somebody else 2 m away is called p1 after half a second."""
        scene = settled(1.5)
        scene.x = None
        scene.run(0.5)
        scene.x = 3.5
        answer = scene.tick()
        assert answer.people == 2
        assert any("p1 (2) lost" in reason for reason in answer.reasons)

    def test_a_jump_that_nobody_can_make_is_refused_by_name(self):
        scene = settled(3.0)
        scene.x = 6.0
        assert stopped_by(scene.tick(), "person p1 refused: 3.0 m from where it was 0.02 s ago")

    def test_only_who_never_seemed_alive_is_not_held(self):
        for liveness, held in ((0.05, 0), (0.5, 1), (-1.0, 1)):
            monitor = SeparationMonitor(SafetyConfig(), column())
            monitor.observe_robot(1.0, column_at(0.0))
            seen = dataclasses.replace(person(2.0), liveness=liveness)
            monitor.observe_skeletons(1.0, [seen])
            assert monitor.assess(1.0).people == 1  # as long as it is seen
            monitor.observe_skeletons(1.1, [])
            assert monitor.assess(1.1).people == held


class TestDetectionTimes:
    @pytest.mark.parametrize("cutoff", [0.5, 1.0, 2.0, 4.0])
    @pytest.mark.parametrize("beta", [0.0, 3.0])
    def test_nor_where_the_picture_stands_still_behind_a_filter(self, cutoff, beta):
        """Its output goes on for a second or two, and tells nothing of whoever walks on."""
        loop = Loop(lambda t, y: (max(4.0 - 1.5 * max(t - 2.0, 0.0), 0.1), y))
        live, smoother = loop.monitor.observe_skeletons, OneEuroFilter(cutoff, beta)
        pictures = []

        def freeze(stamp, people, now):
            if stamp <= 102.6:
                pictures.append(people[0].positions)
            joints = smoother.smooth(stamp, pictures[-1]).astype(np.float32)
            live(stamp, [dataclasses.replace(people[0], positions=joints)], now)

        loop.monitor.observe_skeletons = freeze
        assert loop.speed_at_contact(5.0) <= MOVING
        (track,) = loop.monitor.tracks.present.values()
        assert track.last_news == pytest.approx(102.6, abs=1.5 * TICK)

    @pytest.mark.parametrize("noise", [1e-4, 1e-3, 1e-2])
    @pytest.mark.parametrize("speed", [0.0, 0.8])
    def test_whoever_lives_behind_a_filter_tells_something_new_each_time(self, noise, speed):
        tracks, smoother = PeopleTracks(SafetyConfig()), OneEuroFilter(2.0, 3.0)
        rng = np.random.default_rng(0)
        for tick in range(200):
            walked = speed * tick / 30.0 * np.array([1.0, 0.0, 0.0])
            joints = smoother.smooth(tick / 30.0, STANDING + walked + rng.normal(0, noise, (15, 3)))
            tracks.observe(tick / 30.0, [person(2.0, joints=joints)])
            assert tracks.present["p1"].same == 0.0

    @pytest.mark.parametrize("wobble", [0.0, 4e-6])
    def test_nobody_behind_a_frozen_picture_is_touched(self, wobble):
        """A repeated picture tells nothing new: who was in it may have walked since."""
        loop = Loop(lambda t, y: (max(4.0 - 1.5 * max(t - 2.0, 0.0), 0.1), y))
        frozen = person(4.0 - 1.5 * 0.6).positions
        live = loop.monitor.observe_skeletons

        def freeze(stamp, people, now):
            if now > 102.6 + LATENCY:
                joints = frozen + np.float32(wobble) * (round(now / TICK) % 2)
                people = [dataclasses.replace(people[0], positions=joints.astype(np.float32))]
            live(stamp, people, now)

        loop.monitor.observe_skeletons = freeze
        assert loop.speed_at_contact(5.0) <= MOVING

    def test_the_time_of_a_ramp_is_part_of_the_reaction_time(self):
        at_once, ramp = Scene(3.0).tick(), Scene(3.0, ramp_down=5.0).tick()
        gained = ramp.breakdown.reaction_time - at_once.breakdown.reaction_time
        assert gained == pytest.approx(1.0 / 5.0)

    def test_a_ramp_falls_at_its_rate_and_says_stop_meanwhile(self):
        scene = settled(4.0, ramp_down=5.0)
        scene.monitor.fault("robot", "tf of low missing")
        scene.robot_on = False
        factors = [scene.tick() for _ in range(12)]
        assert all(answer.level is Level.STOP for answer in factors)
        assert [a.speed_factor for a in factors] == pytest.approx(
            [max(1.0 - 5.0 * TICK * (k + 1), 0.0) for k in range(12)]
        )


class TestClocks:
    @pytest.mark.parametrize("rate", [0.02, 0.5, 0.9, 1.1, 1.9])
    def test_a_clock_at_another_rate_is_a_fault(self, rate):
        clocks = ClockMonitor(SafetyConfig(), 100.0, 5.0)
        faults = [clocks.check(100.0 + rate * 0.02 * k, 5.0 + 0.02 * k) for k in range(1, 900)]
        assert any("times the rate of real time" in f.get("clock", "") for f in faults)

    @pytest.mark.parametrize(("before", "after"), [(0.02, 1.9), (1.9, 0.02)])
    def test_a_clock_that_was_slow_does_not_make_up_for_one_that_races(self, before, after):
        """In whatever order, and however much of the first is still in the window."""
        for seconds in np.arange(0.1, 1.5, 0.1):
            clocks, now, steady = ClockMonitor(SafetyConfig(), 100.0, 5.0), 100.0, 5.0
            named = []
            for rate, lasting in ((1.0, 5.0), (before, seconds), (1.0, 0.6), (after, 1.7)):
                for _ in range(round(lasting / 0.02)):
                    now, steady = now + 0.02 * rate, steady + 0.02
                    fault = clocks.check(now, steady).get("clock", "")
                    named.append("times the rate of real time" in fault)
            assert any(named[-round(1.7 / 0.02) :])

    def test_a_node_that_was_held_up_does_not_forget_that_the_clock_races(self):
        """A gap of 0.7 s at 1.9 times the rate is a leap of 0.63 s, too."""
        clocks, now, steady = ClockMonitor(SafetyConfig(), 100.0, 5.0), 100.0, 5.0
        named = []
        for step in [*[0.02] * 60, 0.7, *[0.02] * 60]:
            now, steady = now + 1.9 * step, steady + step
            named.append("clock" in clocks.check(now, steady))
        first = named.index(True)
        assert first * 0.02 < 0.8
        assert all(named[first:])

    @pytest.mark.parametrize("rate", [0.96, 1.0, 1.04])
    def test_a_clock_that_is_nearly_right_is_none(self, rate):
        clocks = ClockMonitor(SafetyConfig(), 100.0, 5.0)
        for k in range(1, 3000):
            assert clocks.check(100.0 + rate * 0.02 * k, 5.0 + 0.02 * k) == {}

    def test_a_replay_may_run_at_any_rate(self):
        clocks = ClockMonitor(SafetyConfig(replay=True), 100.0, 5.0)
        for k in range(1, 500):
            assert clocks.check(100.0 + 0.3 * 0.02 * k, 5.0 + 0.02 * k) == {}

    def test_silent_skeletons_are_old_also_by_a_clock_that_hardly_moves(self):
        real = [0.0]
        monitor = SeparationMonitor(SafetyConfig(), column(), steady=lambda: real[0])
        monitor.observe_robot(100.0, column_at(0.0))
        monitor.observe_skeletons(100.0, [])
        monitor.observe_forecasts(100.0, [])
        real[0] = 0.3
        answer = monitor.assess(100.006)
        assert stopped_by(answer, "skeletons stale: 0.30 s")
        assert stopped_by(answer, "tf of the robot stale: 0.30 s")

    def test_a_repeated_pose_is_no_news_to_the_steady_clock(self):
        real = [0.0]
        monitor = SeparationMonitor(SafetyConfig(), column(), steady=lambda: real[0])
        for step in range(20):
            real[0] = 0.02 * step
            monitor.observe_robot(100.0, column_at(0.0))
            answer = monitor.assess(100.0)
        assert answer.tf_age == pytest.approx(0.38)


class TestUncertainty:
    def test_what_the_message_says_widens_z_d(self):
        """5 cm along the ray at 95 %: 2.80 standard deviations in space (χ, three degrees)."""
        covariance = np.zeros((15, 6), np.float32)
        covariance[:, 0], covariance[:, 3], covariance[:, 5] = 0.05**2, 0.01**2, 0.01**2
        found = []
        for told in (None, covariance, covariance / 1e4, np.full((15, 6), np.nan, np.float32)):
            monitor = SeparationMonitor(SafetyConfig(), column())
            monitor.observe_robot(1.0, column_at(0.0))
            monitor.observe_skeletons(1.0, [dataclasses.replace(person(2.0), covariance=told)])
            found.append(monitor.assess(1.0).breakdown.human_uncertainty)
        assert found == pytest.approx([0.05, 2.795 * 0.05, 0.05, 0.05], rel=1e-3)

    def test_it_counts_along_whatever_axis_it_lies(self):
        turned = np.zeros((15, 6), np.float32)  # 8 cm along (1, 1, 0), nothing across
        turned[:, 0] = turned[:, 1] = turned[:, 3] = 0.5 * 0.08**2
        monitor = SeparationMonitor(SafetyConfig(), column())
        monitor.observe_robot(1.0, column_at(0.0))
        monitor.observe_skeletons(1.0, [dataclasses.replace(person(2.0), covariance=turned)])
        found = monitor.assess(1.0).breakdown.human_uncertainty
        assert found == pytest.approx(2.795 * 0.08, rel=1e-3)


class TestPlausibility:
    def test_skeletons_in_millimetres_are_no_people(self):
        scene = settled(3.0)
        huge = dataclasses.replace(person(0.0), positions=(1000 * STANDING).astype(np.float32))
        scene.skeletons_on = False
        scene.now += TICK
        scene.monitor.observe_skeletons(scene.now, [huge], scene.now)
        assert stopped_by(scene.tick(), "person p1 refused: a limb of")

    def test_a_body_in_metres_read_as_millimetres_is_none_either(self):
        tiny = dataclasses.replace(person(0.0), positions=(STANDING / 1000).astype(np.float32))
        monitor = SeparationMonitor(SafetyConfig(), column())
        monitor.observe_skeletons(1.0, [tiny])
        assert stopped_by(monitor.assess(1.0), "no human is under 0.3 m")

    @pytest.mark.parametrize("seen", [(11,), (10, 11), (0, 1, 4)])
    def test_a_part_of_a_body_is_one_however_small(self, seen):
        hidden = tuple(set(range(15)) - set(seen))
        monitor = SeparationMonitor(SafetyConfig(), column())
        monitor.observe_skeletons(1.0, [person(3.0, hide=hidden)])
        assert not any("refused" in reason for reason in monitor.assess(1.0).reasons)

    def test_two_people_under_one_identity_both_count(self):
        for order in (1, -1):
            monitor = SeparationMonitor(SafetyConfig(), column())
            monitor.observe_robot(1.0, column_at(0.0))
            monitor.observe_skeletons(1.0, [person(0.9), person(4.0)][::order])
            answer = monitor.assess(1.0)
            assert answer.people == 2
            assert answer.separation < 0.9
            assert stopped_by(answer, "skeletons: two people are called p1")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"positions": np.inf}, "infinite position"),
            ({"radius": -5.0}, "radius that is negative"),
            ({"radius": np.nan}, "radius that is negative, infinite or not a number"),
            ({"coverage": 7.0}, "coverage of 7.0"),
            ({"coverage": np.nan}, "coverage of nan"),
        ],
    )
    def test_a_forecast_that_cannot_be_is_refused_and_stops(self, changes, words):
        scene = settled(3.0)
        ahead = forecast_of(person(3.0), scene.now)
        for name, value in changes.items():
            if name != "coverage":
                value = np.full_like(getattr(ahead, name), value)
            ahead = dataclasses.replace(ahead, **{name: value})
        with pytest.raises(InputError, match=words):
            scene.monitor.observe_forecasts(scene.now, [ahead], scene.now)
        scene.forecasts_on = False
        assert stopped_by(scene.tick(), f"forecasts unusable: forecast of person 'p1' has a{''}")

    def test_a_forecast_of_nothing_is_none(self):
        scene = settled(3.0)
        scene.forecasts_on = False
        for _ in range(30):
            scene.tick()
            ahead = forecast_of(person(3.0), scene.now)
            empty = dataclasses.replace(ahead, positions=np.full_like(ahead.positions, np.nan))
            scene.monitor.observe_forecasts(scene.now, [empty], scene.now)
        assert stopped_by(scene.tick(), "p1 has no forecast")

    def test_one_transform_from_the_future_does_not_block_those_that_follow(self):
        scene = settled(3.0)
        with pytest.raises(InputError, match="s ahead of the clock"):
            scene.monitor.observe_robot(scene.now + 5.0, column_at(0.0), scene.now)
        scene.robot_on = False
        assert stopped_by(scene.tick(), "tf unusable: stamped 5.00 s ahead")
        scene.robot_on = True
        assert scene.run(2.0).level is Level.CLEAR

    def test_nor_does_one_that_was_let_in_without_a_clock(self):
        scene = settled(3.0)
        scene.monitor.observe_robot(scene.now + 5.0, column_at(0.0))
        scene.robot_on = False
        assert stopped_by(scene.tick(), "tf from the future")
        scene.robot_on = True
        assert scene.run(2.0).level is Level.CLEAR


class TestParameters:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"human_speed": 1.5}, "human_speed is 1.5, below 1.6"),
            ({"arm_speed": 0.0}, "arm_speed is 0, below 2"),
            ({"body_scale": 0.79}, "body_scale is 0.79, below 0.8"),
            ({"intrusion": 0.0}, "intrusion is 0"),
            ({"human_uncertainty": 0.0}, "human_uncertainty is 0"),
            ({"robot_uncertainty": 0.0}, "robot_uncertainty is 0"),
            ({"reaction_time": 0.0}, "reaction_time is 0"),
            ({"future_tolerance": 0.5}, "future_tolerance is 0.5, above 0.1"),
            ({"receding_credit": 0.5}, "receding_credit is 0.5"),
            ({"forget_after": 2.0}, "lost people are forgotten after 2 s"),
            ({"recognise_build": 0.05}, "lost people are told by their build"),
        ],
    )
    def test_what_is_less_than_the_standard_has_to_be_meant_and_is_always_said(self, values, words):
        with pytest.raises(ConfigError, match=f"{words}.*accept_reduced_safety"):
            SeparationMonitor(SafetyConfig(**values), column())
        answer = settled(8.0, accept_reduced_safety=True, **values).tick()
        assert f"reduced safety: {words}" in answer.reasons
        assert answer.level is Level.REDUCED

    def test_the_defaults_reduce_nothing(self):
        assert SafetyConfig().reductions() == ()
        assert SafetyConfig(body_scale=0.8, human_speed=1.6, arm_speed=2.0).reductions() == ()

    @pytest.mark.parametrize(
        ("cell", "words"),
        [
            ((1.0,), "three corners or more"),
            ((0.0, 0.0, 1.0, 1.0), "three corners or more"),
            ((0.0,) * 7, "three corners or more"),
            ((0.0, 0.0, 1.0, 1.0, 2.0, 2.0), "bounds no area"),
            # half of what is meant would count as outside
            ((0.0, 0.0, 4.0, 4.0, 4.0, 0.0, 0.0, 5.0), "crosses itself"),
        ],
    )
    def test_a_floor_plan_without_area_or_with_crossing_edges_is_refused(self, cell, words):
        with pytest.raises(ConfigError, match=words):
            SeparationMonitor(SafetyConfig(cell=cell), column())

    @pytest.mark.parametrize("by", [1e-3, -1.0])
    def test_a_floor_plan_that_does_not_hold_the_robot_stops_it(self, by):
        """As one in kilometres or of another frame, from which everybody would have left."""
        corners = by * np.array([1.0, 1.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0])
        answer = settled(8.0, cell=tuple(corners.tolist())).tick()
        assert answer.level is Level.STOP
        assert "cell does not hold the robot, which is at (0.00, 0.00) by tf" in answer.reasons[0]

    def test_who_showed_other_joints_before_and_is_too_far_off_is_somebody_else(self):
        """Or the name of whoever is lost near the robot could be given to somebody far away."""
        scene = settled(0.7)
        scene.hide = tuple(set(range(15)) - {9, 10, 11})
        assert scene.run(0.1).level is Level.STOP
        scene.x, scene.hide = 4.5, tuple(set(range(15)) - {12, 13, 14})
        answer = scene.tick()
        assert answer.level is Level.STOP
        assert answer.people == 2 or any("from where it was" in r for r in answer.reasons)
        scene.run(3.0)
        assert scene.tick().level is Level.STOP

    def test_asking_again_does_not_keep_the_monitoring_off(self):
        scene = settled(0.1, disabled_factor=0.3, disable_timeout=2.0)
        off = []
        for tick in range(1000):
            if tick % 40 == 0:
                scene.monitor.enable(False, scene.now)
            off.append(not scene.tick().enabled)
        longest = max(len(run) for run in "".join("01"[x] for x in off).split("0"))
        assert longest * TICK <= 2.0 + 2 * TICK
        assert 0.4 < np.mean(off) < 0.6  # on for as long as it was off


class TestReachable:
    def test_it_lets_a_robot_that_moves_away_go_on_where_the_formula_does_not(self):
        answers = {}
        for model in ("formula", "reachable", "stricter"):
            scene = Scene(1.6, model=model, release_time=0.0, recovery_rate=100.0)
            scene.robot_speed, scene.robot_x = -0.5, 0.4
            answers[model] = scene.run(0.4)
        assert answers["formula"].speed_factor < answers["reachable"].speed_factor
        assert answers["stricter"].speed_factor <= answers["formula"].speed_factor

    @pytest.mark.parametrize("deceleration", [0.7, 1.0, 3.0])
    @pytest.mark.parametrize("start", [2.0, 2.5, 3.0, 3.5])
    def test_nobody_is_touched_under_it(self, deceleration, start):
        loop = Loop(lambda t, y: (max(start - 1.55 * max(t - 2.0, 0.0), 0.1), y),
                    deceleration=deceleration, model="reachable")  # fmt: skip
        assert loop.speed_at_contact(5.0) <= MOVING


class TestProbability:
    def test_the_state_tells_the_probability_of_every_step_and_whose(self):
        scene = settled(1.5)
        ahead = forecast_of(person(1.5), scene.now, (-1.5, 0, 0), radius=0.1)
        scene.monitor.observe_forecasts(scene.now, [ahead])
        answer = scene.monitor.assess(scene.now)
        chances = np.array(answer.contact_probability)
        assert len(chances) == len(answer.contact_person_ids) == 25
        assert set(answer.contact_person_ids) == {"p1"}
        assert (np.diff(chances) >= 0.0).all()  # that it has begun by then
        assert answer.breach_probability == chances.max() > 0.99

    def test_it_slows_for_the_first_step_that_is_too_likely(self):
        factors = []
        for risk in (0.05, 0.01):
            scene = settled(1.2, prediction="probability", contact_risk=risk)
            ahead = forecast_of(person(1.2), scene.now, (-2.2, 0, 0), radius=0.2)
            scene.monitor.observe_forecasts(scene.now, [ahead])
            answer = scene.monitor.assess(scene.now)
            chances = np.array(answer.contact_probability)
            step = int(np.argmax(chances > risk))
            (reason,) = (r for r in answer.reasons if "contact with probability" in r)
            assert f"probability {chances[step]:.2f} in {0.04 * step:.2f} s" in reason
            factors.append(answer.speed_factor)
        assert factors[1] <= factors[0]
