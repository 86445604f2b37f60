"""Forecast limbs against the robot's links at every step, compiled with numba.

The distances are those of `capsules`, without where they are reached; `prediction` asks for that
at the one step that matters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from ses_gcn_ros.compiling import array, compiled, real, whole

PARALLEL = 1e-15  # sin² of the angle under which the interior solution is rounding noise
TINY = 1e-300  # keeps 0 / 0 of a segment without length at 0
LEAST_GROWTH = 1e-6  # m

_LIMBS = types.Tuple((array(3), array(3), array(2)))
_LINKS = types.Tuple((array(3), array(3), array(1)))


@compiled(real(_LIMBS, _LINKS, array(2), array(1), real[::1], whole[::1]))
def foresee(limbs: Any, links: Any, growth: Any, quantile: Any, nearest: Any, limb: Any) -> float:
    """Fill the least distance at each step; return the least length of an error that would do.

    Links are copied to one row per coordinate, distances go to a row first, and the inner loop over
    rows has no branches, so that the compiler turns it into vector instructions.

    Parameters
    ----------
    limbs : tuple
        Ends (H, N, 3) and radii (H, N).
    links : tuple
        Ends (H, M, 3) and radii (M,).
    growth : ndarray, shape (H, N)
        Part of each limb's radius that stands for uncertainty [m].
    quantile : ndarray, shape (N,)
        That part in standard deviations.
    nearest : ndarray, shape (H,)
        Filled with the least distance of each step [m]; inf where no limb is known.
    limb : ndarray of int, shape (H,)
        Filled with the limb that it is the distance of.

    Returns
    -------
    float
        Least number of standard deviations, over all steps and pairs, that use up the growth and
        the distance beyond it.
    """
    start, end, radius = limbs
    link_start, link_end, link_radius = links
    count = link_start.shape[1]
    row = np.empty((9, count))
    least = math.inf
    for h in range(len(nearest)):
        for m in range(count):
            for k in range(3):
                row[k, m] = link_start[h, m, k]
                row[3 + k, m] = link_end[h, m, k] - link_start[h, m, k]
            row[6, m] = row[3, m] ** 2 + row[4, m] ** 2 + row[5, m] ** 2
            row[7, m] = 1.0 / (row[6, m] + TINY)
        nearest[h], limb[h] = math.inf, 0
        for n in range(start.shape[1]):
            px, py, pz = start[h, n, 0], start[h, n, 1], start[h, n, 2]
            ux, uy, uz = end[h, n, 0] - px, end[h, n, 1] - py, end[h, n, 2] - pz
            aa = ux * ux + uy * uy + uz * uz
            inverse_aa = 1.0 / (aa + TINY)
            for m in range(count):
                vx, vy, vz, ee = row[3, m], row[4, m], row[5, m], row[6, m]
                rx, ry, rz = px - row[0, m], py - row[1, m], pz - row[2, m]
                bb = ux * vx + uy * vy + uz * vz
                cc = ux * rx + uy * ry + uz * rz
                ff = vx * rx + vy * ry + vz * rz
                area = aa * ee
                sine = area - bb * bb
                sine = sine if sine > PARALLEL * area else math.inf
                over = bb * ff - cc * ee
                s = (over if over > 0.0 else 0.0) / sine
                s = s if s < 1.0 else 1.0
                over = bb * s + ff
                t = (over if over > 0.0 else 0.0) * row[7, m]
                t = t if t < 1.0 else 1.0
                over = bb * t - cc
                s = (over if over > 0.0 else 0.0) * inverse_aa
                s = s if s < 1.0 else 1.0
                x, y, z = rx + s * ux - t * vx, ry + s * uy - t * vy, rz + s * uz - t * vz
                row[8, m] = math.sqrt(x * x + y * y + z * z) - link_radius[m]
            gap = math.inf
            for m in range(count):
                gap = row[8, m] if row[8, m] < gap else gap  # false for NaN: nobody placed the limb
            distance = gap - radius[h, n]
            if distance < nearest[h]:
                nearest[h], limb[h] = distance, n
            length = 1.0 + distance / max(growth[h, n], LEAST_GROWTH)
            length = quantile[n] * (length if length > 0.0 else 0.0)
            least = length if length < least else least
    return least
