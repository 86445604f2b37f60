"""What the safety monitor is told in a replay: everybody in the world, and ticks with the robot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.replay.chain import SILENCE, ReplayMonitor, Wanted, with_frames
from ses_gcn_ros.replay.events import (
    Described,
    End,
    Event,
    PeopleForecast,
    PeopleSeen,
    Silence,
    Tick,
    Transforms,
    Unplaced,
)
from ses_gcn_ros.safety import SafetyConfig, read_robots
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.transforms import StampedTransform

WANTED = Wanted("world", ("tool",), 50.0)
POSITIONS = np.random.default_rng(0).normal(size=(15, 3)).astype(np.float32)
TURN = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))  # by 90° about z


def people(stamp: float, frame: str = "world") -> Event:
    person = Skeleton("a", "chico15", POSITIONS, np.ones(15, np.float32))
    return PeopleSeen(stamp, stamp, frame, [person])


def forecasts(stamp: float, frame: str) -> Event:
    radius = np.zeros((2, 15), np.float32)
    made = Forecast("a", "chico15", stamp, 0.04, np.stack([POSITIONS] * 2), radius, 0.95, "m")
    return PeopleForecast(stamp, stamp, frame, [made])


def transform(stamp: float, child: str, x: float) -> Event:
    item = StampedTransform("world", child, round(stamp * 1e9), (x, 0.0, 0.0, *TURN))
    return Transforms(stamp, [item], static=False)


def ticks(events: list[Event]) -> list[float]:
    return [event.time for event in events if isinstance(event, Tick)]


def test_states_are_due_at_the_rate_from_the_first_event_to_the_last():
    events = list(with_frames([people(5.0 + k / 30) for k in range(31)] + [End(6.0)], WANTED))
    np.testing.assert_allclose(ticks(events), 5.0 + np.arange(51) / 50)
    assert events[-1] == End(6.0)


def test_a_state_knows_what_came_at_its_own_instant():
    heard = [people(5.0), transform(5.02, "tool", 1.0), transform(5.03, "tool", 2.0), End(5.03)]
    known = {e.time: e.robot for e in with_frames(heard, WANTED) if isinstance(e, Tick)}
    assert isinstance(known[5.0], str)
    stamp, poses = known[5.02]
    assert stamp == pytest.approx(5.02)
    assert poses[0, 0, 3] == 1.0


def test_what_is_true_for_good_and_told_otherwise_is_named_in_a_replay_too():
    tool, other = (transform(at, "tool", x) for at, x in ((5.0, 1.0), (5.1, 1.3)))
    heard = [replace(tool, static=True), people(5.0), replace(other, static=True), End(5.2)]
    told = [e.robot for e in with_frames(heard, WANTED) if isinstance(e, Tick)]
    assert isinstance(told[0], tuple)
    assert str(told[-1]).startswith("tf of tool is static, but told 300 mm")

    config = SafetyConfig(robot_description="demo")
    robots = read_robots(config)
    monitor = ReplayMonitor(config, robots)
    for text in (robots.urdf.text, robots.urdf.text.replace('radius="0.06"', 'radius="0.2"')):
        monitor.take(Described(5.0, text))
        answer = monitor.take(Tick(5.0, "tf of tool missing"))
    assert any("robot_description is another than at first" in r for r in answer.reasons)


def test_transforms_end_here():
    events = list(with_frames([transform(5.0, "tool", 1.0), people(5.0), End(5.0)], WANTED))
    assert [type(event) for event in events] == [PeopleSeen, Tick, End]


def test_people_and_forecasts_come_in_the_world():
    heard = [
        transform(5.0, "camera", 3.0),
        people(5.0, "camera"),
        forecasts(5.0, "camera"),
    ]
    seen, made = list(with_frames(heard, Wanted("world", (), 0.0)))
    expected = np.stack([3.0 - POSITIONS[:, 1], POSITIONS[:, 0], POSITIONS[:, 2]], axis=1)
    np.testing.assert_allclose(seen.people[0].positions, expected, atol=1e-6)
    np.testing.assert_allclose(made.forecasts[0].positions[1], expected, atol=1e-6)


@pytest.mark.parametrize("heard", [people(5.0, "camera"), forecasts(5.0, "camera")])
def test_who_cannot_be_placed_is_told_of_by_name(heard):
    (event,) = with_frames([heard], Wanted("world", (), 0.0))
    assert isinstance(event, Unplaced)
    assert event.source == ("skeletons" if isinstance(heard, PeopleSeen) else "forecasts")
    assert event.sentence.startswith("no transform from 'camera' to 'world'")


def test_a_long_silence_is_told_of_and_has_no_states():
    later = 5.0 + SILENCE + 10.0
    events = list(with_frames([people(5.0), people(later), End(later)], WANTED))
    assert [type(event) for event in events] == [PeopleSeen, Silence, PeopleSeen, Tick, End]
    assert events[1].length == later - 5.0
    assert ticks(events) == [later]


def test_after_a_clock_that_went_back_states_begin_anew():
    heard = [people(9.0), people(9.1), people(5.0), people(5.1), End(5.1)]
    due = ticks(list(with_frames(heard, WANTED)))
    np.testing.assert_allclose(due, [9.0, 9.02, 9.04, 9.06, 9.08, 5.0, 5.02, 5.04, 5.06, 5.08, 5.1])


def test_nobody_asks_for_a_robot_that_is_not_in_the_transforms():
    events = with_frames([people(5.0), End(5.0)], Wanted("world", (), 50.0))
    assert [event.robot for event in events if isinstance(event, Tick)] == [None]
