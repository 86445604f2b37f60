"""Tables of forecast errors: per frame and averaged up to it, both, because papers mix them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.skeleton import get_layout
from ses_gcn_ros.training.scores import Errors, coverage_by_step

_FRAMES = (1, 2, 4, 10, 14, 25)
_REFERENCE = "damped_velocity"


def summarise(errors: Errors, engine: Engine) -> dict[str, Any]:
    """Every figure of an evaluation, in millimetres, ready for JSON.

    Parameters
    ----------
    errors : Errors
        From `scores.measure`.
    engine : Engine
        What was measured.

    Returns
    -------
    dict
        ``frames``; per method ``at_frame`` and ``up_to_frame`` (one value per entry of ``frames``)
        and ``mean`` over all frames; ``gain_percent`` of the model on damped velocity at those
        frames and ``worst_ratio`` over all; ``groups`` and ``joints`` with the model's mean and
        last frame; ``radius`` with its coverage over steps, if the weights carry one.
    """
    frames = [frame for frame in _FRAMES if frame < engine.horizon] + [engine.horizon]
    per_step = {n: 1000 * np.mean(d, axis=(0, 2)) for n, d in errors.distance.items()}
    ours, reference = per_step[errors.model], per_step[_REFERENCE]
    picked = np.array(frames) - 1
    distance = errors.distance[errors.model]
    summary: dict[str, Any] = {
        "model": errors.model,
        "windows": len(distance),
        "frames": frames,
        "methods": {
            name: {
                "at_frame": _rounded(steps[picked]),
                "up_to_frame": _rounded([steps[:frame].mean() for frame in frames]),
                "mean": _rounded([steps.mean()])[0],
            }
            for name, steps in per_step.items()
        },
        "gain_percent": _rounded(100 * (1 - ours[picked] / reference[picked])),
        "worst_ratio": round(float((ours / reference).max()), 3),
        "groups": {
            group: _group(errors, errors.group == group)
            for group in sorted(set(errors.group.tolist()))
        },
        "joints": {
            joint: _rounded([1000 * distance[..., index].mean()])[0]
            for index, joint in enumerate(get_layout(engine.layout).joints)
        },
    }
    if engine.radius is not None:
        steps = 100 * coverage_by_step(distance, engine.radius)
        summary["radius"] = {
            "coverage_asked_percent": _rounded([100 * engine.coverage])[0],
            "coverage_percent": _rounded(steps[picked]),
            "coverage_least_percent": _rounded([steps.min()])[0],
            "coverage_most_percent": _rounded([steps.max()])[0],
            "mean": _rounded(1000 * engine.radius.mean(axis=1)[picked]),
            "mean_of_all": _rounded([1000 * engine.radius.mean()])[0],
        }
    return summary


def _group(errors: Errors, chosen: NDArray[np.bool_]) -> dict[str, float | int]:
    ours = errors.distance[errors.model][chosen]
    reference = errors.distance[_REFERENCE][chosen]
    return {
        "windows": len(ours),
        "mean": _rounded([1000 * ours.mean()])[0],
        "last": _rounded([1000 * ours[:, -1].mean()])[0],
        "gain_percent_last": _rounded([100 * (1 - ours[:, -1].mean() / reference[:, -1].mean())])[
            0
        ],
    }


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 1) for value in values]


def as_text(summary: dict[str, Any]) -> str:
    """The figures as a person reads them."""
    header = (
        f"{'':24}" + "".join(f"{f'f{frame}':>8}" for frame in summary["frames"]) + f"{'mean':>8}"
    )

    def row(name: str, values: list[float], last: str = "") -> str:
        return f"{name:24}" + "".join(f"{value:8.1f}" for value in values) + f"{last:>8}"

    lines = [f"{summary['windows']} windows, MPJPE [mm]", "", "at the frame", header]
    for name, figures in summary["methods"].items():
        lines.append(row(name, figures["at_frame"], f"{figures['mean']:.1f}"))
    lines.append(row(f"gain on {_REFERENCE} %", summary["gain_percent"]))
    lines.append(f"{'worst frame, ratio':24}{summary['worst_ratio']:8.3f}")
    lines += ["", "averaged up to the frame", header]
    for name, figures in summary["methods"].items():
        lines.append(row(name, figures["up_to_frame"], f"{figures['mean']:.1f}"))
    if "radius" in summary:
        radius = summary["radius"]
        asked = radius["coverage_asked_percent"]
        lines += ["", f"radius for {asked:g} % coverage", header]
        lines.append(row("mean radius mm", radius["mean"], f"{radius['mean_of_all']:.1f}"))
        lines.append(row("coverage %", radius["coverage_percent"]))
        least, most = radius["coverage_least_percent"], radius["coverage_most_percent"]
        lines.append(f"over all steps between {least} and {most} %")
    lines += ["", f"{'group':32}{'windows':>8}{'mean':>8}{'last':>8}{'gain %':>8}"]
    for name, figures in summary["groups"].items():
        lines.append(
            f"{name:32}{figures['windows']:8}{figures['mean']:8.1f}{figures['last']:8.1f}"
            f"{figures['gain_percent_last']:8.1f}"
        )
    lines += ["", "joint, mean mm"]
    lines += [f"{joint:24}{value:8.1f}" for joint, value in summary["joints"].items()]
    return "\n".join(lines)


def as_csv(summary: dict[str, Any]) -> str:
    """One line per method and frame: method, frame, at_frame, up_to_frame."""
    lines = ["method,frame,mpjpe_at_frame_mm,mpjpe_up_to_frame_mm"]
    for name, figures in summary["methods"].items():
        columns = zip(summary["frames"], figures["at_frame"], figures["up_to_frame"], strict=True)
        lines += [f"{name},{frame},{at},{up_to}" for frame, at, up_to in columns]
    return "\n".join(lines) + "\n"
