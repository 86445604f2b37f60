"""Distances agree with coal, a collision library of its own making, on 100,000 capsule pairs."""

from __future__ import annotations

import numpy as np
import pytest
from test_capsules import random_pairs

from ses_gcn_ros.safety import capsule_distances

coal = pytest.importorskip("coal", reason="the second opinion on distances is not installed")

PAIRS = 100_000
LEAST = 0.01  # m; coal gives up digits, up to 0.1 mm of them, where both capsules are shorter


def placed(start, end):
    """Rotations (N, 3, 3) that turn z along the segments, their middles and lengths."""
    along = end - start
    length = np.linalg.norm(along, axis=1)
    z = np.where(length[:, None] > 0, along / np.where(length > 0, length, 1)[:, None], (0, 0, 1))
    x = np.cross(np.eye(3)[np.abs(z).argmin(axis=1)], z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1), 0.5 * (start + end), length


def by_coal(a_start, a_end, a_radius, b_start, b_end, b_radius):
    distances = np.empty(len(a_start))
    request, result = coal.DistanceRequest(), coal.DistanceResult()
    a = zip(*placed(a_start, a_end), a_radius, strict=True)
    b = zip(*placed(b_start, b_end), b_radius, strict=True)
    for i, (one, other) in enumerate(zip(a, b, strict=True)):
        shapes = []
        for turn, middle, length, radius in (one, other):
            shapes += [coal.Capsule(radius, length), coal.Transform3s(turn, middle)]
        result.clear()
        coal.distance(*shapes, request, result)
        distances[i] = result.min_distance
    return distances


@pytest.fixture(scope="module")
def pairs():
    """Points, parallel, nearly parallel, touching, crossing, overlapping and ordinary pairs."""
    rng = np.random.default_rng(2024)
    p, q, u, v = random_pairs(rng, PAIRS)
    for start, end in ((p, q), (u, v)):
        length = np.linalg.norm(end - start, axis=1, keepdims=True)
        longer = np.maximum(length, LEAST) / np.where(length > 0, length, 1.0)
        end[:] = start + longer * (end - start)
    radii = rng.uniform(0.001, 0.3, (2, PAIRS))
    return p, q, radii[0], u, v, radii[1]


def test_the_pairs_are_as_mixed_as_they_are_meant_to_be(pairs):
    p, q, r, u, v, s = pairs
    distance = capsule_distances(*pairs).distance
    points = (p == q).all(axis=1)
    cross = np.linalg.norm(np.cross(q - p, v - u), axis=1)
    scale = np.linalg.norm(q - p, axis=1) * np.linalg.norm(v - u, axis=1)
    assert 0.1 < points.mean() < 0.3
    assert ((cross < 1e-6 * scale) & ~points).mean() > 0.1  # parallel, or nearly
    assert (distance < 0).mean() > 0.2  # overlapping
    assert (np.abs(distance + r + s) < 1e-9).mean() > 0.1  # axes that touch or cross
    assert (distance > 0).mean() > 0.4


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_distances_agree_to_a_micrometre(pairs, backend):
    distance = capsule_distances(*pairs, backend=backend).distance
    np.testing.assert_allclose(distance, by_coal(*pairs), atol=1e-6, rtol=0)


def test_limbs_against_links_agree_as_single_pairs_do():
    """The shape that the monitor asks for: people × steps × limbs against steps × links."""
    rng = np.random.default_rng(4)
    limbs, links = rng.normal(0, 1, (2, 2, 5, 14, 1, 3)), rng.normal(0, 1, (2, 5, 1, 9, 3))
    a_radius, b_radius = rng.uniform(0.03, 0.2, (14, 1)), rng.uniform(0.05, 0.1, 9)
    met = capsule_distances(*limbs, a_radius, *links, b_radius).distance
    spread = [np.broadcast_to(x, (2, 5, 14, 9, 3)).reshape(-1, 3) for x in (*limbs, *links)]
    radii = [np.broadcast_to(r, met.shape).ravel() for r in (a_radius, b_radius)]
    expected = by_coal(spread[0], spread[1], radii[0], spread[2], spread[3], radii[1])
    np.testing.assert_allclose(met.ravel(), expected, atol=1e-6, rtol=0)
