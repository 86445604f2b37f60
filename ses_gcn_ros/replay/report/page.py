"""One page that holds a whole run: curves, the 3D view, tables; no other file, no network."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from ses_gcn_ros import __version__
from ses_gcn_ros.replay.figures import THEMES
from ses_gcn_ros.replay.recording import Replay
from ses_gcn_ros.replay.report.scene import highest_shown, level_bands, scene_data, states_data
from ses_gcn_ros.replay.report.sections import (
    PageSection,
    actions_section,
    collisions_section,
    facts,
    forecasts_section,
    pair_of,
    stops_section,
    timing_section,
    verdict,
)

_SCRIPTS = ("decode.js", "camera.js", "scene.js", "chart.js", "player.js", "main.js")
HARMLESS = 0.5  # m over the protective distance, from which on a moment is none of the worst
SHOWN_AHEAD = 0.4  # s; the radius at the end of the horizon would cover the cell


def write_page(replay: Replay, numbers: dict[str, Any], path: Path) -> None:
    """Write the page of a run, whole or not at all.

    Parameters
    ----------
    replay : Replay
        What was there at every moment.
    numbers : dict
        What `evaluate` measured, as in its summary.json.
    path : Path
        File to write; an earlier page is replaced.
    """
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(render_page(replay, numbers), encoding="utf-8")
    os.replace(temporary, path)


def render_page(replay: Replay, numbers: dict[str, Any]) -> str:
    """HTML of the page of a run; parameters as for `write_page`."""
    about = replay.about
    told = _sections(replay, numbers)
    data = _data(replay, _worst(numbers), told)
    return (
        _templates()
        .get_template("report.html")
        .render(
            version=__version__,
            themes=THEMES,
            style=_text("style.css"),
            script=Markup("\n".join(_text(name) for name in _SCRIPTS)),
            title=Path(about.bag).name,
            verdict=verdict(numbers),
            facts_line=_facts_line(numbers),
            facts=facts(numbers),
            problems=about.problems,
            sections=told,
            data=data,
            view=data["scene"]["view"] if data["scene"] else {},
            shown_step=_shown_step(about.steps),
            parameters={**about.parameters, "versions": about.versions},
        )
    )


@cache
def _templates() -> Environment:
    """The page's template, which is compiled once for all pages of a process."""
    environment = Environment(
        loader=PackageLoader("ses_gcn_ros.replay.report", "assets"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    return environment


def _sections(replay: Replay, numbers: dict[str, Any]) -> list[PageSection]:
    found = [
        forecasts_section(numbers["forecasts"]),
        collisions_section(numbers["collision"]),
        stops_section(numbers["safety"]),
        actions_section(numbers),
        timing_section(replay, numbers),
    ]
    return [section for section in found if section is not None]


def _worst(numbers: dict[str, Any]) -> list[dict[str, Any]]:
    """Worst moments that are worth a look, the worst one always."""
    moments = numbers["safety"]["moments"] if numbers["safety"] else []
    return [m for i, m in enumerate(moments) if not i or m["margin_m"] < HARMLESS]


def _data(replay: Replay, worst: list[dict[str, Any]], told: list[PageSection]) -> dict[str, Any]:
    """What the script needs."""
    seen = len(replay.time) > 0
    return {
        "scene": scene_data(replay, [moment["at_s"] for moment in worst]) if seen else None,
        "states": states_data(replay),
        "bands": level_bands(replay),
        "top": highest_shown(replay),
        "worst": [_moment(moment) for moment in worst] if seen else [],
        "charts": [chart.to_dict() for section in told for chart in section.charts],
    }


def _moment(moment: dict[str, Any]) -> dict[str, Any]:
    left = moment["margin_m"]
    pair = pair_of(moment)
    short = f"{abs(left):.2f} m {'short' if left < 0 else 'to spare'}"
    return {
        "time": moment["at_s"],
        "separation": moment["separation_m"],
        "level": moment["level"],
        "title": f"{moment['separation_m']:.2f} m at {moment['at_s']:.2f} s",
        "text": ", ".join(part for part in (short, moment["level"], pair) if part),
    }


def _shown_step(steps: tuple[float, ...]) -> int:
    """Index of the step whose radius is shown at first; -1 without any."""
    return min(range(len(steps)), key=lambda i: abs(steps[i] - SHOWN_AHEAD), default=-1)


def _facts_line(numbers: dict[str, Any]) -> str:
    people, length = numbers["people"], numbers["duration_s"]
    words = [
        f"{length / 60:.1f} min" if length >= 100 else f"{length:.1f} s",
        f"{numbers['frames']} frames",
        f"{people} {'person' if people == 1 else 'people'}",
        f"forecasts and states {numbers['source']}",
    ]
    return " · ".join(words + ["partial"] * numbers["partial"])


def _text(name: str) -> str:
    return (files("ses_gcn_ros.replay.report") / "assets" / name).read_text(encoding="utf-8")
