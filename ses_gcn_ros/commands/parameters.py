"""``ses-gcn params``: every parameter of every node, with unit, range and default."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

import typer
import yaml

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError


def configs() -> dict[str, type[Any]]:
    """Configuration of each node, by the node's name."""
    # Here, because the command line is to answer before all of the package is imported.
    from ses_gcn_ros.actions.recogniser import ActionConfig
    from ses_gcn_ros.drivers import BridgeConfig
    from ses_gcn_ros.forecast.config import ForecastConfig
    from ses_gcn_ros.pose.config import FusionConfig, PoseConfig
    from ses_gcn_ros.replay.playback import PlayerConfig, RecorderConfig
    from ses_gcn_ros.safety.config import DemoRobotConfig, SafetyConfig

    return {
        "pose_node": PoseConfig,
        "fusion_node": FusionConfig,
        "forecaster_node": ForecastConfig,
        "action_node": ActionConfig,
        "safety_node": SafetyConfig,
        "robot_bridge": BridgeConfig,
        "demo_robot": DemoRobotConfig,
        "bag_player": PlayerConfig,
        "bag_recorder": RecorderConfig,
    }


def params(
    node: Annotated[
        str, typer.Argument(help="Node, such as safety_node; all of them if left out.")
    ] = "",
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print a parameter file.")] = False,
    as_json: terminal.AsJson = False,
    as_csv: terminal.AsCsv = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print tables for a document.")
    ] = False,
) -> None:
    """List the parameters of the nodes, or print a parameter file with their defaults.

    Example: ses-gcn params safety_node --yaml > my_cell.yaml
    """
    known = configs()
    if node and node not in known:
        raise ConfigError(f"there is no node '{node}'; there are {', '.join(known)}")
    chosen = {name: kind for name, kind in known.items() if node in ("", name)}
    if as_yaml:
        print(yaml.safe_dump(_parameter_file(chosen), sort_keys=False), end="")
    elif as_json:
        print(json.dumps({name: _rows(kind) for name, kind in chosen.items()}, indent=2))
    elif as_markdown:
        print("\n".join(markdown(kind) for kind in chosen.values()), end="")
    else:
        for name, kind in chosen.items():
            rows = [
                (row["name"], json.dumps(row["default"]), _allowed(row), row["description"])
                for row in _rows(kind)
            ]
            headings = ("parameter", "default", "allowed", "what")
            terminal.show(headings, rows, name, as_csv=as_csv)


def markdown(kind: type[Any]) -> str:
    """Table of a configuration's options for a document."""
    lines = ["| parameter | default | allowed | what |", "| --- | --- | --- | --- |"]
    for row in _rows(kind):
        default = json.dumps(row["default"])
        lines.append(f"| `{row['name']}` | {default} | {_allowed(row)} | {row['description']} |")
    return "\n".join(lines) + "\n"


def _parameter_file(chosen: dict[str, type[Any]]) -> dict[str, Any]:
    # ROS can't tell the type of an empty list: those parameters stay out.
    return {
        f"/**/{name}": {
            "ros__parameters": {
                row["name"]: row["default"] for row in _rows(kind) if row["default"] != []
            }
        }
        for name, kind in chosen.items()
    }


def _rows(kind: type[Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": field.name,
            "default": list(field.default) if isinstance(field.default, tuple) else field.default,
            **{key: value for key, value in field.metadata.items() if value is not None},
        }
        for field in dataclasses.fields(kind)
    ]


def _allowed(row: dict[str, Any]) -> str:
    if "minimum" in row or "maximum" in row:
        return f"{row.get('minimum', '')} … {row.get('maximum', '')}".strip()
    return ", ".join(row.get("choices", ()))
