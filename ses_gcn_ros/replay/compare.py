"""Two runs against each other: what got better, what got worse, and whether that is too much."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ses_gcn_ros.errors import InputError

HORIZONS = (0.08, 0.4, 1.0)  # s, of the errors that are compared


@dataclass(frozen=True)
class Metric:
    """A number of a summary.

    Attributes
    ----------
    name : str
        What it is called in the table.
    path : tuple of str
        Where it is found.
    better : int
        1 if more is better, -1 if less is.
    slack : float
        Change of its own unit that is never a regression: the last digit that means something.
    """

    name: str
    path: tuple[str, ...]
    better: int
    slack: float


METRICS = (
    Metric("precision of collisions", ("collision", "precision"), 1, 0.01),
    Metric("recall of collisions", ("collision", "recall"), 1, 0.01),
    Metric("F1 of collisions", ("collision", "f1"), 1, 0.01),
    Metric("lead time, median [s]", ("collision", "lead_time_s", "median"), 1, 0.02),
    Metric("availability", ("safety", "availability"), 1, 0.01),
    Metric("mean speed factor", ("safety", "mean_factor"), 1, 0.01),
    Metric("false stops", ("safety", "false_stops"), -1, 0.0),
    Metric("missed stops", ("safety", "missed_stops"), -1, 0.0),
    Metric("worst separation [m]", ("safety", "worst", "separation_m"), 1, 0.01),
    Metric("dropped frames", ("stream", "dropped"), -1, 0.0),
    Metric("age of skeletons, p99 [ms]", ("ages_ms", "skeleton", "p99"), -1, 2.0),
    Metric("age of forecasts, p99 [ms]", ("ages_ms", "forecast", "p99"), -1, 2.0),
)


@dataclass(frozen=True)
class Change:
    """A number in both runs.

    Attributes
    ----------
    name : str
    before, after : float or None
        None where a run doesn't have it.
    worse : float
        By how much it got worse, as a share of what it was; negative if it got better, NaN where
        it can't be said.
    regressed : bool
        Whether that is beyond the tolerance.
    """

    name: str
    before: float | None
    after: float | None
    worse: float
    regressed: bool


def read_summary(path: str | Path) -> dict[str, Any]:
    """Read a ``summary.json``, or that of a folder.

    Raises
    ------
    InputError
        If there is none, or it is of another kind.
    """
    path = Path(path)
    file = path / "summary.json" if path.is_dir() else path
    try:
        summary: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"'{file}' is no summary of ses-gcn evaluate: {error}") from error
    if not isinstance(summary, dict) or "forecasts" not in summary:
        raise InputError(f"'{file}' is no summary of ses-gcn evaluate: it has no forecasts")
    return summary


def compare(before: dict[str, Any], after: dict[str, Any], tolerance: float = 0.05) -> list[Change]:
    """Compare two summaries.

    Parameters
    ----------
    before, after : dict
        From `evaluate` or `merge`.
    tolerance : float
        Share of a number by which it may get worse.

    Returns
    -------
    list of Change
        One that was known before and is not any more counts as a regression.
    """
    changes = [
        _change(f"MPJPE {convention} {horizon:g} s [mm]", old, new, -1, 0.1, tolerance)
        for convention, key in (("at", "at"), ("up to", "up_to"))
        for horizon in HORIZONS
        for old, new in [(_error(before, key, horizon), _error(after, key, horizon))]
    ]
    short, shorter = _shortfall(before), _shortfall(after)
    changes.append(_change("shortfall of coverage", short, shorter, -1, 0.01, tolerance))
    changes += [
        _change(
            metric.name,
            _find(before, metric.path),
            _find(after, metric.path),
            metric.better,
            metric.slack,
            tolerance,
        )
        for metric in METRICS
    ]
    return [each for each in changes if each.before is not None or each.after is not None]


def _change(
    name: str,
    before: float | None,
    after: float | None,
    better: int,
    slack: float,
    tolerance: float,
) -> Change:
    if before is None or after is None:
        return Change(name, before, after, float("nan"), before is not None and after is None)
    loss = better * (before - after)
    worse = loss / abs(before) if before else (0.0 if loss == 0 else float("inf") * loss)
    return Change(name, before, after, worse, loss > max(slack, tolerance * abs(before)))


def _find(summary: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = summary
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _error(summary: dict[str, Any], convention: str, horizon: float) -> float | None:
    forecasts = summary["forecasts"]
    for index, ahead in enumerate(forecasts.get("horizons_s", ())):
        if abs(ahead - horizon) < 1e-3:
            value: float | None = forecasts["mpjpe_mm"][convention]["forecast"][index]
            return value
    return None


def _shortfall(summary: dict[str, Any]) -> float | None:
    coverage = summary["forecasts"].get("coverage") or {}
    promised, measured = coverage.get("promised"), coverage.get("measured")
    if promised is None or measured is None:
        return None
    return max(float(promised) - float(measured), 0.0)
