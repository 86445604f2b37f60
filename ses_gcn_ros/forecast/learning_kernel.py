"""What became of forecasts, and what a radius learns from it, compiled with numba.

Imported on first use, because numba takes half a second. Arithmetic is NumPy's, in its order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from ses_gcn_ros.compiling import array, compiled, real, single, whole

_DROPPED = 19  # bits of a float32 that its place in `starts_of` does without
_PLACES = 1 << (31 - _DROPPED)


def starts_of(edges: Any) -> Any:
    """Lowest bin that a float32 can be in, by its sign-less leading bits, shape (4096,).

    Those bits are its exponent and four digits: steps of 3 to 6 %.
    """
    least = (np.arange(_PLACES, dtype=np.int64) << _DROPPED).astype(np.int32).view(np.float32)
    with np.errstate(invalid="ignore"):
        return np.clip(np.searchsorted(edges, least) - 1, 0, len(edges) - 2)


@compiled(
    types.void(
        *(array(1), array(4, single), array(2), array(1), real, real),
        *(array(2, single), array(2, single), single[:, ::1], real[::1]),
    )
)
def errors_between(
    stamps: Any,
    positions: Any,
    factors: Any,
    ahead: Any,
    earlier: Any,
    later: Any,
    start: Any,
    end: Any,
    errors: Any,
    issued: Any,
) -> None:
    """Fill errors (H, J) [m] and issued (H,) of `Outstanding.errors`, for numba.

    Parameters
    ----------
    stamps, positions, factors : NDArray, shapes (N,), (N, H, J, 3), (N, H)
        Forecasts, when they were made [s].
    ahead : NDArray, shape (H,)
        Their steps [s].
    earlier, later : float
        Two observations [s].
    start, end : NDArray, shape (J, 3)
        What was seen then [m].
    """
    made, steps, joints = positions.shape[0], positions.shape[1], positions.shape[2]
    for h in range(steps):
        which, newest = -1, -np.inf
        for n in range(made):
            due = stamps[n] + ahead[h]
            if due > earlier and due <= later and stamps[n] > newest:
                which, newest = n, stamps[n]
        if which < 0:
            issued[h] = factors[0, h]
            errors[h] = np.nan
            continue
        issued[h] = factors[which, h]
        share = np.float32((stamps[which] + ahead[h] - earlier) / (later - earlier))
        for j in range(joints):
            total = np.float32(0)
            for k in range(3):
                seen = start[j, k] + share * (end[j, k] - start[j, k])
                off = positions[which, h, j, k] - seen
                total += off * off
            errors[h, j] = math.sqrt(total)


@compiled(
    types.boolean(
        *(array(3, single), array(2), array(2, single), array(1), array(1, whole)),
        *(real, real, real, real, real, real, real),
        *(real[::1], real[:, ::1], real[:, ::1]),
    )
)
def learn(
    errors: Any,
    issued: Any,
    base: Any,
    edges: Any,
    starts: Any,
    elapsed: Any,
    rate: Any,
    target: Any,
    fewest: Any,
    most: Any,
    kept: Any,
    recently_kept: Any,
    alpha: Any,
    counts: Any,
    recent: Any,
) -> Any:
    """Update alpha (H,), counts (H, bins) and recent (3, H) of an `AdaptiveRadius`, for numba.

    Parameters
    ----------
    errors, issued : NDArray, shapes (P, H, J), (P, H)
        As for `AdaptiveRadius.observe`.
    base : NDArray, shape (H, J)
        Calibrated radius [m].
    edges, starts : NDArray, shapes (bins + 1,), (4096,)
        Of the histogram, and `starts_of` them.
    elapsed : float
        Time that this stands for [s].
    rate : float
        By which α moves for a whole miss; it stays from `fewest` to `most`.
    target : float
        Share of misses asked for.
    kept, recently_kept : float
        What is left of the counts and of the recent sums after that time.

    Returns
    -------
    bool
        Whether anything was known.
    """
    people, steps, joints = errors.shape
    bins = counts.shape[1]
    score = np.empty(joints, np.float32)
    bits = score.view(np.int32)
    found = np.empty(people * joints, np.int64)
    anything = False
    for h in range(steps):
        count, within, total = 0, 0, 0.0
        for p in range(people):
            for j in range(joints):
                score[j] = errors[p, h, j] / base[h, j]
            for j in range(joints):
                error = errors[p, h, j]
                if not math.isfinite(error):
                    continue
                place = starts[(bits[j] >> _DROPPED) & (_PLACES - 1)]
                while place < bins - 1 and not score[j] <= edges[place + 1]:
                    place += 1
                found[count] = place
                count += 1
                total += error
                within += score[j] <= issued[p, h]
        if count == 0:
            continue
        anything = True
        covered = within / count
        moved = alpha[h] + rate * (target - (1 - covered))
        alpha[h] = min(max(moved, fewest), most)
        for b in range(bins):
            counts[h, b] *= kept
        weight = elapsed / count
        heap = np.zeros(bins)
        for n in range(count):
            heap[found[n]] += weight
        for b in range(bins):
            counts[h, b] += heap[b]
        recent[0, h] = recently_kept * recent[0, h] + elapsed
        recent[1, h] = recently_kept * recent[1, h] + elapsed * covered
        recent[2, h] = recently_kept * recent[2, h] + elapsed * (total / count)
    return anything


@compiled(types.void(array(2), array(1), whole[::1], real[::1]))
def quantiles(counts: Any, alpha: Any, place: Any, share: Any) -> None:
    """Bin (H,) of each step's (1 − α)-quantile, and how far into it that lies (H,), for numba."""
    steps, bins = counts.shape
    for h in range(steps):
        everything = 0.0
        for b in range(bins):
            everything += counts[h, b]
        wanted = (1 - alpha[h]) * everything
        above, b = counts[h, 0], 0
        while above < wanted and b < bins - 1:
            b += 1
            above += counts[h, b]
        below = above - counts[h, b]
        place[h] = b
        share[h] = min(max((wanted - below) / max(above - below, 1e-12), 0.0), 1.0)
