"""Every node ends at SIGINT or SIGTERM, whenever it comes, with exit code 0.

SES_GCN_STARTS=100 starts and stops each node a hundred times instead of four.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
from pathlib import Path

import pytest

from ses_gcn_ros.resources import share_path

URDF = str(share_path("config", "demo", "cell.urdf"))
STARTS = int(os.environ.get("SES_GCN_STARTS", "4"))
NODES = {
    "pose_node": {"source": "image"},
    "forecaster_node": {},
    "safety_node": {"robot_description": URDF},
    "demo_robot": {"robot_description": URDF},
    "bag_player": {"subscribers": 1},
}


def end(process: subprocess.Popen, number: signal.Signals) -> None:
    process.send_signal(number)
    process.wait(60)  # a hang, not a slow machine


def began(process: subprocess.Popen) -> bool:
    """Whether its first line has run: from there on it holds signals up until it can end."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked, caught = (
        int(re.search(rf"{mask}:\s+(\w+)", status)[1], 16) for mask in ("SigBlk", "SigCgt")
    )
    return bool((blocked | caught) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.timeout(300 + 60 * STARTS)
@pytest.mark.parametrize("executable", NODES)
def test_a_node_ends_clean_at_random_moments_of_its_start_and_run(cell, executable, shared_data):
    parameters = dict(NODES[executable])
    if executable == "pose_node":
        parameters["model"] = str(shared_data / "media" / "pose_landmarker_lite.task")
    moments = random.Random(executable)
    for turn in range(STARTS):
        number = (signal.SIGINT, signal.SIGTERM)[turn % 2]
        process = cell.start(executable, **parameters)
        # The moment is what is tested: any time from the imports to well into running. Before the
        # interpreter runs our first line, the system ends it.
        cell.wait_for(lambda process=process: began(process), "its first line")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0.0, 3.0))
        end(process, number)
        assert process.returncode == 0, process.stderr.read().decode()


def test_a_node_that_waits_for_its_configuration_ends_clean_too(cell):
    process = cell.start("forecaster_node", autostart=False)
    cell.wait_for(
        lambda: "forecaster_node" in cell.node.get_node_names(), "the unconfigured forecaster"
    )
    end(process, signal.SIGTERM)
    assert process.returncode == 0
