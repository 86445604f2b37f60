"""A bag through the real nodes and through their core: the same answers."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections import Counter

import pytest
from rich.console import Console

from ses_gcn_ros.bags.rosbag2 import (
    BagWriter,
    open_bag,
    read_current,
    read_skeletons,
    write_skeletons,
)
from ses_gcn_ros.commands.recordings import evaluate_through_nodes
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.replay.evaluate import make_plan
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.through_nodes import Agreement, agreement
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

    recording, holed = tmp_path / "out" / "bag", tmp_path / "holed"
    left_out = _make_holes(recording, holed)
    assert left_out["/tf"] > 0
    assert left_out["/safety_state"] > 0
    still = _agreement(holed, options)
    assert 20 < still.states < found["states"]
    assert still.separation_m < 1e-4
    assert still.protective_m < 1e-4  # although the robot's motion was not seen from its beginning


def _make_holes(recording, holed) -> Counter[str]:
    """A copy whose recorder heard the robot 0.25 s after the rest, and no states for 0.3 s.

    The recorder may have heard one topic late by itself: what it heard all of begins with the last.
    Gives the number of messages of each topic that are left out.
    """
    messages = list(read_current(recording))
    topics = ("/skeletons", "/tf", "/safety_state")
    seen = max(next(m.stamp for m in messages if m.topic == topic) for topic in topics)
    holes = {"/tf": (-math.inf, 0.25), "/safety_state": (1.0, 1.3)}
    left_out: Counter[str] = Counter()
    with BagWriter(holed) as bag:
        for topic, type_name, stamp, data in messages:
            begin, end = holes.get(topic, (0.0, 0.0))
            if begin <= (stamp - seen) * 1e-9 < end:
                left_out[topic] += 1
            else:
                bag.write(topic, type_name, stamp, data)
    return left_out


def _agreement(recording, options) -> Agreement:
    options = dataclasses.replace(options, recorded=True, demo_robot=False)
    with open_bag(recording) as opened:
        plan = make_plan(opened, options)
    return agreement(recording, dataclasses.replace(options, safety=plan.safety), plan.robots)


def test_nodes_need_a_robot(visit, tmp_path):
    console = Console(file=io.StringIO())
    with pytest.raises(ConfigError, match="--demo-robot"):
        evaluate_through_nodes(visit, tmp_path / "out", Options(), 1.0, "", console)
