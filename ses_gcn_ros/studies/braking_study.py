"""The braking study as a whole: many runs in parallel, and their figures as text and as a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ses_gcn_ros.bringup import DEMO_ROBOT
from ses_gcn_ros.config import build
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import load
from ses_gcn_ros.replay.figures import Theme, bare, headline, styled
from ses_gcn_ros.safety import SafetyConfig
from ses_gcn_ros.studies.braking import (
    HARD,
    POLICIES,
    Approach,
    BrakingOutcome,
    Simulator,
    approaches,
)
from ses_gcn_ros.studies.journal import run_all


def config() -> SafetyConfig:
    """What the demo cell's monitor is told of its robot; all else as by default."""
    return build(SafetyConfig, DEMO_ROBOT)


def run_study(
    files: Sequence[Path],
    count: int,
    seed: int,
    log: Path,
    *,
    weights: Path | None = None,
    jobs: int = 1,
    progress: Callable[[int], None],
) -> list[BrakingOutcome]:
    """Outcomes of `count` approaches under every policy.

    Parameters
    ----------
    files : sequence of Path
        Recordings of motion.
    count : int
        Approaches, shared among the files.
    seed : int
    log : Path
        JSON lines, one per run; runs that it holds are not repeated.
    weights : Path, optional
        Of the forecaster; the ones that ship if left out.
    jobs : int
        Processes.
    progress : callable
        Told how many runs are done.

    Raises
    ------
    InputError
        If a file holds no approach, or the log is of another study.
    """
    drawn = approaches(files, count, seed)
    about = {
        "files": [path.name for path in files],
        "seed": seed,
        "count": count,
        "weights": weights.name if weights else "default",
    }
    tasks = {index: (index, approach, weights) for index, approach in enumerate(drawn)}
    answers = run_all(log, about, tasks, _run, jobs=jobs, progress=progress)
    try:
        return [BrakingOutcome(**run) for outcomes in answers.values() for run in outcomes]
    except TypeError as error:
        raise InputError(f"'{log}' holds no runs of a study: {error}") from error


@cache
def _simulator(weights: Path | None) -> Simulator:
    return Simulator(config(), load(weights))


def _run(index: int, approach: Approach, weights: Path | None) -> list[dict[str, Any]]:
    return [asdict(outcome) for outcome in _simulator(weights).run(index, approach)]


AT_REST = 1e-3  # m/s
_LABELS = {
    "forecast": "monitoring with forecasts",
    "reactive": "monitoring alone",
    "reachable_forecast": "reachable sets with forecasts",
    "reachable": "reachable sets alone",
    "probability": "with probabilities of contact",
    "fence": "fixed fence",
}
_PAIRS = (
    ("forecast", "reactive"),
    ("probability", "reactive"),
    ("reachable_forecast", "reachable"),
    ("reachable", "reactive"),
    ("reactive", "fence"),
    ("reachable", "fence"),
)
_ROWS = (
    ("contacts", "runs in which they touched", "{:d}"),
    ("covered", "of these, covered by the standard's model", "{:d}"),
    ("at_rest_covered", "robot at rest at contact, of the covered", "{:d}"),
    ("at_rest", "robot at rest at contact, of all", "{:d}"),
    ("contact_speed_max", "fastest contact [m/s]", "{:.3f}"),
    ("time_lost_percent", "robot's time lost [%]", "{:.1f}"),
    ("stops_per_run", "stops per run", "{:.2f}"),
    ("hard_stops_per_run", f"stops from over {100 * HARD:.0f} % of the speed, per run", "{:.2f}"),
)


def summarise(outcomes: Sequence[BrakingOutcome], seed: int) -> dict[str, Any]:
    """Figures per policy, ready for JSON, and forecasts against none run by run."""
    policies = {}
    present = [name for name in POLICIES if any(run.policy == name for run in outcomes)]
    for name in present:
        runs = [outcome for outcome in outcomes if outcome.policy == name]
        touched = [run for run in runs if run.touched]
        policies[name] = {
            "runs": len(runs),
            "contacts": len(touched),
            "covered": sum(run.covered for run in touched),
            "at_rest_covered": sum(run.covered and _rests(run) for run in touched),
            "at_rest": sum(_rests(run) for run in touched),
            "contact_speed_max": max((run.contact_speed for run in touched), default=0.0),
            "time_lost_percent": 100
            * sum(run.time_lost for run in runs)
            / max(sum(run.duration for run in runs), 1e-9),
            "stops_per_run": float(np.mean([run.stops for run in runs])),
            "hard_stops_per_run": float(np.mean([run.hard_stops for run in runs])),
        }
    moving = [
        {
            "index": run.index,
            "motion": run.name,
            "policy": run.policy,
            "contact_speed": run.contact_speed,
            "human_advance": run.human_advance,
            "covered": run.covered,
        }
        for run in outcomes
        if run.touched and not _rests(run)
    ]
    return {
        "seed": seed,
        "runs": max((found["runs"] for found in policies.values()), default=0),
        "policies": policies,
        "moving_contacts": moving,
        "paired": [
            {
                "policy": one,
                "against": other,
                "time_lost_s": _difference(outcomes, one, other, "time_lost"),
                "hard_stops": _difference(outcomes, one, other, "hard_stops"),
            }
            for one, other in _PAIRS
            if {one, other} <= set(present)
        ],
    }


def _rests(run: BrakingOutcome) -> bool:
    return run.contact_speed <= AT_REST


def _difference(
    outcomes: Sequence[BrakingOutcome], one: str, other: str, key: str
) -> dict[str, float]:
    """Mean of one policy minus another, run by run, and its standard error."""
    value = {(run.index, run.policy): getattr(run, key) for run in outcomes}
    indices = sorted({run.index for run in outcomes})
    differences = np.array([value[i, one] - value[i, other] for i in indices], float)
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else 0.0
    return {"mean": float(differences.mean()), "standard_error": float(error)}


def verdict(summary: dict[str, Any]) -> str:
    """Say plainly what one policy gains or costs against another, run by run."""
    sentences = []
    for pair in summary["paired"]:
        parts = []
        for key, what, unit in (
            ("hard_stops", "hard stops per run", ""),
            ("time_lost_s", "the robot's time lost", " s per run"),
        ):
            mean, error = pair[key]["mean"], pair[key]["standard_error"]
            changed = "lower" if mean < 0 else "raise"
            did = "do not change" if abs(mean) <= 2 * error else changed
            parts.append(f"{did} {what} ({mean:+.2f}{unit}, standard error {error:.2f})")
        names = _LABELS[pair["policy"]], _LABELS[pair["against"]]
        sentences.append(f"- {names[0]} against {names[1]}: {' and '.join(parts)}.")
    return "\n".join(sentences)


def as_markdown(summary: dict[str, Any]) -> str:
    """Table with one column per policy, and the verdict."""
    lines = [
        f"{summary['runs']} approaches, seed {summary['seed']}",
        "",
        "| | " + " | ".join(_LABELS[name] for name in summary["policies"]) + " |",
        "| --- |" + " ---: |" * len(summary["policies"]),
    ]
    for key, label, shown in _ROWS:
        cells = " | ".join(
            shown.format(summary["policies"][name][key]) for name in summary["policies"]
        )
        lines.append(f"| {label} | {cells} |")
    lines += ["", verdict(summary)]
    for run in summary["moving_contacts"]:
        why = "covered" if run["covered"] else "not covered"
        lines.append(
            f"- run {run['index']} ({run['motion']}, {_LABELS[run['policy']]}), {why}: touched at "
            f"{run['contact_speed']:.3f} m/s; the limb came at {run['human_advance']:.2f} m/s"
        )
    return "\n".join(lines)


def lost_figure(outcomes: Sequence[BrakingOutcome], theme: Theme) -> Figure:
    """Draw how much time the robot lost in each run, sorted, under every policy."""
    colours = {
        "forecast": theme.forecast,
        "reactive": theme.person,
        "reachable_forecast": theme.forecast,
        "reachable": theme.person,
        "probability": theme.baseline_1,
        "fence": theme.baseline_2,
    }
    with styled(theme):
        figure = Figure(figsize=(8, 3.6))
        axes = figure.add_subplot(
            figure.add_gridspec(1, 1, left=0.08, right=0.68, bottom=0.13, top=0.78)[0]
        )
        for name in POLICIES:
            runs = [outcome for outcome in outcomes if outcome.policy == name]
            lost = np.sort([100 * run.time_lost / run.duration for run in runs])
            share = 100 * (np.arange(len(lost)) + 0.5) / len(lost)
            dashes = "--" if name.startswith("reachable") else "-"
            axes.plot(share, lost, dashes, color=colours[name], lw=1.6, label=_LABELS[name])
        axes.set(xlim=(0, 100), ylim=(0, 105), xlabel="runs, sorted [%]", ylabel="time lost [%]")
        axes.grid(axis="y", color=theme.grid, lw=0.6)
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        bare(axes)
        runs_done = len({outcome.index for outcome in outcomes})
        headline(figure, theme, "What protection costs the robot", f"{runs_done} approaches")
    return figure
