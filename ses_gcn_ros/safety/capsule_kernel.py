"""Distances of every limb to every link, compiled with numba; `capsules` has the formula."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kernel = Callable[..., tuple[Array, Array, Array]]

PARALLEL = 1e-15  # sin² of the angle under which the interior solution is rounding noise
TINY = 1e-300  # keeps 0 / 0 of a segment without length at 0


@functools.cache
def compile_pairs() -> Kernel:
    """Compile the kernel on first use: importing numba takes half a second.

    As a generalised ufunc it broadcasts all other axes itself and takes arrays of any strides,
    also those that may not be written, with this one compilation.
    """
    import numba

    rows, radii = numba.float64[:, :], numba.float64[:]
    compiled: Any = functools.partial(
        numba.guvectorize,
        [numba.void(rows, rows, radii, rows, rows, radii, rows, rows, rows)],
        "(n,k),(n,k),(n),(m,k),(m,k),(m)->(n,m),(n,m),(n,m)",
        nopython=True,
        fastmath={"nsz", "arcp", "contract", "reassoc"},
    )
    try:
        kernel = compiled(cache=True)(_pairs)
    except RuntimeError:  # neither the package's nor the user's cache folder can be written
        kernel = compiled()(_pairs)
    pairs: Kernel = kernel
    return pairs


def _pairs(
    a_start: Any,
    a_end: Any,
    a_radius: Any,
    b_start: Any,
    b_end: Any,
    b_radius: Any,
    distance: Any,
    a_fraction: Any,
    b_fraction: Any,
) -> None:
    """Fill (limbs, links) from (limbs, 3) and (links, 3); for numba.

    Links are copied to one row per coordinate, answers go to rows first, and the inner loop over
    rows has no branches, so that the compiler turns it into vector instructions.
    """
    limbs, links = distance.shape
    row = np.empty((12, links))
    for m in range(links):
        for k in range(3):
            row[k, m] = b_start[m, k]
            row[3 + k, m] = b_end[m, k] - b_start[m, k]
        row[6, m] = row[3, m] ** 2 + row[4, m] ** 2 + row[5, m] ** 2
        row[7, m] = 1.0 / (row[6, m] + TINY)
        row[8, m] = b_radius[m]
    for n in range(limbs):
        px, py, pz = a_start[n, 0], a_start[n, 1], a_start[n, 2]
        ux, uy, uz = a_end[n, 0] - px, a_end[n, 1] - py, a_end[n, 2] - pz
        aa = ux * ux + uy * uy + uz * uz
        inverse_aa = 1.0 / (aa + TINY)
        radius = a_radius[n]
        for m in range(links):
            vx, vy, vz, ee = row[3, m], row[4, m], row[5, m], row[6, m]
            rx, ry, rz = px - row[0, m], py - row[1, m], pz - row[2, m]
            bb = ux * vx + uy * vy + uz * vz
            cc = ux * rx + uy * ry + uz * rz
            ff = vx * rx + vy * ry + vz * rz
            area = aa * ee
            sine = area - bb * bb
            sine = sine if sine > PARALLEL * area else math.inf
            # cut off at 0 before the division and at 1 after it: two instructions instead of seven
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
            row[9, m] = math.sqrt(x * x + y * y + z * z) - radius - row[8, m]
            row[10, m] = s
            row[11, m] = t
        for m in range(links):
            distance[n, m] = row[9, m]
            a_fraction[n, m] = row[10, m]
            b_fraction[n, m] = row[11, m]
