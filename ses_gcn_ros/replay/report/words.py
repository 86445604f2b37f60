"""A run in a few sentences and large numbers."""

from __future__ import annotations

from typing import Any

from ses_gcn_ros.replay.report.blocks import Fact, share_of
from ses_gcn_ros.replay.report.forecasts import coverage_words, error_at

_AHEAD = 1.0  # s


def verdict(numbers: dict[str, Any]) -> list[str]:
    """Sentences that say what matters most; `numbers` is a summary."""
    sentences = []
    safety = numbers["safety"]
    if safety and safety["worst"]:
        worst = safety["worst"]
        stopped = worst["stopped_for_s"]
        state = "not stopped at" if stopped is None else f"stopped {stopped:.1f} s before"
        pair = " to ".join(name for name in (worst["limb"], worst["frame"]) if name)
        where = ", ".join(part for part in (f"{worst['separation_m']:.2f} m", pair) if part)
        sentences.append(f"The robot was {state} the closest approach ({where}).")
        if safety["missed_stops"] or safety["false_stops"]:
            sentences.append(
                f"{_times(safety['missed_stops'])} it was not stopped in time; "
                f"{_times(safety['false_stops']).lower()} it was stopped for nobody."
            )
    forecasts = numbers["forecasts"]
    error, still = (error_at(forecasts, _AHEAD, n) for n in ("forecast", "constant_velocity"))
    if error is not None and still:
        share = 1 - error / still
        sentences.append(
            f"{_AHEAD:g} s ahead the forecasts were {error:.0f} mm off, {abs(share):.0%} "
            f"{'less' if share >= 0 else 'more'} than constant velocity."
        )
    return sentences or ["The recording holds no safety states and no forecasts to judge."]


def _times(count: int) -> str:
    return {0: "Never", 1: "Once", 2: "Twice"}.get(count, f"{count} times")


def facts(numbers: dict[str, Any]) -> list[Fact]:
    """The numbers that are shown large."""
    found = []
    safety = numbers["safety"]
    if safety:
        if safety["worst"]:
            lowest = safety["worst"]["separation_m"]
            found.append(Fact(f"{lowest:.2f} m", "lowest separation", "alarm"))
        found += [Fact(_time(time), name, name) for name, time in safety["seconds"].items()]
        found.append(Fact(share_of(safety["availability"]), "of the time at full speed"))
        found.append(Fact(f"{safety['false_stops']} / {safety['stops_by_people']}", "stops false"))
    error = error_at(numbers["forecasts"], _AHEAD)
    if error is not None:
        found.append(Fact(f"{error:.0f} mm", f"off, {_AHEAD:g} s ahead"))
        found.append(Fact(coverage_words(numbers["forecasts"]), "of joints within the radius"))
    return found


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
