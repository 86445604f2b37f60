"""Safety node, bridge and a robot that obeys a simulated driver: what fails is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from fault_report import REPEATS, write_report
from faults import NODES, Fault, World, check, kill
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from ses_gcn_ros.drivers import BridgeConfig, SimulatedDriver
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.demo_robot import DriverPorts
from ses_gcn_ros.nodes.managed_node import ManagedNode

SLIDER = "/io_and_status_controller/set_speed_slider"


class DriverAlone(ManagedNode):
    """A driver in the tester's process, beside a robot that obeys the safety node anyway."""

    config_type = BridgeConfig

    def activate(self) -> None:
        self.driver = SimulatedDriver(self.config)
        DriverPorts(self, self.config, self.driver)


@pytest.fixture(scope="module")
def driven(shared_cell) -> Iterator[tuple[World, DriverAlone]]:
    """A cell whose bridge has the time to wait that it has by default."""
    driver = DriverAlone()
    driver.set_parameters([rclpy.Parameter("driver", value="ur")])
    shared_cell.executor.add_node(driver)
    driver.bring_up()
    bridge = {"driver": "ur", "robot_speed_max": 0.6, "deceleration": 1.8}
    nodes = {**NODES, "bridge": ("robot_bridge", bridge)}
    nodes["safety"] = (NODES["safety"][0], {**NODES["safety"][1], "bridges": ["robot_bridge"]})
    nodes["safety"][1]["obedience_tolerance"] = 0.0
    world = World(shared_cell, nodes=nodes)
    yield world, driver
    write_report(world.reactions)
    driver.close()


def begin_anew(world: World, driver: DriverAlone) -> None:
    """Make all well, and let the bridge forget what was refused."""
    driver.driver.refuses = frozenset()
    if driver not in world.cell.executor.get_nodes():
        world.cell.executor.add_node(driver)
    world.camera.well()
    client = world.cell.node.create_client(ChangeState, "/robot_bridge/change_state")
    world.cell.wait_for_services(client.service_is_ready, what="the bridge's lifecycle")
    for number in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
        assert world.cell.wait_for(future.result, "a transition").success
    world.cell.node.destroy_client(client)


@pytest.mark.slow
def test_two_bridges_of_one_name_are_named(driven):
    """Or the word of one would hide that the other is dead."""
    world, driver = driven
    begin_anew(world, driver)

    def speak_too(world: World) -> None:
        node = world.cell.node
        world.stranger = node.create_publisher(DiagnosticStatus, "robot_bridge/status", qos.STREAM)

    twin = Fault(
        "second bridge of one name",
        speak_too,
        lambda world: world.cell.node.destroy_publisher(world.stranger),
        "2 publishers of robot_bridge/status, where one is to speak",
        0.1,
        hold=1.0,
    )
    check(world, twin, 0.0)


SAID = {
    "killed": r"robot_bridge stale: .* > 0\.10 s",
    "refuses": f"robot_bridge: {SLIDER} refused",
    "silent": f"robot_bridge: {SLIDER} silent",
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", SAID)
def test_a_bridge_or_driver_that_fails_is_named_when_the_robot_has_to_brake(driven, fault):
    world, driver = driven

    def fail(world: World) -> None:
        if fault == "killed":
            kill("bridge")(world)
        elif fault == "refuses":
            driver.driver.refuses = frozenset({SLIDER})
        else:
            world.cell.executor.remove_node(driver)
        world.camera.broken = "nan"  # a reason to brake

    def heal(world: World) -> None:
        if fault == "killed":
            world.camera.well()
            world.start("bridge")
        else:
            begin_anew(world, driver)

    def run_free(world: World) -> None:  # told all, so that it hears nothing more until it brakes
        def free() -> bool:
            # a driver whom a busy machine keeps from answering in time is held until told anew
            if any("deactivate and activate" in r for s in world.states[-1:] for r in s.reasons):
                begin_anew(world, driver)
            return driver.driver.speed == 1.0

        world.cell.wait_for(free, lambda: f"full speed; last {world.last}")

    failing = Fault(
        f"bridge {fault}" if fault == "killed" else f"driver {fault}",
        fail,
        heal,
        SAID[fault],
        0.2,
        hold=0.5,
        prepare=run_free,
    )
    for _ in range(REPEATS):
        run_free(world)
        check(world, failing, 0.1)
