"""Who in one camera's picture is who in another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ses_gcn_ros.pose.view import View

Array = NDArray[np.float64]

_JOINTS = 4  # common joints that a comparison is asked to stand on
BARRED = 1e6  # cost of what must not be


@dataclass(frozen=True, eq=False)
class Sighting:
    """Everybody in one picture.

    Attributes
    ----------
    view : View
        The camera and its place.
    layout : str
        Joint layout.
    pixels : NDArray, shape (N, J, 2)
        Joints [px]; NaN where unseen.
    confidence : NDArray, shape (N, J)
        Confidence per joint, 0 where unseen.
    names : tuple of str
        What the camera's own node calls them; tells who is who from one frame to the next.
    """

    view: View
    layout: str
    pixels: Array
    confidence: Array
    names: tuple[str, ...]


def assign(cost: Array) -> list[tuple[int, int]]:
    """Rows and columns that belong together at the least total cost, `BARRED` ones left out."""
    rows, columns = linear_sum_assignment(cost)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if cost[row, column] < BARRED]


def costs_to_expected(expected: Array, sighting: Sighting, gate: float) -> Array:
    """How far everybody in a picture is from where people are expected.

    Parameters
    ----------
    expected : NDArray, shape (P, J, 3)
        Joints in the cell [m]; NaN where unknown.
    sighting : Sighting
        The picture, N people.
    gate : float
        Distance beyond which it is somebody else [m].

    Returns
    -------
    NDArray, shape (P, N)
        Median distance of the joints across the viewing rays [m], `BARRED` beyond the gate.
    """
    local = sighting.view.to_camera(expected)
    depth = np.where(local[..., 2] > 0.1, local[..., 2], np.nan)
    apart = np.linalg.norm(
        sighting.view.camera.project(local)[:, None] - sighting.pixels[None], axis=-1
    )
    apart = apart * depth[:, None] / sighting.view.camera.fx
    return np.asarray(np.where((cost := _median(apart)) <= gate, cost, BARRED))


def epipolar_costs(a: Sighting, b: Sighting) -> Array:
    """Median distance of joints from the epipolar lines of their likes [px], shape (N_a, N_b).

    The distance is taken both ways and averaged; `BARRED` where too few joints are seen by both.
    """
    b_from_a = b.view.camera_from_base @ a.view.base_from_camera
    x, y, z = b_from_a[:3, 3]
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    essential = cross @ b_from_a[:3, :3]
    rays_a, rays_b = _rays(a), _rays(b)
    lines_b, lines_a = rays_a @ essential.T, rays_b @ essential
    off = np.abs(np.einsum("njk,mjk->nmj", lines_b, rays_b))
    length_a = np.linalg.norm(lines_a[..., :2], axis=-1)
    length_b = np.linalg.norm(lines_b[..., :2], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = 0.5 * (
            off * b.view.camera.fx / length_b[:, None] + off * a.view.camera.fx / length_a[None]
        )
    return _median(apart)


def group(sightings: Sequence[Sighting], gate: float) -> list[dict[int, int]]:
    """Who is who in several pictures, by epipolar distance alone.

    Pairs are joined nearest first; two groups become one if every pair of theirs is within the
    gate and no picture would hold the person twice.

    Parameters
    ----------
    sightings : sequence of Sighting
        One picture per camera.
    gate : float
        Greatest median distance from the epipolar lines [px].

    Returns
    -------
    list of dict
        Groups seen by two cameras at least: index of the picture to index of the person in it.
    """
    pairs: dict[tuple[int, int, int, int], float] = {}
    for i, j in combinations(range(len(sightings)), 2):
        cost = epipolar_costs(sightings[i], sightings[j])
        for n, m in np.argwhere(cost <= gate).tolist():
            pairs[i, n, j, m] = pairs[j, m, i, n] = float(cost[n, m])
    groups: dict[tuple[int, int], dict[int, int]] = {}
    for i, n, j, m in sorted(pairs, key=lambda pair: pairs[pair]):
        one = groups.get((i, n), {i: n})
        two = groups.get((j, m), {j: m})
        if one is two or one.keys() & two.keys():
            continue
        if all((*p, *q) in pairs for p in one.items() for q in two.items()):
            joined = one | two
            groups |= dict.fromkeys(joined.items(), joined)
    return list({id(entry): entry for entry in groups.values()}.values())


def _rays(sighting: Sighting) -> Array:
    seen = np.isfinite(sighting.pixels).all(-1, keepdims=True)
    flat = sighting.view.camera.normalise(np.where(seen, sighting.pixels, 0.0))
    return np.concatenate((np.where(seen, flat, np.nan), np.ones(seen.shape)), axis=-1)


def _median(apart: Array) -> Array:
    """Median over the last axis, NaN left out; `BARRED` where fewer than `_JOINTS` are known."""
    ordered = np.sort(apart, axis=-1)  # NaN last
    count = np.isfinite(ordered).sum(-1)
    middle = np.take_along_axis(ordered, (np.maximum(count, 1) // 2)[..., None], -1)[..., 0]
    return np.asarray(np.where(count >= _JOINTS, middle, BARRED))
