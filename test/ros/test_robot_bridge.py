"""The bridge over DDS: what is allowed arrives in the driver's form, and silence holds."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fault_report import write_report
from faults import NODES, Fault, World, check, kill
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float64, Int16, Int32

from ses_gcn_ros.bringup import ros_arguments
from ses_gcn_ros.drivers import BridgeConfig, SimulatedDriver
from ses_gcn_ros.msg import SafetyState
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.demo_robot import DriverPorts
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.safety import DemoRobotConfig
from ses_gcn_ros.safety.obedience import DISOBEYS

QUICK = {"ramp_up": 0.2, "deceleration": 4.0, "robot_speed_max": 1.0, "heartbeat": 0.3}


class Safety:
    """What the safety node says, as often as it does."""

    def __init__(self, cell) -> None:
        self.cell = cell
        self.factors = cell.publisher(Float64, "speed_scaling", qos.LATCHED)
        self.states = cell.publisher(SafetyState, "safety_state", qos.STREAM)

    def wait(self) -> None:
        self.cell.wait_for_listeners(self.factors, self.states)

    def say(self, factor: float, until, what: str, reasons=()) -> None:
        """Say a factor, and a state that goes with it, until something holds."""
        level = SafetyState.STOP if factor == 0.0 else SafetyState.CLEAR

        def said() -> bool:
            self.states.publish(SafetyState(level=level, reasons=list(reasons)))
            self.factors.publish(Float64(data=factor))
            return bool(until())

        self.cell.wait_for(said, what)


def test_per_cents_go_up_and_down_the_ramp_and_silence_ends_at_zero(cell):
    safety = Safety(cell)
    heard = cell.listen(Int32, "arm/speed_scaling_factor", qos.LATCHED)
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
    share = cell.listen(Float64, "b/speed_scaling_out", qos.LATCHED)
    override = cell.listen(Int16, "/speed_ovr", qos.LATCHED)
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


class SimulatedDrivers(ManagedNode):
    """Drivers that take services, each in a namespace of its name, in the tester's process."""

    config_type = DemoRobotConfig
    names = ("ur", "jtc", "abb", "doosan", "xarm", "nav2")

    def activate(self) -> None:
        self.drivers = {}
        for name in self.names:
            config = BridgeConfig(driver=name, driver_namespace=name)
            self.drivers[name] = SimulatedDriver(config)
            DriverPorts(self, config, self.drivers[name])


def bridges(cell, names, **parameters) -> None:
    """Start a bridge for each driver, under a name of its own."""
    for name in names:
        arguments = ros_arguments(
            {"driver": name, "driver_namespace": name, **parameters},
            params_file="",
            namespace="",
            log_level="error",
        )
        command = [sys.executable, "-m", "ses_gcn_ros.nodes", "robot_bridge", *arguments]
        cell.processes[name] = subprocess.Popen([*command, "-r", f"__node:={name}_bridge"])


def test_every_driver_in_its_own_messages_side_by_side(cell):
    """Full speed, a stop that holds, a refusal that is named, disobedience: over DDS."""
    safety, node = Safety(cell), SimulatedDrivers()
    cell.executor.add_node(node)
    node.bring_up()
    names, drivers = node.names, node.drivers
    # under load a call may take long, which is no matter here
    bridges(cell, names, **QUICK, answer_within=2.0)
    cell.wait_for_listeners(safety.factors, safety.states, count=len(names))
    everybody = drivers.values()
    safety.say(0.0, lambda: all(d.speed == 0.0 for d in everybody), "all robots held")
    safety.say(1.0, lambda: all(d.speed == 1.0 for d in everybody), "full speed of all")
    safety.say(0.5, lambda: all(d.factor == 0.5 for d in everybody if d is not drivers["xarm"]),
               "half of the speed of all")  # fmt: skip
    assert not any(driver.refused for driver in everybody)

    said = cell.listen(DiagnosticStatus, "abb_bridge/status", qos.STREAM)
    drivers["abb"].refuses = frozenset({"set_speed_ratio"})
    safety.say(0.3, lambda: said and said[-1].level == DiagnosticStatus.ERROR, "a refusal")
    assert said[-1].message.startswith("set_speed_ratio refused")
    safety.say(0.3, lambda: drivers["abb"].held_by == "pause", "the robot paused")

    reason = f"{DISOBEYS}: tool at 0.30 m/s"
    hard = {
        **dict.fromkeys(("ur", "doosan", "xarm"), "stop_service"),
        **dict.fromkeys(("jtc", "nav2"), "cancel"),
    }

    def stopped_hard() -> bool:
        return all(drivers[name].held_by == means for name, means in hard.items())

    safety.say(0.0, stopped_hard, "the hardest means of each", reasons=[reason])
    cell.executor.remove_node(node)
    node.close()


BRIDGED = {
    **NODES,
    "robot": ("demo_robot", {"rate": 50.0, "driver": "ur"}),
    "safety": (
        NODES["safety"][0],
        {
            **NODES["safety"][1],
            "bridges": ["robot_bridge"],
            "obedience_tolerance": 0.05,
            "robot_reaction_time": 0.3,  # of a robot that waits for the processor
        },
    ),
    "bridge": (
        "robot_bridge",
        # a loaded machine may take long to answer, which is no fault of the driver's here
        {"driver": "ur", "robot_speed_max": 0.6, "deceleration": 1.8, "answer_within": 5.0},
    ),
}


@pytest.mark.slow
def test_a_bridge_that_dies_is_named_and_the_robot_that_goes_on_as_well(cell):
    world = World(cell, nodes=BRIDGED)
    silent = Fault(
        "robot bridge killed",
        kill("bridge"),
        lambda world: None,
        r"robot_bridge stale: .* > 0\.10 s",
        0.1,
    )
    check(world, silent, 0.0)
    write_report(world.reactions)
    # nobody tells the driver to stop any more, so that the robot goes on
    world.cell.wait_for(
        lambda: any(reason.startswith(DISOBEYS) for reason in world.states[-1].reasons),
        lambda: f"a robot that is said to disobey; last {world.last}",
    )
    assert world.states[-1].speed_factor == 0.0


def test_a_driver_whose_messages_are_missing_is_one_sentence(cell, tmp_path, monkeypatch):
    missing = tmp_path / "abb_robot_msgs"  # as if it were not installed
    missing.mkdir()
    (missing / "__init__.py").write_text("raise ModuleNotFoundError(__name__)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = cell.start("robot_bridge", driver="abb")
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.returncode == 1
    said = process.stderr.read().decode()
    assert "install the package abb_robot_msgs" in said
    assert "Traceback" not in said
