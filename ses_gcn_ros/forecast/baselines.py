"""Forecasts that need no training: what a network has to beat, and what it falls back to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.models.framing import DAMPING, damped_velocity, reach
from ses_gcn_ros.skeleton import whole_covariance

_FADES = 12  # steps in which a velocity is gone
_LAG = 2  # frames; of pictures that come 12 times a second, one lies on the line between two
_ALIKE = 0.5  # cosine of velocities from which they are motion in full
_SURELY = 0.7, 0.9  # cosines between which a velocity comes to last longer,
_LONGER = 4  # by up to this factor
_TINY = np.float32(1e-12)  # m²; of velocities that are zero
# Share of a stated variance that a displacement is weighed against: what changes within a second.
_CHANGES = np.float32(0.05)


def last_pose(history: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    """Every joint stays where it is.

    `history` (..., T, J, 3): observed positions, oldest first.
    `horizon`: frames H to continue for.

    Returns (..., H, J, 3).
    """
    return np.repeat(history[..., -1:, :, :], horizon, axis=-3)


def constant_velocity(history: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    """Every joint keeps its last velocity; shapes as in `last_pose`."""
    return damped_velocity(history, horizon, damping=1.0)


def cautious(history: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    """The damped velocity, faded into the last pose; shapes as in `last_pose`, T at least 4.

    What one camera guesses goes on for a moment and then tells nothing. Less of a body's velocities
    goes on where they point elsewhere than those of two frames before: noise more than motion. One
    that points the same way as before is of somebody who moves, and goes on for longer.
    """
    alike = _alike(history)
    share = np.clip(alike / _ALIKE, 0, 1)
    surely = np.clip((alike - _SURELY[0]) / (_SURELY[1] - _SURELY[0]), 0, 1)
    steps = np.arange(1, horizon + 1, dtype=np.float32)[:, None, None]
    fading = np.maximum(0, 1 - steps / (_FADES * (1 + (_LONGER - 1) * surely)))
    carried = reach(horizon, DAMPING)[:, None, None] * fading
    last = history[..., -1:, :, :]
    return last + share * carried * (last - history[..., -2:-1, :, :])


def _alike(history: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean cosine of the joints' velocities and those of `_LAG` frames before, (..., 1, 1, 1)."""
    steps = np.diff(history, axis=-3)
    steps /= np.sqrt((steps * steps).sum(axis=-1, keepdims=True) + _TINY)
    cosine = (steps[..., _LAG:, :, :] * steps[..., :-_LAG, :, :]).sum(axis=-1, keepdims=True)
    alike: NDArray[np.float32] = np.nanmean(cosine, axis=(-3, -2), keepdims=True)
    return alike


def beyond_noise(
    path: NDArray[np.float32], last: NDArray[np.float32], covariance: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What of a forecast is more than the sensor's noise: Wiener's filter of its displacements.

    A displacement d counts d² / (d² + noise) along each axis of a joint's covariance, d being the
    largest of the path. So a path of one camera keeps what goes across the picture and loses what
    depth makes of it that wanders, and who walks towards the camera goes on walking.

    `path` (N, H, J, 3): forecast positions [m]; NaN for unseen joints.
    `last` (N, J, 3): where the joints were seen last [m].
    `covariance` (N, J, 6): of these positions, as in `Skeleton` [m²]; zero where nothing is told.
    """
    variance, axes = np.linalg.eigh(whole_covariance(covariance))
    moved = (path - last[:, None]).swapaxes(1, 2) @ axes  # (N, J, H, 3)
    largest = (moved * moved).max(axis=2)
    share = largest / (largest + _CHANGES * np.maximum(variance, 0) + _TINY)
    kept: NDArray[np.float32] = (moved * share[:, :, None]) @ axes.swapaxes(-1, -2)
    return np.ascontiguousarray(last[:, None] + kept.swapaxes(1, 2))


BASELINES: dict[str, Callable[[NDArray[np.float32], int], NDArray[np.float32]]] = {
    "last_pose": last_pose,
    "constant_velocity": constant_velocity,
    "damped_velocity": damped_velocity,
}
# What is left of the velocity from frame to frame in each.
DAMPINGS = {"last_pose": 0.0, "constant_velocity": 1.0, "damped_velocity": DAMPING}
