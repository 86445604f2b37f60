"""``ses-gcn up``, ``demo`` and ``params``: the nodes of a cell, and what they are told."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ses_gcn_ros.bringup import (
    PlayerConfig,
    ProcessGroup,
    RecorderConfig,
    TesterConfig,
    demo_environment,
    fresh_recording,
    plan_demo,
    plan_workcell,
)
from ses_gcn_ros.commands import terminal
from ses_gcn_ros.config import allowed, describe
from ses_gcn_ros.errors import ConfigError

ParamsFile = Annotated[
    str, typer.Option("--params-file", help="YAML with node parameters; config/workcell.yaml.")
]
LogLevel = Annotated[str, typer.Option(help="debug, info, warn, error or fatal.")]


def up(
    bag: Annotated[str, typer.Option(help="Take skeletons from this bag ('sample': ours).")] = "",
    video: Annotated[str, typer.Option(help="Take images from this video file.")] = "",
    cameras: Annotated[
        str, typer.Option(help="Fuse what several cameras see: their namespaces, as left,right.")
    ] = "",
    calibration: Annotated[
        str, typer.Option(help="File of 'ses-gcn calibrate' for these cameras; TF if left out.")
    ] = "",
    rate: Annotated[float, typer.Option(help="Recorded seconds per second, for a bag.")] = 1.0,
    demo_robot: Annotated[bool, typer.Option(help="Simulate the demo cell's robot.")] = False,
    driver: Annotated[
        str, typer.Option(help="Carry the speed factor to this robot driver, such as ur or jtc.")
    ] = "",
    record: Annotated[str, typer.Option(help="Record what the nodes publish to this bag.")] = "",
    namespace: Annotated[str, typer.Option(help="Namespace of the cell.")] = "",
    actions: terminal.Actions = False,
    use_sim_time: Annotated[bool, typer.Option(help="Follow /clock; a bag implies it.")] = False,
    params_file: ParamsFile = "",
    log_level: LogLevel = "info",
    single_process: Annotated[
        bool, typer.Option("--single-process", help="All nodes in one process.")
    ] = False,
) -> None:
    """Bring up a workcell: pose estimation, forecaster, safety node. Ctrl-C ends all of it.

    Example: ses-gcn up --params-file my_cell.yaml --namespace cell_1
    """
    plans = plan_workcell(
        bag=bag,
        video=video,
        cameras=cameras,
        calibration=calibration,
        rate=rate,
        demo_robot=demo_robot,
        driver=driver,
        record=record,
        use_sim_time=use_sim_time,
        actions=actions,
    )
    together = [plans] if single_process else [[plan] for plan in plans]
    with ProcessGroup(terminal.err()) as group:
        for each in together:
            group.start(*each, namespace=namespace, params_file=params_file, log_level=log_level)
        code = group.wait()
    raise typer.Exit(code)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo_out"
    ),
    rate: Annotated[float, typer.Option(help="Recorded seconds per second.")] = 1.0,
    video: Annotated[str, typer.Option(help="Feed this video through the pose node.")] = "",
    driver: Annotated[
        str, typer.Option(help="Let the robot obey a simulated driver, such as ur, by a bridge.")
    ] = "",
    actions: terminal.Actions = False,
    params_file: ParamsFile = "",
    log_level: LogLevel = "warn",
    as_json: terminal.SummaryAsJson = False,
) -> None:
    """Play the sample recording through the whole cell and report what happened.

    Example: ses-gcn demo --rate 2 -o demo_out
    """
    from ses_gcn_ros.replay.evaluate import write_report
    from ses_gcn_ros.replay.summary import summary_table

    console = terminal.err()
    bag = fresh_recording(out)
    plans = plan_demo(bag, video=video, rate=rate, actions=actions, driver=driver)
    environment = demo_environment()
    started = time.monotonic()
    with ProcessGroup(console) as group:
        for plan in plans:
            group.start(plan, environment=environment, params_file=params_file, log_level=log_level)
        with console.status(
            f"{len(plans)} processes; Ctrl-C ends them; see them in another terminal with "
            f"ROS_DOMAIN_ID={environment['ROS_DOMAIN_ID']} ses-gcn watch"
        ):
            code = group.wait()
    if group.interrupted:
        console.print(f"interrupted; what was recorded lies in {bag}")
        raise typer.Exit(130)
    if code:
        raise typer.Exit(code)
    console.print(f"played in {time.monotonic() - started:.1f} s; drawing the report")
    summary = write_report(bag, out)
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        terminal.out().print(summary_table(summary))
        console.print(f"report: {out / 'report.html'}")


def configs() -> dict[str, type[Any]]:
    """Configuration of each node, by the node's name."""
    # Here, because the command line is to answer before all of the package is imported.
    from ses_gcn_ros.actions.recogniser import ActionConfig
    from ses_gcn_ros.drivers import BridgeConfig
    from ses_gcn_ros.forecast.config import ForecastConfig
    from ses_gcn_ros.pose.config import FusionConfig, PoseConfig
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
        "stop_tester": TesterConfig,
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
        print("\n".join(map(_section, chosen, chosen.values())), end="")
    elif as_json:
        print(json.dumps({name: describe(kind) for name, kind in chosen.items()}, indent=2))
    elif as_markdown:
        print("\n".join(markdown(kind) for kind in chosen.values()), end="")
    else:
        for name, kind in chosen.items():
            rows = [
                (row["name"], json.dumps(row["default"]), allowed(row), row["description"])
                for row in describe(kind)
            ]
            headings = ("parameter", "default", "allowed", "what")
            terminal.show(headings, rows, name, as_csv=as_csv)


def markdown(kind: type[Any]) -> str:
    """Table of a configuration's options for a document."""
    lines = ["| parameter | default | allowed | what |", "| --- | --- | --- | --- |"]
    for row in describe(kind):
        default = json.dumps(row["default"])
        lines.append(f"| `{row['name']}` | {default} | {allowed(row)} | {row['description']} |")
    return "\n".join(lines) + "\n"


def _section(node: str, kind: type[Any]) -> str:
    """Part of a parameter file; lists without items, whose type YAML can't say, as comments."""
    values = {row["name"]: row["default"] for row in describe(kind)}
    given = {name: value for name, value in values.items() if value != []}
    text = yaml.safe_dump({f"/**/{node}": {"ros__parameters": given}}, sort_keys=False)
    return text + "".join(f"    # {name}: []\n" for name in values if name not in given)
