"""The part of a page about time: ages, latencies, gaps, what was refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from ses_gcn_ros.replay.replay import Replay
from ses_gcn_ros.replay.report.blocks import Chart, Line, Section, Table, text_of

_AGES = {
    "skeleton": ("skeletons", "person"),
    "forecast": ("forecasts", "forecast"),
    "tf": ("transforms", "baseline2"),
}
_SHARES = np.linspace(0, 1, 101)
_SHOWN = 0.995  # share of the ages that the curve's axis reaches up to


def timing_section(replay: Replay, numbers: dict[str, Any]) -> Section:
    """Section on ages, latencies and the health of the stream; `numbers` is the whole summary."""
    rows = [
        [f"age of the {_AGES[name][0]} when a state was made", *_quantiles(values)]
        for name, values in numbers["ages_ms"].items()
        if values
    ]
    rows += [
        [f"{entry['node']}: {entry['measure']}", text_of(entry["median_ms"], digits=1), "–",
         text_of(entry["p99_ms"], digits=1), "–"]
        for entry in numbers["latencies"]
    ]  # fmt: skip
    health = numbers["stream"]
    for label, key in (
        ("between two observations", "period_ms"),
        ("from a stamp to its recording", "arrival_ms"),
    ):
        if health[key]:
            rows.append([label, *_quantiles(health[key])])
    tables = [Table(rows, ["ms", "median", "90 %", "99 %", "most"])] if rows else []
    tables.append(Table(_health(health)))
    return Section("Time", [], _ages(replay), tables)


def _quantiles(values: dict[str, Any]) -> list[str]:
    return [text_of(values[key], digits=1) for key in ("median", "p90", "p99", "max")]


def _health(health: dict[str, Any]) -> list[list[str]]:
    rows = [
        ["gaps longer than 0.2 s", f"{health['gaps']}, {health['gap_s_total']:.1f} s in all"],
        ["longest gap", f"{health['longest_gap_s']:.2f} s"],
        ["observations missing at the usual rate", str(health["dropped"])],
        ["clock went back", f"{health['clock_went_back']} times"],
    ]
    for by, key in (("refused", "refused"), ("refused by the safety node", "refused_by_safety")):
        rows += [[f"{by}: {why}", f"{count} times"] for why, count in health[key].items()]
    return rows


def _ages(replay: Replay) -> list[Chart]:
    lines = []
    for name, (label, colour) in _AGES.items():
        ages = np.asarray(getattr(replay.states, f"{name}_age"), np.float64)
        ages = ages[np.isfinite(ages) & (ages >= 0)] * 1e3
        if len(ages) and ages.max() > 0:
            values = [round(float(value), 3) for value in np.quantile(ages, _SHARES)]
            lines.append(Line(label, colour, (100 * _SHARES).tolist(), list(values), 1.8))
    if not lines:
        return []
    at = round(_SHOWN * (len(_SHARES) - 1))
    top = 1.1 * max(max(value for value in line.y[: at + 1] if value is not None) for line in lines)
    return [
        Chart("ages", "Age of the inputs: share of the states that had younger ones", lines,
              (0, max(top, 1.0)), " ms", 1, " %")
    ]  # fmt: skip
