"""Figures of an evaluation for a person to read, and for a spreadsheet."""

from __future__ import annotations

import csv
import io

from ses_gcn_ros.training.tables import Table

_LABELS = (("at_frame", "at the frame"), ("up_to_frame", "averaged up to the frame"))


def as_text(summary: Table) -> str:
    """The figures of `tables.summarise` as a person reads them."""
    frames = "".join(f"{f'f{frame}':>8}" for frame in summary["frames"])
    header = f"{'':24}{frames}{'mean':>8}"

    def row(name: str, values: list[float], last: str = "") -> str:
        line = f"{name:24}" + "".join(f"{value:8.1f}" for value in values) + f"{last:>8}"
        return line.rstrip()

    lines = [f"{summary['windows']} windows, MPJPE [mm]"]
    if "protocol" in summary:
        protocol = summary["protocol"]
        lines.append(
            f"protocol {protocol['name']}, {protocol['part']} part, windows {protocol['windows']}, "
            f"mean over {protocol['mean_over']}"
        )
    for key, label in _LABELS:
        lines += ["", label, header]
        for name, figures in summary["methods"].items():
            lines.append(row(name, figures[key], f"{figures['mean']:.1f}"))
        if key == "at_frame":
            lines.append(row("gain on damped_velocity %", summary["gain_percent"]))
            lines.append(f"{'worst frame, ratio':24}{summary['worst_ratio']:8.3f}")
    for source in summary.get("quoted", ()):
        lines += ["", f"quoted from the {source['source']}, not measured here [mm]"]
        lines += [f"{name:24}{value:8.1f}" for name, value in source["figures"].items()]
        lines.append(f"({source['note']})")
    if "radius" in summary:
        radius = summary["radius"]
        lines += ["", f"radius for {radius['coverage_asked_percent']:g} % coverage", header]
        lines.append(row("mean radius mm", radius["mean"], f"{radius['mean_of_all']:.1f}"))
        lines.append(row("coverage %", radius["coverage_percent"]))
        least, most = radius["coverage_least_percent"], radius["coverage_most_percent"]
        lines.append(f"over all steps between {least:.1f} and {most:.1f} %")
    columns = f"{header}{'windows':>9}{'gain %':>8}"
    for key, label in _LABELS:
        lines += ["", f"{summary['model']} by group, {label}", columns]
        for name, figures in summary["groups"].items():
            last = (
                f"{figures['mean']:8.1f}{figures['windows']:9}{figures['gain_percent_last']:8.1f}"
            )
            lines.append(row(name, figures[key], last))
        lines.append(row("mean of groups", summary["group_mean"][key]))
    lines.append("gain: on damped_velocity, at the last frame")
    lines += ["", f"{summary['model']} by joint, at the frame", header]
    for joint, figures in summary["joints"].items():
        lines.append(row(joint, figures["at_frame"], f"{figures['mean']:.1f}"))
    return "\n".join(lines)


def as_csv(summary: Table) -> str:
    """One line per method, group or joint and frame; methods at every frame.

    Columns: ``table`` (method, group, joint, quoted), ``name``, ``frame``, ``mpjpe_at_frame_mm``,
    ``mpjpe_up_to_frame_mm``, and for a quoted figure ``quoted_mm`` and ``source``.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = ("mpjpe_at_frame_mm", "mpjpe_up_to_frame_mm")
    writer.writerow(["table", "name", "frame", *measured, "quoted_mm", "source"])
    for table in ("method", "group", "joint"):
        for name, figures in summary[f"{table}s"].items():
            every = figures.get("every_frame", figures)
            frames = range(1, len(every["at_frame"]) + 1) if every is not figures else None
            columns = zip(
                frames or summary["frames"], every["at_frame"], every["up_to_frame"], strict=True
            )
            writer.writerows([table, name, *column, "", ""] for column in columns)
    for source in summary.get("quoted", ()):
        said = f"{source['source']}: {source['note']}"
        for name, value in source["figures"].items():
            writer.writerow(["quoted", name, "", "", "", value, said])
    return text.getvalue()
