"""What goes to ros2_control and comes from MoveIt, where their messages are installed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from std_msgs.msg import Float64
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ses_gcn_ros.nodes.conversions import to_duration
from ses_gcn_ros.nodes.safety_node import SafetyInputs, SafetyNode
from ses_gcn_ros.safety import SafetyConfig, SeparationMonitor, read_robots


class Sink:
    """A publisher that remembers."""

    def __init__(self) -> None:
        self.sent: list[float] = []

    def publish(self, message) -> None:
        if isinstance(message, bytes):
            message = deserialize_message(message, Float64)
        self.sent.append(getattr(message, "factor", getattr(message, "data", None)))


def test_a_controller_gets_the_same_factor_as_everybody():
    node = SimpleNamespace(
        factors=Sink(),
        controller=Sink(),
        controller_message=SimpleNamespace(factor=None),
    )
    for factor in (0.4, 0.0):
        SafetyNode.publish_factor(node, factor)
    assert node.factors.sent == node.controller.sent == [0.4, 0.0]


def trajectory(names, *points) -> JointTrajectory:
    """One point a second."""
    return JointTrajectory(
        joint_names=list(names),
        points=[
            JointTrajectoryPoint(
                positions=[float(q) for q in point], time_from_start=to_duration(float(second))
            )
            for second, point in enumerate(points)
        ],
    )


@pytest.mark.parametrize("displayed", [False, True])
def test_a_planners_trajectory_reaches_the_prediction(displayed):
    """A JointTrajectory as it is, or inside a DisplayTrajectory, whose parts have one each."""
    robots = read_robots(SafetyConfig(robot_description="demo"))
    names = [joint.name for joint in robots.urdf.movable]
    monitor = SeparationMonitor(SafetyConfig(robot_description="demo"), robots.model, robots.urdf)
    start, goal = np.zeros(len(names)), np.full(len(names), 0.3)
    message = trajectory(names, start, goal)
    if displayed:
        message = SimpleNamespace(trajectory=[SimpleNamespace(joint_trajectory=message)])
    SafetyInputs.on_trajectory(SimpleNamespace(_monitor=monitor), message)
    placed = robots.urdf.forward({})
    for stamp in (1.0, 1.02, 1.04, 1.06):
        monitor.observe_robot(stamp, np.stack([placed[frame] for frame in monitor.model.frames]))
    monitor.joints.observe(1.06, names, start, start)
    standing, planned = monitor.joints.paths(monitor.robot.state)
    expected = robots.urdf.forward(dict.fromkeys(names, 0.15))
    poses = np.stack([expected[frame] for frame in monitor.model.frames])
    np.testing.assert_allclose(
        planned.carried([0.5])[1][0], monitor.model.place(poses)[1], atol=1e-6
    )
    assert not np.allclose(standing.carried([0.5])[1], planned.carried([0.5])[1])
