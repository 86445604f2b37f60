"""The safety node hears the robot's joints and a planner, and survives nonsense from both."""

from __future__ import annotations

from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from ses_gcn_ros.msg import SafetyState
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.resources import share_path


def test_joints_and_plans_reach_the_prediction(cell):
    urdf = str(share_path("config", "demo", "cell.urdf"))
    cell.start("safety_node", robot_description=urdf, trajectory="planned")
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    joints = cell.publisher(JointState, "joint_states", qos.STREAM)
    plans = cell.publisher(JointTrajectory, "planned", qos.STREAM)
    described = cell.listen(String, "robot_description", qos.LATCHED)
    problems = cell.listen(DiagnosticArray, "/diagnostics", qos.STREAM)
    cell.wait_for_listeners(joints, plans)
    plans.publish(JointTrajectory(joint_names=["a", "b"]))

    def counted():
        # again and again: what is sent before the other end knows of the sender is lost
        joints.publish(JointState(name=["joint1"], position=[float("nan")]))
        values = [v for array in problems for s in array.status for v in s.values]
        return [v for v in values if v.key == "problem InputError"]

    cell.wait_for(counted, "the refused joint state in /diagnostics")
    cell.wait_for(lambda: len(states) > 10, "states")
    assert all(state.level == SafetyState.STOP for state in states)
    # nobody else says what the robot looks like, so that recordings and RViz would lack it
    cell.wait_for(lambda: described, "the robot's description")
    assert described[0].data == Path(urdf).read_text("utf-8")
    seen = len(states)
    cell.wait_for(lambda: len(states) > seen + 10, "states behind it")
    assert not [r for state in states for r in state.reasons if "robot_description" in r]
