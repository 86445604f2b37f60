"""Placing people in space: real CMU poses seen by virtual cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ses_gcn_ros.pose.camera import camera_from_calibration, camera_from_view
from ses_gcn_ros.pose.placement import place

CAMERA = camera_from_view(1280, 720, 65.0)
OPTICAL_FROM_CELL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # z up → y down


@pytest.fixture(scope="module")
def poses(shared_data: Path) -> np.ndarray:
    """200 CMU poses about the hip in a level camera's axes [m], shape (200, 15, 3)."""
    motion = np.load(shared_data / "motion" / "cmu.npz")["positions_mm"]
    chosen = motion[np.linspace(0, len(motion) - 1, 200).astype(int)] * 1e-3
    return (chosen - chosen[:, :1]) @ OPTICAL_FROM_CELL.T


def stand(poses: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """People 2 to 4 m away, turned at random, and their poses as a crop's landmarks show them."""
    rng = np.random.default_rng(seed)
    turned = Rotation.from_euler("y", rng.uniform(-np.pi, np.pi, (len(poses), 1))).as_matrix()
    depth = rng.uniform(2.0, 4.0, len(poses))
    hip = np.stack((rng.uniform(-0.4, 0.4, len(poses)), rng.uniform(-0.1, 0.2, len(poses))), 1)
    hip = np.column_stack((hip * depth[:, None], depth))
    people = np.einsum("nab,njb->nja", turned, poses) + hip[:, None]
    # Landmarks come from a crop: their axes are a camera's that looks straight at the person.
    direction = hip / np.linalg.norm(hip, axis=1, keepdims=True)
    axis = np.cross((0.0, 0.0, 1.0), direction)
    angle = np.arccos(direction[:, 2])
    axis *= (angle / np.linalg.norm(axis, axis=1))[:, None]
    facing = Rotation.from_rotvec(axis).inv().as_matrix()
    return people, np.einsum("nab,njb->nja", facing, people - hip[:, None])


def test_exact_landmarks_are_placed_exactly(poses):
    people, world = stand(poses, seed=0)
    rays = CAMERA.normalise(CAMERA.project(people))
    placed = place(world, rays, np.ones(rays.shape[:2]))
    error = np.linalg.norm(placed.positions - people, axis=-1)
    # What is left is that the crop is centred on the fit's hips, found to a fraction of a degree.
    assert np.median(error) < 0.002
    assert error.max() < 0.03


def test_a_distorted_image_is_no_worse(poses):
    lens = (-0.28, 0.09, 0.001, -0.0005, 0.0)
    k = (CAMERA.fx, 0.0, CAMERA.cx, 0.0, CAMERA.fy, CAMERA.cy, 0.0, 0.0, 1.0)
    camera = camera_from_calibration(1280, 720, k, lens, "plumb_bob")
    people, world = stand(poses, seed=1)
    inside = camera.project(people)
    rays = camera.normalise(inside)
    visible = ((inside > 0) & (inside < (1280, 720))).all(-1)
    placed = place(world, rays, visible.astype(float))
    assert np.nanmedian(np.linalg.norm(placed.positions - people, axis=-1)) < 0.004
    ignored = place(world, CAMERA.normalise(inside), visible.astype(float))
    assert np.nanmedian(np.linalg.norm(ignored.positions - people, axis=-1)) > 0.02


def test_noise_outliers_and_hidden_joints_are_borne(poses):
    people, world = stand(poses, seed=2)
    rng = np.random.default_rng(2)
    pixels = CAMERA.project(people) + rng.normal(0.0, 3.0, (*people.shape[:2], 2))
    stray = rng.random(people.shape[:2]) < 0.05
    pixels[stray] += rng.normal(0.0, 80.0, (stray.sum(), 2))
    weights = (rng.random(people.shape[:2]) > 0.1).astype(float)
    placed = place(world, CAMERA.normalise(pixels), weights, size_known=True)
    hip = np.linalg.norm(placed.positions[:, 0] - people[:, 0], axis=-1)
    assert np.median(hip) < 0.05
    assert np.quantile(hip, 0.95) < 0.20
    # The stated doubt about the distance fits the error that was made.
    along = np.linalg.norm(placed.positions[:, 0], axis=1) - np.linalg.norm(people[:, 0], axis=1)
    assert 0.4 < np.median(np.abs(along) / placed.ray_sigma) / 0.6745 < 2.5


def test_unknown_size_is_doubt_about_the_distance(poses):
    people, world = stand(poses[:20], seed=3)
    rays = CAMERA.normalise(CAMERA.project(people))
    placed = place(world, rays, np.ones(rays.shape[:2]))
    distance = np.linalg.norm(people[:, 0], axis=1)
    np.testing.assert_allclose(placed.ray_sigma, 0.055 * distance, rtol=0.05)


@given(st.floats(0.5, 2.0))
@settings(max_examples=20)
def test_a_body_twice_as_large_is_twice_as_far(scale):
    rng = np.random.default_rng(0)
    world = rng.normal(0.0, 0.3, (1, 15, 3))
    person = world + np.array((0.3, 0.1, 3.0))
    rays = person[..., :2] / person[..., 2:]
    weights = np.ones((1, 15))
    near, far = place(world, rays, weights), place(scale * world, rays, weights)
    np.testing.assert_allclose(far.positions, scale * near.positions, rtol=1e-6, atol=1e-6)


def test_who_cannot_be_placed_is_nan_and_does_not_disturb_the_others(poses):
    people, world = stand(poses[:3], seed=4)
    rays = CAMERA.normalise(CAMERA.project(people))
    weights = np.ones(rays.shape[:2])
    alone = place(world, rays, weights).positions
    weights[1, 1:] = 0.0  # one joint only
    rays[2] = -rays[2]  # an image that only a person behind the camera makes
    placed = place(world, rays, weights)
    np.testing.assert_allclose(placed.positions[0], alone[0])
    assert np.isnan(placed.positions[1]).all()
    assert np.isnan(placed.ray_sigma[1])
    assert np.isnan(placed.positions[2]).all() or (placed.positions[2, :, 2] > 0.0).all()
    assert place(world[:0], rays[:0], weights[:0]).positions.shape == (0, 15, 3)
