"""The RViz configuration shows what the nodes draw, in the frame they draw it in."""

from __future__ import annotations

import pytest
import yaml

from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import RobotModel, SafetyConfig, Urdf


@pytest.fixture(scope="module")
def manager() -> dict:
    return yaml.safe_load(share_path("config", "workcell.rviz").read_text())[
        "Visualization Manager"
    ]


# Plugins of ROS 2 Jazzy to Kilted, and of each the properties that its display reads beside those
# of all displays (rviz_default_plugins/src/rviz_default_plugins/displays).
DISPLAYS = {
    "rviz_default_plugins/Grid": {
        *("Reference Frame", "Plane", "Cell Size", "Plane Cell Count", "Normal Cell Count"),
        *("Line Style", "Offset", "Color", "Alpha"),
    },
    "rviz_default_plugins/RobotModel": {
        *("Visual Enabled", "Collision Enabled", "Alpha", "Description File", "Links"),
        *(
            "Description Source",
            "Description Topic",
            "TF Prefix",
            "Update Interval",
            "Mass Properties",
        ),
    },
    "rviz_default_plugins/TF": {
        *("Show Arrows", "Show Axes", "Show Names", "Marker Scale", "Frame Timeout", "Frames"),
        *("Update Interval", "Filter (blacklist)", "Filter (whitelist)", "Tree"),
    },
    "rviz_default_plugins/MarkerArray": {"Namespaces", "Topic"},
}
QOS = {"Value", "Depth", "Durability Policy", "History Policy", "Reliability Policy", "Filter size"}
TOOLS = {"MoveCamera", "Select", "FocusCamera", "Measure", "Interact", "SetGoal", "PublishPoint"}
VIEWS = {"Orbit", "TopDownOrtho", "XYOrbit", "FPS", "ThirdPersonFollower"}
PANELS = {"rviz_common/Displays", "rviz_common/Views", "rviz_common/Selection"}


def test_every_plugin_and_property_is_one_that_rviz_knows(manager):
    for display in manager["Displays"]:
        properties = DISPLAYS[display["Class"]]
        assert display.keys() - {"Class", "Name", "Enabled", "Value"} <= properties
        for name in display.keys() & {"Topic", "Description Topic"}:
            assert display[name].keys() <= QOS
    assert {t["Class"].removeprefix("rviz_default_plugins/") for t in manager["Tools"]} <= TOOLS
    views = [manager["Views"]["Current"], *manager["Views"]["Saved"]]
    assert {view["Class"].removeprefix("rviz_default_plugins/") for view in views} <= VIEWS


def test_the_view_of_the_cell_is_not_crowded_out():
    content = yaml.safe_load(share_path("config", "workcell.rviz").read_text())
    panels = {panel["Class"] for panel in content["Panels"]}
    assert panels <= PANELS  # none for the time
    assert content["Window Geometry"]["Hide Right Dock"]


def test_axes_stick_out_of_the_links_that_they_are_in(manager):
    (tf,) = (d for d in manager["Displays"] if d["Class"] == "rviz_default_plugins/TF")
    thickest = max(RobotModel.from_urdf(Urdf.load("demo")).radius)
    assert 0.2 * tf["Marker Scale"] > thickest  # axes are 0.2 m long at scale 1


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
