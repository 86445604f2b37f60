"""Forecasts that need no training: what a network has to beat, and what it falls back to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.models.framing import damped_velocity


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


BASELINES: dict[str, Callable[[NDArray[np.float32], int], NDArray[np.float32]]] = {
    "last_pose": last_pose,
    "constant_velocity": constant_velocity,
    "damped_velocity": damped_velocity,
}
