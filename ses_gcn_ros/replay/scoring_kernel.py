"""Forecasts and baselines held against what was seen, compiled with numba.

Imported on first use, because numba takes half a second. Arithmetic is NumPy's, in its order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types

from ses_gcn_ros.compiling import array, compiled, real, single, whole


@compiled(types.void(array(1), array(3, single), array(1), real, single[:, :, ::1]))
def interpolate(stamps: Any, positions: Any, times: Any, longest: Any, found: Any) -> None:
    """Fill found (T, J, 3) of `Track.at`, for numba.

    Parameters
    ----------
    stamps, positions : NDArray, shapes (N,), (N, J, 3)
        Observations [s], [m].
    times : NDArray, shape (T,)
        When to look [s].
    longest : float
        Longest gap between two observations that is interpolated [s].
    """
    last = len(stamps) - 1
    for t in range(len(times)):
        time = times[t]
        before = min(max(np.searchsorted(stamps, time, side="right") - 1, 0), last)
        after = min(before + 1, last)
        gap = stamps[after] - stamps[before]
        # Rounded, so that a stamp that is hit but for the clock's last digits is hit.
        share = np.rint((time - stamps[before]) / (gap if gap > 0 else 1.0) * 1e4) / 1e4
        if time < stamps[0] - 1e-6 or time > stamps[last] + 1e-6:
            found[t] = np.nan
        elif share == 0:
            found[t] = positions[before]
        elif share == 1:
            found[t] = positions[after]
        elif gap > longest:
            found[t] = np.nan
        else:
            for j in range(positions.shape[1]):
                for k in range(3):
                    first, second = positions[before, j, k], positions[after, j, k]
                    found[t, j, k] = (1 - share) * first + share * second


@compiled(types.void(array(1), array(4), array(1), real[:, :, ::1], real[:, :, ::1]))
def between(stamps: Any, ends: Any, times: Any, start: Any, end: Any) -> None:
    """Fill start and end (T, M, 3) of `RobotTrail.at`, for numba.

    Parameters
    ----------
    stamps : NDArray, shape (N,)
        When the robot was seen [s], rising.
    ends : NDArray, shape (N, 2, M, 3)
        Where its capsules began and ended then [m].
    times : NDArray, shape (T,)
        When to look [s]; what is before the first or after the last is there.
    """
    last = len(stamps) - 1
    for t in range(len(times)):
        after = min(np.searchsorted(stamps, times[t]), last)
        before = max(after - 1, 0)
        share = (times[t] - stamps[before]) / max(stamps[after] - stamps[before], 1e-9)
        share = min(max(share, 0.0), 1.0)
        for m in range(ends.shape[2]):
            for k in range(3):
                first, second = ends[before, 0, m, k], ends[after, 0, m, k]
                start[t, m, k] = (1.0 - share) * first + share * second
                first, second = ends[before, 1, m, k], ends[after, 1, m, k]
                end[t, m, k] = (1.0 - share) * first + share * second


@njit(error_model="numpy")
def _distance(position: Any, truth: Any) -> Any:
    x, y, z = position[0] - truth[0], position[1] - truth[1], position[2] - truth[2]
    return math.sqrt(x * x + y * y + z * z)


@njit(error_model="numpy")
def _somebody(points: Any) -> Any:
    """Whether a joint of (J, 3) was seen, if only in part."""
    for j in range(len(points)):
        for k in range(3):
            if not math.isnan(points[j, k]):
                return True
    return False


@njit(error_model="numpy")
def _comparable(seen: Any, observed: Any) -> Any:
    """Whether somebody was there at each observed frame, and at all after them."""
    for t in range(observed):
        if not _somebody(seen[t]):
            return False
    later = 0
    for t in range(observed, len(seen)):
        later += _somebody(seen[t])
    return later > 0


@compiled(
    whole(
        *(array(4, single), array(4, single), array(3, single), array(1), array(2, single)),
        *(real[:, :, ::1], whole[:, ::1], whole[:, ::1], real[::1], real[::1]),
    )
)
def judge(
    seen: Any,
    forecasts: Any,
    radii: Any,
    promised: Any,
    reach: Any,
    sums: Any,
    counts: Any,
    rings: Any,
    radius: Any,
    promise: Any,
) -> Any:
    """Add forecasts to what is known of the errors, for numba.

    Parameters
    ----------
    seen : NDArray, shape (N, O + H, J, 3)
        What was seen at the O frames up to each forecast and at its steps [m]; NaN where nothing.
    forecasts, radii : NDArray, shapes (N, H, J, 3), (N, H, J)
        What was forecast [m].
    promised : NDArray, shape (N,)
        Coverage of the radii, 0 where they promise none.
    reach : NDArray, shape (B, H)
        Baselines: frames' worth of the last velocity that each has moved on by at each step.
    sums : NDArray, shape (1 + B, H, J)
        Sums of the errors [m], of the forecast first, where those of all are known.
    counts : NDArray, shape (H, J)
        Of errors.
    rings : NDArray, shape (2, H)
        Joints that have a radius that promises something, and those of them that are within it.
    radius : NDArray, shape (H,)
        Sums of those radii [m].
    promise : NDArray, shape (1,)
        Sum of what they promise.

    Returns
    -------
    int
        How many forecasts could be judged: their history is whole, and something of their future
        was seen.
    """
    steps, joints = counts.shape
    observed = seen.shape[1] - steps
    judged = 0
    errors, here = np.empty(len(reach) + 1, np.float32), np.empty(3, np.float32)
    added = np.zeros_like(sums)
    for n in range(len(seen)):
        if not _comparable(seen[n], observed):
            continue
        judged += 1
        ringed = 0
        last, before = seen[n, observed - 1], seen[n, observed - 2]
        for h in range(steps):
            for j in range(joints):
                truth = seen[n, observed + h, j]
                errors[0] = _distance(forecasts[n, h, j], truth)
                known = math.isfinite(errors[0])
                for b in range(len(reach)):
                    for k in range(3):
                        here[k] = last[j, k] + reach[b, h] * (last[j, k] - before[j, k])
                    errors[1 + b] = _distance(here, truth)
                    known &= math.isfinite(errors[1 + b])
                if not known:
                    continue
                counts[h, j] += 1
                for b in range(len(errors)):
                    added[b, h, j] += errors[b]
                if promised[n] > 0:
                    ringed += 1
                    rings[0, h] += 1
                    rings[1, h] += errors[0] <= radii[n, h, j]
                    radius[h] += radii[n, h, j]
        promise[0] += promised[n] * ringed
    sums += added
    return judged
