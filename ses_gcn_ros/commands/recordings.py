"""Recordings: ``evaluate``, ``compare``, ``report``, ``render``, ``sample`` and ``convert``."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer import Argument, Option

from ses_gcn_ros.bringup import (
    DEMO_ROBOT,
    NodePlan,
    ProcessGroup,
    demo_environment,
    plan_workcell,
    with_robot,
)
from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import BagError, ConfigError, SesGcnError
from ses_gcn_ros.resources import check_fresh, check_writable, plain

if TYPE_CHECKING:
    from ses_gcn_ros.replay.options import Options
    from ses_gcn_ros.safety import SafetyConfig


WORSE = 3  # exit code of compare; 1 is a summary that can't be read, 2 a wrong option


def evaluate(
    bags: Annotated[list[str], Argument(help="Bags: folders, mcap or db3 files, globs.")],
    out: Annotated[Path, Option("--out", "-o", help="Folder for the results.")] = Path(
        "evaluation"
    ),
    robot: terminal.Robot = "",
    demo_robot: terminal.DemoRobot = False,
    recorded: Annotated[
        bool, Option("--recorded", help="Judge the recorded forecasts and states.")
    ] = False,
    through_nodes: Annotated[
        bool, Option("--through-nodes", help="Play into the real nodes and judge those.")
    ] = False,
    rate: Annotated[float, Option(help="Recorded seconds per second, for nodes.")] = 1.0,
    params_file: Annotated[
        str, Option("--params-file", help="YAML with parameters of the nodes.")
    ] = "",
    remap: Annotated[
        list[str] | None, Option(help="Topic, ours:=theirs: image:=/cam/image_raw.")
    ] = None,
    frame: Annotated[list[str] | None, Option(help="Frame, theirs:=ours: map:=world.")] = None,
    layout: Annotated[str, Option(help="Joint layout of a PoseArray.")] = "",
    pose_model: Annotated[
        str, Option(help="For bags of images: lite, full, heavy, or a .task file.")
    ] = "",
    threshold: Annotated[
        float, Option(help="Distance that counts as a collision [m].", min=0.0)
    ] = 0.13,
    replay_data: Annotated[
        bool,
        Option(
            "--replay-data/--no-replay-data",
            "--film/--no-film",
            help="Write what reports are drawn from.",
        ),
    ] = True,
    jobs: Annotated[
        int, Option("--jobs", "-j", help="Bags at a time on this machine; -1: all cores.")
    ] = 1,
    cluster: Annotated[str, Option(help="Address of a Dask scheduler.")] = "",
    as_json: terminal.SummaryAsJson = False,
    as_csv: Annotated[bool, Option("--csv", help="Print its numbers as CSV.")] = False,
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

    found_by = {"model": pose_model} if pose_model else {}
    topics, frames = (
        terminal.pairs(option, given or (), "NAME:=OTHER", ":=")
        for option, given in (("--remap", remap), ("--frame", frame))
    )
    options = Options(
        forecaster=node_parameters(params_file, "forecaster_node", ForecastConfig),
        safety=_safety(params_file, robot, demo_robot),
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
    before: Annotated[Path, Argument(help="summary.json of the run to compare with.")],
    after: Annotated[Path, Argument(help="summary.json of the other run.")],
    tolerance: Annotated[
        float, Option(help="Share by which a number may get worse.", min=0.0)
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

    `out`: folder for the results; ``bag`` in it is the recording.
    `rate`: recorded seconds per second.
    `params_file`: parameters of the nodes; empty for those that ship.
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
    robot = "" if options.demo_robot else plan.safety.robot_description
    normal, recording = out / "played", out / "bag"
    topics = write_normal_form(bag, normal, options, robot)
    if robot.lstrip().startswith("<"):  # a command line is no place for a whole robot
        urdf = out / "robot.urdf"
        urdf.write_text(robot, "utf-8")
        robot = str(urdf)
    if recording.exists():
        raise ConfigError(
            f"'{recording}' exists; choose another folder with -o, or remove it first"
        )
    nodes = plan_workcell(
        bag=str(normal), rate=rate, record=str(recording), demo_robot=options.demo_robot
    )
    *nodes, player = with_robot(nodes, robot)  # the player of all that was written comes last
    player = dataclasses.replace(player, parameters={**player.parameters, "topics": topics})
    _play([*nodes, player], params_file, console)
    after = dataclasses.replace(  # the recording has our names
        options, recorded=True, demo_robot=False, safety=plan.safety, naming=Naming()
    )
    summary = evaluate_bag(recording, out, after)
    found = agreement(recording, after, plan.robots)
    summary["agreement"] = plain(dataclasses.asdict(found), digits=6)
    write_numbers(out, summary)
    return summary


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


def sample(
    motion: Annotated[Path, Argument(help="cmu.npz, with cmu.json beside it.")],
    out: Annotated[Path, Option("--out", "-o", help="Bag to write.")] = Path("visitor"),
    minutes: Annotated[
        float, Option(help="Write a synthetic recording of this length instead.", min=0.0)
    ] = 0.0,
    people: Annotated[int, Option(help="People of a synthetic recording at a time.", min=1)] = 4,
    seed: Annotated[int, Option(help="Of who comes when in it.", min=0)] = 0,
    overwrite: terminal.Overwrite = False,
) -> None:
    """Write the sample recording, or a synthetic one of any length, from the CMU motion data.

    Example: ses-gcn sample cmu.npz --minutes 60 --people 4 -o shift
    """
    check_fresh(out, overwrite)
    if minutes:
        from ses_gcn_ros.studies.simulated_cells import SyntheticRecording, write_recording

        write_recording(
            motion, out, SyntheticRecording(minutes, people, seed=seed), overwrite=overwrite
        )
        terminal.err().print(f"wrote {out}")
        return
    from ses_gcn_ros.replay.convert import write_sample

    facts = write_sample(motion, out, overwrite=overwrite)
    console = terminal.err()
    for key, value in facts.items():
        console.print(f"{key}: {value}")
    console.print(f"wrote {out}")


def report(
    bag: Annotated[Path, Argument(help="Recording of a run: folder, mcap or db3.")],
    out: Annotated[Path, Option("--out", "-o", help="Folder for the report.")] = Path("report"),
    robot: terminal.Robot = "",
    as_json: terminal.SummaryAsJson = False,
) -> None:
    """Read a recorded run: table, summary.json, pictures and report.html.

    Example: ses-gcn report demo_out/bag -o demo_out
    """
    from ses_gcn_ros.replay.evaluate import write_report
    from ses_gcn_ros.replay.summary import summary_table

    summary = write_report(bag, out, robot=robot)
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        terminal.out().print(summary_table(summary))
        terminal.err().print(f"report: {out / 'report.html'}")


def convert(
    kind: Annotated[str, Argument(help="chico, h36m or npz (recordings of this project).")],
    source: Annotated[Path, Argument(help="Folder of the data set, or the npz file.")],
    out: Annotated[
        Path,
        Option(
            "--out",
            "-o",
            help="NAME.mcap: one bag of everything. Else a folder, with one bag a take; those that "
            "are there already are kept, so an interrupted conversion is resumed.",
        ),
    ],
    only: Annotated[str, Option(help="Takes wanted, such as 'S0[02]/*_CRASH'.")] = "*",
    overwrite: terminal.Overwrite = False,
) -> None:
    """Turn recorded motion into bags: people as skeletons, CHICO's robot as TF frames r0 … r8.

    Example: ses-gcn convert chico poses -o chico.mcap --only 'S02/*'
    """
    from ses_gcn_ros.replay.convert import convert_each, read_takes, write_takes

    if out.suffix == ".mcap":
        check_fresh(out, overwrite)
    takes = [take for take in read_takes(kind, source) if fnmatch.fnmatch(take.name, only)]
    if not takes:
        raise ConfigError(f"no take of '{source}' is named like '{only}'")
    with terminal.progress() as bar:
        with_bar = bar.track(takes, description="writing")
        if out.suffix == ".mcap":
            length = write_takes(kind, with_bar, out, overwrite=overwrite)
            told = f"{len(takes)} takes, {length / 60:.1f} min, to {out}"
        else:
            count = convert_each(kind, with_bar, out, overwrite=overwrite)
            kept = f"; {len(takes) - count} were there already" if count < len(takes) else ""
            told = f"{count} bags to {out}{kept}"
    terminal.err().print(f"wrote {told}")


def render(
    bag: Annotated[Path, Argument(help="Bag, or the folder of an evaluation or report.")],
    out: Annotated[Path, Option("--out", "-o", help="File to write: mp4, gif or png.")],
    first: Annotated[
        float | None,
        Option("--from", help="Begin [s]; a png shows it, by default the worst moment."),
    ] = None,
    last: Annotated[float | None, Option("--to", help="End [s]; by default the run's.")] = None,
    fps: Annotated[float, Option(help="Pictures per second.", min=1, max=60)] = 25.0,
    speed: Annotated[float, Option(help="Recorded seconds per second.", min=0.05, max=100)] = 1.0,
    width: Annotated[int, Option(help="Width [px].", min=320, max=3840)] = 1280,
    dark: Annotated[bool, Option("--dark", help="Light on dark.")] = False,
    robot: terminal.Robot = "",
    demo_robot: terminal.DemoRobot = False,
    overwrite: terminal.Overwrite = False,
) -> None:
    """Draw people, forecasts, robot and states of a run, as RViz would.

    What a bag lacks of forecasts and states is computed first.

    Example: ses-gcn render visitor --demo-robot -o visitor.gif --fps 12 --width 800
    """
    from ses_gcn_ros.replay.recording import DESCRIPTION, open_replay
    from ses_gcn_ros.replay.scene import Cut, check_format
    from ses_gcn_ros.replay.scene import render as render_replay

    check_format(out)
    check_writable(out, overwrite=overwrite, read=[bag])
    console = terminal.err()
    with tempfile.TemporaryDirectory() as scratch:
        folder = next((f for f in (bag, bag / "replay") if (f / DESCRIPTION).exists()), None)
        if folder is None:
            with console.status(f"replaying {bag}"):
                _replay(bag, Path(scratch), robot, demo_robot)
            folder = Path(scratch) / "replay"
        replay = open_replay(folder)
        start = (_worst(replay) if out.suffix == ".png" else 0.0) if first is None else first
        cut = Cut(
            first=start,
            last=max(start, replay.about.duration if last is None else last),
            fps=fps,
            speed=speed,
            width=width,
            theme="dark" if dark else "light",
        )
        with terminal.progress() as bar:
            task = bar.add_task("drawing", total=None)
            count = render_replay(
                replay, out, cut, lambda done, of: bar.update(task, completed=done, total=of)
            )
    console.print(f"wrote {out}: {count} {'picture' if count == 1 else 'pictures'}")


def _replay(bag: Path, folder: Path, robot: str, demo_robot: bool) -> None:
    """Replay a bag into a folder: what was recorded, or computed where nothing was."""
    from ses_gcn_ros.bags.rosbag2 import topics_of
    from ses_gcn_ros.replay.evaluate import evaluate
    from ses_gcn_ros.replay.options import Options

    recorded = any(topic.endswith("safety_state") for topic in topics_of(bag)) and not demo_robot
    safety = _safety("", robot, demo_robot)
    evaluate(bag, folder, Options(safety=safety, demo_robot=demo_robot, recorded=recorded))


def _safety(params_file: str, robot: str, demo_robot: bool) -> SafetyConfig:
    """Parameters of the safety node with the robot that the options name."""
    from ses_gcn_ros.replay.options import node_parameters
    from ses_gcn_ros.safety import SafetyConfig

    told: dict[str, Any] = dict(DEMO_ROBOT) if demo_robot else {}
    if robot:
        told["robot_description"] = robot
    return node_parameters(params_file, "safety_node", SafetyConfig, **told)


def _worst(replay: Any) -> float:
    """Time of the least separation [s]; where none is known, one at which somebody is seen."""
    import numpy as np

    states = replay.states
    inside = np.flatnonzero((states.time >= 0) & np.isfinite(states.separation))
    if not len(inside):
        seen = np.flatnonzero(np.diff(replay.rows))
        return float(replay.time[seen[len(seen) // 2]]) if len(seen) else 0.0
    least = inside[np.argmin(np.asarray(states.separation)[inside])]
    return min(float(states.time[least]), float(replay.about.duration))
