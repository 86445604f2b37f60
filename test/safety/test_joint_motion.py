"""The robot's links are carried forward by its joints, and along a planner's trajectory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from safety_scenes import forecast_of, person

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety import RobotModel, SafetyConfig, SeparationMonitor, Urdf, read_robots
from ses_gcn_ros.safety.robot_motion import Plan
from ses_gcn_ros.studies.attack_world import PATHS

URDF = Urdf.load("demo")
MODEL = RobotModel.from_urdf(URDF)
NAMES = tuple(joint.name for joint in URDF.movable)
START = np.array([-0.5, 0.65, 0.0, 1.15, 0.0, 0.70, 0.0])
RATES = np.array([0.4, -0.2, 0.1, 0.3, 0.0, 0.2, 0.5])
WORLD_FROM_ROOT = np.eye(4)
WORLD_FROM_ROOT[:3, 3] = (1.0, -2.0, 0.5)


def poses(joints) -> np.ndarray:
    placed = URDF.forward(dict(zip(NAMES, np.asarray(joints).tolist(), strict=True)))
    return np.stack([WORLD_FROM_ROOT @ placed[frame] for frame in MODEL.frames])


def moving_robot() -> SeparationMonitor:
    """A monitor at 10 s, whose robot has moved at constant joint velocities."""
    monitor = SeparationMonitor(SafetyConfig(), MODEL, URDF)
    for stamp in np.arange(9.8, 10.001, 0.02):
        monitor.observe_robot(stamp, poses(START + (stamp - 10.0) * RATES))
    return monitor


def test_links_move_as_the_joints_do():
    monitor = moving_robot()
    monitor.joints.observe(10.0, NAMES, START, RATES)
    (path,) = monitor.joints.paths(monitor.robot.state)
    times = np.array([0.0, 0.2, 0.7, 1.0])
    start, end = path.carried(times)
    for step, time in enumerate(times):
        expected = MODEL.place(poses(START + time * RATES))
        np.testing.assert_allclose(start[step], expected[0], atol=1e-6)
        np.testing.assert_allclose(end[step], expected[1], atol=1e-6)
    twist = monitor.robot.state.carried(times)[1]
    assert np.abs(twist[-1] - end[-1]).max() > 0.02, "a constant twist misses by centimetres"


def test_velocities_that_are_not_published_follow_from_positions():
    monitor = moving_robot()
    monitor.joints.observe(9.9, NAMES, START - 0.1 * RATES)
    assert monitor.joints.paths(monitor.robot.state) == []
    monitor.joints.observe(10.0, NAMES, START)
    (path,) = monitor.joints.paths(monitor.robot.state)
    expected = MODEL.place(poses(START + 0.5 * RATES))
    np.testing.assert_allclose(path.carried([0.5])[0][0], expected[0], atol=1e-6)


def test_joints_that_are_published_apart_are_taken_together():
    """As an arm's driver and a gripper's do, a little out of step."""
    monitor = moving_robot()
    monitor.joints.observe(9.99, NAMES[4:], START[4:] - 0.01 * RATES[4:], RATES[4:])
    monitor.joints.observe(10.0, NAMES[:4], START[:4], RATES[:4])
    (path,) = monitor.joints.paths(monitor.robot.state)
    expected = MODEL.place(poses(START + 0.5 * RATES))
    np.testing.assert_allclose(path.carried([0.5])[1][0], expected[1], atol=1e-6)


def test_old_joint_states_are_not_used():
    monitor = moving_robot()
    monitor.joints.observe(9.5, NAMES, START, RATES)
    assert monitor.joints.paths(monitor.robot.state) == []


def test_a_gripper_that_the_description_lacks_is_left_out():
    monitor = moving_robot()
    monitor.joints.observe(10.0, (*NAMES, "finger"), (*START, 0.04), (*RATES, 0.0))
    assert len(monitor.joints.paths(monitor.robot.state)) == 1


def test_a_plan_that_the_robot_follows_is_reckoned_with():
    monitor = moving_robot()
    monitor.joints.observe(10.0, NAMES, START, np.zeros(7))
    goal = START + np.array([1.0, 0, 0, 0, 0, 0, 0])
    monitor.joints.observe_plan(NAMES, [0.0, 1.0, 2.0], [START - (goal - START), START, goal])
    standing, planned = monitor.joints.paths(monitor.robot.state)
    np.testing.assert_allclose(standing.carried([1.0])[0][0], standing.carried([0.0])[0][0])
    expected = MODEL.place(poses(START + 0.5 * (goal - START)))
    np.testing.assert_allclose(planned.carried([0.5])[0][0], expected[0], atol=1e-6)


def test_a_plan_is_followed_past_its_points():
    """Through its next point and on, at other rates from there."""
    monitor = moving_robot()
    monitor.joints.observe(10.0, NAMES, START, np.zeros(7))
    points = [START, START + RATES, START + RATES[::-1]]
    monitor.joints.observe_plan(NAMES, [0.0, 0.4, 0.9], points)
    _, planned = monitor.joints.paths(monitor.robot.state)
    for time, joints in ((0.2, START + 0.5 * RATES), (0.65, 0.5 * (points[1] + points[2]))):
        expected = MODEL.place(poses(joints))
        np.testing.assert_allclose(planned.carried([time])[0][0], expected[0], atol=1e-6)


def test_a_plan_that_is_elsewhere_or_at_its_end_is_not():
    monitor = moving_robot()
    monitor.joints.observe(10.0, NAMES, START, RATES)
    for points in ([START + 1.0, START + 2.0], [START - 1.0, START]):
        monitor.joints.observe_plan(NAMES, [0.0, 1.0], points)
        assert len(monitor.joints.paths(monitor.robot.state)) == 1
    monitor.joints.observe_plan(NAMES, [0.0, 1.0], [START, START + 1.0])
    assert len(monitor.joints.paths(monitor.robot.state)) == 2
    monitor.joints.observe_plan((), [], [])
    assert len(monitor.joints.paths(monitor.robot.state)) == 1


def test_a_plan_that_comes_by_a_place_twice_goes_on():
    out, back = np.array([0.0]), np.array([1.0])
    plan = Plan(("a",), np.array([0.0, 1.0, 2.0]), np.array([out, back, out]))
    assert plan.phase(np.array([0.5]), 0.0) == pytest.approx(0.5)
    assert plan.phase(np.array([0.5]), 1.1) == pytest.approx(1.5)


@pytest.mark.parametrize("said", [np.zeros(7), -RATES], ids=["at rest", "the other way"])
def test_wrong_joint_velocities_never_let_reachable_sets_allow_more(said):
    """Many drivers leave the velocities at 0; the poses show that the robot moves."""
    config = SafetyConfig(
        model="reachable", deceleration=0.5, release_time=0.0, recovery_rate=100.0
    )
    tip, later = (MODEL.place(poses(START + t * RATES))[1][-1] for t in (0.0, 0.1))
    ahead = (later - tip) / np.linalg.norm(later - tip)
    factors = np.empty((25, 2))
    for row, distance in enumerate(np.linspace(0.2, 5.0, len(factors))):
        visitor = person(0.0)
        places = visitor.positions - visitor.positions[14] + tip + distance * ahead
        visitor = dataclasses.replace(visitor, positions=places.astype(np.float32))
        for column, rates in enumerate((None, said)):
            monitor = SeparationMonitor(config, MODEL, URDF)
            for stamp in np.arange(9.6, 10.001, 0.02):
                joints = START + (stamp - 10.0) * RATES
                monitor.observe_robot(stamp, poses(joints))
                if rates is not None:
                    monitor.joints.observe(stamp, NAMES, joints, rates)
                seen = visitor.positions + np.float32(1e-4 * (round(50 * stamp) % 2))
                visitor = dataclasses.replace(visitor, positions=seen)
                monitor.observe_skeletons(stamp, [visitor])
                monitor.observe_forecasts(stamp, [forecast_of(visitor, stamp)])
                factors[row, column] = monitor.assess(stamp).speed_factor
    assert factors[0, 0] == 0.0 < factors[-1, 0], "near enough to stop, far enough to go"
    assert (factors[:, 1] <= factors[:, 0] + 1e-9).all(), factors


@pytest.mark.parametrize(
    ("observe", "sentence"),
    [
        (lambda j: j.observe(10.0, NAMES, START[:3], RATES), "7 names, 3 positions and 7 veloc"),
        (lambda j: j.observe(10.0, NAMES, START * np.nan, RATES), "not finite"),
        (lambda j: j.observe_plan(NAMES, [0, 1], [START]), r"has positions \(1, 7\)"),
        (lambda j: j.observe_plan(NAMES, [0, 1], [START, []]), "differ in their number"),
        (lambda j: j.observe_plan(NAMES, [1, 0], [START, START]), "times do not rise"),
        (lambda j: j.observe_plan(NAMES, [0, 1], [START, START * np.nan]), "not finite"),
    ],
)
def test_unusable_joints_and_plans_are_refused(observe, sentence):
    with pytest.raises(InputError, match=sentence):
        observe(moving_robot().joints)


def test_a_plan_towards_a_person_slows_the_robot_before_it_moves():
    """The robot stands; the person stands where the plan leads."""
    model = MODEL
    goal = START + np.array([1.2, 0.3, 0, -0.4, 0, 0, 0])
    tip = model.place(poses(goal))[1][-1]
    answers = []
    for planned in (False, True):
        config = SafetyConfig(
            human_speed=0.0, arm_speed=0.0, intrusion=0.0, accept_reduced_safety=True
        )
        monitor = SeparationMonitor(config, model, URDF)
        if planned:
            monitor.joints.observe_plan(NAMES, [0.0, 0.3], [START, goal])
        for tick in range(120):
            now = 10.0 + 0.02 * tick
            visitor = person(0.0)
            places = visitor.positions + tip - visitor.positions[14] + 0.05
            visitor = dataclasses.replace(
                visitor, positions=(places + 1e-4 * (tick % 2)).astype(np.float32)
            )
            monitor.observe_robot(now, poses(START))
            monitor.joints.observe(now, NAMES, START, np.zeros(7))
            monitor.observe_skeletons(now, [visitor])
            monitor.observe_forecasts(now, [forecast_of(visitor, now)])
            answer = monitor.assess(now)
        answers.append(answer)
    free, held = answers
    assert free.time_to_breach == np.inf
    assert held.time_to_breach < 0.3
    assert held.breach_probability >= free.breach_probability
    assert held.speed_factor <= free.speed_factor
    assert any(reason.startswith("forecast: person p1") for reason in held.reasons)


@pytest.mark.parametrize("rates", [0.0, -1.0, None])
def test_joint_states_that_contradict_the_poses_let_nobody_nearer(rates):
    """They may be those of another robot, or of a driver that fills in zeros or turns a sign."""
    config = SafetyConfig(
        robot_description=PATHS["linear axis"][0],
        model="reachable",
        forecast_lost_factor=1.0,
        release_time=0.1,
    )
    factors = []
    for told in (1.0, rates):
        robots = read_robots(config)
        monitor = SeparationMonitor(config, robots.model, robots.urdf)
        for tick in range(60):
            now, way = 10.0 + 0.02 * tick, 0.8 * 0.02 * tick
            placed = robots.urdf.forward({"rail": way})
            monitor.observe_robot(now, [placed[frame] for frame in monitor.model.frames])
            monitor.joints.observe(now, ["rail"], [way], [] if told is None else [0.8 * told])
            visitor = person(0.6)
            places = visitor.positions + np.array([0.0, 2.1 + 1e-4 * (tick % 2), 0.0])
            visitor = dataclasses.replace(visitor, positions=places.astype(np.float32))
            monitor.observe_skeletons(now, [visitor])
            answer = monitor.assess(now)
        factors.append(answer.speed_factor)
    right, wrong = factors
    assert 0.0 <= wrong <= right < 1.0


def test_a_robot_is_as_fast_as_the_faster_end_of_its_links():
    """One joint turns: the flange goes faster than all that the links begin at."""
    monitor = moving_robot()
    monitor.joints.observe(10.0, NAMES, START, np.array([0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]))
    (path,) = monitor.joints.paths(monitor.robot.state)
    (start, later), (end, later_end) = path.carried([0.0, 1e-4])
    by_ends = [np.linalg.norm(b - a, axis=1).max() / 1e-4 for a, b in
               ((start, later), (end, later_end))]  # fmt: skip
    assert by_ends[1] > by_ends[0] + 0.01
    assert path.fastest(MODEL.robot)[0] == pytest.approx(by_ends[1], rel=1e-3)
