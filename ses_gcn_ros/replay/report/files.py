"""A recorded run as files: numbers, pictures, and one page that holds all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ses_gcn_ros.bags.reading import PathLike
from ses_gcn_ros.replay.actions import Segment, recorded_actions
from ses_gcn_ros.replay.evaluate import evaluate
from ses_gcn_ros.replay.figures import LIGHT, horizon_figure, png, timeline_figure
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.recording import Replay, open_replay
from ses_gcn_ros.replay.scene import moment_at, scene_figure
from ses_gcn_ros.resources import write_atomically
from ses_gcn_ros.safety import SafetyConfig


def write_report(bag: PathLike, out: PathLike, *, robot: str = "") -> dict[str, Any]:
    """Judge the forecasts and states that were recorded, and write numbers, pictures and page.

    Raises BagError if the bag can't be read or holds no skeletons; RobotError if the robot's
    description is unusable.

    Parameters
    ----------
    bag : str or Path
        Recording with `skeletons`, and whatever else of a workcell's topics there is.
    out : str or Path
        Folder for ``report.html``, ``summary.json``, ``metrics.csv``, ``replay/`` and the pictures
        ``scene_stop.png``, ``scene_closest.png``, ``timeline.png`` and ``horizon.png``; those
        without data are left out. A recording of `actions` gives ``actions.csv`` besides. Files of
        an earlier report are replaced.
    robot : str
        URDF of the robot; the recorded one by default.

    Returns
    -------
    dict
        What is in ``summary.json``.
    """
    options = Options(recorded=True, safety=SafetyConfig(robot_description=robot))
    summary = evaluate(bag, out, options)
    write_pictures(Path(out), summary, recorded_actions(bag))
    return summary


def write_pictures(folder: Path, summary: dict[str, Any], actions: Sequence[Segment] = ()) -> None:
    """Write pictures of what `evaluate` left in a folder, with what people did if that is known."""
    replay = open_replay(folder / "replay")
    for name, draw in _figures(replay, summary, actions).items():
        write_atomically(folder / name, png(draw()))


def _figures(
    replay: Replay, summary: dict[str, Any], actions: Sequence[Segment]
) -> dict[str, Callable[[], Figure]]:
    """Pictures by file name; those that there is no data for are left out."""
    figures: dict[str, Callable[[], Figure]] = {}
    safety = summary["safety"]
    if safety and safety["worst"]:
        worst = safety["worst"]
        before = worst["stopped_for_s"]
        stop = worst["at_s"] - before if before is not None else _first_stop(safety)
        moments = {
            "scene_stop.png": ("The robot is stopped", stop),
            "scene_closest.png": ("The closest approach", worst["at_s"]),
        }
        for name, (title, at) in moments.items():
            if at is not None:
                moment = moment_at(replay, at)
                figures[name] = lambda m=moment, t=title: scene_figure(m, LIGHT, t)  # type: ignore[misc]
        figures["timeline.png"] = lambda: timeline_figure(replay, safety, LIGHT, actions)
    if summary["forecasts"]["compared"]:
        figures["horizon.png"] = lambda: horizon_figure(summary["forecasts"], LIGHT)
    return figures


def _first_stop(safety: dict[str, Any]) -> float | None:
    return next((stop["at_s"] for stop in safety["stops_at"]), None)
