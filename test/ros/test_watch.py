"""``ses-gcn watch`` looks on at the demo's cell and takes no part in it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from lifecycle_msgs.srv import ChangeState, GetState
from typer.testing import CliRunner

from ses_gcn_ros.bringup import ros_arguments
from ses_gcn_ros.cli import app
from ses_gcn_ros.msg import ForecastArray, SafetyState, SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.observer import CellObserver

SES_GCN = [sys.executable, "-m", "ses_gcn_ros.cli"]
NODES = {"/demo_robot", "/forecaster_node", "/safety_node", "/bag_player"}


def watch(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SES_GCN, "watch", *options],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )


def test_the_demos_cell_is_seen_with_nodes_rates_people_and_reasons(cell):
    command = [*SES_GCN, "up", "--bag", "sample", "--demo-robot", "--rate", "0.5"]
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    cell.processes["up"] = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    cell.wait_for(lambda: states and states[-1].skeleton_age < 1.0, "a state with people")

    run = watch("--json")
    assert run.returncode == 0, run.stderr
    reading = json.loads(run.stdout)
    assert reading["domain"] == int(os.environ["ROS_DOMAIN_ID"])
    nodes = {node["name"]: node for node in reading["nodes"]}
    assert set(nodes) >= NODES
    assert float(nodes["/safety_node"]["values"]["rate_hz"]) > 0
    rates = {stream["topic"]: stream["rate_hz"] for stream in reading["streams"]}
    assert min(rates[f"/{topic}"] for topic in ("safety_state", "skeletons", "forecasts")) > 0
    assert [person["forecast"] for person in reading["people"]]
    state = reading["state"]
    assert state["level"] in ("CLEAR", "REDUCED", "STOP")
    assert bool(state["reasons"]) == (state["level"] != "CLEAR")
    terms = ("human_term", "reaction_term", "stopping_term", "intrusion")
    assert all(state[term] is not None for term in terms)

    text = watch("--once", COLUMNS="40")
    assert text.returncode == 0, text.stderr
    assert "S_h" in text.stdout
    assert "forecaster_node" in text.stdout
    assert "…" not in text.stdout


def test_where_there_is_no_cell_it_says_so(ros_domain):
    run = watch("--once", "--namespace", "elsewhere")
    assert run.returncode == 1
    assert run.stderr.startswith("error: no cell is heard on ROS domain")


@pytest.fixture
def observer(cell):
    """The node that `watch` listens with, in this process."""
    observer = CellObserver()
    yield observer
    observer.destroy_node()


def test_players_do_not_count_it_as_a_listener(cell, observer):
    skeletons = cell.publisher(SkeletonArray, "skeletons", qos.STREAM)
    forecasts = cell.publisher(ForecastArray, "forecasts", qos.STREAM)
    cell.wait_for_listeners(forecasts)
    observer.spin(0.5)
    assert skeletons.get_subscription_count() == 0

    def flows() -> bool:
        forecasts.publish(ForecastArray())
        observer.spin(0.1)
        return skeletons.get_subscription_count() == 1

    cell.wait_for(flows, "the observer to listen once skeletons flow")


def test_nodes_are_taken_through_their_lifecycle_without_ros2(cell):
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    cell.start("safety_node", robot_description="demo")
    cell.wait_for(lambda: states, "a state")

    def lifecycle(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*SES_GCN, "lifecycle", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def states_of(*words: str) -> dict[str, str]:
        run = lifecycle(*words, "--json")
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    assert states_of() == {"/safety_node": "active"}
    reset = lifecycle("safety_node", "reset")
    assert reset.returncode == 1
    assert reset.stderr == "error: /safety_node doesn't reset: no stop is latched\n"
    assert states_of("/safety_node", "deactivate") == {"/safety_node": "inactive"}
    refused = lifecycle("safety_node", "deactivate")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: /safety_node is inactive: it can activate, cleanup")
    seen = len(states)
    assert "active" in lifecycle("safety_node", "activate").stdout
    cell.wait_for(lambda: len(states) > seen + 5, "states again")
    nobody = lifecycle("nobody")
    assert (nobody.returncode, "there is /safety_node" in nobody.stderr) == (1, True)


def test_a_node_that_discovery_is_late_to_find_is_listed(monkeypatch):
    class Late:
        """An observer who hears of the safety node at once, and of others 2.5 s and 5 s later."""

        seconds = 0.0

        def spin(self, seconds: float) -> None:
            self.seconds += seconds

        def managed(self) -> list[str]:
            there = {"/pose_node": 5.0, "/robot": 2.5, "/safety_node": 0.0}
            return [node for node, since in there.items() if self.seconds >= since]

        def states(self) -> dict[str, str]:
            return dict.fromkeys(self.managed(), "active")

        def get_namespace(self) -> str:
            return "/"

    observing = contextlib.nullcontext(Late())
    monkeypatch.setattr("ses_gcn_ros.nodes.observer.observe", lambda namespace: observing)
    run = CliRunner().invoke(app, ["lifecycle", "--json"], catch_exceptions=False)
    assert set(json.loads(run.output)) == {"/pose_node", "/robot", "/safety_node"}


def test_all_nodes_are_asked_at_once_and_again_where_an_answer_got_lost(cell):
    asked: list[str] = []

    def once_both_are_asked(name: str) -> Any:
        def answer(_request: Any, response: Any) -> Any:
            asked.append(name)
            if len(set(asked)) < 2:
                raise LookupError("so no answer is sent")
            response.current_state.label = "active"
            return response

        return answer

    for name in ("arm", "gripper"):
        cell.node.create_service(GetState, f"{name}/get_state", once_both_are_asked(name))
        cell.node.create_service(ChangeState, f"{name}/change_state", lambda _, answer: answer)
    command = subprocess.Popen([*SES_GCN, "lifecycle", "--json"], stdout=subprocess.PIPE)
    while command.poll() is None:
        with contextlib.suppress(LookupError):
            cell.wait_for(lambda: command.poll() is not None, "the command")
    assert json.load(command.stdout) == {"/arm": "active", "/gripper": "active"}
    assert len(asked) > 2


def test_a_cell_is_shown_without_its_neighbour(cell):
    for place in ("left", "right"):
        arguments = ros_arguments(
            {"robot_description": "demo"}, params_file="", namespace=place, log_level="fatal"
        )
        command = [sys.executable, "-m", "ses_gcn_ros.nodes", "safety_node", *arguments]
        cell.processes[place] = subprocess.Popen(command, stderr=subprocess.PIPE)
    heard = [cell.listen(SafetyState, f"/{n}/safety_state", qos.STREAM) for n in ("left", "right")]
    cell.wait_for(lambda: all(heard), "states of both")

    def left_alone() -> bool:  # as soon as discovery knows whose nodes these are
        left = json.loads(watch("--json", "--namespace", "left").stdout)
        names = [node["name"] for node in left["nodes"]]
        return names == ["/left/safety_node"] and left["elsewhere"] == ["/right"]

    cell.wait_for(left_alone, "the left cell without the right one")
    nobody = " ".join(watch("--once").stdout.split())
    assert "no safety node is heard" in nobody
    assert "--namespace shows the cells in /" in nobody
