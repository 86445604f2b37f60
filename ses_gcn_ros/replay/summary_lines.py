"""The numbers of a summary in words, for a terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

HORIZONS = (0.08, 0.4, 1.0)  # s ahead, of the table


def summary_table(summary: dict[str, Any]) -> Table:
    """Table of a summary."""
    title = summary["bag"] + (" (partial)" if summary["partial"] else "")
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    for label, text in summary_lines(summary):
        table.add_row(label, text)
    return table


def summary_lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line."""
    stream = summary["stream"]
    lines = [
        ("observations", f"{summary['frames']} in {summary['duration_s']:.1f} s"),
        ("people", str(summary["people"])),
        (
            "stream",
            f"{stream['gaps']} gaps, the longest {stream['longest_gap_s']:.2f} s; "
            f"{stream['dropped']} frames missing",
        ),
    ]
    lines += _forecast_lines(summary["forecasts"])
    if summary["collision"]:
        lines += _collision_lines(summary["collision"])
    if summary["safety"]:
        lines += _safety_lines(summary["safety"])
    agreement = summary.get("agreement")
    if agreement:
        lines.append(
            (
                "nodes and core",
                f"forecasts within {_number(agreement['forecast_m'])} m, "
                f"separation within {_number(agreement['separation_m'])} m "
                f"({agreement['forecasts']} forecasts, {agreement['states']} states)",
            )
        )
    return lines


def _forecast_lines(forecasts: dict[str, Any]) -> list[tuple[str, str]]:
    count, compared = forecasts["count"], forecasts["compared"]
    lines = [("forecasts", f"{count}, {compared} held against what came")]
    lines += [("  fallback", f"{n} × {why}") for why, n in sorted(forecasts["fallbacks"].items())]
    for index, ahead in enumerate(forecasts.get("horizons_s", ())):
        if not any(abs(ahead - horizon) < 1e-3 for horizon in HORIZONS):
            continue
        errors = forecasts["mpjpe_mm"]
        at = {name: values[index] for name, values in errors["at"].items()}
        mean = {name: values[index] for name, values in errors["up_to"].items()}
        others = ", ".join(
            f"{name.replace('_', ' ')} {at[name]:.0f} ({mean[name]:.0f})"
            for name in at
            if name != "forecast"
        )
        text = f"{at['forecast']:.0f} mm (mean up to it {mean['forecast']:.0f}); {others}"
        lines.append((f"MPJPE at {ahead * 1e3:.0f} ms", text))
    coverage = forecasts.get("coverage")
    if coverage and coverage["measured"] is not None:
        lines.append(
            (
                "radius",
                f"{coverage['measured']:.1%} of joints within, {coverage['promised']:.1%} "
                f"promised; {coverage['radius_mm'][-1]:.0f} mm at the end",
            )
        )
    return lines


def _collision_lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    if not found["windows"]:
        return []
    lead = found.get("lead_time_s")
    shares = ", ".join(
        f"{label} {_number(found[name])}"
        for label, name in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    )
    text = (
        f"{shares} of {found['windows']} windows; {found['collisions_warned']} of "
        f"{found['collisions']} foreseen"
    )
    if lead:
        text += f", {lead['median']:.2f} s before (median)"
    return [(f"nearer than {found['threshold_m'] * 1e3:.0f} mm", text)]


def _safety_lines(safety: dict[str, Any]) -> list[tuple[str, str]]:
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in safety["seconds"].items())
    lines = [
        ("states", times),
        (
            "availability",
            f"full speed {_share(safety['availability'])} of the time, "
            f"mean speed factor {_number(safety['mean_factor'])}",
        ),
        (
            "stops",
            f"{safety['stops']}, {safety['stops_by_people']} for people; "
            f"{safety['false_stops']} false, {safety['missed_stops']} missed",
        ),
    ]
    worst = safety["worst"]
    if worst:
        lines.append(
            (
                "worst separation",
                f"{worst['separation_m']:.2f} m at {worst['at_s']:.2f} s, {worst['limb']} to "
                f"{worst['frame']}, {worst['level']}",
            )
        )
    return lines


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
