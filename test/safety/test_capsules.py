"""Distances between capsules against independent computations, degenerate cases included."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety import capsule_distances
from ses_gcn_ros.safety.kernels import kernel

BACKENDS = ["numba", "numpy"]


def by_cases(p, q, u, v):
    """Distance of segments (N, 3) by another way: the best of the inner minimum and four ends."""
    best = np.minimum.reduce(
        [to_segment(p, u, v), to_segment(q, u, v), to_segment(u, p, q), to_segment(v, p, q)]
    )
    for i in range(len(p)):
        # inner minimum: the feet of the common perpendicular, where both lie inside
        system = np.stack([q[i] - p[i], u[i] - v[i]], axis=1)
        (s, t), _, rank, _ = np.linalg.lstsq(system, u[i] - p[i], rcond=1e-13)
        if rank == 2 and 0 <= s <= 1 and 0 <= t <= 1:
            gap = p[i] + s * (q[i] - p[i]) - u[i] - t * (v[i] - u[i])
            best[i] = min(best[i], np.linalg.norm(gap))
    return best


def to_segment(x, u, v):
    along = v - u
    length = (along**2).sum(-1)
    t = np.clip(((x - u) * along).sum(-1) / np.where(length > 0, length, 1.0), 0, 1)
    return np.linalg.norm(x - u - t[:, None] * along, axis=-1)


def random_pairs(rng, count):
    """Segments of a workcell's size; a third of them degenerate in some way."""
    p, u = rng.uniform(-2, 2, (2, count, 3))
    d, e = rng.normal(size=(2, count, 3)) * rng.choice([1.0, 0.3, 1e-3], size=(2, count, 1))
    kind = rng.integers(0, 12, count)
    d[kind == 0] = 0.0  # point and segment
    e[kind == 1] = 0.0
    d[kind == 2] = e[kind == 2] = 0.0  # two points
    e[kind == 3] = d[kind == 3] * rng.uniform(-2, 2, ((kind == 3).sum(), 1))  # parallel
    u[kind == 4] = p[kind == 4] + 0.5 * d[kind == 4]  # touching
    e[kind == 5] = d[kind == 5] + 1e-7 * e[kind == 5]  # nearly parallel
    same = kind == 6
    u[same], e[same] = p[same] + 0.3 * d[same], 2.0 * d[same]  # overlapping on one line
    crossing = kind == 7
    u[crossing] = p[crossing] + 0.4 * d[crossing] - 0.7 * e[crossing]
    return p, p + d, u, u + e


@pytest.mark.parametrize("backend", BACKENDS)
def test_distances_of_random_and_degenerate_pairs_are_exact(backend):
    rng = np.random.default_rng(7)
    p, q, u, v = random_pairs(rng, 20_000)
    radii = rng.uniform(0.0, 0.3, (2, len(p)))
    met = capsule_distances(p, q, radii[0], u, v, radii[1], backend=backend)
    expected = by_cases(p, q, u, v) - radii.sum(axis=0)
    np.testing.assert_allclose(met.distance, expected, atol=1e-7, rtol=0)


def test_the_nearest_of_all_pairs_alone_has_the_points_that_it_has_among_them():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 4, 5, 1, 3)), rng.normal(size=(2, 1, 6, 3)) + 2.0
    pairs = capsule_distances(a[0], a[1], np.full((5, 1), 0.1), b[0], b[1], np.full(6, 0.2))
    index = np.unravel_index(pairs.distance.argmin(), pairs.distance.shape)
    alone = pairs.nearest()
    assert alone.distance == pairs.distance[index]
    for name in ("a_point", "b_point", "normal"):
        np.testing.assert_allclose(getattr(alone, name), getattr(pairs, name)[index], atol=1e-12)


def test_distances_agree_with_a_constrained_optimiser():
    rng = np.random.default_rng(11)
    p, q, u, v = random_pairs(rng, 300)
    met = capsule_distances(p, q, 0.0, u, v, 0.0)
    for i in range(len(p)):
        system = np.stack([q[i] - p[i], u[i] - v[i]], axis=1)
        solved = lsq_linear(system, u[i] - p[i], bounds=(0, 1), tol=1e-15)
        assert met.distance[i] <= np.linalg.norm(solved.fun) + 1e-9
        assert met.distance[i] == pytest.approx(np.linalg.norm(solved.fun), abs=1e-6)


numbers = st.floats(-3, 3, allow_subnormal=False).map(lambda x: round(x, 6))
points = st.tuples(numbers, numbers, numbers)


@settings(max_examples=300)
@given(points, points, points, points, st.floats(0, 1), st.floats(0, 1))
def test_no_two_points_of_the_segments_are_nearer_than_the_distance(p, q, u, v, s, t):
    p, q, u, v = (np.array(x) for x in (p, q, u, v))
    met = capsule_distances(p, q, 0.0, u, v, 0.0)
    assert met.distance <= np.linalg.norm(p + s * (q - p) - u - t * (v - u)) + 1e-9
    # and the distance is reached, at the points that are named
    assert np.linalg.norm(met.a_axis - met.b_axis) == pytest.approx(float(met.distance), abs=1e-9)


@settings(max_examples=200)
@given(points, points, points, points)
def test_exchanging_ends_or_capsules_changes_nothing(p, q, u, v):
    distance = capsule_distances(p, q, 0.1, u, v, 0.2).distance
    for order in ((q, p, u, v), (p, q, v, u)):
        a, b, c, d = order
        assert capsule_distances(a, b, 0.1, c, d, 0.2).distance == pytest.approx(distance, abs=1e-6)
    assert capsule_distances(u, v, 0.2, p, q, 0.1).distance == pytest.approx(distance, abs=1e-6)


def test_both_back_ends_give_the_same_answers():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 2, 5, 6, 1, 3)), rng.normal(size=(2, 5, 1, 4, 3))
    one, other = (
        capsule_distances(*a, np.full((6, 1), 0.1), *b, 0.05, backend=name) for name in BACKENDS
    )
    assert one.distance.shape == (2, 5, 6, 4)
    np.testing.assert_allclose(one.distance, other.distance, atol=1e-12)
    np.testing.assert_allclose(one.a_point, other.a_point, atol=1e-9)
    np.testing.assert_allclose(one.b_point, other.b_point, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_leading_axes_broadcast_to_every_limb_against_every_link(backend):
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 3, 7, 3)), rng.normal(size=(2, 3, 4, 3))
    radii_a, radii_b = rng.uniform(0, 0.2, 7), rng.uniform(0, 0.2, 4)
    met = capsule_distances(
        a[0][:, :, None],
        a[1][:, :, None],
        radii_a[:, None],
        b[0][:, None],
        b[1][:, None],
        radii_b,
        backend=backend,
    )
    for t, i, j in itertools.product(range(3), range(7), range(4)):
        alone = capsule_distances(
            a[0][t, i], a[1][t, i], radii_a[i], b[0][t, j], b[1][t, j], radii_b[j], backend=backend
        )
        assert met.distance[t, i, j] == pytest.approx(float(alone.distance), abs=1e-12)
        np.testing.assert_allclose(met.normal[t, i, j], alone.normal, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("case", "a", "b", "expected"),
    [
        ("side by side", ((0, 0, 0), (1, 0, 0)), ((0, 1, 0), (1, 1, 0)), 1.0),
        ("parallel, one beyond the other", ((0, 0, 0), (1, 0, 0)), ((2, 0, 0), (3, 0, 0)), 1.0),
        ("parallel and opposite", ((0, 0, 0), (1, 0, 0)), ((4, 1, 0), (1, 1, 0)), 1.0),
        ("two points", ((0, 0, 0), (0, 0, 0)), ((3, 4, 0), (3, 4, 0)), 5.0),
        ("point on the segment", ((0, 0, 0), (2, 0, 0)), ((1, 0, 0), (1, 0, 0)), 0.0),
        ("crossing", ((-1, 0, 0), (1, 0, 0)), ((0, -1, 0), (0, 1, 0)), 0.0),
        ("end to end", ((0, 0, 0), (1, 0, 0)), ((1, 0, 0), (1, 5, 0)), 0.0),
        ("the same", ((0, 0, 0), (1, 0, 0)), ((0, 0, 0), (1, 0, 0)), 0.0),
        ("skew", ((-1, 0, 0), (1, 0, 0)), ((0, -1, 2), (0, 1, 2)), 2.0),
    ],
)
def test_cases_that_can_be_seen_by_eye(case, a, b, expected, backend):
    met = capsule_distances(*a, 0.1, *b, 0.2, backend=backend)
    assert met.distance == pytest.approx(expected - 0.3, abs=1e-12), case
    assert np.linalg.norm(met.normal) == pytest.approx(1.0)
    np.testing.assert_allclose(met.a_point - met.a_axis, 0.1 * met.normal, atol=1e-12)
    np.testing.assert_allclose(met.b_point - met.b_axis, -0.2 * met.normal, atol=1e-12)


def test_a_normal_is_at_right_angles_where_segments_cross():
    met = capsule_distances((-1, 0, 0), (1, 0, 0), 0.0, (0, -1, 0), (0, 1, 0), 0.0)
    np.testing.assert_allclose(np.abs(met.normal), (0, 0, 1), atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unknown_position_is_never_a_distance(backend):
    start = np.zeros((3, 1, 3))
    start[1, 0, 2] = np.nan
    met = capsule_distances(
        start, start + 1, 0.1, np.ones((2, 3)), np.ones((2, 3)), 0.1, backend=backend
    )
    assert np.isnan(met.distance[1]).all()
    assert np.isnan(met.normal[1]).all()
    assert np.isfinite(met.distance[[0, 2]]).all()


def test_no_people_and_no_links_give_empty_arrays():
    met = capsule_distances(
        np.empty((0, 1, 3)),
        np.empty((0, 1, 3)),
        np.empty((0, 1)),
        np.ones((4, 3)),
        np.ones((4, 3)),
        0.1,
    )
    assert met.distance.shape == (0, 4)


def test_an_unknown_back_end_is_refused():
    with pytest.raises(ConfigError, match="'cuda' is unknown"):
        capsule_distances((0, 0, 0), (1, 0, 0), 0, (0, 0, 0), (1, 0, 0), 0, backend="cuda")


def test_the_kernel_is_compiled_once_whether_arrays_may_be_written_or_not():
    pytest.importorskip("numba")
    points = np.zeros((2, 4, 3))
    frozen = points + 1.0
    frozen.setflags(write=False)
    capsule_distances(points, frozen, 0.1, frozen, points, 0.1, backend="numba")
    capsule_distances(frozen, points, 0.1, points, frozen, 0.1, backend="numba")
    assert len(kernel("separation").pairs.types) == 1, (
        "a second one costs seconds when the first person comes"
    )
