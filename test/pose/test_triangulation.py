"""Triangulation: exact where all agree, unmoved by one that errs, silent where none agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.pose.camera import triangulate
from ses_gcn_ros.pose.virtual_cameras import sample_views

MIDDLE = np.array([0.0, 0.0, 0.9])
POINTS = 40


def scene(seed: int, cameras: int = 3):
    """Points, their exact rays (V, P, 2), and the cameras' transforms and noise."""
    rng = np.random.default_rng(seed)
    views = sample_views(rng, MIDDLE, cameras)
    points = MIDDLE + rng.uniform(-0.4, 0.4, (POINTS, 3))
    local = np.stack([view.to_camera(points) for view in views])
    transforms = np.stack([view.camera_from_base for view in views])
    sigma = np.array([3.0 / view.camera.fx for view in views])
    return rng, points, local[..., :2] / local[..., 2:], transforms, sigma


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
@settings(max_examples=20)
def test_exact_sightings_give_exact_points(seed, cameras):
    _, points, rays, transforms, sigma = scene(seed, cameras)
    found = triangulate(rays, np.ones(rays.shape[:2]), transforms, sigma)
    np.testing.assert_allclose(found.positions, points, atol=1e-4)
    assert found.supports.all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_one_camera_that_errs_is_left_out(seed):
    rng, points, rays, transforms, sigma = scene(seed, 4)
    wrong = rng.integers(0, 4, POINTS)
    rays[wrong, np.arange(POINTS)] += rng.choice([-1, 1], (POINTS, 2)) * rng.uniform(
        0.08, 0.3, (POINTS, 2)
    )
    found = triangulate(rays, np.ones(rays.shape[:2]), transforms, sigma)
    error = np.linalg.norm(found.positions - points, axis=1)
    assert np.mean(error < 0.005) > 0.9  # an error along an epipolar line may pass for right
    supported = found.supports[wrong, np.arange(POINTS)]
    assert np.mean(supported) < 0.1


def test_two_cameras_that_disagree_say_nothing():
    _, _, rays, transforms, sigma = scene(0, 2)
    rays[0, :, 1] += 0.2
    found = triangulate(rays, np.ones(rays.shape[:2]), transforms, sigma)
    assert np.isnan(found.positions).all()
    assert not found.supports.any()


def test_what_is_expected_tells_which_of_two_cameras_errs():
    rng, points, rays, transforms, sigma = scene(1, 2)
    rays[0, :, 1] += 0.2
    expected = points + rng.normal(0.0, 0.02, points.shape)
    covariance = np.broadcast_to(0.03**2 * np.eye(3), (POINTS, 3, 3))
    found = triangulate(rays, np.ones(rays.shape[:2]), transforms, sigma, expected, covariance)
    assert np.linalg.norm(found.positions - points, axis=1).max() < 0.08
    assert not found.supports[0].any()
    assert found.supports[1].mean() > 0.9


def test_a_wrong_expectation_does_not_stand_against_three_cameras():
    _, points, rays, transforms, sigma = scene(2, 3)
    covariance = np.broadcast_to(0.03**2 * np.eye(3), (POINTS, 3, 3))
    found = triangulate(rays, np.ones(rays.shape[:2]), transforms, sigma, points + 0.5, covariance)
    np.testing.assert_allclose(found.positions, points, atol=1e-4)


def test_a_point_seen_once_is_sure_across_the_ray_and_not_along_it():
    _, points, rays, transforms, sigma = scene(3, 2)
    weights = np.stack((np.ones(POINTS), np.zeros(POINTS)))
    covariance = np.broadcast_to(0.1**2 * np.eye(3), (POINTS, 3, 3))
    found = triangulate(rays, weights, transforms, sigma, points, covariance)
    for point, spread in zip(points, found.covariance, strict=True):
        along = transforms[0, :3, :3] @ point + transforms[0, :3, 3]
        ray = transforms[0, :3, :3].T @ (along / np.linalg.norm(along))
        values, axes = np.linalg.eigh(spread)
        assert abs(axes[:, 2] @ ray) > 0.99
        assert np.sqrt(values[2]) == pytest.approx(0.1, rel=0.05)
        assert np.sqrt(values[0]) < 0.02


def test_the_covariance_is_that_of_the_errors():
    rng, points, rays, transforms, sigma = scene(4, 3)
    normalised = []
    for _ in range(60):
        noisy = rays + rng.normal(0.0, 1.0, rays.shape) * sigma[:, None, None]
        found = triangulate(noisy, np.ones(rays.shape[:2]), transforms, sigma)
        off = found.positions - points
        normalised.append(np.einsum("pa,pab,pb->p", off, np.linalg.inv(found.covariance), off))
    assert np.mean(normalised) == pytest.approx(3.0, rel=0.1)  # χ² of three coordinates
