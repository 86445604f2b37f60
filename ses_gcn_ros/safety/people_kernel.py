"""Capsules around people and the speeds of their joints, compiled with numba; see `people`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import boolean, types

from ses_gcn_ros.compiling import array, compiled, real, whole

SHORT = 0.05  # m; a forearm shorter than this has no direction that the hand could go on in

_POINTS, _VALUES = real[:, :, ::1], real[:, ::1]
_SHAPE = types.Tuple((array(1, whole), array(1, whole), array(1), array(1, boolean)))


@compiled(types.void(array(3), array(2), array(2), _SHAPE, real, real, _POINTS, _POINTS, _VALUES))
def surround(
    positions: Any,
    growth: Any,
    paths: Any,
    shape: Any,
    scale: float,
    hand_reach: float,
    start: Any,
    end: Any,
    radius: Any,
) -> None:
    """Fill the capsules of N limbs of B bodies.

    Parameters
    ----------
    positions : ndarray, shape (B, J, 3)
        Joints [m]; NaN where unseen.
    growth : ndarray, shape (B, J)
        Radius around each joint that holds it [m]; NaN counts as unseen.
    paths : ndarray, shape (J, J)
        Path lengths along the body [m].
    shape : tuple
        Joints at which each limb starts and ends, its radius [m], and whether a hand is beyond it.
    scale : float
        Factor on the radii.
    hand_reach : float
        Length of a hand [m].
    start, end : ndarray, shape (B, N, 3)
        Filled with the ends of the axes [m]; NaN where a limb can't be placed.
    radius : ndarray, shape (B, N)
        Filled with the radii [m].
    """
    starts, ends, radii, hands = shape
    joints, limbs = positions.shape[1], len(starts)
    seen = np.empty(joints, np.bool_)
    place = np.empty(joints, np.int64)  # joint that each one is put on; -1: none
    slack = np.empty(joints)
    for b in range(len(positions)):
        largest = 0.0
        for j in range(joints):
            x = positions[b, j, 0] + positions[b, j, 1] + positions[b, j, 2] + growth[b, j]
            seen[j] = math.isfinite(x)
            if growth[b, j] > largest:
                largest = growth[b, j]
        for j in range(joints):
            own = 0.0 if math.isnan(growth[b, j]) else growth[b, j]
            place[j], slack[j] = j, own
            if seen[j]:
                continue
            # somewhere within the limbs that tie it to the nearest joint that is seen
            away, place[j] = math.inf, -1
            for k in range(joints):
                if seen[k] and paths[j, k] < away:
                    away, place[j] = paths[j, k], k
            if place[j] >= 0:
                # whose own radius it shares; the largest covers that
                slack[j] = away + largest if away > 0.0 else own
        for n in range(limbs):
            first, last = starts[n], ends[n]
            radius[b, n] = scale * radii[n] + max(slack[first], slack[last])
            for k in range(3):
                start[b, n, k] = positions[b, place[first], k] if place[first] >= 0 else math.nan
                end[b, n, k] = positions[b, place[last], k] if place[last] >= 0 else math.nan
            if hands[n] and hand_reach > 0.0:
                x, y, z = end[b, n, 0], end[b, n, 1], end[b, n, 2]
                x, y, z = x - start[b, n, 0], y - start[b, n, 1], z - start[b, n, 2]
                length = math.sqrt(x * x + y * y + z * z)
                if length > SHORT:
                    end[b, n, 0] += hand_reach / length * x
                    end[b, n, 1] += hand_reach / length * y
                    end[b, n, 2] += hand_reach / length * z
                else:
                    radius[b, n] += hand_reach


@compiled(types.void(array(1), array(3), _VALUES))
def median_slopes(stamps: Any, positions: Any, velocity: Any) -> None:
    """Fill `velocity` (J, 3) with the median slope over all pairs of frames (T, J, 3).

    0 where fewer than two frames show a joint.
    """
    frames = len(stamps)
    slopes = np.empty(frames * (frames - 1) // 2)
    for j in range(positions.shape[1]):
        for k in range(3):
            count = 0
            for first in range(frames):
                for second in range(first + 1, frames):
                    slope = (positions[second, j, k] - positions[first, j, k]) / (
                        stamps[second] - stamps[first]
                    )
                    if math.isnan(slope):
                        continue
                    at = count  # into the sorted ones before
                    while at > 0 and slopes[at - 1] > slope:
                        slopes[at] = slopes[at - 1]
                        at -= 1
                    slopes[at] = slope
                    count += 1
            half = count // 2
            if count == 0:
                velocity[j, k] = 0.0
            elif count % 2:
                velocity[j, k] = slopes[half]
            else:
                velocity[j, k] = 0.5 * (slopes[half - 1] + slopes[half])


@compiled(types.Tuple((whole, boolean))(array(2), array(2), array(2, whole), real, real[::1]))
def look_at(positions: Any, before: Any, edges: Any, longest: float, lengths: Any) -> Any:
    """Number of joints seen (J, 3), and whether all are where they were `before` to the bit.

    Raises `lengths` (E,) [m] to those of the edges between joints (E, 2), up to the `longest`; NaN
    are those that nobody has seen yet.
    """
    seen = 0
    for j in range(len(positions)):
        if math.isfinite(positions[j, 0] + positions[j, 1] + positions[j, 2]):
            seen += 1
    for e in range(len(edges)):
        first, last = positions[edges[e, 0]], positions[edges[e, 1]]
        x, y, z = last[0] - first[0], last[1] - first[1], last[2] - first[2]
        length = min(math.sqrt(x * x + y * y + z * z), longest)
        if length > lengths[e] or (math.isnan(lengths[e]) and not math.isnan(x + y + z)):
            lengths[e] = length
    if len(before) != len(positions):
        return seen, False
    for j in range(len(positions)):
        for k in range(3):
            now, then = positions[j, k], before[j, k]
            if now != then and not (math.isnan(now) and math.isnan(then)):
                return seen, False
    return seen, True
