"""Forecasts that need no training: what a network has to beat, and what it falls back to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.models.framing import DAMPING, damped_velocity, reach

_FADES = 12  # steps in which a velocity is gone


def last_pose(history: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    """Every joint stays where it is.

    Parameters
    ----------
    history : NDArray, shape (..., T, J, 3)
        Observed positions, oldest first.
    horizon : int
        Frames H to continue for.

    Returns
    -------
    NDArray, shape (..., H, J, 3)
    """
    return np.repeat(history[..., -1:, :, :], horizon, axis=-3)


def constant_velocity(history: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    """Every joint keeps its last velocity; shapes as in `last_pose`."""
    return damped_velocity(history, horizon, damping=1.0)


def cautious(history: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    """The damped velocity, faded into the last pose; shapes as in `last_pose`.

    What one camera guesses goes on for a moment and then tells nothing.
    """
    fading = np.maximum(0, 1 - np.arange(1, horizon + 1) / _FADES).astype(np.float32)
    carried = (reach(horizon, DAMPING) * fading)[:, None, None]
    last = history[..., -1:, :, :]
    return last + carried * (last - history[..., -2:-1, :, :])


def latest_motion(
    stamps: NDArray[np.float64], positions: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Latest position and least-squares velocity of each joint, (J, 3) [m], [m/s].

    NaN for joints that were not seen; velocity 0 for joints that were seen once.
    """
    seen = np.all(np.isfinite(positions), axis=-1)[..., None]  # (M, J, 1)
    points = np.where(seen, positions, 0).astype(np.float64)
    times = (stamps - stamps[-1])[:, None, None] * seen
    count = np.maximum(seen.sum(axis=0), 1)
    mean_time, mean_point = times.sum(axis=0) / count, points.sum(axis=0) / count
    away = (times - mean_time) * seen
    spread = (away**2).sum(axis=0)
    velocity = (away * (points - mean_point)).sum(axis=0) / np.where(spread > 0, spread, 1)
    newest = len(stamps) - 1 - np.argmax(seen[::-1, :, 0], axis=0)
    columns = np.arange(positions.shape[1])
    last = positions[newest, columns] - velocity * times[newest, columns]  # carried on to now
    last = np.where(seen.any(axis=0), last, np.nan)
    return last.astype(np.float32), velocity.astype(np.float32)


BASELINES: dict[str, Callable[[NDArray[np.float32], int], NDArray[np.float32]]] = {
    "last_pose": last_pose,
    "constant_velocity": constant_velocity,
    "damped_velocity": damped_velocity,
}
# What is left of the velocity from frame to frame in each.
DAMPINGS = {"last_pose": 0.0, "constant_velocity": 1.0, "damped_velocity": DAMPING}
