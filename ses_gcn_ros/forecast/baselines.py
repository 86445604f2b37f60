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


BASELINES: dict[str, Callable[[NDArray[np.float32], int], NDArray[np.float32]]] = {
    "last_pose": last_pose,
    "constant_velocity": constant_velocity,
    "damped_velocity": damped_velocity,
}
# What is left of the velocity from frame to frame in each.
DAMPINGS = {"last_pose": 0.0, "constant_velocity": 1.0, "damped_velocity": DAMPING}
