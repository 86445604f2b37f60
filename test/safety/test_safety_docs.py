"""docs/safety.md and docs/robots.md list every parameter as it is, and examples that work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ses_gcn_ros.commands.workcell import markdown
from ses_gcn_ros.drivers import BridgeConfig
from ses_gcn_ros.safety.config import SafetyConfig, read_entries
from ses_gcn_ros.safety.robot_model import FurtherRobot, Tool
from ses_gcn_ros.safety.zones import Zone, read_zones

ROOT = Path(__file__).parents[2]
TEXT, ROBOTS = (
    (ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("safety.md", "robots.md")
)


@pytest.mark.parametrize("kind", [SafetyConfig, Zone, Tool, FurtherRobot, BridgeConfig])
def test_every_parameter_is_listed_as_it_is(kind):
    """When this fails: `ses-gcn params safety_node --markdown`, or robot_bridge."""
    assert markdown(kind) in (ROBOTS if kind is BridgeConfig else TEXT)


def test_the_examples_are_ones_that_the_node_takes():
    block = TEXT.split("    zones:\n", 1)[1].split("\n\n", 1)[0]
    assert [zone.name for zone in read_zones(re.findall(r'"(.*)"', block), "world")] == [
        "door",
        "pit",
        "cart",
        "shelf",
    ]
    (tool,) = re.findall(r'^    tools: \["(.*)"\]$', TEXT, re.MULTILINE)
    (robot,) = re.findall(r'^    more_robots: \["(.*)"\]  #.*$', TEXT, re.MULTILINE)
    assert read_entries("tools", [tool], Tool)[0].model().names == ("gripper",)
    assert read_entries("more_robots", [robot], FurtherRobot)[0].frame_prefix == "left_"
