"""``ses-gcn evaluate`` and ``ses-gcn compare``: replay bags, judge them, hold runs together."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ses_gcn_ros.bringup import DEMO_ROBOT, NodePlan, ProcessGroup, demo_environment
from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import BagError, ConfigError, SesGcnError
from ses_gcn_ros.resources import plain

if TYPE_CHECKING:
    from ses_gcn_ros.replay.options import Options

WORSE = 3  # exit code of compare; 1 is a summary that can't be read, 2 a wrong option


def evaluate(
    bags: Annotated[list[str], typer.Argument(help="Bags: folders, mcap or db3 files, globs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "evaluation"
    ),
    robot: terminal.Robot = "",
    demo_robot: terminal.DemoRobot = False,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Judge the recorded forecasts and states.")
    ] = False,
    through_nodes: Annotated[
        bool, typer.Option("--through-nodes", help="Play into the real nodes and judge those.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Recorded seconds per second, for nodes.")] = 1.0,
    params_file: Annotated[
        str, typer.Option("--params-file", help="YAML with parameters of the nodes.")
    ] = "",
    remap: Annotated[
        list[str] | None,
        typer.Option(help="Topic, ours:=theirs: image:=/cam/image_raw."),
    ] = None,
    frame: Annotated[
        list[str] | None, typer.Option(help="Frame, theirs:=ours: map:=world.")
    ] = None,
    layout: Annotated[str, typer.Option(help="Joint layout of a PoseArray.")] = "",
    pose_model: Annotated[
        str, typer.Option(help="For bags of images: lite, full, heavy, or a .task file.")
    ] = "",
    threshold: Annotated[
        float, typer.Option(help="Distance that counts as a collision [m].", min=0.0)
    ] = 0.13,
    replay_data: Annotated[
        bool,
        typer.Option(
            "--replay-data/--no-replay-data",
            "--film/--no-film",
            help="Write what reports are drawn from.",
        ),
    ] = True,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", help="Bags at a time on this machine; -1: all cores.")
    ] = 1,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler.")] = "",
    as_json: terminal.SummaryAsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print its numbers as CSV.")] = False,
) -> None:
    """Replay bags through the nodes' core, as fast as this machine goes, and judge what came.

    Example: ses-gcn evaluate 'shifts/*' -o results --jobs -1
    """
    from ses_gcn_ros.forecast import ForecastConfig
    from ses_gcn_ros.pose.config import PoseConfig
    from ses_gcn_ros.replay.batch import find_bags
    from ses_gcn_ros.replay.evaluate import UnwrittenError
    from ses_gcn_ros.replay.options import Naming, Options, node_parameters
    from ses_gcn_ros.replay.summary import metrics, summary_table
    from ses_gcn_ros.safety import SafetyConfig

    found_by = {"model": pose_model} if pose_model else {}
    told: dict[str, Any] = dict(DEMO_ROBOT) if demo_robot else {}
    if robot:
        told["robot_description"] = robot
    topics, frames = (
        terminal.pairs(option, given or (), "NAME:=OTHER", ":=")
        for option, given in (("--remap", remap), ("--frame", frame))
    )
    options = Options(
        forecaster=node_parameters(params_file, "forecaster_node", ForecastConfig),
        safety=node_parameters(params_file, "safety_node", SafetyConfig, **told),
        naming=Naming(topics, frames, layout),
        pose=node_parameters(params_file, "pose_node", PoseConfig, **found_by),
        demo_robot=demo_robot,
        recorded=recorded,
        threshold=threshold,
        replay_data=replay_data,
    )
    console = terminal.err()
    found = find_bags(bags)
    unwritten: UnwrittenError | None = None
    try:
        if through_nodes:
            if len(found) > 1:
                raise ConfigError(
                    f"--through-nodes takes one bag at a time; {len(found)} were given"
                )
            summary = evaluate_through_nodes(found[0], out, options, rate, params_file, console)
        elif len(found) > 1 or cluster:
            summary = _many(found, out, options, jobs, cluster, console)
        else:
            summary = _one(found[0], out, options, console)
    except UnwrittenError as error:
        unwritten, summary = error, error.summary
    if as_json:
        print(json.dumps(summary, indent=1, sort_keys=True, ensure_ascii=False))
    elif as_csv:
        terminal.show(*metrics(summary), as_csv=True)
    else:
        terminal.out().print(summary_table(summary))
        for problem in summary["problems"]:
            console.print(terminal.sentence(problem), style="yellow")
    if unwritten is not None:
        raise unwritten
    console.print(f"results: {out}")
    if summary.get("bags") and all(row["error"] for row in summary["bags"]):
        raise BagError(f"none of the {len(found)} bags could be evaluated")


def compare(
    before: Annotated[Path, typer.Argument(help="summary.json of the run to compare with.")],
    after: Annotated[Path, typer.Argument(help="summary.json of the other run.")],
    tolerance: Annotated[
        float, typer.Option(help="Share by which a number may get worse.", min=0.0)
    ] = 0.05,
    as_json: terminal.AsJson = False,
    as_csv: terminal.AsCsv = False,
) -> None:
    """Hold one run against another; exit code 3 if anything got worse beyond the tolerance.

    Example: ses-gcn compare main/summary.json branch/summary.json --tolerance 0.02
    """
    from ses_gcn_ros.replay import summary

    changes = summary.compare(summary.read_summary(before), summary.read_summary(after), tolerance)
    if as_json:
        rows = [
            {**change.__dict__, "worse": change.worse if math.isfinite(change.worse) else None}
            for change in changes
        ]
        print(json.dumps(rows, indent=1))
    else:
        cells = [
            (
                each.name,
                *("–" if v is None else f"{v:.4g}" for v in (each.before, each.after)),
                "–" if each.change is None else f"{each.change:+.1%}",
                each.verdict,
            )
            for each in changes
        ]
        headings = ("number", "before", "after", "change", "verdict")
        terminal.show(headings, cells, as_csv=as_csv)
    if any(change.regressed for change in changes):
        raise typer.Exit(WORSE)


def _one(bag: Path, out: Path, options: Options, console: Console) -> dict[str, Any]:
    from ses_gcn_ros.replay.evaluate import evaluate as evaluate_bag

    with terminal.progress(counted=False) as progress:
        bar = progress.add_task(f"replaying {bag}", total=1.0)
        started, loaded = time.monotonic(), math.nan

        def tell(share: float) -> None:
            nonlocal loaded
            loaded = time.monotonic() if math.isnan(loaded) else loaded
            progress.update(bar, completed=share)

        summary = evaluate_bag(bag, out, options, progress=tell)
        passed = time.monotonic() - loaded
    speed = summary["duration_s"] / passed
    console.print(
        f"replayed in {passed:.2f} s, {speed:.0f} × as fast as it was recorded; "
        f"{loaded - started:.1f} s to load"
    )
    return summary


def _many(
    bags: list[Path], out: Path, options: Options, jobs: int, cluster: str, console: Console
) -> dict[str, Any]:
    from ses_gcn_ros.replay.batch import BatchOutcome, evaluate_all, merge
    from ses_gcn_ros.replay.evaluate import write_numbers

    with terminal.progress() as progress:
        bar = progress.add_task("bags", total=len(bags))

        def done(outcome: BatchOutcome) -> None:
            progress.advance(bar)
            if outcome.error:
                console.print(f"failed: {outcome.error}", style="red")

        outcomes = evaluate_all(bags, out, options, jobs=jobs, cluster=cluster, done=done)
    summary = merge(outcomes)
    write_numbers(out, summary)
    return summary


def evaluate_through_nodes(
    bag: Path, out: Path, options: Options, rate: float, params_file: str, console: Console
) -> dict[str, Any]:
    """Play a bag into forecaster and safety node, record them, and judge what was recorded.

    Gives the summary with ``agreement``: how far nodes and core are apart.
    Raises ConfigError if nothing says what the robot looks like, or a node ends early.

    Parameters
    ----------
    out : Path
        Folder for the results; ``bag`` in it is the recording.
    rate : float
        Recorded seconds per second.
    params_file : str
        Parameters of the nodes; empty for those that ship.
    """
    from ses_gcn_ros.bags.rosbag2 import open_bag
    from ses_gcn_ros.replay.evaluate import evaluate as evaluate_bag
    from ses_gcn_ros.replay.evaluate import make_plan, write_numbers
    from ses_gcn_ros.replay.options import Naming
    from ses_gcn_ros.replay.through_nodes import agreement, write_normal_form

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
    summary = evaluate_bag(recording, out, after)
    found = agreement(recording, after, plan.robots)
    summary["agreement"] = plain(dataclasses.asdict(found), digits=6)
    write_numbers(out, summary)
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
