"""``ses-gcn report``, ``render``, ``sample``, ``convert``: recordings, made and shown."""

from __future__ import annotations

import fnmatch
import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_fresh, check_writable


def sample(
    motion: Annotated[Path, typer.Argument(help="cmu.npz, with cmu.json beside it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Bag to write.")] = Path("visitor"),
    minutes: Annotated[
        float, typer.Option(help="Write a synthetic recording of this length instead.", min=0.0)
    ] = 0.0,
    people: Annotated[
        int, typer.Option(help="People of a synthetic recording at a time.", min=1)
    ] = 4,
    seed: Annotated[int, typer.Option(help="Of who comes when in it.", min=0)] = 0,
    overwrite: terminal.Overwrite = False,
) -> None:
    """Write the sample recording, or a synthetic one of any length, from the CMU motion data.

    Example: ses-gcn sample cmu.npz --minutes 60 --people 4 -o shift
    """
    check_fresh(out, overwrite)
    if minutes:
        from ses_gcn_ros.studies.synthetic_recording import SyntheticRecording, write_recording

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
    bag: Annotated[Path, typer.Argument(help="Recording of a run: folder, mcap or db3.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path(
        "report"
    ),
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
    kind: Annotated[str, typer.Argument(help="chico, h36m or npz (recordings of this project).")],
    source: Annotated[Path, typer.Argument(help="Folder of the data set, or the npz file.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="NAME.mcap: one bag of everything. Else a folder, with one bag a take; those that "
            "are there already are kept, so an interrupted conversion is resumed.",
        ),
    ],
    only: Annotated[str, typer.Option(help="Takes wanted, such as 'S0[02]/*_CRASH'.")] = "*",
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
    bag: Annotated[Path, typer.Argument(help="Bag, or the folder of an evaluation or report.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: mp4, gif or png.")],
    first: Annotated[
        float | None,
        typer.Option("--from", help="Begin [s]; a png shows it, by default the worst moment."),
    ] = None,
    last: Annotated[
        float | None, typer.Option("--to", help="End [s]; by default the run's.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Pictures per second.", min=1, max=60)] = 25.0,
    speed: Annotated[
        float, typer.Option(help="Recorded seconds per second.", min=0.05, max=100)
    ] = 1.0,
    width: Annotated[int, typer.Option(help="Width [px].", min=320, max=3840)] = 1280,
    dark: Annotated[bool, typer.Option("--dark", help="Light on dark.")] = False,
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
    from ses_gcn_ros.bringup import DEMO_ROBOT
    from ses_gcn_ros.replay.evaluate import evaluate
    from ses_gcn_ros.replay.options import Options, node_parameters
    from ses_gcn_ros.safety import SafetyConfig

    told: dict[str, Any] = dict(DEMO_ROBOT) if demo_robot else {}
    if robot:
        told["robot_description"] = robot
    recorded = any(topic.endswith("safety_state") for topic in topics_of(bag)) and not demo_robot
    safety = node_parameters("", "safety_node", SafetyConfig, **told)
    evaluate(bag, folder, Options(safety=safety, demo_robot=demo_robot, recorded=recorded))


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
