"""Distances of every limb to every link, compiled with numba; `capsules` has the formula.

Links are copied to one row per coordinate, answers go to rows first, and the inner loop over rows
has no branches, so that the compiler turns it into vector instructions.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import types

from ses_gcn_ros.compiling import array, compiled, real, whole
from ses_gcn_ros.safety.capsules import PARALLEL, TINY

LEAST_GROWTH = 1e-6  # m
ROUNDING = 1e-9  # m by which a bound on distances is lowered
REORDERED = {"nsz", "arcp", "contract", "reassoc"}

# rows of the links: where they start and lead, the square of their length and its inverse, and
# their radius; then rows that are answered in: distance from the limb's axis, and both fractions
_START, _ALONG, _SQUARE, _INVERSE, _RADIUS, _GAP, _ON_LIMB, _ON_LINK = 0, 3, 6, 7, 8, 9, 10, 11
_ROWS = 12

inline = numba.njit(error_model="numpy", fastmath=REORDERED, inline="always")


@inline
def _lay_out(start: Any, end: Any, radius: Any, row: Any) -> None:
    """Copy links (M, 3) to rows."""
    for m in range(len(start)):
        for k in range(3):
            row[_START + k, m] = start[m, k]
            row[_ALONG + k, m] = end[m, k] - start[m, k]
        row[_SQUARE, m] = row[3, m] ** 2 + row[4, m] ** 2 + row[5, m] ** 2
        row[_INVERSE, m] = 1.0 / (row[_SQUARE, m] + TINY)
        row[_RADIUS, m] = radius[m]


@inline
def _answer(start: Any, end: Any, row: Any) -> None:
    """Answer of all links to one limb's axis (3,)."""
    px, py, pz = start[0], start[1], start[2]
    ux, uy, uz = end[0] - px, end[1] - py, end[2] - pz
    aa = ux * ux + uy * uy + uz * uz
    inverse_aa = 1.0 / (aa + TINY)
    for m in range(row.shape[1]):
        vx, vy, vz, ee = row[3, m], row[4, m], row[5, m], row[_SQUARE, m]
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
        t = (over if over > 0.0 else 0.0) * row[_INVERSE, m]
        t = t if t < 1.0 else 1.0
        over = bb * t - cc
        s = (over if over > 0.0 else 0.0) * inverse_aa
        s = s if s < 1.0 else 1.0
        x, y, z = rx + s * ux - t * vx, ry + s * uy - t * vy, rz + s * uz - t * vz
        row[_GAP, m] = math.sqrt(x * x + y * y + z * z) - row[_RADIUS, m]
        row[_ON_LIMB, m] = s
        row[_ON_LINK, m] = t


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
    """Fill (limbs, links) from (limbs, 3) and (links, 3)."""
    limbs, links = distance.shape
    row = np.empty((_ROWS, links))
    _lay_out(b_start, b_end, b_radius, row)
    for n in range(limbs):
        _answer(a_start[n], a_end[n], row)
        for m in range(links):
            distance[n, m] = row[_GAP, m] - a_radius[n]
            a_fraction[n, m] = row[_ON_LIMB, m]
            b_fraction[n, m] = row[_ON_LINK, m]


def _compile_pairs() -> Any:
    """As a generalised ufunc it broadcasts all other axes and takes arrays of any strides."""
    points, values = real[:, :], real[:]
    signature = types.void(points, points, values, points, points, values, *[points] * 3)
    options = {"nopython": True, "fastmath": REORDERED}
    axes = "(n,k),(n,k),(n),(m,k),(m,k),(m)->(n,m),(n,m),(n,m)"
    try:
        return numba.guvectorize([signature], axes, cache=True, **options)(_pairs)
    except RuntimeError:  # neither the package's nor the user's cache folder can be written
        return numba.guvectorize([signature], axes, **options)(_pairs)


pairs = _compile_pairs()


@inline
def _around(start: Any, end: Any, radius: Any) -> Any:
    """Centre and radius of a sphere that holds links (M, 3)."""
    links = len(start)
    x, y, z, reach = 0.0, 0.0, 0.0, 0.0
    for m in range(links):
        x += 0.5 * (start[m, 0] + end[m, 0]) / links
        y += 0.5 * (start[m, 1] + end[m, 1]) / links
        z += 0.5 * (start[m, 2] + end[m, 2]) / links
    for m in range(links):
        for point in (start[m], end[m]):
            away = (point[0] - x) ** 2 + (point[1] - y) ** 2 + (point[2] - z) ** 2
            reach = max(reach, math.sqrt(away) + radius[m])
    return x, y, z, reach


@inline
def _no_nearer(start: Any, end: Any, sphere: Any) -> float:
    """Distance that a limb's axis has at least from all links in a sphere; NaN if it is."""
    x = 0.5 * (start[0] + end[0]) - sphere[0]
    y = 0.5 * (start[1] + end[1]) - sphere[1]
    z = 0.5 * (start[2] + end[2]) - sphere[2]
    along = (end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2 + (end[2] - start[2]) ** 2
    return math.sqrt(x * x + y * y + z * z) - 0.5 * math.sqrt(along) - sphere[3] - ROUNDING


_LIMBS = types.Tuple((array(3), array(3), array(2)))
_LINKS = types.Tuple((array(3), array(3), array(1)))


@compiled(types.Tuple((real, whole))(_LIMBS, _LINKS, array(2), array(1), real[::1], whole[:, ::1]))
def foresee(limbs: Any, links: Any, growth: Any, quantile: Any, nearest: Any, pair: Any) -> Any:
    """Fill the least distance at each step; tell what error would do, and when none is needed.

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
    pair : ndarray of int, shape (H, 2)
        Filled with the limb and the link that it is the distance of.

    Returns
    -------
    least : float
        Least number of standard deviations, over all steps and pairs, that use up the growth and
        the distance beyond it.
    touching : int
        First step at which a pair touches; -1 if none does.
    """
    start, end, radius = limbs
    link_start, link_end, link_radius = links
    row = np.empty((_ROWS, link_start.shape[1]))
    least, touching, first = math.inf, -1, 0
    for h in range(len(nearest)):
        _lay_out(link_start[h], link_end[h], link_radius, row)
        sphere = _around(link_start[h], link_end[h], link_radius)
        nearest[h], pair[h, 0], pair[h, 1] = math.inf, 0, 0
        # the limb that was nearest is likely to be, and then others are seen to be too far at once
        for turn in range(-1, start.shape[1]):
            n = first if turn < 0 else turn
            if turn == first or n >= start.shape[1]:
                continue
            beyond = _no_nearer(start[h, n], end[h, n], sphere) - radius[h, n]
            if beyond > nearest[h]:
                length = quantile[n] * (1.0 + beyond / max(growth[h, n], LEAST_GROWTH))
                if length > least:
                    continue
            _answer(start[h, n], end[h, n], row)
            gap = math.inf
            for m in range(row.shape[1]):
                # false for NaN: nobody placed the limb
                gap = row[_GAP, m] if row[_GAP, m] < gap else gap
            distance = gap - radius[h, n]
            if distance < nearest[h]:
                nearest[h], pair[h, 0] = distance, n
                for m in range(row.shape[1]):
                    if row[_GAP, m] == gap:
                        pair[h, 1] = m
            length = 1.0 + distance / max(growth[h, n], LEAST_GROWTH)
            length = quantile[n] * (length if length > 0.0 else 0.0)
            least = length if length < least else least
        first = pair[h, 0]
        if touching < 0 and nearest[h] <= 0.0:
            touching = h
    return least, touching
