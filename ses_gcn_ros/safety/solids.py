"""Distances of capsules from boxes and upright cylinders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    solids: Solids,
    solid_from_world: Array,
    start: Array,
    end: Array,
    within: ArrayLike = np.inf,
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
    within : array_like, shape (N,)
        Distance beyond which nobody asks [m]: what is surely farther is not solved, its distance is
        a lower bound.

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
    half = np.broadcast_to(solids.half[:, None], first.shape)
    is_round = np.broadcast_to(solids.round[:, None], first.shape[:2])

    fraction = np.full(first.shape[:2], 0.5)
    gap = _gap(half, is_round, first + 0.5 * along)
    distance = np.linalg.norm(gap, axis=-1) - 0.5 * np.linalg.norm(along, axis=-1)
    near = distance <= within
    if near.any():
        fraction[near] = _nearest(half[near], is_round[near], first[near], along[near])
        point = first[near] + fraction[near][:, None] * along[near]
        gap[near] = _gap(half[near], is_round[near], point)
        distance[near] = np.linalg.norm(gap[near], axis=-1)
    length = np.linalg.norm(gap, axis=-1, keepdims=True)
    normal = -gap / np.maximum(length, 1e-12)
    return distance, fraction, np.einsum("zji,znj->zni", turn, normal)


def _nearest(half: Array, is_round: NDArray[np.bool_], first: Array, along: Array) -> Array:
    """Fractions (K,) at which K segments are nearest to K solids, in the solids' frames."""
    low, high = np.zeros(len(first)), np.ones(len(first))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        gap = _gap(half, is_round, first + middle[:, None] * along)
        rising = np.einsum("kj,kj->k", gap, along) > 0.0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    # of both ends of the bracket one is the nearest point itself where it is an end of the segment
    ends = [
        np.linalg.norm(_gap(half, is_round, first + f[:, None] * along), axis=-1)
        for f in (low, high)
    ]
    return np.where(ends[0] <= ends[1], low, high)


def _gap(half: Array, is_round: NDArray[np.bool_], points: Array) -> Array:
    """Vectors (..., 3) from the nearest points of solids to points in their frames."""
    gap = np.sign(points) * np.maximum(np.abs(points) - half, 0.0)
    if is_round.any():
        flat = points[..., :2]
        radius = np.linalg.norm(flat, axis=-1, keepdims=True)
        out = flat * (1.0 - np.minimum(half[..., :1] / np.maximum(radius, 1e-12), 1.0))
        gap[..., :2] = np.where(is_round[..., None], out, gap[..., :2])
    return gap
