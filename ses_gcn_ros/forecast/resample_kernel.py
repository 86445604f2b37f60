"""One person's observations put onto a regular grid, compiled with numba.

Imported on first use, because numba takes half a second. Arithmetic is NumPy's, in its order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from ses_gcn_ros.compiling import array, compiled, real, single, whole

FINE, TOO_SHORT, GAP = range(3)
_EDGE = 0.25  # steps by which the oldest grid point may lie before the oldest observation


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
def resample_person(
    stamps: Any,
    positions: Any,
    fps: Any,
    gap: Any,
    joint_gap: Any,
    cubic: Any,
    history: Any,
    unseen: Any,
) -> Any:
    """Fill history (T, J, 3) [m] and unseen (J,) of a `Resampled`, for numba; see `resample`.

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
