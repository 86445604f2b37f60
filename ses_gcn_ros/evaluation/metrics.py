"""Errors of forecasts: how far off the joints were, at a horizon and up to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.evaluation.recording import Recording, Track
from ses_gcn_ros.forecast.baselines import constant_velocity, last_pose
from ses_gcn_ros.skeleton import convert

Array = NDArray[np.float64]

OBSERVED = 10  # frames of history that a forecast must have to be compared with the baselines


def joint_errors(predicted: ArrayLike, truth: ArrayLike) -> Array:
    """Distance of each joint from where it was.

    Parameters
    ----------
    predicted, truth : array-like, shape (..., H, J, 3)
        Positions in one frame and unit; NaN where unknown.

    Returns
    -------
    NDArray, shape (..., H, J)
        Distances in that unit; NaN where either is unknown.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    a, b = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    if a.shape != b.shape or a.ndim < 3 or a.shape[-1] != 3:
        raise InputError(f"positions of shape {a.shape} and {b.shape}; both must be (..., H, J, 3)")
    return np.asarray(np.linalg.norm(a - b, axis=-1))


def mpjpe(errors: ArrayLike) -> Array:
    """Mean per joint position error at each step of the horizon.

    Parameters
    ----------
    errors : array-like, shape (..., H, J)
        From `joint_errors`.

    Returns
    -------
    NDArray, shape (H,)
        Mean over all leading axes and joints, unknown ones left out; NaN where all are unknown.
    """
    values = np.asarray(errors, np.float64)
    flat = np.moveaxis(values, -2, 0).reshape(values.shape[-2], -1)
    known = np.isfinite(flat)
    count = known.sum(axis=1)
    total = np.where(known, flat, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_up_to(per_step: ArrayLike) -> Array:
    """Mean of the errors of all steps up to each, the other convention of published tables.

    Parameters
    ----------
    per_step : array-like, shape (H,)
        From `mpjpe`.
    """
    values = np.asarray(per_step, np.float64)
    return np.cumsum(values) / np.arange(1, len(values) + 1)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Published forecasts and two baselines, held against what was seen later.

    Attributes
    ----------
    horizons : NDArray, shape (H,)
        Time ahead of each step [s].
    errors : dict
        MPJPE (H,) [m] of ``forecast``, ``last_pose`` and ``constant_velocity`` on the same moments.
    compared : int
        Number of forecasts that had a full history and something later to be held against.
    coverage : float
        Share of joints that were within the published radius; NaN if no radius was published.
    promised : float
        Mean of the coverage that was published with them; NaN as above.
    """

    horizons: Array
    errors: dict[str, Array]
    compared: int
    coverage: float
    promised: float


def compare_forecasts(recording: Recording) -> Comparison:
    """Hold every published forecast against what was seen later, and so the baselines.

    What was seen is interpolated to the forecast's steps. Forecasts of people with less than
    `OBSERVED` frames of history are left out for all three, so that they face the same moments.
    Forecasts of another number of steps than the first one's are left out.
    """
    errors: dict[str, list[Array]] = {"forecast": [], "last_pose": [], "constant_velocity": []}
    inside: list[Array] = []
    promised: list[float] = []
    horizons: Array = np.zeros(0)
    for forecast in recording.forecasts:
        track = recording.tracks.get(forecast.person_id)
        if track is None:
            continue
        steps = forecast.step * np.arange(1, len(forecast.positions) + 1)
        if len(horizons) not in (0, len(steps)):
            continue
        grid = forecast.stamp + forecast.step * np.arange(1 - OBSERVED, 1)
        history = _seen(track, grid, forecast.layout)[None]
        truth = _seen(track, forecast.stamp + steps, forecast.layout)
        if np.isnan(history).all(axis=(2, 3)).any() or np.isnan(truth).all():
            continue
        horizons = steps.astype(np.float64)
        predictions = {
            "forecast": forecast.positions,
            "last_pose": last_pose(history, len(steps))[0],
            "constant_velocity": constant_velocity(history, len(steps))[0],
        }
        for name, predicted in predictions.items():
            errors[name].append(joint_errors(predicted, truth))
        if forecast.coverage > 0:
            seen = errors["forecast"][-1]
            inside.append(np.where(np.isnan(seen), np.nan, seen <= forecast.radius))
            promised.append(forecast.coverage)
    return Comparison(
        horizons=horizons,
        errors={name: mpjpe(np.stack(e)) if e else np.zeros(0) for name, e in errors.items()},
        compared=len(errors["forecast"]),
        coverage=float(np.nanmean(np.stack(inside))) if inside else float("nan"),
        promised=float(np.mean(promised)) if promised else float("nan"),
    )


def _seen(track: Track, times: NDArray[np.floating], layout: str) -> NDArray[np.float32]:
    """What was seen of somebody at times [s], in a layout; shape (len(times), J, 3)."""
    positions = track.at(times)
    return convert(positions, np.ones(positions.shape[:-1]), track.layout, layout)[0]
