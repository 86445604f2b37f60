"""``ses-gcn params`` lists what the nodes declare, and its file is one that they take."""

import json
from dataclasses import fields

import pytest
import yaml
from typer.testing import CliRunner

from ses_gcn_ros.cli import app
from ses_gcn_ros.commands.workcell import configs
from ses_gcn_ros.config import build, tuple_item_type
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety.robot_model import FurtherRobot, Tool
from ses_gcn_ros.safety.zones import Zone


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["params", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("node", configs())
def test_the_printed_file_holds_the_defaults(node):
    sections = yaml.safe_load(run(node, "--yaml"))
    values = sections[f"/**/{node}"]["ros__parameters"]
    assert build(configs()[node], values) == configs()[node]()


def test_lists_without_items_are_in_the_file_as_comments():
    assert "\n    # robot_frames: []\n" in run("safety_node", "--yaml")


def test_every_parameter_is_described():
    listed = json.loads(run("--json"))
    assert set(listed) == set(configs())
    assert all(row["description"] for rows in listed.values() for row in rows)


def test_the_table_names_range_and_default():
    table = run("safety_node")
    assert "human_speed" in table
    assert "1.6" in table


def test_an_unknown_node_is_named_with_those_there_are():
    with pytest.raises(ConfigError, match="there is no node 'camera'; there are pose_node"):
        CliRunner().invoke(app, ["params", "camera"], catch_exceptions=False)


def test_no_silence_is_waited_out_for_longer_than_five_seconds():
    limits = {
        (node, row["name"]): row.get("maximum", float("inf"))
        for node in ("safety_node", "robot_bridge")
        for row in json.loads(run(node, "--json"))[node]
        if row["name"].endswith("age_max")
        or row["name"] in ("heartbeat", "loop_time_max", "input_deadline")
    }
    assert len(limits) == 8
    assert max(limits.values()) <= 5, limits


@pytest.mark.parametrize("config", [*configs().values(), Tool, FurtherRobot, Zone])
def test_every_number_has_a_range_at_both_ends(config):
    for field in fields(config):
        listed = isinstance(field.default, tuple)
        if (tuple_item_type(field) if listed else type(field.default)) not in (int, float):
            continue
        for nonsense in (1e9, -1e9, float("nan"), float("inf")):
            given = (
                int(nonsense) if type(field.default) is int and abs(nonsense) < 1e10 else nonsense
            )
            with pytest.raises(ConfigError, match=field.name):
                build(config, {field.name: [given] if listed else given})


def test_angles_in_degrees_are_refused():
    where = {"target_frame": "world", "camera_pose": [3.0, 0.0, 1.5, 0.0, 0.0, 180.0]}
    with pytest.raises(ConfigError, match=r"'camera_pose' turns by .*180.* radians"):
        build(configs()["pose_node"], where)
    with pytest.raises(ConfigError, match="'rpy' is 90"):
        build(Zone, {"name": "door", "rpy": [0.0, 0.0, 90.0]})
