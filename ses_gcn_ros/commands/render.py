"""``ses-gcn render``: a run as a video, an animation or a picture."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.resources import check_writable


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
    robot: Annotated[
        str, typer.Option(help="URDF of the robot; by default the recorded one.")
    ] = "",
    demo_robot: Annotated[
        bool, typer.Option("--demo-robot", help="Simulate the demo cell's robot, which obeys.")
    ] = False,
    overwrite: terminal.Overwrite = False,
) -> None:
    """Draw people, forecasts, robot and states of a run, as RViz would.

    What a bag lacks of forecasts and states is computed first.

    Example: ses-gcn render visitor --demo-robot -o visitor.gif --fps 12 --width 800
    """
    from ses_gcn_ros.replay.recording import DESCRIPTION, open_replay
    from ses_gcn_ros.replay.render import Cut, check_format
    from ses_gcn_ros.replay.render import render as render_replay

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
    from ses_gcn_ros.bags.reading import topics_of
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
    """Time of the least separation [s]; the beginning where none is known."""
    import numpy as np

    states = replay.states
    inside = np.flatnonzero((states.time >= 0) & np.isfinite(states.separation))
    if not len(inside):
        return 0.0
    least = inside[np.argmin(np.asarray(states.separation)[inside])]
    return min(float(states.time[least]), float(replay.about.duration))
