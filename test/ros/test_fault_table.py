"""The fault table over DDS: every fault, at random times, leads to STOP in time, with its name."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from fault_report import REPEATS, write_report
from faults import Fault, World, check, kill, kills_last, pause, resume
from rclpy.duration import Duration
from std_msgs.msg import Float64, String
from tf2_msgs.msg import TFMessage

from ses_gcn_ros.msg import ForecastArray, SafetyState, SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import TransformSender
from ses_gcn_ros.safety import SafetyConfig, Urdf

CONFIG = SafetyConfig()
DEMO = Urdf.load("demo").text
PAUSE = 2.0  # s of SIGSTOP
NEAR = 1.15  # m from the base, where the hull of the sweep is some 0.4 m away


def camera(**wrong: object) -> Callable[[World], None]:
    def now(world: World) -> None:
        for name, value in wrong.items():
            setattr(world.camera, name, value)

    return now


def well(world: World) -> None:
    world.camera.well()
    world.camera.start()


def lose_transforms(world: World) -> None:
    """Nobody says where the robot is, and the safety node has never heard it."""
    pause("robot")(world)
    safety = world.cell.processes["safety_node"]
    safety.kill()
    safety.wait()
    world.pass_time(0.2)  # what the old one had said before
    world.states.clear()
    world.start("safety")
    world.cell.wait_for(lambda: world.states, "the safety node's return")


def play_robot(world: World, age: float, leap: float) -> None:
    """Take the robot's place, 50 times a second: with old stamps, or leaping to and fro."""
    pause("robot")(world)
    urdf = Urdf.load("demo")
    sender = TransformSender([(joint.parent, joint.child) for joint in urdf.movable])
    turn = [0]

    def send() -> None:
        turn[0] += 1
        angle = leap * (turn[0] // 5 % 2)
        poses = np.stack([joint.transform(angle) for joint in urdf.movable])
        stamp = world.cell.node.get_clock().now().nanoseconds * 1e-9 - age
        world.transforms.publish(sender.fill(stamp, poses))

    world.false_robot = world.cell.node.create_timer(0.02, send)


def end_play(world: World) -> None:
    world.cell.node.destroy_timer(world.false_robot)
    resume("robot")(world)


def speak_too(kind: type, topic: str, profile: object = qos.STREAM) -> Callable[[World], None]:
    """Somebody else publishes on a topic that has its speaker."""

    def now(world: World) -> None:
        world.stranger = world.cell.node.create_publisher(kind, topic, profile)

    return now


def fall_silent(world: World) -> None:
    world.cell.node.destroy_publisher(world.stranger)


def move_joint_too(world: World) -> None:
    """Somebody else says where a joint is, and says the same."""
    urdf = Urdf.load("demo")
    sender = TransformSender([(joint.parent, joint.child) for joint in urdf.movable[-1:]])
    still = urdf.movable[-1].transform(0.0)[None]

    def send() -> None:
        stamp = world.cell.node.get_clock().now().nanoseconds * 1e-9
        world.transforms.publish(sender.fill(stamp, still))

    world.false_robot = world.cell.node.create_timer(0.02, send)


def stop_moving_it(world: World) -> None:
    world.cell.node.destroy_timer(world.false_robot)
    world.pass_time(1.0)


def fixed_frames(shift: float) -> TFMessage:
    """Where the robot stands, so much to the side [m]."""
    fixed = [joint for joint in Urdf.load("demo").joints if joint.kind == "fixed"]
    poses = np.stack([joint.transform(0.0) for joint in fixed])
    poses[:, 1, 3] += shift
    sender = TransformSender([(joint.parent, joint.child) for joint in fixed])
    return sender.fill(0.0, poses)


def say_once(topic: str, content: object) -> Callable[[World], None]:
    """Somebody else says what is true for good, to all who listen or will."""

    def now(world: World) -> None:
        world.stranger = world.cell.node.create_publisher(type(content), topic, qos.LATCHED)
        world.stranger.publish(content)

    return now


def take_back(content: object) -> Callable[[World], None]:
    """They say what was said before, and fall silent."""

    def now(world: World) -> None:
        world.stranger.publish(content)
        assert world.stranger.wait_for_all_acked(Duration(seconds=60.0))
        fall_silent(world)

    return now


def come_near(world: World) -> None:
    """Put the person so near that the robot stands."""
    world.camera.distance = NEAR

    def near() -> bool:
        state = world.states[-1]
        return state.level == SafetyState.STOP and state.separation < 0.7

    world.cell.wait_for(near, f"a robot that stands; {world.last}")


FAULTS = [
    Fault(
        "skeletons' publisher: kill -9", kill("camera"), World.take_camera_back,
        "skeletons", CONFIG.skeleton_age_max, prepare=World.hand_over_camera,
    ),
    Fault(
        "forecaster: kill -9", kill("forecaster"), lambda world: world.start("forecaster"),
        "forecasts", CONFIG.forecast_age_max,
    ),
    Fault(
        "robot publisher: kill -9", kill("robot"), lambda world: world.start("robot"),
        "tf of the robot stale", CONFIG.tf_age_max,
    ),
    Fault(
        "skeletons' publisher: SIGSTOP 2 s", pause("camera"), World.take_camera_back,
        "skeletons stale", CONFIG.skeleton_age_max, PAUSE, World.hand_over_camera,
    ),
    Fault(
        "forecaster: SIGSTOP 2 s", pause("forecaster"), resume("forecaster"),
        "forecasts stale", CONFIG.forecast_age_max, PAUSE,
    ),
    Fault(
        "robot publisher: SIGSTOP 2 s", pause("robot"), resume("robot"),
        "tf of the robot stale", CONFIG.tf_age_max, PAUSE,
    ),
    Fault(
        "skeletons delayed by 300 ms", camera(delay=0.3), well,
        "skeletons stale", CONFIG.skeleton_age_max, 1.0,
    ),
    Fault("skeletons all NaN", camera(broken="nan"), well, "no joint seen", 0.0, 1.0),
    Fault(
        "skeletons infinite", camera(broken="infinite"), well, "skeletons unusable", 0.0, 1.0
    ),
    Fault(
        "skeletons frozen, stamps fresh", camera(broken="frozen"), well,
        "skeletons frozen", CONFIG.frozen_time, 2.0,
    ),
    Fault("skeletons at 210 Hz", camera(burst=7), well, "skeletons flood", 0.5, 1.0),
    Fault(
        "TF missing", lose_transforms, resume("robot"), r"tf of .* missing|no tf", 0.0, 1.0,
        from_start=True,
    ),
    Fault(
        "TF old by 0.5 s", lambda world: play_robot(world, 0.5, 0.0), end_play,
        "tf of the robot stale", CONFIG.tf_age_max, 1.0,
    ),
    Fault(
        "TF stamped 5 s ahead", lambda world: play_robot(world, -5.0, 0.0), end_play,
        "tf of .* from the future", 0.1, 1.0,
    ),
    Fault(
        "TF jumping", lambda world: play_robot(world, 0.0, 0.3), end_play, "tf jumps", 0.15, 1.0
    ),
    *(
        Fault(
            f"second publisher of {topic}", speak_too(kind, topic, profile), fall_silent,
            f"2 publishers of {topic}, where one is to speak", 0.1, 1.0,
        )
        for topic, kind, profile in (
            ("skeletons", SkeletonArray, qos.STREAM),
            ("forecasts", ForecastArray, qos.STREAM),
            ("speed_scaling", Float64, qos.SPEED_FACTOR),
        )
    ),
    Fault(
        "second publisher of a joint's frame", move_joint_too, stop_moving_it,
        "tf of .* comes from several publishers", 0.1, 1.0,
    ),
    Fault(
        "second publisher of a static frame", say_once("/tf_static", fixed_frames(0.0)),
        fall_silent, "tf of .* comes from several publishers", 0.1, 1.0,
    ),
    Fault(
        "static frame moved by 5 mm", say_once("/tf_static", fixed_frames(0.005)),
        take_back(fixed_frames(0.0)), "tf of .* is static, but told 5 mm", 0.0, 1.0,
    ),
    Fault(
        "robot_description with a thicker arm",
        say_once("robot_description", String(data=DEMO.replace('radius="0.06"', 'radius="0.07"'))),
        take_back(String(data=DEMO)), "robot_description is another than at first, in link", 0.0,
        1.0,
    ),
    Fault(
        "person vanishes at 0.4 m", camera(broken="nobody"), well,
        r"person 1 lost at 0\.\d\d m", 0.0, 1.8, come_near,
        free=False,
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(shared_cell):
    world = World(shared_cell)
    yield world
    write_report(world.reactions)


@pytest.mark.timeout(120 + 40 * REPEATS)
@pytest.mark.parametrize("fault", kills_last(FAULTS), ids=lambda fault: fault.name)
def test_a_fault_stops_the_robot_in_time_and_is_named(world, fault):
    moments = random.Random(fault.name)
    for _ in range(REPEATS):
        check(world, fault, moments.uniform(0.0, 0.5))
