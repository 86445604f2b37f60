"""The numbers of many bags as the numbers of one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ses_gcn_ros.replay.campaign import Outcome, summaries
from ses_gcn_ros.replay.evaluate import FORMAT
from ses_gcn_ros.replay.summary import plain

Summary = dict[str, Any]


def merge(outcomes: Sequence[Outcome]) -> Summary:
    """Sum up the outcomes of many bags.

    Sums are summed, means weighted with what they are means of. Distributions stay with their bags:
    quantiles can't be merged.
    """
    found = summaries(outcomes)
    failed = [outcome for outcome in outcomes if outcome.error]
    merged: Summary = plain(
        {
            "format": FORMAT,
            "bag": f"{len(found)} bags",
            "source": "+".join(sorted({summary["source"] for summary in found})),
            "partial": bool(failed) or any(summary["partial"] for summary in found),
            "problems": [outcome.error for outcome in failed],
            "bags": [_row(outcome) for outcome in outcomes],
            **{name: _sum(found, name) for name in ("duration_s", "frames", "people")},
            "stream": _stream(found),
            "forecasts": _forecasts([summary["forecasts"] for summary in found]),
            "collision": _collision([s["collision"] for s in found if s["collision"]]),
            "safety": _safety([s["safety"] for s in found if s["safety"]]),
        }
    )
    return merged


def _row(outcome: Outcome) -> Summary:
    row: Summary = {"bag": outcome.bag, "folder": outcome.folder, "error": outcome.error}
    summary = outcome.summary
    if summary is not None:
        safety = summary["safety"] or {}
        row |= {
            "partial": summary["partial"],
            "duration_s": summary["duration_s"],
            "people": summary["people"],
            "mpjpe_mm": _last(summary["forecasts"], "at"),
            "availability": safety.get("availability"),
            "stops": safety.get("stops"),
            "worst_separation_m": (safety.get("worst") or {}).get("separation_m"),
        }
    return row


def _last(forecasts: Summary, convention: str) -> float | None:
    errors = forecasts.get("mpjpe_mm")
    return errors[convention]["forecast"][-1] if errors else None


def _sum(parts: Iterable[Summary], name: str) -> Any:
    return sum(part[name] or 0 for part in parts)


def _counted(parts: Iterable[Summary], name: str) -> dict[str, int]:
    total = Counter[str]()
    for part in parts:
        total.update(part[name])
    return dict(total)


def _stream(found: Sequence[Summary]) -> Summary:
    parts = [summary["stream"] for summary in found]
    return {
        "gaps": _sum(parts, "gaps"),
        "gap_s_total": _sum(parts, "gap_s_total"),
        "longest_gap_s": max((part["longest_gap_s"] for part in parts), default=0.0),
        "dropped": _sum(parts, "dropped"),
        "refused": _counted(parts, "refused"),
    }


def _mean(values: Sequence[Any], weights: Sequence[float]) -> Any:
    """Weighted mean of numbers, or of everything within equal structures of them."""
    if isinstance(values[0], dict):
        shared = [key for key in values[0] if all(key in value for value in values)]
        return {key: _mean([value[key] for value in values], weights) for key in shared}
    if isinstance(values[0], list):
        return [_mean(items, weights) for items in zip(*values, strict=False)]
    known = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    total = sum(weight for _, weight in known)
    return math.fsum(value * weight for value, weight in known) / total if total else None


def _forecasts(parts: Sequence[Summary]) -> Summary:
    merged: Summary = {
        "count": _sum(parts, "count"),
        "compared": _sum(parts, "compared"),
        "models": _counted(parts, "models"),
        "fallbacks": _counted(parts, "fallbacks"),
    }
    judged = [part for part in parts if part.get("mpjpe_mm")]
    if judged:
        alike = [part for part in judged if part["horizons_s"] == judged[0]["horizons_s"]]
        weights = [part["compared"] for part in alike]
        merged["horizons_s"] = alike[0]["horizons_s"]
        for name in ("mpjpe_mm", "per_joint_mm", "per_part_mm", "coverage"):
            merged[name] = _mean([part[name] for part in alike], weights)
    return merged


def _collision(parts: Sequence[Summary]) -> Summary | None:
    if not parts:
        return None
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    merged: Summary = {name: _sum(parts, name) for name in (*counts, "windows")}
    hit, false, missed = (merged[name] for name in counts[:3])
    return {
        **merged,
        "threshold_m": parts[0]["threshold_m"],
        "horizon_s": parts[0]["horizon_s"],
        "precision": hit / (hit + false) if hit + false else None,
        "recall": hit / (hit + missed) if hit + missed else None,
        "f1": 2 * hit / (2 * hit + false + missed) if hit + false + missed else None,
        "collisions": _sum(parts, "collisions"),
        "collisions_warned": _sum(parts, "collisions_warned"),
    }


def _safety(parts: Sequence[Summary]) -> Summary | None:
    if not parts:
        return None
    times = [math.fsum(part["seconds"].values()) for part in parts]
    names = ("states", "stops", "stops_by_people", "false_stops", "missed_stops")
    worst = [part["worst"] for part in parts if part["worst"]]
    return {
        **{name: _sum(parts, name) for name in names},
        "seconds": {
            level: math.fsum(part["seconds"][level] for part in parts)
            for level in parts[0]["seconds"]
        },
        "availability": _mean([part["availability"] for part in parts], times),
        "mean_factor": _mean([part["mean_factor"] for part in parts], times),
        "stop_reasons": _counted(parts, "stop_reasons"),
        "worst": min(worst, key=lambda moment: moment["separation_m"], default=None),
    }
