"""Searches of the attack: random cases first, then changes to those that came nearest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ses_gcn_ros.audit import configuration_digest
from ses_gcn_ros.errors import MISSHAPEN, InputError
from ses_gcn_ros.forecast import Engine, load
from ses_gcn_ros.replay.figures import Theme, bare, headline, styled
from ses_gcn_ros.resources import markdown_table, parse_json
from ses_gcn_ros.safety import SafetyConfig
from ses_gcn_ros.studies.attack import (
    FAULTS,
    MOTIONS,
    MOVING,
    NUMBERS,
    SCENARIOS,
    VARIANTS,
    AttackCase,
    AttackOutcome,
    Trace,
    attack_once,
)
from ses_gcn_ros.studies.journal import run_all

BATCH = 25  # runs of a search
RANDOM = 10  # of these that are drawn anew
ELITE = 3  # of the nearest so far that are changed


def search(
    seed: int,
    batch: int,
    scenario: str,
    variant: str,
    weights: Path | None,
    cell: SafetyConfig | None = None,
) -> Any:
    """Run one search; what its runs came to, and the cases worth keeping, as plain JSON."""
    rng = np.random.default_rng([seed, batch])
    ranked: list[tuple[float, AttackCase]] = []
    rows: list[dict[str, Any]] = []
    for run in range(BATCH):
        numbers = rng.random(NUMBERS)
        if run >= RANDOM:
            parent = np.array(ranked[int(rng.integers(ELITE))][1].numbers)
            changed = rng.random(NUMBERS) < 0.1
            changed[: len(changed) // 8] &= rng.random() < 0.3  # robot and camera seldom
            near = (parent + rng.normal(0.0, 0.15, NUMBERS)) % 1.0
            numbers = np.where(changed, np.where(rng.random(NUMBERS) < 0.3, numbers, near), parent)
        case = AttackCase(scenario, variant, tuple(numbers.round(6).tolist()), batch * BATCH + run)
        rows.append(asdict(attack_once(case, _engine(weights), cell=cell)))
        ranked.append((_badness(rows[-1]), case))
        ranked.sort(key=lambda entry: entry[0])
    kept = [case for score, case in ranked if score < 0.0] or [ranked[0][1]]
    return {"runs": rows, "cases": [asdict(case) for case in kept]}


@cache
def _engine(weights: Path | None) -> Engine:
    return load(weights)


def run_attack(
    log: Path,
    runs: int,
    seed: int,
    *,
    scenario: str = "all",
    variant: str = "all",
    weights: Path | None = None,
    cell: SafetyConfig | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[int, Any]:
    """Searches over variants and scenarios by turns, `BATCH` runs each, until there are `runs`.

    With `cell`, the monitor has these parameters of a cell but for its robots, tools, zones and
    floor plan, which are the attack's own.

    Raises InputError if there is no such scenario or variant, or the log is of another attack.
    """
    groups = {"motions": MOTIONS, "faults": FAULTS}
    scenarios = groups.get(scenario) or _chosen("scenario", scenario, SCENARIOS)
    chosen = _chosen("variant", variant, VARIANTS)
    about = {
        "seed": seed, "scenario": scenario, "variant": variant,
        "weights": weights.name if weights else "default",
    }  # fmt: skip
    if cell is not None:
        own = SafetyConfig()
        kept = ("more_robots", "tools", "zones", "cell", "world_frame", "latch_stops")
        cell = replace(cell, **{name: getattr(own, name) for name in kept})
        about["parameters"] = configuration_digest(cell)
    tasks = {
        batch: (
            seed,
            batch,
            scenarios[batch // len(chosen) % len(scenarios)],
            chosen[batch % len(chosen)],
            weights,
            cell,
        )
        for batch in range(max(math.ceil(runs / BATCH), 1))
    }
    return run_all(log, about, tasks, search, jobs=jobs, progress=lambda n: progress(n * BATCH))


def _chosen(what: str, name: str, choices: Sequence[str]) -> Sequence[str]:
    if name != "all" and name not in choices:
        raise InputError(f"there is no {what} '{name}'; there are all, {', '.join(choices)}")
    return choices if name == "all" else (name,)


def read_case(path: Path) -> AttackCase:
    """Read a case that an attack wrote.

    Raises InputError if it holds none.
    """
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        found["numbers"] = tuple(float(number) for number in found["numbers"])
        case = AttackCase(**found)
    except (*MISSHAPEN, OSError) as error:
        raise InputError(f"'{path}' holds no case of an attack: {error}") from error
    if len(case.numbers) != NUMBERS or case.scenario not in SCENARIOS:
        raise InputError(f"'{path}' holds a case of another version of the attack")
    return case


def summarise(batches: Mapping[int, Any]) -> dict[str, Any]:
    """Figures per variant and scenario, and the worst of all, ready for JSON."""
    rows = [row for batch in batches.values() for row in batch["runs"]]
    groups: dict[str, dict[str, Any]] = {}
    for row in rows:
        groups.setdefault(row["variant"], {}).setdefault(row["scenario"], []).append(row)
    figures = {
        variant: {scenario: _figures(found) for scenario, found in scenarios.items()}
        | {"all": _figures([row for found in scenarios.values() for row in found])}
        for variant, scenarios in groups.items()
    }
    total = _figures(rows)
    return {"total": total, "variants": figures}


def _figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "runs": len(rows),
        "contacts": sum(row["contact_speed"] >= 0.0 for row in rows),
        "violations": sum(row["contact_speed"] > MOVING for row in rows),
        "worst_contact_speed": max(0.0, *(row["contact_speed"] for row in rows)),
        "nearest_miss": min(row["miss"] for row in rows),
        "robot_seconds": sum(row["duration"] for row in rows),
        "robot_seconds_lost": sum(row["time_lost"] for row in rows),
    }


def table(summary: Mapping[str, Any]) -> tuple[Sequence[str], Iterable[Sequence[object]]]:
    """Headings and rows of the figures."""
    every = summary["variants"] | {"all": {"all": summary["total"]}}
    rows = [
        (
            variant, scenario, found["runs"], found["contacts"], found["violations"],
            f"{found['worst_contact_speed']:.3f}", f"{found['nearest_miss']:.3f}",
            f"{100.0 * found['robot_seconds_lost'] / max(found['robot_seconds'], 1e-9):.0f}",
        )
        for variant, scenarios in every.items()
        for scenario, found in scenarios.items()
    ]  # fmt: skip
    headings = (
        "variant", "scenario", "runs", "contacts", "over 0.05 m/s", "worst [m/s]",
        "least gap to a moving link [m]", "robot's time lost [%]",
    )  # fmt: skip
    return headings, rows


def as_markdown(summary: Mapping[str, Any]) -> str:
    """The figures as a table."""
    return markdown_table(*table(summary), range(2, 8))


def worst_case(batches: Mapping[int, Any]) -> AttackCase:
    """The case that came nearest, or touched fastest."""
    cases = []
    for batch in batches.values():
        nearest = min(batch["runs"], key=_badness)
        cases.append((_badness(nearest), batch["cases"][0]))
    found = min(cases, key=lambda entry: entry[0])[1]
    return AttackCase(**(found | {"numbers": tuple(found["numbers"])}))


def _badness(row: Mapping[str, Any]) -> float:
    speed = float(row["contact_speed"])
    return -speed if speed > MOVING else max(float(row["miss"]), 0.0)


def case_figure(
    case: AttackCase, engine: Engine, theme: Theme, cell: SafetyConfig | None = None
) -> tuple[Figure, AttackOutcome]:
    """Run a case once more and draw it: from above, and what everybody knew over time."""
    trace = Trace()
    outcome = attack_once(case, engine, trace, cell)
    with styled(theme):
        figure = Figure(figsize=(10, 4.6))
        grid = figure.add_gridspec(
            2, 2, left=0.06, right=0.98, bottom=0.11, top=0.8, wspace=0.16, hspace=0.25,
            width_ratios=(1, 1.7),
        )  # fmt: skip
        above = figure.add_subplot(grid[:, 0])
        people, ends = np.stack(trace.bodies), np.stack(trace.robots)
        for person in range(people.shape[1]):
            for joint, width in ((0, 1.5), (11, 0.8), (14, 0.8)):
                above.plot(*people[:, person, joint, :2].T, color=theme.person, lw=width)
        for link in range(ends.shape[2]):
            above.plot(*ends[:, 1, link, :2].T, color=theme.forecast, lw=0.8)
        moment = int(np.argmin(np.abs(np.array(trace.times) - outcome.time)))
        for person in range(people.shape[1]):
            above.plot(*people[moment, person, :, :2].T, ".", ms=4, color=theme.person)
        above.plot(*ends[moment, :, :, :2].reshape(-1, 2).T, ".", ms=5, color=theme.forecast)
        above.set(aspect="equal", xlabel="x [m]", ylabel="y [m]")
        bare(above)
        distances = figure.add_subplot(grid[0, 1])
        distances.plot(trace.times, trace.gaps, color=theme.person, label="true gap")
        for values, colour, label in (
            (trace.separations, theme.quiet, "separation said"),
            (trace.protective, theme.baseline_1, "protective distance said"),
        ):
            distances.plot(trace.times, values, color=colour, lw=1, label=label)
        distances.set(ylabel="[m]", ylim=(-0.1, 3.0))
        speeds = figure.add_subplot(grid[1, 1], sharex=distances)
        speeds.plot(trace.times, trace.speeds, color=theme.forecast, label="fastest link [m/s]")
        speeds.plot(trace.times, trace.factors, color=theme.quiet, lw=1, label="speed factor")
        speeds.set(xlabel="time [s]")
        for axes in (distances, speeds):
            axes.axvline(outcome.time, color=theme.grid, lw=1)
            axes.legend(loc="upper right", frameon=False, fontsize=7)
            bare(axes)
        said = (
            f"touched at {outcome.contact_speed:.2f} m/s"
            if outcome.violation
            else f"a moving link came to {outcome.miss:.2f} m"
        )
        headline(
            figure, theme, f"{outcome.robot}: {said}",
            f"{case.scenario}; {case.variant}; seed {case.seed}; the states said: "
            + (trace.reasons[moment] or "clear")[:90],
        )  # fmt: skip
    return figure, outcome
