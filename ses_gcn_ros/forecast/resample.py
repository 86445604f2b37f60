"""From a jittery stream of observations onto the time grid that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from ses_gcn_ros.compiling import array, compiled, real, single, whole

FINE, TOO_SHORT, GAP = range(3)
_EDGE = 0.25  # steps by which the oldest grid point may lie before the oldest observation


@dataclass(frozen=True, eq=False)
class Resampled:
    """A history on the grid, or why there is none."""

    # (T, J, 3): positions on the grid, which ends at the last observation; NaN throughout for
    # joints in `unseen`
    history: NDArray[np.float32] | None
    unseen: NDArray[np.bool_]  # (J,): joints that were unseen for too long to be interpolated
    reason: str = ""  # why there is no history; empty if there is one
    whole: bool = False  # whether there is a history, of all joints


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
    joints = positions.shape[1]
    history, unseen = np.empty((frames, joints, 3), np.float32), np.empty(joints, np.bool_)
    observations = np.ascontiguousarray(stamps, np.float64), np.ascontiguousarray(positions)
    limits = fps, gap, joint_gap, kind == "cubic"
    found, length, hidden = _resample(*observations, *limits, history, unseen)
    if found == FINE and hidden < joints:
        return Resampled(history, unseen, whole=not hidden)
    if found == FINE:
        return Resampled(None, unseen, f"no joint seen throughout, limit {joint_gap:.2f} s")
    if found == TOO_SHORT:
        reason = f"history too short: {length:.1f} s of {(frames - 1) / fps:.1f} s"
    else:
        reason = f"gap too long: {length:.2f} s, limit {gap:.2f} s"
    return Resampled(None, np.ones(joints, np.bool_), reason)


@njit(error_model="numpy")
def _longest_unseen(stamps: Any, seen: Any, start: Any) -> Any:
    """Longest time [s] from `start` on that a joint was unseen for; inf if it never was seen.

    A joint that was seen one observation earlier has no gap, only the stream's own step.
    """
    longest, last_seen = 0.0, -np.inf
    for m in range(len(stamps)):
        if seen[m]:
            if m > 0 and not seen[m - 1]:
                longest = max(longest, stamps[m] - max(last_seen, start))
            last_seen = stamps[m]
    if last_seen == -np.inf:
        return np.inf
    return max(longest, stamps[-1] - max(last_seen, start)) if not seen[-1] else longest


@njit(error_model="numpy")
def _fill(stamps: Any, path: Any, seen: Any) -> None:
    """Unseen points (M, 3) from those before and after; at the ends from the nearest one."""
    before = -1
    for m in range(len(stamps)):
        if seen[m]:
            before = m
            continue
        after = m + 1
        while after < len(stamps) and not seen[after]:
            after += 1
        low = before if before >= 0 else after
        high = after if after < len(stamps) else before
        share = np.float32(0)
        if high > low:
            share = np.float32((stamps[m] - stamps[low]) / (stamps[high] - stamps[low]))
        for k in range(3):
            path[m, k] = path[low, k] + share * (path[high, k] - path[low, k])


@njit(error_model="numpy")
def _slopes(stamps: Any, path: Any, slope: Any) -> None:
    """Velocities (M, 3) from the neighbours: Catmull-Rom for uneven steps."""
    last = len(stamps) - 1
    for m in range(last + 1):
        for k in range(3):
            if 0 < m < last:
                h, g = stamps[m] - stamps[m - 1], stamps[m + 1] - stamps[m]
                earlier, later = path[m] - path[m - 1], path[m + 1] - path[m]
                slope[m, k] = (earlier[k] * g / h + later[k] * h / g) / (h + g)
            else:
                a, b = (0, 1) if m == 0 else (last - 1, last)
                slope[m, k] = (path[b, k] - path[a, k]) / (stamps[b] - stamps[a])


@compiled(
    types.Tuple((whole, real, whole))(
        *(array(1), array(3, single), real, real, real, types.boolean),
        *(single[:, :, ::1], types.boolean[::1]),
    )
)
def _resample(
    stamps: Any,
    positions: Any,
    fps: Any,
    gap: Any,
    joint_gap: Any,
    cubic: Any,
    history: Any,
    unseen: Any,
) -> Any:
    """Fill history (T, J, 3) [m] and unseen (J,) of a `Resampled`; see `resample`.

    Returns
    -------
    int
        FINE, TOO_SHORT or GAP; nothing is filled but in the first case.
    float
        How long the history is [s] where it is too short, or its longest gap.
    int
        How many joints are unseen.
    """
    frames, joints = history.shape[0], history.shape[1]
    count = len(stamps)
    last = stamps[count - 1]
    available = last - stamps[0]
    if count < 2 or available + _EDGE / fps < (frames - 1) / fps:
        return TOO_SHORT, available, joints
    oldest = last - (frames - 1) / fps
    first = max(np.searchsorted(stamps, oldest, side="right") - 1, 0)
    longest = 0.0
    for m in range(first, count - 1):
        longest = max(longest, stamps[m + 1] - stamps[m])
    if longest > gap:
        return GAP, longest, joints

    # Keep one observation more at the old end for the cubic's slope there.
    first = max(first - 1, 0)
    stamps, count = stamps[first:], count - first
    low, share = np.empty(frames, np.int64), np.empty(frames)
    for t in range(frames):
        point = last - (frames - 1 - t) / fps
        at = np.searchsorted(stamps, point, side="right") - 1
        at = min(max(at, 0), count - 2)
        low[t] = at
        share[t] = min(max((point - stamps[at]) / (stamps[at + 1] - stamps[at]), 0.0), 1.0)

    start = max(oldest, stamps[0])
    path = np.empty((count, 3), np.float32)
    seen = np.empty(count, np.bool_)
    slope = np.empty((count, 3))
    hidden = 0
    for j in range(joints):
        everywhere = True
        for m in range(count):
            seen[m] = True
            for k in range(3):
                path[m, k] = positions[first + m, j, k]
                seen[m] &= np.isfinite(path[m, k])
            everywhere &= seen[m]
        if not everywhere:
            unseen[j] = _longest_unseen(stamps, seen, start) > joint_gap
            if unseen[j]:
                hidden += 1
                history[:, j] = np.nan
                continue
            _fill(stamps, path, seen)
        else:
            unseen[j] = False
        if cubic:
            _slopes(stamps, path, slope)
        for t in range(frames):
            at, s = low[t], share[t]
            span, s2, s3 = stamps[at + 1] - stamps[at], s * s, s * s * s
            for k in range(3):
                a, b = path[at, k], path[at + 1, k]
                if cubic:  # Hermite
                    history[t, j, k] = (
                        (2 * s3 - 3 * s2 + 1) * a
                        + (s3 - 2 * s2 + s) * span * slope[at, k]
                        + (3 * s2 - 2 * s3) * b
                        + (s3 - s2) * span * slope[at + 1, k]
                    )
                else:
                    history[t, j, k] = a + s * (b - a)
    return FINE, longest, hidden
