"""Play a bag into the real nodes over DDS, record what they say, and judge that."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console

from ses_gcn_ros.bags.reading import open_bag
from ses_gcn_ros.bringup import DEMO_ROBOT, NodePlan
from ses_gcn_ros.errors import ConfigError, SesGcnError
from ses_gcn_ros.processes import ProcessGroup, demo_environment
from ses_gcn_ros.replay.evaluate import evaluate, make_plan
from ses_gcn_ros.replay.options import Naming, Options
from ses_gcn_ros.replay.summary import write_csv, write_json
from ses_gcn_ros.replay.through_nodes import agreement, write_normal_form
from ses_gcn_ros.resources import plain


def evaluate_through_nodes(
    bag: Path, out: Path, options: Options, rate: float, params_file: str, console: Console
) -> dict[str, Any]:
    """Play a bag into forecaster and safety node, record them, and judge what was recorded.

    Raises ConfigError if nothing says what the robot looks like, or a node ends early.

    Parameters
    ----------
    out : Path
        Folder for the results; ``bag`` in it is the recording.
    rate : float
        Recorded seconds per second.
    params_file : str
        Parameters of the nodes; empty for those that ship.

    Returns
    -------
    dict
        As `evaluate` gives it, with ``agreement``: how far nodes and core are apart.
    """
    with open_bag(bag) as opened:
        plan = make_plan(opened, options)
    if plan.robots is None:
        raise ConfigError(plan.problems[0])
    out.mkdir(parents=True, exist_ok=True)
    description = "" if options.demo_robot else plan.safety.robot_description
    normal, recording = out / "played", out / "bag"
    topics = write_normal_form(bag, normal, options, description)
    described: dict[str, Any] = {"robot_description": plan.safety.robot_description}
    if options.demo_robot:
        described = dict(DEMO_ROBOT)
    elif description.lstrip().startswith("<"):  # a command line is no place for a whole robot
        urdf = out / "robot.urdf"
        urdf.write_text(description, "utf-8")
        described = {"robot_description": str(urdf)}
    nodes = _nodes(normal, recording, topics, options.demo_robot, rate, described)
    _play(nodes, params_file, console)
    after = dataclasses.replace(  # the recording has our names
        options, recorded=True, demo_robot=False, safety=plan.safety, naming=Naming()
    )
    summary = evaluate(recording, out, after)
    found = agreement(recording, after, plan.robots)
    summary["agreement"] = plain(dataclasses.asdict(found), digits=6)
    write_csv(out / "metrics.csv", summary)
    write_json(out / "summary.json", summary)
    return summary


def _nodes(
    bag: Path, record: Path, topics: list[str], demo_robot: bool, rate: float, robot: dict[str, Any]
) -> list[NodePlan]:
    if record.exists():
        raise ConfigError(f"'{record}' exists; choose another folder with -o, or remove it first")
    clock: dict[str, Any] = {"use_sim_time": True}
    # forecaster, safety node and recorder must hear the first message
    player: dict[str, Any] = {"bag": str(bag), "topics": topics, "rate": rate, "subscribers": 3}
    if not robot.get("robot_description"):
        robot = {}  # the parameter file names the robot's frames
    simulated = [NodePlan("demo_robot", clock)] if demo_robot else []
    return [
        NodePlan("bag_recorder", {"bag": str(record), **clock}),
        *simulated,
        NodePlan("forecaster_node", {"adaptive_state": "none", **clock}),
        # by the recording's clock alone, as the core that its answers are held against
        NodePlan("safety_node", {**robot, **clock, "replay": True}),
        NodePlan("bag_player", player, ends_run=True),
    ]


def _play(nodes: list[NodePlan], params_file: str, console: Console) -> None:
    environment = demo_environment()
    with ProcessGroup(console) as group:
        for node in nodes:
            group.start(node, environment=environment, params_file=params_file, log_level="warn")
        with console.status(f"playing to the nodes on ROS domain {environment['ROS_DOMAIN_ID']}"):
            code = group.wait()
    if group.interrupted:
        raise SesGcnError("interrupted; nothing was judged")
    if code:
        raise ConfigError("a node ended early; what it said is above")
