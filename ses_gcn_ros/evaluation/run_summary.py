"""The numbers of a recorded run: how good the forecasts were, and what was done about them."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ses_gcn_ros.evaluation.metrics import Comparison, mean_up_to
from ses_gcn_ros.evaluation.recording import LEVELS, Recording

Array = NDArray[np.float64]

HORIZONS = (0.08, 0.4, 1.0)  # s ahead, of the table
_FALLBACK = re.compile(r"constant_velocity \(([^:)]*)")


@dataclass(frozen=True)
class HorizonError:
    """MPJPE [mm] at a horizon and as the mean up to it, of the forecasts and of two baselines."""

    horizon_ms: int
    forecast: float
    last_pose: float
    constant_velocity: float
    forecast_mean: float
    last_pose_mean: float
    constant_velocity_mean: float


@dataclass(frozen=True)
class Latency:
    """Median and 99th percentile [ms] of one measure of one node."""

    node: str
    measure: str
    median_ms: float
    p99_ms: float


@dataclass(frozen=True)
class RunSummary:
    """Every number of a run's table; times count from the first observation.

    Attributes
    ----------
    bag : str
    duration_s : float
        From the first observation to the last.
    frames, people : int
        Observations, and different people in them.
    forecasts : int
        Forecasts of one person each.
    fallbacks : dict
        How many of them the fallback made, by reason.
    models : dict
        How many each model made.
    compared : int
        How many had a full history and were held against what was seen later.
    errors : list of HorizonError
    coverage, coverage_promised : float
        Share of joints within the published radius, and the share that was promised.
    lowest_separation_m, lowest_separation_at_s : float
        Least distance between person and robot, and when.
    closest_pair : tuple of str
        Limb and robot frame of that distance.
    seconds : dict
        Time in each level [s], from the first observation to the last.
    full_speed_share : float
        Share of that time at full speed.
    first_stop_at_s : float
        First STOP after the robot had been allowed to move; NaN if there was none.
    first_stop_reasons : tuple of str
    stop_before_closest_s : float
        How long before the closest approach that was; NaN without a stop.
    stopped_at_closest_s : float
        How long the robot had been stopped without a break at the closest approach; NaN if it
        was not.
    latencies : list of Latency
    """

    bag: str
    duration_s: float
    frames: int
    people: int
    forecasts: int
    fallbacks: dict[str, int]
    models: dict[str, int]
    compared: int
    errors: list[HorizonError]
    coverage: float
    coverage_promised: float
    lowest_separation_m: float
    lowest_separation_at_s: float
    closest_pair: tuple[str, ...]
    seconds: dict[str, float]
    full_speed_share: float
    first_stop_at_s: float
    first_stop_reasons: tuple[str, ...]
    stop_before_closest_s: float
    stopped_at_closest_s: float
    latencies: list[Latency]

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into summary.json: plain values, None for what is not known."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def summarise(recording: Recording, comparison: Comparison) -> RunSummary:
    """Compute the numbers of a run."""
    models = Counter(forecast.model for forecast in recording.forecasts)
    fallbacks: Counter[str] = Counter()
    makers: Counter[str] = Counter()
    for model, count in models.items():
        reason = _FALLBACK.match(model)
        makers["constant_velocity" if reason else model] += count
        if reason:
            fallbacks[reason[1].strip()] += count
    return RunSummary(
        bag=recording.name,
        duration_s=recording.end - recording.start,
        frames=len(recording.stamps),
        people=len(recording.tracks),
        forecasts=len(recording.forecasts),
        fallbacks=dict(fallbacks),
        models=dict(makers),
        compared=comparison.compared,
        errors=horizon_errors(comparison),
        coverage=comparison.coverage,
        coverage_promised=comparison.promised,
        **_separation(recording),
        latencies=_latencies(recording),
    )


def horizon_errors(comparison: Comparison) -> list[HorizonError]:
    """Rows of the table; horizons beyond the forecasts' are left out."""
    rows = []
    names = ("forecast", "last_pose", "constant_velocity")
    means = {name: mean_up_to(comparison.errors[name]) for name in names}
    for horizon in HORIZONS:
        index = np.flatnonzero(np.isclose(comparison.horizons, horizon, atol=1e-3))
        if len(index):
            step = int(index[0])
            at = [float(comparison.errors[name][step]) * 1e3 for name in names]
            up_to = [float(means[name][step]) * 1e3 for name in names]
            rows.append(HorizonError(round(horizon * 1e3), *at, *up_to))
    return rows


def _separation(recording: Recording) -> dict[str, Any]:
    states = recording.states
    stamps = np.array(states.stamps) - recording.start
    level = np.array(states.level, dtype=int)
    length = recording.end - recording.start
    held = np.diff(np.clip(np.append(stamps, length), 0, length), prepend=0)[1:]
    separation = np.array(states.separation)
    measured = np.flatnonzero(np.isfinite(separation))
    closest = measured[separation[measured].argmin()] if len(measured) else None
    at = float(stamps[closest]) if closest is not None else math.nan
    stop = _first_stop(level)
    stopped_at = float(stamps[stop]) if stop is not None else math.nan
    full = float(held[np.array(states.factor) >= 1].sum()) if len(held) else math.nan
    return {
        "lowest_separation_m": float(separation[closest]) if closest is not None else math.nan,
        "lowest_separation_at_s": at,
        "closest_pair": ()
        if closest is None
        else (states.human_limb[closest], states.robot_frame[closest]),
        "seconds": {name: float(held[level == i].sum()) for i, name in enumerate(LEVELS)},
        "full_speed_share": full / length if length > 0 else math.nan,
        "first_stop_at_s": stopped_at,
        "first_stop_reasons": () if stop is None else states.reasons[stop],
        "stop_before_closest_s": at - stopped_at,
        "stopped_at_closest_s": _stopped_for(stamps, level, closest),
    }


def _first_stop(level: NDArray[np.int_]) -> int | None:
    """First stop once the robot had been allowed to move: until data flows every state is STOP."""
    moving = np.flatnonzero(level != 2)
    if not len(moving):
        return None
    stops = np.flatnonzero(level[moving[0] :] == 2)
    return int(moving[0] + stops[0]) if len(stops) else None


def _stopped_for(stamps: Array, level: NDArray[np.int_], closest: int | None) -> float:
    """Length of the stop without a break that led up to a state."""
    if closest is None or level[closest] != 2:
        return math.nan
    moving = np.flatnonzero(level[:closest] != 2)
    return float(stamps[closest] - stamps[moving[-1] + 1 if len(moving) else 0])


def _latencies(recording: Recording) -> list[Latency]:
    rows = []
    ages = np.array(recording.states.skeleton_age) * 1e3
    ages = ages[np.isfinite(ages)]
    if len(ages):
        median, p99 = (float(np.quantile(ages, share)) for share in (0.5, 0.99))
        rows.append(
            Latency("safety_node", "age of the skeletons when a state was made", median, p99)
        )
    for node, values in sorted(recording.diagnostics.items()):
        if {"latency_median_ms", "latency_p99_ms"} <= values.keys():
            median, p99 = float(values["latency_median_ms"]), float(values["latency_p99_ms"])
            if math.isfinite(median):
                rows.append(Latency(node, "message in → result out, its own measure", median, p99))
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def summary_table(summary: RunSummary) -> Table:
    """Table of a run for the terminal."""
    table = Table(title=summary.bag, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    for label, text in summary_lines(summary):
        table.add_row(label, text)
    return table


def summary_lines(summary: RunSummary) -> list[tuple[str, str]]:
    """Label and text of each line of the table, as printed and as shown in the report."""
    lines = [
        ("frames", f"{summary.frames} in {summary.duration_s:.1f} s"),
        ("people", str(summary.people)),
        ("forecasts", f"{summary.forecasts}, {summary.compared} held against what came"),
    ]
    lines += [("  fallback", f"{count} × {reason}") for reason, count in summary.fallbacks.items()]
    for row in summary.errors:
        text = (
            f"{row.forecast:.0f} mm; last pose {row.last_pose:.0f}, "
            f"constant velocity {row.constant_velocity:.0f} "
            f"(mean up to it {row.forecast_mean:.0f}; {row.last_pose_mean:.0f}, "
            f"{row.constant_velocity_mean:.0f})"
        )
        lines.append((f"MPJPE at {row.horizon_ms} ms", text))
    if math.isfinite(summary.coverage):
        text = f"{summary.coverage:.1%} of joints within, {summary.coverage_promised:.1%} promised"
        lines.append(("radius", text))
    if math.isfinite(summary.lowest_separation_m):
        pair = " to ".join(summary.closest_pair)
        text = f"{summary.lowest_separation_m:.2f} m at {summary.lowest_separation_at_s:.2f} s"
        lines.append(("lowest separation", f"{text}, {pair}"))
        stopped = summary.stopped_at_closest_s
        text = f"stopped for {stopped:.2f} s" if math.isfinite(stopped) else "not stopped"
        lines.append(("  robot then", text))
        times = ", ".join(f"{name} {time:.1f} s" for name, time in summary.seconds.items())
        lines.append(("states", f"{times}; full speed {summary.full_speed_share:.0%}"))
        lines.append(("first STOP", _stop_text(summary)))
    for latency in summary.latencies:
        text = f"{latency.median_ms:.2f} ms, p99 {latency.p99_ms:.2f} ms"
        lines.append((latency.node, f"{text}  ({latency.measure})"))
    return lines


def _stop_text(summary: RunSummary) -> str:
    if not math.isfinite(summary.first_stop_at_s):
        return "none"
    reason = summary.first_stop_reasons[0] if summary.first_stop_reasons else "no reason given"
    early = summary.stop_before_closest_s
    when = "before" if early >= 0 else "after"
    return (
        f"at {summary.first_stop_at_s:.2f} s, {abs(early):.2f} s {when} the closest approach: "
        f"{reason}"
    )
