"""Distances of capsules from boxes and upright cylinders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HALVINGS = 30  # of the segment in search of its nearest point: a billionth of its length


@dataclass(frozen=True, eq=False)
class Solids:
    """Z boxes and cylinders, each centred in a frame of its own.

    Attributes
    ----------
    half : ndarray, shape (Z, 3)
        Half the edges of a box [m]; of a cylinder along z, radius, radius and half the height.
    round : ndarray of bool, shape (Z,)
        Which are cylinders.
    """

    half: Array
    round: NDArray[np.bool_]


def solid_distances(
    solids: Solids, solid_from_world: Array, start: Array, end: Array
) -> tuple[Array, Array, Array]:
    """Distances between Z solids and N segments.

    The distance to a convex body is convex along a segment, so its nearest point is found by
    bisection on the sign of the derivative.

    Parameters
    ----------
    solids : Solids
    solid_from_world : ndarray, shape (Z, 4, 4)
    start, end : ndarray, shape (N, 3)
        Ends of the segments in the world [m].

    Returns
    -------
    distance : ndarray, shape (Z, N)
        [m]; 0 where they touch, NaN where a segment is unknown.
    fraction : ndarray, shape (Z, N)
        Where on the segment the nearest point is, 0 to 1.
    normal : ndarray, shape (Z, N, 3)
        Direction in the world from the segment to the solid; 0 where they touch.
    """
    turn, shift = solid_from_world[:, :3, :3], solid_from_world[:, None, :3, 3]
    first = np.einsum("zij,nj->zni", turn, start) + shift
    along = np.einsum("zij,nj->zni", turn, end - start)
    low, high = np.zeros(first.shape[:2]), np.ones(first.shape[:2])
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        gap = _gap(solids, first + middle[..., None] * along)
        rising = np.einsum("znk,znk->zn", gap, along) > 0.0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    # of both ends of the bracket one is the nearest point itself where it is an end of the segment
    gaps = [_gap(solids, first + f[..., None] * along) for f in (low, high)]
    lengths = [np.linalg.norm(gap, axis=-1) for gap in gaps]
    nearer = lengths[0] <= lengths[1]
    distance = np.where(nearer, *lengths)
    gap = np.where(nearer[..., None], *gaps)
    normal = -gap / np.maximum(distance, 1e-12)[..., None]
    world = np.einsum("zji,znj->zni", turn, normal)
    return distance, np.where(nearer, low, high), world


def _gap(solids: Solids, points: Array) -> Array:
    """Vectors (Z, N, 3) from the nearest point of each solid to points in its frame."""
    half = solids.half[:, None]
    gap = np.sign(points) * np.maximum(np.abs(points) - half, 0.0)
    if solids.round.any():
        flat = points[..., :2]
        radius = np.linalg.norm(flat, axis=-1, keepdims=True)
        out = flat * (1.0 - np.minimum(half[..., :1] / np.maximum(radius, 1e-12), 1.0))
        gap[solids.round, :, :2] = out[solids.round]
    return gap
