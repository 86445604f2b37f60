"""The fault table: fault → level, reason and the time it takes. Every fault must be safe."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from safety_scenes import TICK, Scene, column, column_at, forecast_of, person, settled

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.safety import Level, RobotModel, SafetyConfig, SeparationMonitor, Urdf
from ses_gcn_ros.safety.people import PeopleTracks

LIMIT = 0.5  # s within which a fault must have led to its state


def stopped_by(words: str):
    return lambda a: a.level is Level.STOP and any(words in reason for reason in a.reasons)


def test_all_is_clear_while_nothing_is_wrong():
    assessment = settled(3.0).tick()
    assert assessment.level is Level.CLEAR
    assert assessment.speed_factor == 1.0
    assert assessment.reasons == ()
    assert assessment.separation > 2.0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("skeletons_on", "skeletons stale: 0.26 s > 0.25 s"),
        ("forecasts_on", "forecasts stale: 0.32 s > 0.30 s"),
        ("robot_on", "tf of the robot stale: 0.22 s > 0.20 s"),
    ],
)
def test_an_input_that_falls_silent_stops_the_robot_in_time(source, words):
    scene = settled()
    setattr(scene, source, False)
    assessment, took = scene.until(stopped_by(words))
    assert took <= LIMIT
    assert assessment.speed_factor == 0.0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("skeletons_on", "no skeletons yet"),
        ("forecasts_on", "no forecasts yet"),
        ("robot_on", "no tf of the robot yet"),
    ],
)
def test_an_input_that_never_came_keeps_the_robot_stopped(source, words):
    scene = Scene(3.0)
    setattr(scene, source, False)
    for _ in range(100):
        assert stopped_by(words)(scene.tick())


def test_nobody_there_is_not_the_same_as_nobody_seen():
    assert settled(None).tick().level is Level.CLEAR
    assert settled(None).tick().separation == np.inf


def test_a_lost_forecaster_may_be_configured_to_slow_instead_of_stop():
    scene = settled(forecast_lost_factor=0.25)
    scene.forecasts_on = False
    assessment = scene.run(1.0)
    assert assessment.level is Level.REDUCED
    assert assessment.speed_factor == 0.25
    assert assessment.reasons[0].startswith("forecasts stale")


def test_late_skeletons_stop_the_robot():
    scene = settled()
    scene.delay = 0.3
    scene.skeletons_on = scene.forecasts_on = False
    scene.run(0.32)  # those in flight arrive with their old stamps
    scene.skeletons_on = scene.forecasts_on = True
    assert stopped_by("skeletons stale: 0.30 s")(scene.run(0.1))


def test_latency_below_the_limit_counts_as_reaction_time():
    prompt, late = Scene(1.5), Scene(1.5)
    late.delay = 0.2
    for scene in (prompt, late):
        scene.last = scene.run(1.0)
    assert prompt.last.breakdown.reaction_time == pytest.approx(0.15)
    assert late.last.breakdown.reaction_time == pytest.approx(0.2 + 0.02 + 0.05)
    assert late.last.protective_distance > prompt.last.protective_distance


def test_stamps_from_the_future_are_refused_and_stop_the_robot():
    for source, observe in (
        ("skeletons", lambda s: s.monitor.observe_skeletons(s.now + 0.3, [], s.now)),
        ("forecasts", lambda s: s.monitor.observe_forecasts(s.now + 0.3, [], s.now)),
    ):
        scene = settled()
        with pytest.raises(InputError, match=f"{source} from the future"):
            observe(scene)
        scene.skeletons_on = scene.forecasts_on = False
        assert stopped_by(f"{source} from the future: stamped 0.30 s ahead")(scene.tick())


def test_one_stamp_from_far_ahead_does_not_block_those_that_follow():
    scene = settled()
    with pytest.raises(InputError):
        scene.monitor.observe_skeletons(scene.now + 1e9, [], scene.now)
    assert scene.run(2.0).level is Level.CLEAR


def test_a_robot_from_the_future_stops():
    scene = settled()
    scene.monitor.observe_robot(scene.now + 1.0, column_at(0.0))
    scene.robot_on = False
    assert stopped_by("tf from the future: 0.98 s")(scene.tick())


def test_repeated_and_unordered_skeletons_are_refused_and_grow_stale():
    scene = settled()
    stamp = scene.now
    scene.skeletons_on = False
    scene.forecasts_on = True
    for _ in range(20):
        assessment = scene.tick()
        with pytest.raises(InputError, match="repeated or out of order"):
            scene.monitor.observe_skeletons(stamp, [person(3.0)], scene.now)
    assert stopped_by("skeletons stale")(assessment)


@pytest.mark.parametrize("late", [0.0, 0.01, 0.5])
def test_repeated_and_old_forecasts_loosen_nothing(late):
    scene = settled(2.0)
    scene.forecasts_on = False
    scene.tick()
    walks_up = forecast_of(person(2.0), scene.now, (-4.0, 0.0, 0.0))
    scene.monitor.observe_forecasts(scene.now, [walks_up], scene.now)
    before = scene.monitor.assess(scene.now)
    assert before.speed_factor < 1.0
    with pytest.raises(InputError, match="out of order, not used"):  # whatever it says
        scene.monitor.observe_forecasts(scene.now - late, [], scene.now)
    after = scene.monitor.assess(scene.now)
    assert after.speed_factor <= before.speed_factor
    assert after.time_to_breach == before.time_to_breach
    assert after.contact_probability == before.contact_probability


def test_a_clock_that_goes_back_stops_the_robot_and_starts_anew():
    scene = settled()
    scene.now -= 1.0
    assessment = scene.monitor.assess(scene.now)
    assert stopped_by("clock went back 1.00 s")(assessment)
    assert scene.run(1.7).level is Level.CLEAR


def test_a_clock_that_leaps_ahead_makes_everything_old():
    scene = settled()
    assessment = scene.monitor.assess(scene.now + 1.0)
    assert assessment.level is Level.STOP
    assert all("stale: 1.00 s" in reason for reason in assessment.reasons[:3])


def test_frozen_skeletons_with_fresh_stamps_stop_the_robot():
    scene = settled(frozen_time=0.5)
    scene.jitter = 0.0
    assessment, took = scene.until(stopped_by("skeletons frozen: person p1 unchanged for"))
    assert took == pytest.approx(0.5, abs=0.1)
    assert "0.5" in assessment.reasons[0]


def test_somebody_in_the_coordinates_of_a_map_stops_the_robot():
    """5 km east of the robot nobody is in danger, and nobody's place is known."""
    assert settled(50.0).run(1.7).level is Level.CLEAR
    assert stopped_by("m from the robot: are both in one frame")(settled(5000.0).run(1.7))


def test_people_who_stand_still_are_not_frozen(shared_data):
    """The longest that real joints repeat to the millimetre they are stored in is far shorter."""
    motion = np.load(shared_data / "motion" / "cmu.npz")
    starts = np.cumsum(motion["lengths"])[:-1]
    same = (np.diff(motion["positions_mm"], axis=0) == 0).all(axis=(1, 2))
    same[starts - 1] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same, [0]])))
    longest = (edges[1::2] - edges[::2]).max(initial=0) / 25.0
    assert longest < SafetyConfig().frozen_time


def test_a_person_without_any_seen_joint_stops_the_robot():
    scene = settled()
    scene.hide = tuple(range(15))
    assert stopped_by("p1: no joint seen")(scene.tick())


def test_an_unseen_arm_is_reckoned_with_where_it_may_be():
    seen, hidden = Scene(1.2), Scene(1.2)
    for scene in (seen, hidden):
        scene.run(0.5)
    hidden.hide = (10, 11, 13, 14)  # both elbows and wrists
    assert hidden.run(0.2).separation < seen.run(0.2).separation - 0.3


def test_unusable_poses_stop_the_robot():
    scene = settled()
    poses = column_at(0.0)
    poses[1, 0, 3] = np.nan
    with pytest.raises(InputError, match="pose of high is not finite"):
        scene.monitor.observe_robot(scene.now, poses)
    scene.robot_on = False
    assert stopped_by("tf unusable: the pose of high is not finite")(scene.tick())
    scene.robot_on = True
    assert scene.run(1.7).level is Level.CLEAR


def test_jumping_poses_stop_the_robot():
    scene = settled()
    scene.robot_x = 0.5
    assert stopped_by("tf jumps: high at")(scene.tick())


def test_a_fault_that_the_node_reports_holds_until_the_input_is_well():
    scene = settled()
    scene.monitor.fault("robot", "tf of low missing: it was never heard of")
    scene.robot_on = False
    assert stopped_by("tf of low missing")(scene.tick())
    scene.robot_on = True
    assert scene.run(1.7).level is Level.CLEAR
    scene.monitor.fault("clock", "clock stands still for 0.6 s")
    assert stopped_by("clock stands still")(scene.run(0.5))
    scene.monitor.well("clock")
    assert scene.run(1.7).level is Level.CLEAR


CHANGED = {
    "a thicker link": ('radius="0.06"', 'radius="0.07"', "link "),
    "a longer joint": ('xyz="0 0 ', 'xyz="0 0 1', "joint "),
    "a tool more": ("</robot>", '<link name="drill"/></robot>', "link drill"),
    "half of it": ("</robot>", "", "what is no XML"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_description_that_is_published_with_changes_stops_the_robot_until_reset(change):
    text, (old, new, named) = Urdf.load("demo").text, CHANGED[change]
    scene = settled()
    remark = text.replace("<robot", "<!-- written anew -->\n<robot")
    for again in (text, text, remark):
        scene.monitor.observe_description(again)
    assert scene.tick().level is Level.CLEAR
    scene.monitor.observe_description(text.replace(old, new))
    answer = scene.tick()
    assert stopped_by("robot_description is another than at first, in")(answer)
    assert named in answer.reasons[0]
    done, why = scene.monitor.reset()
    assert done, why
    assert scene.run(1.7).level is Level.CLEAR


def test_a_person_without_a_forecast_stops_the_robot_after_a_moment():
    scene = settled()
    scene.skeletons_on = False  # here they come by hand, and the forecasts know p1 alone
    reasons = []
    for _ in range(20):
        scene.now += TICK
        scene.x += 1e-3
        people = [person(scene.x), person(scene.x + 1.0, "p2")]
        scene.monitor.observe_skeletons(scene.now, people, scene.now)
        scene.now -= TICK
        reasons.append(" ".join(scene.tick().reasons))
    told = ["p2 has no forecast" in reason for reason in reasons]
    assert not told[10]  # it takes a moment to forecast somebody new
    assert told[-1]


class TestPersonVanishesNear:
    def test_is_held_and_grows_until_the_robot_stops(self):
        scene = settled(1.35)
        before = scene.tick()
        assert before.level is not Level.STOP
        scene.x = None
        first = scene.tick()
        assert first.people == 1
        assert any("p1 lost at 1.10 m, held for 0.02 s" in reason for reason in first.reasons)
        assessment, took = scene.until(lambda a: a.level is Level.STOP)
        assert took < 0.5
        assert assessment.separation < before.separation - 0.3

    def test_is_never_forgotten_however_far_away(self):
        scene = settled(6.0)
        scene.x = None
        scene.until(stopped_by("p1 lost at"), limit=6.0)
        assert stopped_by("p1 lost at")(scene.run(30.0))

    def test_is_let_go_where_a_parameter_says_so_and_every_state_names_it(self):
        scene = settled(1.35, forget_after=2.0, accept_reduced_safety=True)
        words = "reduced safety: lost people are forgotten after 2 s"
        assert words in scene.tick().reasons
        scene.x = None
        _, took = scene.until(lambda a: a.people == 0)
        assert took == pytest.approx(2.0, abs=0.05)
        assert scene.run(3.0).reasons == (words,)

    def test_is_recognised_under_a_new_identity(self):
        scene = settled(1.35)
        scene.x = None
        scene.run(0.1)
        scene.skeletons_on = False
        scene.now += 0.02
        scene.monitor.observe_skeletons(scene.now, [person(1.35, "p9")], scene.now)
        assert scene.tick().people == 1

    def test_grows_as_fast_as_it_was_where_that_is_more_than_the_floor(self):
        scene = settled(8.0)
        scene.speed = -3.0
        before = scene.run(0.3).separation
        scene.x = None
        scene.run(0.5)
        ran = 3.0 * (scene.now - scene.monitor.tracks.lost["p1"].last_seen)
        assert scene.tick().separation <= before - 0.95 * ran

    @pytest.mark.parametrize("hidden_before", [0.0, 1.4], ids=["at once", "later"])
    def test_is_held_where_their_name_goes_over_to_somebody_else(self, hidden_before):
        tracks = PeopleTracks(SafetyConfig())
        tracks.observe(1.0, [person(0.7, "owner"), person(3.0, "other")])
        tracks.observe(1.1, [person(0.7, "owner"), person(3.02, "other")])
        if hidden_before:
            tracks.observe(1.1 + hidden_before, [person(3.01, "other")])
        tracks.observe(1.2 + hidden_before, [person(3.03, "owner")])
        assert [track.positions[0, 0] for track in tracks.lost.values()] == [pytest.approx(0.7)]

    def test_is_held_where_names_go_on_from_one_to_the_next(self):
        tracks = PeopleTracks(SafetyConfig())
        tracks.observe(1.0, [person(1.0, "a"), person(1.4, "b"), person(1.7, "c")])
        tracks.observe(1.1, [person(1.41, "a"), person(1.71, "b")])
        assert [track.positions[0, 0] for track in tracks.lost.values()] == [pytest.approx(1.0)]

    def test_is_not_held_where_two_who_are_seen_exchange_names_or_one_passes_the_other(self):
        tracks = PeopleTracks(SafetyConfig())
        tracks.observe(1.0, [person(1.0, "a"), person(1.4, "b"), person(4.0, "gone")])
        tracks.observe(1.1, [person(1.4, "a"), person(1.0, "b")])
        tracks.observe(1.2, [person(1.5, "a"), person(1.2, "b")])
        assert list(tracks.lost) == ["gone"]

    def test_is_held_by_the_monitor_that_comes_after(self):
        scene = settled(2.0)
        before = scene.tick().separation
        earlier, scene.monitor = scene.monitor, SeparationMonitor(scene.config, column())
        scene.monitor.succeed(earlier, scene.now)
        scene.x = None
        assert scene.run(0.3).separation <= before - 1.5 * 0.3
        assert scene.monitor.reset() == (True, "1 lost people released; no stop is latched")
        elsewhere = dataclasses.replace(scene.config, world_frame="map")
        other = SeparationMonitor(elsewhere, column())
        other.succeed(earlier, scene.now)
        assert not other.tracks.lost


def test_two_faults_at_once_are_both_named():
    scene = settled()
    scene.robot_on = scene.skeletons_on = False
    reasons = " ".join(scene.run(0.5).reasons)
    assert "skeletons stale" in reasons
    assert "tf of the robot stale" in reasons


def test_no_fault_is_ever_clear():
    """Whatever combination of inputs is silent, the robot never runs free."""
    for silent in range(1, 8):
        scene = settled()
        for bit, source in enumerate(("skeletons_on", "forecasts_on", "robot_on")):
            setattr(scene, source, not silent & (1 << bit))
        scene.run(LIMIT)
        assert scene.tick().level is Level.STOP


def test_a_person_may_have_another_layout_from_one_message_to_the_next():
    scene = settled()
    nose = np.full((17, 3), np.nan, np.float32)
    nose[0] = (3.0, 0.0, 1.6)
    other = dataclasses.replace(
        person(3.0), layout="coco17", positions=nose, confidence=np.ones(17, np.float32)
    )
    scene.skeletons_on = False
    scene.now += 0.02
    scene.monitor.observe_skeletons(scene.now, [other], scene.now)
    scene.monitor.observe_forecasts(scene.now, [forecast_of(other, scene.now)], scene.now)
    assert np.isfinite(scene.tick().separation)


def test_frames_without_a_chain_are_refused():
    with pytest.raises(ConfigError, match="at least two frames"):
        RobotModel.from_frames(("low",), (0.1,))
    with pytest.raises(ConfigError, match="3 robot_frames take 2 radii"):
        RobotModel.from_frames(("a", "b", "c"), (0.1, 0.1, 0.1))
    SeparationMonitor(SafetyConfig(), RobotModel.from_frames(("a", "b", "c"), (0.1,)))
