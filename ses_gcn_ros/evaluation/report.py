"""A recorded run as one page: summary.json, pictures, and report.html that holds all of it."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

from ses_gcn_ros import __version__
from ses_gcn_ros.evaluation.bags import PathLike
from ses_gcn_ros.evaluation.metrics import Comparison, compare_forecasts
from ses_gcn_ros.evaluation.moment import moment_at
from ses_gcn_ros.evaluation.plot_lines import horizon_figure, spans, timeline_figure
from ses_gcn_ros.evaluation.plot_scene import scene_figure
from ses_gcn_ros.evaluation.plot_style import THEMES, Theme, png
from ses_gcn_ros.evaluation.recording import LEVELS, Recording, load_recording
from ses_gcn_ros.evaluation.run_summary import RunSummary, summarise, summary_lines
from ses_gcn_ros.safety import RobotModel, Urdf

MOST_POINTS = 1500  # of a curve on the page; more can't be seen

_CAPTIONS = {
    "scene_stop": "When the robot was stopped, ahead of the closest approach. Blue is the person "
    "with the volume that is kept clear, purple the forecast, paler the further ahead, grey the "
    "robot; the line joins the nearest points of their surfaces, the dots are the way walked.",
    "scene_closest": "The closest approach.",
    "timeline": "Separation of person and robot over time.",
    "horizon": "Mean error per joint over the horizon, against two baselines.",
}


def write_report(bag: PathLike, out: PathLike, *, robot: str = "") -> RunSummary:
    """Read a recorded run and write its summary, pictures and page.

    Parameters
    ----------
    bag : str or Path
        Recording with `skeletons`, and whatever else of a workcell's topics there is.
    out : str or Path
        Folder for ``summary.json``, ``report.html``, ``scene_stop.png``, ``scene_closest.png``,
        ``timeline.png`` and ``horizon.png``; pictures without data are left out. Files of an
        earlier report are replaced.
    robot : str
        URDF of the robot; the recorded one by default, the demo cell's if none was recorded.

    Returns
    -------
    RunSummary

    Raises
    ------
    BagError
        If the bag can't be read or holds no skeletons.
    InputError
        If a skeleton or a forecast in it is unusable.
    RobotError
        If the robot's description is unusable.
    """
    recording = load_recording(bag)
    model = RobotModel.from_urdf(Urdf.load(robot or recording.robot_description or "demo"))
    comparison = compare_forecasts(recording)
    summary = summarise(recording, comparison)
    pictures = {
        name: {theme: png(draw(THEMES[theme])) for theme in THEMES}
        for name, draw in _figures(recording, comparison, summary, model).items()
    }
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rendered in pictures.items():
        _write(folder / f"{name}.png", rendered["light"])
    _write(folder / "summary.json", json.dumps(summary.to_dict(), indent=2).encode() + b"\n")
    _write(folder / "report.html", _page(recording, summary, pictures).encode())
    return summary


def _figures(
    recording: Recording, comparison: Comparison, summary: RunSummary, model: RobotModel
) -> dict[str, Callable[[Theme], Figure]]:
    """Pictures by file name; those that there is no data for are left out."""
    figures: dict[str, Callable[[Theme], Figure]] = {}
    closest = summary.lowest_separation_at_s
    stop = closest - summary.stopped_at_closest_s
    moments = {
        "scene_stop": (
            "The robot is stopped",
            summary.first_stop_at_s if math.isnan(stop) else stop,
        ),
        "scene_closest": ("The closest approach", closest),
    }
    for name, (title, at) in moments.items():
        if math.isfinite(at):
            moment = moment_at(recording, model, at)
            figures[name] = lambda theme, m=moment, t=title: scene_figure(m, theme, t)  # type: ignore[misc]
    if math.isfinite(summary.lowest_separation_m):
        figures["timeline"] = lambda theme: timeline_figure(recording, summary, theme)
    if comparison.compared:
        figures["horizon"] = lambda theme: horizon_figure(comparison, theme)
    return figures


def _page(recording: Recording, summary: RunSummary, pictures: dict[str, dict[str, bytes]]) -> str:
    environment = Environment(
        loader=PackageLoader("ses_gcn_ros", "evaluation"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    embedded = {
        name: {theme: base64.b64encode(data).decode() for theme, data in rendered.items()}
        for name, rendered in pictures.items()
        if name != "timeline"  # the page draws it itself, to be read off with a finger
    }
    return environment.get_template("report.html").render(
        version=__version__,
        summary=summary,
        verdict=verdict(summary),
        lines=summary_lines(summary),
        pictures=embedded,
        captions=_CAPTIONS,
        themes=THEMES,
        timeline=_timeline(recording, summary) if "timeline" in pictures else None,
    )


def verdict(summary: RunSummary) -> list[str]:
    """Sentences that say what matters most."""
    sentences = []
    if math.isfinite(summary.lowest_separation_m):
        stopped = summary.stopped_at_closest_s
        state = f"stopped {stopped:.1f} s before" if math.isfinite(stopped) else "not stopped at"
        sentences.append(
            f"The robot was {state} the closest approach "
            f"({summary.lowest_separation_m:.2f} m, {' to '.join(summary.closest_pair)})."
        )
    if summary.errors:
        last = summary.errors[-1]
        share = 1 - last.forecast / last.constant_velocity
        sentences.append(
            f"{last.horizon_ms / 1e3:g} s ahead the forecasts were {last.forecast:.0f} mm off, "
            f"{abs(share):.0%} {'less' if share >= 0 else 'more'} than constant velocity."
        )
    return sentences or ["The recording holds no safety states and no forecasts to judge."]


def _timeline(recording: Recording, summary: RunSummary) -> dict[str, Any]:
    """Curves as plain numbers, thinned out to what can be seen; None where unknown."""
    states = recording.states
    time = np.array(states.stamps) - recording.start
    inside = np.flatnonzero((time >= 0) & (time <= summary.duration_s))
    inside = inside[:: max(math.ceil(len(inside) / MOST_POINTS), 1)]
    curves = {"separation": states.separation, "protective": states.protective}
    shown = [states.separation[i] for i in inside if math.isfinite(states.separation[i])]
    return {
        "duration": summary.duration_s,
        "top": min(max([0.5, *shown]), 2.5) * 1.08,
        "time": [round(float(time[i]), 3) for i in inside],
        **{name: [_number(values[i]) for i in inside] for name, values in curves.items()},
        "factor": [_number(states.factor[i]) for i in inside],
        "level": [LEVELS[states.level[i]] for i in inside],
        "reason": [(states.reasons[i] or ("",))[0] for i in inside],
        "spans": [
            (max(first, 0.0), min(last, summary.duration_s), level)
            for first, last, level in spans(time, np.array(states.level))
            if last > 0 and first < summary.duration_s
        ],
    }


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
