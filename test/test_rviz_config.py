"""The RViz configuration shows what the nodes draw, in the frame they draw it in."""

from __future__ import annotations

import pytest
import yaml

from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import SafetyConfig


@pytest.fixture(scope="module")
def manager() -> dict:
    return yaml.safe_load(share_path("config", "workcell.rviz").read_text())[
        "Visualization Manager"
    ]


def test_every_drawing_has_its_display(manager):
    displays = {display["Name"]: display for display in manager["Displays"]}
    topics = {
        display["Topic"]["Value"]
        for display in displays.values()
        if display["Class"] == "rviz_default_plugins/MarkerArray"
    }
    # relative, so that RViz in the namespace of a cell shows that cell
    assert topics == {"markers/skeletons", "markers/forecasts", "markers/safety"}
    assert displays["Robot"]["Description Topic"]["Value"] == "robot_description"
    assert displays["Robot"]["Description Topic"]["Durability Policy"] == "Transient Local"
    assert all(display["Enabled"] and display["Value"] for display in displays.values())


def test_it_looks_at_the_frame_of_the_safety_node(manager):
    assert manager["Global Options"]["Fixed Frame"] == SafetyConfig().world_frame


def test_views_are_saved(manager):
    assert [view["Name"] for view in manager["Views"]["Saved"]] == ["Corner", "Side", "Above"]
