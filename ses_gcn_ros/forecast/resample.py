"""From a jittery stream of observations onto the time grid that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.kernels import kernel


@dataclass(frozen=True, eq=False)
class Resampled:
    """A history on the grid, or why there is none.

    Attributes
    ----------
    history : NDArray, shape (T, J, 3), float32, or None
        Positions on the grid, which ends at the last observation; NaN throughout for joints in
        `unseen`.
    unseen : NDArray, shape (J,), bool
        Joints that were unseen for too long to be interpolated.
    reason : str
        Why there is no history; empty if there is one.
    whole : bool
        Whether there is a history, of all joints.
    """

    history: NDArray[np.float32] | None
    unseen: NDArray[np.bool_]
    reason: str = ""
    whole: bool = False


def resample(
    stamps: NDArray[np.float64],
    positions: NDArray[np.float32],
    frames: int,
    fps: float,
    *,
    gap: float = 0.2,
    joint_gap: float = 0.2,
    kind: str = "linear",
) -> Resampled:
    """Resample one person's observations onto a grid that ends at the last of them.

    Parameters
    ----------
    stamps : NDArray, shape (M,)
        Times of the observations [s], rising. A clock that jitters may leave the oldest grid
        point a quarter of a step before the oldest observation.
    positions : NDArray, shape (M, J, 3)
        NaN where a joint was unseen. A joint unseen at the last observation is carried on from
        where it was last seen.
    frames : int
        Length T of the grid.
    fps : float
        Its rate [Hz].
    gap : float
        Longest time between two observations that is interpolated [s].
    joint_gap : float
        Longest time that a single joint may be unseen [s].
    kind : str
        'linear', or 'cubic' (Catmull-Rom).
    """
    loops = kernel("resample")
    joints = positions.shape[1]
    history, unseen = np.empty((frames, joints, 3), np.float32), np.empty(joints, np.bool_)
    observations = np.ascontiguousarray(stamps, np.float64), np.ascontiguousarray(positions)
    limits = fps, gap, joint_gap, kind == "cubic"
    found, length, hidden = loops.resample_person(*observations, *limits, history, unseen)
    if found == loops.FINE and hidden < joints:
        return Resampled(history, unseen, whole=not hidden)
    if found == loops.FINE:
        return Resampled(None, unseen, f"no joint seen throughout, limit {joint_gap:.2f} s")
    if found == loops.TOO_SHORT:
        reason = f"history too short: {length:.1f} s of {(frames - 1) / fps:.1f} s"
    else:
        reason = f"gap too long: {length:.2f} s, limit {gap:.2f} s"
    return Resampled(None, np.ones(joints, np.bool_), reason)
