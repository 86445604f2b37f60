"""``ses-gcn up``: the nodes live and die together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ses_gcn_ros.msg import SafetyState
from ses_gcn_ros.nodes import qos

COMMAND = [sys.executable, "-m", "ses_gcn_ros.cli", "up", "--bag", "sample", "--demo-robot"]


def children_of(pid: int) -> dict[str, int]:
    """Process id by name of the (first) node of each node process below `pid`."""
    nodes = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            if "ses_gcn_ros.nodes" in words:
                nodes[words[words.index("ses_gcn_ros.nodes") + 1]] = int(child)
    return nodes


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.fixture
def up(cell):
    """The running command, once the safety node speaks, and the processes it started."""
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    process = subprocess.Popen(COMMAND, stderr=subprocess.PIPE)
    cell.processes["up"] = process
    cell.wait_for(lambda: len(states) > 5, "safety states")
    nodes = children_of(process.pid)
    assert set(nodes) == {"forecaster_node", "safety_node", "demo_robot", "bag_player"}
    return process, nodes


def test_ctrl_c_ends_all_of_it(up):
    process, nodes = up
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert not any(alive(pid) for pid in nodes.values())


def test_a_node_that_dies_is_named_and_ends_the_rest(up):
    process, nodes = up
    os.kill(nodes["safety_node"], signal.SIGKILL)
    assert process.wait(10) == 1
    assert b"safety_node was killed by SIGKILL; ending the other nodes" in process.stderr.read()
    assert not any(alive(pid) for pid in nodes.values())


def test_nodes_do_not_outlive_a_command_that_is_killed(up):
    process, nodes = up
    process.kill()
    process.wait(5)
    deadline = time.monotonic() + 5.0
    while any(alive(pid) for pid in nodes.values()):
        assert time.monotonic() < deadline, "nodes were left behind"
        time.sleep(0.05)


def test_an_interrupted_demo_keeps_its_recording_and_draws_no_report(cell, tmp_path):
    command = [sys.executable, "-m", "ses_gcn_ros.cli", "demo", "-o", str(tmp_path)]
    # The demo would refuse the tester's domain, which is in use, and chooses its own.
    environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    cell.processes["demo"] = process
    cell.wait_for(lambda: list(tmp_path.glob("bag*")), "the recording to begin")
    nodes = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert not any(alive(pid) for pid in nodes.values())
    assert not (tmp_path / "report.html").exists()


def test_all_nodes_run_in_one_process_too(cell):
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    process = subprocess.Popen([*COMMAND, "--single-process"], stderr=subprocess.PIPE)
    cell.processes["up"] = process
    cell.wait_for(lambda: len(states) > 5, "safety states")
    assert len(children_of(process.pid)) == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--bag", "/nowhere"], "error: bag '/nowhere' does not exist; give the path of a bag"),
        (["--params-file", "/nowhere.yaml"], "error: params_file '/nowhere.yaml' does not exist"),
        (["--rate", "0"], "bag_player exited 1"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_1(ros_domain, options, sentence):
    run = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=240)
    assert run.returncode == 1
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
