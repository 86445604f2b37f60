"""Figures of the collision task as text, CSV, JSON and a plot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ses_gcn_ros.replay.plot_style import Theme, bare, headline, styled
from ses_gcn_ros.studies.collision import THRESHOLD, Gaps, recall_by_lead, score

_STEPS = 5  # lead times shown


def summarise(gaps: Gaps, threshold: float = THRESHOLD) -> dict[str, Any]:
    """Every figure, ready for JSON: per method and how far ahead, all windows and onsets."""
    frames = gaps.happened.shape[1]
    edges = np.unique(np.linspace(0, frames, _STEPS + 1).round().astype(int))
    methods = {}
    for name in gaps.predicted:
        windows = {}
        for kind, onsets in (("all", False), ("onsets", True)):
            rows = []
            for ahead in edges[1:].tolist():
                found = score(gaps, name, ahead, threshold=threshold, onsets=onsets)
                rows.append(
                    {
                        "ahead_s": ahead / gaps.fps,
                        "precision": _plain(found.precision),
                        "recall": _plain(found.recall),
                        "f1": _plain(found.f1),
                        "hits": found.hits,
                        "false_alarms": found.false_alarms,
                        "misses": found.misses,
                        "rejections": found.rejections,
                    }
                )
            windows[kind] = rows
        bins = recall_by_lead(gaps, name, edges, threshold=threshold)
        windows["recall_by_lead"] = [
            {
                "from_s": low / gaps.fps,
                "to_s": high / gaps.fps,
                "windows": count,
                "recall": _plain(recall),
            }
            for low, high, (count, recall) in zip(
                edges[:-1].tolist(), edges[1:].tolist(), bins, strict=True
            )
        ]
        methods[name] = windows
    return {
        "encounters": gaps.encounters,
        "windows": len(gaps.happened),
        "touching_when_forecast": int((gaps.last_observed < threshold).sum()),
        "threshold_m": threshold,
        "horizon_s": frames / gaps.fps,
        "methods": methods,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def as_text(summary: dict[str, Any]) -> str:
    """The figures as a person reads them."""
    lines = [
        f"{summary['windows']} windows of {summary['encounters']} encounters; a collision comes "
        f"under {1000 * summary['threshold_m']:.0f} mm within the time ahead; "
        f"{summary['touching_when_forecast']} windows were in contact when the forecast was made",
    ]
    for kind, title in (
        ("all", "all windows (CHICO's task): precision / recall / F1"),
        ("onsets", "windows without contact yet: precision / recall / F1"),
    ):
        rows = next(iter(summary["methods"].values()))[kind]
        head = "".join(f"{row['ahead_s']:>17.1f} s" for row in rows)
        lines += ["", title, f"{'within':32}{head}"]
        for name, windows in summary["methods"].items():
            cells = "".join(
                f"{_cell(row['precision']):>7}{_cell(row['recall']):>6}{_cell(row['f1']):>6}"
                for row in windows[kind]
            )
            lines.append(f"{name:32}{cells}")
    bins = next(iter(summary["methods"].values()))["recall_by_lead"]
    head = "".join(f"{part['from_s']:.1f} to {part['to_s']:.1f} s".rjust(14) for part in bins)
    lines += ["", "recall of contacts still to come, by the time until them", f"{'':32}{head}"]
    lines.append(f"{'windows':32}" + "".join(f"{part['windows']:14}" for part in bins))
    for name, windows in summary["methods"].items():
        cells = "".join(f"{_cell(part['recall']):>14}" for part in windows["recall_by_lead"])
        lines.append(f"{name:32}{cells}")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def as_csv(summary: dict[str, Any]) -> str:
    """One line per method, kind of windows and time ahead."""
    keys = ("ahead_s", "precision", "recall", "f1", "hits", "false_alarms", "misses", "rejections")
    lines = ["method,windows," + ",".join(keys)]
    for name, windows in summary["methods"].items():
        for kind in ("all", "onsets"):
            for row in windows[kind]:
                cells = ("" if row[key] is None else str(row[key]) for key in keys)
                lines.append(f"{name},{kind}," + ",".join(cells))
    return "\n".join(lines) + "\n"


def f1_figure(summary: dict[str, Any], theme: Theme) -> Figure:
    """Draw F1 over the time ahead: all windows, and those without contact yet."""
    colours = (theme.baseline_1, theme.baseline_2, theme.quiet, theme.person, theme.forecast)
    with styled(theme):
        figure = Figure(figsize=(9, 3.6))
        grid = figure.add_gridspec(1, 2, left=0.06, right=0.8, bottom=0.13, top=0.78, wspace=0.12)
        axes = None
        for place, (kind, title) in enumerate(
            (("all", "all windows"), ("onsets", "no contact yet"))
        ):
            axes = figure.add_subplot(grid[place], sharey=axes)
            for colour, (name, windows) in zip(colours, summary["methods"].items(), strict=True):
                rows = windows[kind]
                f1 = [math.nan if row["f1"] is None else row["f1"] for row in rows]
                axes.plot(
                    [row["ahead_s"] for row in rows], f1, "o-", ms=3, lw=1.6, color=colour,
                    label=name.replace("_", " "),
                )  # fmt: skip
            axes.set(ylim=(0, 1), xlabel="within s")
            axes.set_title(title, loc="left", fontsize=9, color=theme.quiet)
            axes.grid(axis="y", color=theme.grid, lw=0.6)
            bare(axes)
        assert axes is not None
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        headline(
            figure, theme, "Contacts foreseen (F1)",
            f"{summary['windows']} windows of {summary['encounters']} encounters, contact under "
            f"{1000 * summary['threshold_m']:.0f} mm",
        )  # fmt: skip
    return figure
