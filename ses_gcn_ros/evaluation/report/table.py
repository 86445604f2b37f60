"""A run's numbers as a table for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ses_gcn_ros.evaluation.report.blocks import share_of, text_of
from ses_gcn_ros.evaluation.report.forecasts import error_at

_HORIZONS = (0.08, 0.4, 1.0)  # s ahead


def summary_table(numbers: dict[str, Any]) -> Table:
    """Table of a summary."""
    table = Table(title=numbers["bag"], title_justify="left", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    for label, text in summary_lines(numbers):
        table.add_row(label, text)
    return table


def summary_lines(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line of the table."""
    lines = [("[red]problem[/red]", problem) for problem in numbers["problems"]]
    lines.append(("frames", f"{numbers['frames']} in {numbers['duration_s']:.1f} s"))
    lines.append(("people", str(numbers["people"])))
    lines += _forecasts(numbers["forecasts"])
    if numbers["collision"] and numbers["collision"]["windows"]:
        lines += _collisions(numbers["collision"])
    if numbers["safety"]:
        lines += _safety(numbers["safety"])
    for name, values in numbers["ages_ms"].items():
        if values:
            text = f"{values['median']:.1f} ms, p99 {values['p99']:.1f} ms"
            lines.append((f"age of {name}", text))
    for entry in numbers["latencies"]:
        text = f"{entry['median_ms']:.2f} ms, p99 {entry['p99_ms']:.2f} ms  ({entry['measure']})"
        lines.append((entry["node"], text))
    return lines


def _forecasts(forecasts: dict[str, Any]) -> list[tuple[str, str]]:
    text = f"{forecasts['count']}, {forecasts['compared']} held against what came"
    lines = [("forecasts", text)]
    lines += [("  fallback", f"{count} × {why}") for why, count in forecasts["fallbacks"].items()]
    for horizon in _HORIZONS:
        error, still, last = (
            error_at(forecasts, horizon, name)
            for name in ("forecast", "constant_velocity", "last_pose")
        )
        if error is not None:
            text = (
                f"{error:.0f} mm; constant velocity {text_of(still, digits=0)}, "
                f"last pose {text_of(last, digits=0)}"
            )
            lines.append((f"MPJPE at {1e3 * horizon:.0f} ms", text))
    coverage = forecasts.get("coverage")
    if coverage and coverage["measured"] is not None:
        text = f"{coverage['measured']:.1%} of joints within, {coverage['promised']:.1%} promised"
        lines.append(("radius", text))
    return lines


def _collisions(collision: dict[str, Any]) -> list[tuple[str, str]]:
    text = (
        f"precision {text_of(collision['precision'])}, recall {text_of(collision['recall'])}, "
        f"F1 {text_of(collision['f1'])} under {1e3 * collision['threshold_m']:.0f} mm, "
        f"{collision['windows']} windows"
    )
    return [("collisions", text)]


def _safety(safety: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    worst = safety["worst"]
    if worst:
        pair = " to ".join(name for name in (worst["limb"], worst["frame"]) if name)
        text = f"{worst['separation_m']:.2f} m at {worst['at_s']:.2f} s"
        lines.append(("lowest separation", ", ".join(part for part in (text, pair) if part)))
        stopped = worst["stopped_for_s"]
        text = "not stopped" if stopped is None else f"stopped for {stopped:.2f} s"
        lines.append(("  robot then", text))
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in safety["seconds"].items())
    lines.append(("states", f"{times}; full speed {share_of(safety['availability'])}"))
    text = f"{safety['stops']}, {safety['stops_by_people']} by people"
    lines.append(
        ("stops", f"{text}; {safety['false_stops']} false, {safety['missed_stops']} missed")
    )
    return lines
