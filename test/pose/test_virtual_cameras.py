"""Virtual cameras: they stand where they are told, and err as much as they are told."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.pose.virtual_cameras import look_at, observe, sample_view, sample_views

TARGET = np.array([0.3, -0.2, 0.9])
UP = np.array([0.0, 0.0, 1.0])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_a_camera_looks_at_its_target_from_two_to_four_metres_level(seed):
    view = sample_view(np.random.default_rng(seed), TARGET)
    centre = view.project(TARGET)
    np.testing.assert_allclose(centre, (640.0, 360.0), atol=1e-6)
    assert 2.0 <= np.linalg.norm((view.place - TARGET)[:2]) <= 4.0
    above = view.project(TARGET + 0.2 * UP)
    assert above[1] < centre[1] - 10.0  # up in the cell is up in the picture
    assert abs(above[0] - centre[0]) < 0.2 * (centre[1] - above[1])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_a_view_takes_points_to_the_camera_and_back(seed):
    rng = np.random.default_rng(seed)
    view = sample_view(rng, TARGET)
    points = rng.normal(size=(4, 15, 3))
    np.testing.assert_allclose(view.to_base(view.to_camera(points)), points, atol=1e-12)
    np.testing.assert_allclose(view.base_from_camera @ view.camera_from_base, np.eye(4), atol=1e-12)


def test_cameras_of_a_cell_look_from_different_sides():
    for seed in range(50):
        views = sample_views(np.random.default_rng(seed), TARGET, 3)
        away = np.stack([(view.place - TARGET)[:2] for view in views])
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        cosines = (away @ away.T)[np.triu_indices(3, 1)]
        assert cosines.max() < np.cos(np.radians(55.0))


def test_roll_turns_the_picture_about_its_middle():
    level = look_at((3.0, 0.0, 1.5), TARGET)
    rolled = look_at((3.0, 0.0, 1.5), TARGET, roll=0.1)
    np.testing.assert_allclose(level[:, 2:], rolled[:, 2:])
    np.testing.assert_allclose(level[:3, 0] @ rolled[:3, 0], np.cos(0.1))
    assert level[:3, 1][2] < 0.0  # the picture's down is down


def test_joints_err_go_astray_and_are_missed_as_often_as_asked():
    rng = np.random.default_rng(0)
    view = sample_view(rng, TARGET, distance=(3.9, 4.0))
    body = TARGET + rng.uniform(-0.5, 0.5, (2000, 15, 3)) * (0.4, 0.4, 1.0)
    pixels, confidence = observe(view, body, rng, noise=3.0, outliers=0.05, missing=0.10)
    error = np.linalg.norm(pixels - view.project(body), axis=-1)

    found = confidence > 0.0
    np.testing.assert_array_equal(found, np.isfinite(pixels).all(-1))
    assert 0.885 < found.mean() < 0.915
    assert 0.03 < (error[found] > 15.0).mean() < 0.05  # some land near the joint by chance
    near = error[found & (error < 15.0)]
    assert 0.97 < np.sqrt(np.mean(near**2) / 2.0) / 3.0 < 1.06
    far = confidence[found & (error > 15.0)]
    assert abs(far.mean() - confidence[found].mean()) < 0.02  # sure of themselves


def test_what_is_outside_of_the_picture_is_not_found():
    view = sample_view(np.random.default_rng(1), TARGET)
    points = np.stack((TARGET, TARGET + 5.0 * UP, view.place * 2.0 - TARGET))
    pixels, confidence = observe(view, points, np.random.default_rng(2), outliers=0.0, missing=0.0)
    assert np.isfinite(pixels).all(-1).tolist() == [True, False, False]
    assert (confidence > 0.0).tolist() == [True, False, False]
