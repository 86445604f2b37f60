"""Which nodes make up a workcell: one plan for ``ses-gcn up``, the demo and the launch files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import share_path

Value = bool | int | float | str | list[str]

# What the demo robot does at full speed, for the node that watches it [m/s, m/s²].
DEMO_ROBOT: Mapping[str, Value] = {
    "robot_description": "demo",
    "robot_speed_max": 0.6,
    "deceleration": 1.8,
}


@dataclass(frozen=True)
class NodePlan:
    """One node to bring up.

    Attributes
    ----------
    executable : str
        Name for ``ros2 run ses_gcn_ros``; also the node's name and its module in ``nodes``.
    parameters : mapping
        Parameters on top of those of the parameter file.
    ends_run : bool
        Whether its regular end ends the whole run, as that of a recording does.
    """

    executable: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    ends_run: bool = False


def plan_workcell(
    *,
    bag: str = "",
    video: str = "",
    rate: float = 1.0,
    demo_robot: bool = False,
    record: str = "",
    use_sim_time: bool = False,
) -> list[NodePlan]:
    """Nodes of a workcell: eyes (camera, video or recording), forecaster, safety, extras.

    Parameters
    ----------
    bag : str
        Bag to take the skeletons from, "sample" for the one that ships; empty for none.
    video : str
        Video file to take the images from; empty for the image topic.
    rate : float
        Recorded seconds per second, for a bag.
    demo_robot : bool
        Whether to simulate the robot.
    record : str
        Bag to write; empty for none.
    use_sim_time : bool
        Whether the nodes follow /clock; a bag always makes them.

    Raises
    ------
    ConfigError
        For a bag and a video at once, or a file that is not there.
    """
    if bag and video:
        raise ConfigError("bag and video are both given; skeletons come from one of them")
    for name, path in (("bag", bag), ("video", video)):
        if path and path != "sample" and not Path(path).exists():
            raise ConfigError(f"{name} '{path}' does not exist; give the path of a {name}")
    plans = []
    if record:
        plans.append(NodePlan("bag_recorder", {"bag": record}))
    robot: Mapping[str, Value] = {}
    if demo_robot:
        robot = DEMO_ROBOT
        plans.append(NodePlan("demo_robot"))
    # What a recording teaches about the radius is nothing for the cell's next start.
    recorded: Mapping[str, Value] = {"adaptive_state": "none"} if bag or video else {}
    plans += [NodePlan("forecaster_node", recorded), NodePlan("safety_node", robot)]
    if bag:
        # The forecaster, the safety node and perhaps the recorder must hear the first message.
        source: dict[str, Value] = {"bag": "" if bag == "sample" else bag, "rate": rate}
        source["subscribers"] = 3 if record else 2
        if demo_robot:
            source["topics"] = ["skeletons"]  # the robot of the recording would be a second one
        plans.append(NodePlan("bag_player", source, ends_run=True))
    elif video:
        source = {"source": "video", "video": video, "exit_at_end": True}
        source["subscribers"] = 3 if record else 2
        plans.append(NodePlan("pose_node", source, ends_run=True))
    else:
        plans.append(NodePlan("pose_node"))
    clock: Mapping[str, Value] = {"use_sim_time": bool(bag) or use_sim_time}
    return [NodePlan(p.executable, {**p.parameters, **_time(p, clock)}, p.ends_run) for p in plans]


def _time(plan: NodePlan, clock: Mapping[str, Value]) -> Mapping[str, Value]:
    # The player makes the clock, it doesn't follow it.
    return {} if plan.executable == "bag_player" else clock


def with_robot(plans: Sequence[NodePlan], urdf: str) -> list[NodePlan]:
    """The plans, with the safety node told which robot to watch; as they are without one."""
    told: Mapping[str, Value] = {"robot_description": urdf} if urdf else {}
    return [
        replace(plan, parameters={**plan.parameters, **told})
        if plan.executable == "safety_node"
        else plan
        for plan in plans
    ]


def plan_demo(record: Path, *, video: str = "", rate: float = 1.0) -> list[NodePlan]:
    """Nodes of the demo: the sample recording or a video, the demo robot, everything recorded."""
    bag = "" if video else "sample"
    return plan_workcell(bag=bag, video=video, rate=rate, demo_robot=True, record=str(record))


def fresh_recording(out: Path) -> Path:
    """Path for the demo's recording in the folder `out`; an earlier one is removed."""
    out.mkdir(parents=True, exist_ok=True)
    bag = out / "bag"
    if bag.exists():
        shutil.rmtree(bag)
    return bag


def targeted_parameters(plans: Sequence[NodePlan]) -> dict[str, Value]:
    """Parameters of several nodes in one process, each name with its node's before it."""
    return {
        f"{plan.executable}:{name}": value
        for plan in plans
        for name, value in plan.parameters.items()
    }


def params_path(params_file: str) -> Path:
    """Path of a parameter file, ``config/workcell.yaml`` for an empty name.

    Raises
    ------
    ConfigError
        If it does not exist.
    """
    path = Path(params_file) if params_file else share_path("config", "workcell.yaml")
    if not path.is_file():
        raise ConfigError(f"params_file '{path}' does not exist; give the path of a YAML file")
    return path


def ros_arguments(
    parameters: Mapping[str, Value], *, params_file: str, namespace: str, log_level: str
) -> list[str]:
    """Command line of a node: parameter file first, so that `parameters` override it.

    Raises
    ------
    ConfigError
        If the parameter file does not exist.
    """
    path = params_path(params_file)
    arguments = ["--ros-args", "--log-level", log_level, "--params-file", str(path)]
    if namespace:
        arguments += ["-r", f"__ns:=/{namespace.strip('/')}"]
    for name, value in parameters.items():
        # JSON is YAML, and keeps '1' a string and 1.0 a float.
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    return arguments
