"""Figures of an evaluation: errors per frame and averaged up to it, because papers mix them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.skeleton import get_layout
from ses_gcn_ros.training.scores import Errors, coverage_by_step

FRAMES = (1, 2, 4, 10, 14, 25)
_REFERENCE = "damped_velocity"
Table = dict[str, Any]


def summarise(errors: Errors, engine: Engine, frames: tuple[int, ...] = FRAMES) -> Table:
    """Every figure of an evaluation, in millimetres, ready for JSON.

    Parameters
    ----------
    errors : Errors
        From `scores.measure`.
    engine : Engine
        What was measured.
    frames : tuple of int
        Frames to single out, from 1; the last frame is always among them.

    Returns
    -------
    dict
        ``frames``; per method ``at_frame`` and ``up_to_frame`` (one value per entry of ``frames``),
        ``mean`` over all frames, and ``every_frame`` with both for all; ``gain_percent`` of the
        model on damped velocity at those frames and ``worst_ratio`` over all; ``groups``,
        ``group_mean`` (every group counts the same) and ``joints`` of the model; ``radius`` with
        its coverage over steps, if the weights carry one.
    """
    frames = (*[frame for frame in frames if frame < engine.horizon], engine.horizon)
    picked = np.array(frames) - 1
    per_step = {name: errors.per_step(name) for name in errors.distance}
    ours, reference = per_step[errors.model], per_step[_REFERENCE]
    names = sorted(set(errors.group.tolist()))
    groups = {name: _group(errors, name, picked) for name in names}
    # Means of columns of groups, which all have the same keys.
    group_mean = {
        key: _rounded(np.mean([errors_of[key] for errors_of in groups.values()], axis=0))
        for key in ("at_frame", "up_to_frame")
    }
    distance = errors.distance[errors.model]
    joints = get_layout(engine.layout).joints
    summary: Table = {
        "model": errors.model,
        "windows": len(distance),
        "frames": list(frames),
        "methods": {
            name: {
                **_at_and_up_to(steps, picked),
                "mean": _millimetres(steps.mean()),
                "every_frame": _at_and_up_to(steps, np.arange(engine.horizon)),
            }
            for name, steps in per_step.items()
        },
        "gain_percent": _rounded(100 * (1 - ours[picked] / reference[picked])),
        "worst_ratio": round(float((ours / reference).max()), 3),
        "groups": groups,
        "group_mean": group_mean,
        "joints": {
            joint: {
                **_at_and_up_to(distance[..., index].mean(axis=0), picked),
                "mean": _millimetres(distance[..., index].mean()),
            }
            for index, joint in enumerate(joints)
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
            "mean_of_all": _millimetres(engine.radius.mean()),
        }
    return summary


def _group(errors: Errors, name: str, picked: NDArray[np.int64]) -> Table:
    chosen = errors.group == name
    ours, reference = (errors.per_step(m, chosen) for m in (errors.model, _REFERENCE))
    return {
        "windows": int(chosen.sum()),
        **_at_and_up_to(ours, picked),
        "mean": _millimetres(ours.mean()),
        "last": _millimetres(ours[-1]),
        "gain_percent_last": _rounded([100 * (1 - ours[-1] / reference[-1])])[0],
    }


def _at_and_up_to(steps: NDArray[np.floating], picked: NDArray[np.int64]) -> Table:
    """Errors at frames and averaged up to them [mm], from those at every step [m]."""
    up_to = np.cumsum(steps, dtype=np.float64) / np.arange(1, len(steps) + 1)
    return {
        "at_frame": _rounded(1000 * steps[picked]),
        "up_to_frame": _rounded(1000 * up_to[picked]),
    }


def _millimetres(metres: Any) -> float:
    return _rounded([1000 * metres])[0]


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 3) for value in values]
