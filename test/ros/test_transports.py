"""No lock of a dead process holds up a node: it shares memory with nobody, images excepted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ses_gcn_ros.nodes.process import THIS_MACHINE, avoid_shared_memory
from ses_gcn_ros.resources import share_path

URDF = str(share_path("config", "demo", "cell.urdf"))
PROFILE = str(THIS_MACHINE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}),
        (
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"},
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"},
        ),
        (
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
            {
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
                "FASTDDS_DEFAULT_PROFILES_FILE": PROFILE,
            },
        ),
        (
            {"ROS_LOCALHOST_ONLY": "1"},
            {
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
                "FASTDDS_DEFAULT_PROFILES_FILE": PROFILE,
            },
        ),
        (
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DISTRO": "jazzy"},
            {
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
                "ROS_DISTRO": "jazzy",
                "FASTRTPS_DEFAULT_PROFILES_FILE": PROFILE,
            },
        ),
    ],
)
def test_udp_alone_is_asked_for_as_the_discovery_range_needs_it(before, after):
    environment = dict(before)
    avoid_shared_memory(environment)
    assert environment == after


@pytest.mark.parametrize(
    "name",
    [
        "FASTDDS_BUILTIN_TRANSPORTS",
        "FASTDDS_DEFAULT_PROFILES_FILE",
        "FASTRTPS_DEFAULT_PROFILES_FILE",
    ],
)
def test_who_chooses_transports_keeps_them(name):
    chosen = {name: "LARGE_DATA", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    environment = dict(chosen)
    avoid_shared_memory(environment)
    assert environment == chosen


def test_peers_that_are_named_are_not_lost():
    named = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "10.0.0.7"}
    environment = dict(named)
    avoid_shared_memory(environment)
    assert environment == named


@pytest.mark.parametrize(
    ("executable", "parameters", "shares"),
    [
        ("safety_node", {"robot_description": URDF}, False),
        ("forecaster_node", {}, False),
        ("demo_robot", {"robot_description": URDF}, False),
        ("pose_node", {"autostart": False}, True),
    ],
)
def test_only_who_takes_images_shares_memory(cell, executable, parameters, shares):
    process = cell.start(executable, **parameters)
    cell.wait_for(lambda: executable in cell.node.get_node_names(), executable)
    assert ("/dev/shm/fastdds_port" in Path(f"/proc/{process.pid}/maps").read_text()) is shares


def test_the_program_that_ros2_starts_shares_no_memory_either(cell, tmp_path):
    """As CMake makes it from its template."""
    template = (Path(__file__).parents[2] / "resource" / "program.in").read_text()
    program = tmp_path / "demo_robot"
    program.write_text(template.replace("@program@", "demo_robot"))
    arguments = ["--ros-args", "-p", f"robot_description:={URDF}"]
    process = subprocess.Popen([sys.executable, program, *arguments], stderr=subprocess.PIPE)
    cell.processes["demo_robot"] = process
    cell.wait_for(lambda: "demo_robot" in cell.node.get_node_names(), "the demo robot")
    assert "/dev/shm/fastdds_port" not in Path(f"/proc/{process.pid}/maps").read_text()
