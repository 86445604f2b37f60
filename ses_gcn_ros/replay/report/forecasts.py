"""The part of a page about forecasts: errors, coverage, radius."""

from __future__ import annotations

from typing import Any

from ses_gcn_ros.replay.report.blocks import Chart, Line, Section, Table, share_of, text_of

HORIZONS = (0.08, 0.16, 0.32, 0.4, 0.56, 1.0)  # s ahead, of the table; those published
_NAMES = {
    "forecast": ("forecast", "person"),
    "damped_velocity": ("damped velocity", "CLEAR"),
    "constant_velocity": ("constant velocity", "baseline2"),
    "last_pose": ("last pose", "baseline1"),
}
_PARTS = {"trunk": "ink", "head": "forecast", "arms": "person", "legs": "baseline2"}


def forecasts_section(numbers: dict[str, Any]) -> Section | None:
    """Section on `numbers` (the forecasts' part of a summary); None where nothing was compared."""
    if not numbers.get("compared"):
        return None
    fallbacks = sum(numbers["fallbacks"].values())
    text = [
        f"{numbers['compared']} of {numbers['count']} forecasts had a whole history and were held "
        "against what was seen later; the baselines faced the same moments. The error is the mean "
        "distance of a joint from its place (MPJPE)."
    ]
    if fallbacks:
        why = ", ".join(f"{count} × {reason}" for reason, count in numbers["fallbacks"].items())
        text.append(f"{fallbacks} came from the fallback, constant velocity: {why}.")
    return Section(
        "How far off the forecasts were",
        text,
        [_errors(numbers), _parts(numbers), *_coverage(numbers)],
        [*_tables(numbers), _joints(numbers)],
    )


def _errors(numbers: dict[str, Any]) -> Chart:
    x, at = numbers["horizons_s"], numbers["mpjpe_mm"]["at"]
    lines = [
        Line(name, colour, x, at[key], 2.4 if key == "forecast" else 1.6)
        for key, (name, colour) in _NAMES.items()
        if key in at
    ]
    return Chart("error", "Error over the horizon", lines, _range(lines), " mm")


def _parts(numbers: dict[str, Any]) -> Chart:
    x, parts = numbers["horizons_s"], numbers["per_part_mm"]
    lines = [
        Line(part, colour, x, parts[part]["at"], 1.8)
        for part, colour in _PARTS.items()
        if part in parts
    ]
    return Chart("parts", "Error by part of the body", lines, _range(lines), " mm")


def _coverage(numbers: dict[str, Any]) -> list[Chart]:
    x, coverage = numbers["horizons_s"], numbers["coverage"]
    if coverage["measured"] is None:
        return []
    measured = [None if share is None else 100 * share for share in coverage["per_step"]]
    promised = [100 * coverage["promised"]] * len(x)
    lowest = min([*promised, *(share for share in measured if share is not None)])
    shares = [
        Line("joints within the radius", "person", x, measured, 2.4),
        Line("promised", "ink", x, list(promised), 1.2, "5 3"),
    ]
    radius = [Line("mean radius", "forecast", x, coverage["radius_mm"], 2.4)]
    return [
        Chart("coverage", "Coverage of the radius", shares, (min(lowest - 5, 75), 100), " %", 1),
        Chart("radius_over", "Radius", radius, _range(radius), " mm"),
    ]


def _tables(numbers: dict[str, Any]) -> list[Table]:
    """Both conventions of published tables."""
    x = numbers["horizons_s"]
    steps = [step for step in (_step(x, horizon) for horizon in HORIZONS) if step is not None]
    tables = []
    for kind, title in (
        ("at", "MPJPE in mm"),
        ("up_to", "The other convention: its mean over all frames up to there"),
    ):
        errors = numbers["mpjpe_mm"][kind]
        names = [key for key in _NAMES if key in errors]
        rows = [
            [f"{1e3 * x[step]:.0f} ms", *(text_of(errors[key][step], digits=1) for key in names)]
            for step in steps
        ]
        tables.append(Table(rows, ["ahead", *(_NAMES[key][0] for key in names)], title))
    return tables


def _joints(numbers: dict[str, Any]) -> Table:
    x, joints = numbers["horizons_s"], numbers["per_joint_mm"]
    steps = [step for step in (_step(x, horizon) for horizon in (0.4, 1.0)) if step is not None]
    rows = [
        [name, *(text_of(errors["at"][step], digits=0) for step in steps)]
        for name, errors in joints.items()
    ]
    head = ["joint", *(f"{1e3 * x[step]:.0f} ms" for step in steps)]
    return Table(rows, head, "MPJPE by joint in mm", folded=True)


def _step(horizons: list[float], wanted: float) -> int | None:
    """Index of the step nearest to a horizon [s], within half a step; None beyond the last."""
    nearest = min(range(len(horizons)), key=lambda i: abs(horizons[i] - wanted))
    return nearest if abs(horizons[nearest] - wanted) <= horizons[0] / 2 else None


def _range(lines: list[Line]) -> tuple[float, float]:
    values = [value for line in lines for value in line.y if value is not None]
    return 0.0, 1.06 * max(values, default=1.0)


def error_at(numbers: dict[str, Any], horizon: float, name: str = "forecast") -> float | None:
    """MPJPE [mm] at a horizon [s]; None where it is unknown or beyond the forecasts'."""
    if not numbers.get("compared"):
        return None
    step = _step(numbers["horizons_s"], horizon)
    return None if step is None else numbers["mpjpe_mm"]["at"][name][step]


def coverage_words(numbers: dict[str, Any]) -> str:
    """Measured coverage; a dash where no radius was calibrated."""
    return share_of(numbers["coverage"]["measured"] if numbers.get("compared") else None, 1)
