"""A bag through the real nodes and through their core: the same answers."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from ses_gcn_ros.commands.through_nodes import evaluate_through_nodes
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.evaluation.bag_messages import read_skeletons, write_skeletons
from ses_gcn_ros.evaluation.bags import BagWriter
from ses_gcn_ros.evaluation.offline.options import Options
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import SafetyConfig


@pytest.fixture
def visit(tmp_path):
    """Four seconds of the sample's person."""
    path = tmp_path / "visit"
    with BagWriter(path) as bag:
        seen = list(read_skeletons(share_path("config", "demo", "visitor")))[60:160]
        write_skeletons(bag, "/cell/skeletons", seen)
    return path


def test_nodes_and_core_agree_on_the_sample(ros_domain, visit, tmp_path, monkeypatch):
    monkeypatch.delenv("ROS_DOMAIN_ID")  # the run takes a domain of its own
    options = Options(
        demo_robot=True,
        safety=SafetyConfig(robot_description="demo", robot_speed_max=0.6, deceleration=1.8),
    )
    console = Console(file=io.StringIO())
    summary = evaluate_through_nodes(visit, tmp_path / "out", options, 1.0, "", console)
    found = summary["agreement"]
    assert found["forecasts"] > 40
    assert found["states"] > 20
    assert found["forecast_m"] < 1e-4
    assert found["radius_m"] < 1e-4
    assert found["separation_m"] < 1e-4
    assert found["protective_m"] < 1e-4
    assert summary["source"] == "recorded"
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary


def test_nodes_need_a_robot(visit, tmp_path):
    console = Console(file=io.StringIO())
    with pytest.raises(ConfigError, match="--demo-robot"):
        evaluate_through_nodes(visit, tmp_path / "out", Options(), 1.0, "", console)
