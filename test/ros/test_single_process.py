"""Forecaster and safety node in one process: forecasts pass between them without messages."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from stream import PersonStream

from ses_gcn_ros.bringup import NodePlan, ros_arguments, targeted_parameters
from ses_gcn_ros.msg import ForecastArray, SafetyState
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.composition import ForecastSource, compose
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


def names_of_listeners(cell, topic: str) -> set[str]:
    return {info.node_name for info in cell.node.get_subscriptions_info_by_topic(topic)}


def test_decisions_rest_on_forecasts_that_were_never_sent(cell, person):
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    cell.wait_for(
        lambda: any(np.isfinite(s.forecast_age) and s.level != SafetyState.STOP for s in states),
        "a state that rests on forecasts",
        timeout=60,
    )
    assert names_of_listeners(cell, "/skeletons") == {"forecaster_node", "safety_node"}
    assert names_of_listeners(cell, "/forecasts") == set()


def test_whoever_listens_still_hears_the_forecasts(cell, person):
    forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
    cell.wait_for(
        lambda: any(f.coverage > 0 for m in forecasts for f in m.forecasts),
        "forecasts by the network",
        timeout=60,
    )


def node(topic: str) -> SimpleNamespace:
    return SimpleNamespace(
        resolve_topic_name=lambda _: topic, source=ForecastSource(), forecast_source=None
    )


def test_nodes_of_different_cells_are_not_connected():
    nodes = {"forecaster_node": node("/a/forecasts"), "safety_node": node("/b/forecasts")}
    compose(nodes)
    assert nodes["safety_node"].forecast_source is None
    nodes["safety_node"] = node("/a/forecasts")
    compose(nodes)
    assert nodes["safety_node"].forecast_source is nodes["forecaster_node"].source


def test_a_safety_node_alone_listens_to_messages():
    nodes = {"safety_node": node("/forecasts")}
    compose(nodes)
    assert nodes["safety_node"].forecast_source is None


def test_a_source_that_nobody_is_connected_to_hands_nothing_over():
    source, heard = ForecastSource(), []
    source.hand_over("world", 1.0, [])
    source.connect(lambda handed, info: heard.append((handed.frame_id, handed.stamp)))
    assert source.connected
    source.hand_over("world", 2.0, [])
    source.connect(None)
    source.hand_over("world", 3.0, [])
    assert heard == [("world", 2.0)]
