"""Robots, tools and workpieces from parameters."""

from __future__ import annotations

import numpy as np
import pytest
from safety_scenes import person

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety import SafetyConfig, SeparationMonitor, read_robots

CHAIN = {"robot_frames": ("base", "elbow", "flange"), "robot_radii": (0.1,)}


def test_links_come_from_frames_and_radii_without_a_description():
    robots = read_robots(SafetyConfig(**CHAIN))
    assert robots.urdf is None
    assert robots.model.names == ("elbow", "flange")
    assert robots.model.radius.tolist() == [0.1, 0.1]


def test_a_tool_is_one_more_capsule_in_its_frame():
    tool = "{name: gripper, frame: flange, start: [0, 0, 0.05], end: [0, 0, 0.2], radius: 0.06}"
    model = read_robots(SafetyConfig(**CHAIN, tools=(tool,))).model
    assert model.frames == ("base", "elbow", "flange")
    assert model.names[-1] == "gripper"
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[2, :3, 3] = (1.0, 2.0, 3.0)
    start, end = model.place(poses)
    assert start[-1].tolist() == [1.0, 2.0, 3.05]
    assert end[-1].tolist() == [1.0, 2.0, 3.2]


def test_a_workpiece_in_a_frame_of_its_own_has_that_looked_up():
    tool = "{name: plank, frame: plank_tf, end: [1, 0, 0], radius: 0.1}"
    model = read_robots(SafetyConfig(**CHAIN, tools=(tool,))).model
    assert model.frames[-1] == "plank_tf"


def test_several_robots_are_watched_as_one():
    more = "{description: demo, frame_prefix: left_}"
    model = read_robots(SafetyConfig(**CHAIN, more_robots=(more,))).model
    one = read_robots(SafetyConfig(robot_description="demo")).model
    assert len(model.names) == 2 + len(one.names)
    assert model.names[2:] == tuple(f"left_{name}" for name in one.names)
    poses = np.random.default_rng(1).normal(size=(len(model.frames), 4, 4))
    for joined, alone in zip(model.place(poses), one.place(poses[3:]), strict=True):
        np.testing.assert_array_equal(joined[2:], alone)


def test_a_second_robot_whose_frames_are_the_firsts_is_refused():
    """Nobody would watch it; what is missing is its prefix."""
    config = SafetyConfig(robot_description="demo", more_robots=("{description: demo}",))
    with pytest.raises(ConfigError, match=r"frames of another robot; give .* frame_prefix"):
        read_robots(config)


def test_a_person_near_the_second_robot_is_answered():
    second = "{frames: [far_low, far_high], radii: [0.1]}"
    config = SafetyConfig(robot_frames=("low", "high"), robot_radii=(0.1,), more_robots=(second,))
    monitor = SeparationMonitor(config, read_robots(config).model)
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, 2, 3] = (0.3, 1.3, 0.3, 1.3)
    poses[2:, 0, 3] = 5.0
    monitor.observe_robot(1.0, poses)
    monitor.observe_skeletons(1.0, [person(4.4)])
    assert monitor.assess(1.0).robot_frame == "far_high"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"tools": ("{name: grip}",)}, "tool 'grip' takes a name, a frame .now ''. and a radius"),
        (
            {"tools": ("{name: g, frame: f, radius: 1, end: [1]}",)},
            r"tool 'g': end is \[1.0\]; it takes 3 numbers",
        ),
        ({"more_robots": ("{frames: [a]}",)}, "name at least two frames"),
        ({"more_robots": ("{frame: a}",)}, r"more_robots\[0\]: unknown parameter 'frame'"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_robots(SafetyConfig(**CHAIN, **values))


def test_a_tool_in_a_frame_of_two_robots_brakes_with_the_first():
    tool = "{name: gripper, frame: flange, end: [0, 0, 0.2], radius: 0.06}"
    more = "{frames: [other, flange], radii: [0.1], deceleration: 0.5}"
    model = read_robots(SafetyConfig(**CHAIN, more_robots=(more,), tools=(tool,))).model
    assert model.robot.tolist() == [0, 0, 1, 0]
