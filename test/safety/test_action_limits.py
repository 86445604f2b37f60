"""What people do may slow the robot, and what is not known of it slows it most."""

from __future__ import annotations

import pytest
from safety_scenes import Scene

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.safety import SafetyConfig
from ses_gcn_ros.safety.watchdogs import ActionLimits

LIMITS = ("hand_over: 0.3", "walk: 0.6")


def limits(labels: dict[str, str] | None, age: float = 0.1, people: tuple[str, ...] = ("ann",)):
    actions = ActionLimits(SafetyConfig(action_limits=LIMITS))
    if labels is not None:
        actions.observe(10.0, labels)
    return [(round(one.factor, 3), one.reason) for one in actions.limits(10.0 + age, people)]


def test_an_action_asks_for_its_factor_and_others_for_nothing():
    assert limits({"ann": "hand_over"}) == [(0.3, "person ann: hand_over")]
    assert limits({"ann": "idle"}) == []
    assert limits({"ann": "unknown"}) == []
    assert limits({"ann": "walk", "bob": "hand_over"}, people=("ann", "bob")) == [
        (0.6, "person ann: walk"),
        (0.3, "person bob: hand_over"),
    ]


def test_what_is_missing_or_old_asks_for_the_lowest():
    assert limits(None) == [(0.3, "no actions yet")]
    assert limits({"ann": "idle"}, age=0.8) == [(0.3, "actions stale: 0.80 s > 0.50 s")]
    assert limits({"bob": "idle"}) == [(0.3, "person ann: no action told")]


def test_without_limits_nothing_is_asked():
    assert ActionLimits(SafetyConfig()).limits(10.0, ["ann"]) == []


def test_actions_that_go_back_in_time_are_not_used():
    actions = ActionLimits(SafetyConfig(action_limits=LIMITS))
    actions.observe(10.0, {"ann": "hand_over"})
    with pytest.raises(InputError, match="came after"):
        actions.observe(9.0, {"ann": "idle"})
    assert actions.limits(10.1, ["ann"])


@pytest.mark.parametrize("entry", ["hand_over", "hand_over: fast", "hand_over: 1.5", ": 0.3"])
def test_a_limit_that_is_none_is_refused(entry: str):
    with pytest.raises(ConfigError, match="it takes LABEL: FACTOR"):
        ActionLimits(SafetyConfig(action_limits=(entry,)))


def told(label: str | None) -> tuple[float, tuple[str, ...]]:
    """Factor and reasons after 4 s with a person 3 m away who is said to do something."""
    scene = Scene(3.0, action_limits=LIMITS)
    for _ in range(200):
        if label is not None:
            scene.monitor.observe_actions(scene.now, {"p1": label}, scene.now)
        assessment = scene.tick()
    return assessment.speed_factor, assessment.reasons


def test_an_action_never_makes_the_robot_faster():
    free = Scene(3.0).run(4.0).speed_factor
    assert free > 0.6
    assert told("idle")[0] == pytest.approx(free)
    assert told("unknown")[0] == pytest.approx(free)
    assert told("walk")[0] == pytest.approx(min(0.6, free))
    assert told("hand_over") == (pytest.approx(0.3), ("person p1: hand_over",))
    assert told(None) == (pytest.approx(0.3), ("no actions yet",))


def test_who_is_lost_from_sight_does_what_is_not_told():
    scene = Scene(8.0, action_limits=LIMITS)
    for _ in range(200):
        scene.monitor.observe_actions(scene.now, {"p1": "idle"}, scene.now)
        scene.tick()
    scene.x = None
    scene.monitor.observe_actions(scene.now, {}, scene.now)
    assert "person p1: no action told" in scene.tick().reasons
