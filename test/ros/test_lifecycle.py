"""Lifecycle transitions in any order, and parameters as ``ros2 param`` sends them."""

from __future__ import annotations

import random
import signal
import subprocess
import sys

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from stream import PersonStream

from ses_gcn_ros.bringup import NodePlan, ros_arguments, targeted_parameters
from ses_gcn_ros.msg import SafetyState
from ses_gcn_ros.nodes import qos

NODES = ("safety_node", "forecaster_node", "demo_robot", "fusion_node")
PARAMETERS = {
    "safety_node": {"robot_description": "demo", "rate": 10.0},
    "demo_robot": {"robot_description": "demo", "rate": 10.0},
    "fusion_node": {"cameras": ["left", "right"]},
}
TRANSITIONS = {
    State.PRIMARY_STATE_UNCONFIGURED: {
        Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE
    },
    State.PRIMARY_STATE_INACTIVE: {
        Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
        Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
    },
    State.PRIMARY_STATE_ACTIVE: {Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE},
}
SHUTDOWN = {
    State.PRIMARY_STATE_UNCONFIGURED: Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    State.PRIMARY_STATE_INACTIVE: Transition.TRANSITION_INACTIVE_SHUTDOWN,
    State.PRIMARY_STATE_ACTIVE: Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class Nodes:
    """The nodes of a cell in one process, with somebody in sight."""

    def __init__(self, cell) -> None:
        self.cell = cell
        self.start()
        self.diagnostics = cell.listen(DiagnosticArray, "/diagnostics", 10)
        self.states = cell.listen(SafetyState, "safety_state", qos.STREAM)
        self.person = PersonStream(cell.node)
        cell.wait_for_listeners(self.person.publisher, count=2)
        self.person.start()
        self.clients = {
            (name, kind): cell.node.create_client(kind, f"/{name}/{service}")
            for name in NODES
            for kind, service in ((ChangeState, "change_state"), (GetState, "get_state"))
        }
        self.wait()

    def start(self) -> None:
        plans = [NodePlan(name, PARAMETERS.get(name, {})) for name in NODES]
        arguments = ros_arguments(
            targeted_parameters(plans), params_file="", namespace="", log_level="fatal"
        )
        command = [sys.executable, "-m", "ses_gcn_ros.nodes", *NODES, *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.cell.processes["cell"] = self.process

    def wait(self) -> None:
        ready = [client.service_is_ready for client in self.clients.values()]
        self.cell.wait_for_services(*ready, what="the lifecycles")

    def call(self, name, request):
        kind = ChangeState if isinstance(request, ChangeState.Request) else GetState
        client = self.clients[name, kind]
        future = client.call_async(request)
        self.cell.wait_for(future.done, f"an answer of {name}")
        return future.result()

    def change(self, name: str, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(name, request).success

    def state(self, name: str) -> int:
        return self.call(name, GetState.Request()).current_state.id

    def parameters(self, name: str) -> AsyncParameterClient:
        client = AsyncParameterClient(self.cell.node, name)
        self.cell.wait_for_services(client.services_are_ready, what=f"the parameters of {name}")
        return client

    def result(self, future):
        self.cell.wait_for(future.done, "an answer")
        return future.result()


@pytest.fixture(scope="module")
def started(shared_cell) -> Nodes:
    return Nodes(shared_cell)


@pytest.fixture
def nodes(started) -> Nodes:
    if started.process.poll() is not None:  # a test has ended them
        started.start()
        started.cell.wait_for_listeners(started.person.publisher, count=2)
        started.wait()
    return started


def test_transitions_in_any_order_end_nothing(nodes):
    choose = random.Random(17)
    for name in NODES:
        state = State.PRIMARY_STATE_ACTIVE
        for _ in range(12):
            possible = [pair for each in TRANSITIONS.values() for pair in each.items()]
            transition, leads_to = choose.choice(
                [*TRANSITIONS[state].items(), choose.choice(possible)]
            )
            allowed = transition in TRANSITIONS[state]
            assert nodes.change(name, transition) == allowed
            state = leads_to if allowed else state
            assert nodes.state(name) == state
        while state != State.PRIMARY_STATE_ACTIVE:
            transition, state = next(iter(TRANSITIONS[state].items()))
            assert nodes.change(name, transition)
        assert nodes.process.poll() is None


def test_a_safety_node_that_is_not_active_has_said_stop_and_says_so_in_its_diagnostics(nodes):
    assert nodes.change("safety_node", Transition.TRANSITION_DEACTIVATE)
    nodes.states.clear()
    nodes.diagnostics.clear()

    def told() -> set[str]:
        statuses = [s for m in nodes.diagnostics for s in m.status]
        return {s.message for s in statuses if s.name.endswith("safety_node")}

    nodes.cell.wait_for(lambda: "not active" in told(), "a diagnosis of the inactive node")
    assert nodes.process.poll() is None
    assert not nodes.states
    assert nodes.change("safety_node", Transition.TRANSITION_ACTIVATE)
    nodes.cell.wait_for(lambda: nodes.states, "states again")


def test_whoever_was_there_before_a_safety_node_was_deactivated_is_held_until_seen_again(nodes):
    assert nodes.change("safety_node", Transition.TRANSITION_DEACTIVATE)
    nodes.person.stop()
    nodes.states.clear()
    assert nodes.change("safety_node", Transition.TRANSITION_ACTIVATE)
    held = nodes.cell.wait_for(
        lambda: [r for state in nodes.states for r in state.reasons if "held for" in r],
        "somebody who is held",
    )
    assert "lost at" in held[0]
    nodes.person.start()
    nodes.cell.wait_for(
        lambda: not any("held for" in reason for reason in nodes.states[-1].reasons),
        "a state without anybody who is held",
    )


@pytest.mark.parametrize("name", NODES)
def test_parameters_are_dumped_and_loaded_again(nodes, name, tmp_path):
    client = nodes.parameters(name)
    names = nodes.result(client.list_parameters([], 10)).result.names
    values = nodes.result(client.get_parameters(names)).values
    assert len(values) == len(names) > 5
    dumped = {}
    for key, value in zip(names, values, strict=True):
        parameter = Parameter.from_parameter_msg(_message(key, value))
        assert parameter.type_ != Parameter.Type.NOT_SET, key
        plain = parameter.value
        dumped[key] = list(plain) if hasattr(plain, "tolist") else plain
    assert "autostart" in dumped
    path = tmp_path / "dump.yaml"
    dumped = {key: value for key, value in dumped.items() if not key.startswith("start_type")}
    path.write_text(yaml.safe_dump({name: {"ros__parameters": dumped}}))
    loaded = nodes.result(client.load_parameter_file(str(path)))
    assert [r.reason for r in loaded.results if not r.successful] == []


def _message(name, value):
    from rcl_interfaces.msg import Parameter as ParameterMsg

    return ParameterMsg(name=name, value=value)


def test_a_parameter_changes_on_the_way_to_the_next_activation_and_not_before(nodes):
    client = nodes.parameters("safety_node")

    def set_rate(value) -> str:
        (result,) = nodes.result(client.set_parameters([Parameter("rate", value=value)])).results
        return "" if result.successful else result.reason

    assert "deactivate first" in set_rate(5.0)
    assert set_rate(10) == ""  # as it is, though it is a whole number
    assert nodes.change("safety_node", Transition.TRANSITION_DEACTIVATE)
    assert "out of range" in set_rate(1e6)
    assert "takes a float" in set_rate("fast")
    assert set_rate(5) == ""
    assert nodes.change("safety_node", Transition.TRANSITION_ACTIVATE)
    assert "deactivate first" in set_rate(10.0)


def test_no_parameter_can_be_deleted(nodes):
    client = nodes.parameters("safety_node")
    for name in ("rate", "bridges", "world_frame"):  # a number, a list without items, a text
        (result,) = nodes.result(client.set_parameters([Parameter(name)])).results
        assert not result.successful
        assert f"'{name}' can't be deleted" in result.reason
    assert nodes.change("safety_node", Transition.TRANSITION_DEACTIVATE)
    assert nodes.change("safety_node", Transition.TRANSITION_ACTIVATE)


def test_a_transition_that_fails_says_one_sentence_and_leaves_the_node_as_it_was(nodes):
    client = nodes.parameters("safety_node")
    assert nodes.change("safety_node", Transition.TRANSITION_DEACTIVATE)
    for urdf, success in (("/nowhere/robot.urdf", False), ("demo", True)):
        parameter = Parameter("robot_description", value=urdf)
        (result,) = nodes.result(client.set_parameters([parameter])).results
        assert result.successful
        assert nodes.change("safety_node", Transition.TRANSITION_ACTIVATE) == success
    assert nodes.state("safety_node") == State.PRIMARY_STATE_ACTIVE


def test_sigint_after_shutdown_ends_in_order(nodes):
    for name in NODES:
        assert nodes.change(name, SHUTDOWN[nodes.state(name)])
    assert nodes.process.poll() is None
    nodes.process.send_signal(signal.SIGINT)
    nodes.cell.wait_for(lambda: nodes.process.poll() is not None, "the end")
    assert nodes.process.returncode == 0
    assert b"Traceback" not in nodes.process.stderr.read()


@pytest.mark.parametrize("name", ["safety_node", "pose_node"])
def test_help_names_every_parameter(name):
    command = [sys.executable, "-m", "ses_gcn_ros.nodes", name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0
    assert f"ros2 run ses_gcn_ros {name}" in done.stdout
    assert "autostart: True" in done.stdout
