"""The bridge over DDS: what is allowed arrives in the driver's form, and silence holds."""

from __future__ import annotations

import subprocess
import sys
import time

from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float64, Int16, Int32

from ses_gcn_ros.bringup import ros_arguments
from ses_gcn_ros.msg import SafetyState
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.robot_bridge import OUTPUT

QUICK = {"ramp_up": 0.2, "deceleration": 4.0, "robot_speed_max": 1.0, "heartbeat": 0.3}


class Safety:
    """What the safety node says, as often as it does."""

    def __init__(self, cell) -> None:
        self.cell = cell
        self.factors = cell.publisher(Float64, "speed_scaling", qos.LATCHED)
        self.states = cell.publisher(SafetyState, "safety_state", qos.STREAM)

    def wait(self) -> None:
        self.cell.wait_for_listeners(self.factors, self.states)

    def say(self, factor: float, until, what: str) -> None:
        """Say a factor, and a state that goes with it, until something holds."""
        level = SafetyState.STOP if factor == 0.0 else SafetyState.CLEAR

        def said() -> bool:
            self.states.publish(SafetyState(level=level))
            self.factors.publish(Float64(data=factor))
            return bool(until())

        self.cell.wait_for(said, what)


def test_per_cents_go_up_and_down_the_ramp_and_silence_ends_at_zero(cell):
    safety = Safety(cell)
    heard = cell.listen(Int32, "arm/speed_scaling_factor", OUTPUT)
    cell.start("robot_bridge", driver="fanuc", driver_namespace="arm", **QUICK)
    safety.wait()
    safety.say(1.0, lambda: heard and heard[-1].data == 100, "full speed")
    down = len(heard)
    safety.say(0.3, lambda: heard[-1].data == 30, "three tenths")
    assert all(a.data >= b.data for a, b in zip(heard[down:], heard[down + 1 :], strict=False))
    assert any(30 < message.data < 100 for message in heard[down:])  # no step
    cell.wait_for(lambda: heard[-1].data == 0, "a stop, since nobody says anything")
    assert all(0 <= message.data <= 100 for message in heard)


def test_two_robots_side_by_side_each_in_its_own_form(cell):
    safety = Safety(cell)
    share = cell.listen(Float64, "b/speed_scaling_out", OUTPUT)
    override = cell.listen(Int16, "/speed_ovr", OUTPUT)
    cell.start("robot_bridge", driver="cnr", **QUICK)
    arguments = ros_arguments(
        {"driver": "topic", "driver_namespace": "b", **QUICK},
        params_file="",
        namespace="",
        log_level="warn",
    )
    command = [sys.executable, "-m", "ses_gcn_ros.nodes", "robot_bridge", *arguments]
    cell.processes["second"] = subprocess.Popen(
        [*command, "-r", "__node:=second"], stderr=subprocess.PIPE
    )
    cell.wait_for_listeners(safety.factors, safety.states, count=2)
    safety.say(
        0.5,
        lambda: share and override and share[-1].data == 0.5 and override[-1].data == 50,
        "half of the speed for both",
    )


def test_a_mobile_base_drives_as_fast_as_is_allowed(cell):
    safety = Safety(cell)
    driven = cell.listen(TwistStamped, "cmd_vel", qos.STREAM)
    commands = cell.publisher(TwistStamped, "cmd_vel_in", qos.STREAM)
    cell.start("robot_bridge", driver="twist", **QUICK)
    safety.wait()
    cell.wait_for_listeners(commands)
    command = TwistStamped()
    command.twist.linear.x, command.twist.angular.z = 0.8, -0.4

    def slowed() -> bool:
        commands.publish(command)
        return bool(driven) and abs(driven[-1].twist.linear.x - 0.2) < 1e-6

    safety.say(0.25, slowed, "a quarter of the speed")
    assert abs(driven[-1].twist.angular.z + 0.1) < 1e-6


def test_a_driver_whose_messages_are_missing_is_one_sentence(cell):
    process = cell.start("robot_bridge", driver="abb")
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.returncode == 1
    said = process.stderr.read().decode()
    assert "install the package abb_robot_msgs" in said
    assert "Traceback" not in said
