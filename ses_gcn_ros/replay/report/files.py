"""A recorded run as files: numbers, pictures, and one page that holds all of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ses_gcn_ros.bags.reading import PathLike
from ses_gcn_ros.replay.actions import Segment, recorded_actions
from ses_gcn_ros.replay.evaluate import evaluate
from ses_gcn_ros.replay.figures import LIGHT, horizon_figure, png, timeline_figure
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.recording import open_replay
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
    replay, safety = open_replay(folder / "replay"), summary["safety"]

    def write(name: str, figure: Figure) -> None:
        write_atomically(folder / name, png(figure))

    if safety and safety["worst"]:
        worst = safety["worst"]
        if worst["stopped_for_s"] is not None:
            stop = worst["at_s"] - worst["stopped_for_s"]
        else:
            stop = next((each["at_s"] for each in safety["stops_at"]), None)
        if stop is not None:
            moment = moment_at(replay, stop)
            write("scene_stop.png", scene_figure(moment, LIGHT, "The robot is stopped"))
        moment = moment_at(replay, worst["at_s"])
        write("scene_closest.png", scene_figure(moment, LIGHT, "The closest approach"))
        write("timeline.png", timeline_figure(replay, safety, LIGHT, actions))
    if summary["forecasts"]["compared"]:
        write("horizon.png", horizon_figure(summary["forecasts"], LIGHT))
