"""Running for long: what memory and punctuality have come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEGABYTE = 1e6
LATE = 3.0  # periods between two states that are a missed deadline
FLAT = 5.0  # MB that a node's memory may go from where it was after warm-up


def memory(pid: int) -> tuple[float, float]:
    """Memory of a process on Linux: all that is resident, and what is its own, swapped or not [B].

    Its own grows with a leak; the rest is files that the system drops and reads again as it likes.
    """
    kilobytes = {"VmRSS": 0.0, "RssAnon": 0.0, "VmSwap": 0.0}
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        key, _, value = line.partition(":")
        if key in kilobytes:
            kilobytes[key] = float(value.split()[0])
    own = kilobytes["RssAnon"] + kilobytes["VmSwap"]
    return 1024 * kilobytes["VmRSS"], 1024 * own


def summarise(
    stamps: Sequence[float],
    arrivals: Sequence[float],
    period: float,
    used: Mapping[str, Sequence[tuple[float, float, float]]],
    warm_up: float,
) -> dict[str, Any]:
    """Figures of a run, ready for JSON.

    `stamps`, `arrivals`: when each state was made and when it came [s].
    `period`: between two states, as it should be [s].
    `used`: by node: seconds since the start, resident and own memory [B].
    `warm_up`: seconds from the start that memory may take to settle.
    """
    made, came = np.diff(np.asarray(stamps)), np.diff(np.asarray(arrivals))
    nodes = {}
    for name, samples in used.items():
        settled = np.array([sample for sample in samples if sample[0] >= warm_up])
        if len(settled) == 0:
            continue
        nodes[name] = {
            "resident_mb": _course(settled[:, 1]),
            "own_mb": _course(settled[:, 2]),
            "flat": bool(np.abs(settled[:, 2] - settled[0, 2]).max() <= FLAT * MEGABYTE),
        }
    return {
        "states": len(stamps),
        "seconds": float(stamps[-1] - stamps[0]) if len(stamps) else 0.0,
        "period_s": period,
        "gap_made_s": _gaps(made),
        "gap_arrived_s": _gaps(came),
        "missed_made": int((made > LATE * period).sum()),
        "missed_arrived": int((came > LATE * period).sum()),
        "warm_up_s": warm_up,
        "nodes": nodes,
        "passed": bool((made <= LATE * period).all() and all(n["flat"] for n in nodes.values())),
    }


def _gaps(gaps: NDArray[np.float64]) -> dict[str, float]:
    if len(gaps) == 0:
        return {}
    return {
        "median": float(np.median(gaps)),
        "p99_9": float(np.percentile(gaps, 99.9)),
        "max": float(gaps.max()),
    }


def _course(values: NDArray[np.float64]) -> dict[str, float]:
    in_mb = values / MEGABYTE
    return {
        "first": float(in_mb[0]),
        "last": float(in_mb[-1]),
        "least": float(in_mb.min()),
        "most": float(in_mb.max()),
    }


def as_text(summary: dict[str, Any]) -> str:
    """The figures as a person reads them."""
    lines = [
        f"{summary['seconds'] / 60:.1f} min, {summary['people']} people at "
        f"{summary['camera_hz']:g} Hz, {summary['states']} states; over {LATE:g} periods apart: "
        f"{summary['missed_made']} as made, {summary['missed_arrived']} as they came",
        f"{'gaps of the state, ms':28}{'median':>10}{'99.9 %':>10}{'longest':>10}",
    ]
    for key, what in (("gap_made_s", "as made"), ("gap_arrived_s", "as they came")):
        gaps = summary[key]
        lines.append(
            f"{what:28}" + "".join(f"{1e3 * gaps[k]:10.1f}" for k in ("median", "p99_9", "max"))
        )
    lines.append(
        f"{'own memory after warm-up, MB':28}{'first':>10}{'least':>10}{'most':>10}{'last':>10}"
    )
    for name, node in summary["nodes"].items():
        own = node["own_mb"]
        cells = "".join(f"{own[k]:10.1f}" for k in ("first", "least", "most", "last"))
        lines.append(f"{name:28}{cells}{'' if node['flat'] else '  grows'}")
    lines.append("passed" if summary["passed"] else "not passed")
    return "\n".join(lines)
