"""Forecaster, safety node and robot in one process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from stream import PersonStream

from ses_gcn_ros.bringup import NodePlan, ros_arguments, targeted_parameters
from ses_gcn_ros.msg import ForecastArray, SafetyState
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.resources import share_path

URDF = str(share_path("config", "demo", "cell.urdf"))


@pytest.fixture
def person(cell):
    """Somebody in front of a cell whose nodes share a process."""
    plans = [
        NodePlan("forecaster_node"),
        NodePlan("safety_node", {"robot_description": URDF}),
        NodePlan("demo_robot", {"robot_description": URDF}),
    ]
    arguments = ros_arguments(
        targeted_parameters(plans), params_file="", namespace="", log_level="error"
    )
    command = [sys.executable, "-m", "ses_gcn_ros.nodes", *(p.executable for p in plans)]
    cell.processes["cell"] = subprocess.Popen([*command, *arguments])
    person = PersonStream(cell.node)
    cell.wait_for_listeners(person.publisher, count=2)
    person.start()
    return person


def test_they_talk_as_in_processes_of_their_own(cell, person):
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
    cell.wait_for(
        lambda: any(np.isfinite(s.forecast_age) and s.level != SafetyState.STOP for s in states),
        "a state that rests on forecasts",
        timeout=240,
    )
    cell.wait_for(
        lambda: any(f.coverage > 0 for m in forecasts for f in m.forecasts),
        "forecasts by the network",
        timeout=240,
    )
