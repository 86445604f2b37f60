"""The camera's intrinsics: pixels to rays and back, from calibrations of every lens model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import (
    Camera,
    camera_from_calibration,
    camera_from_view,
    target_from_optical,
)

K = (600.0, 0.0, 330.0, 0.0, 610.0, 250.0, 0.0, 0.0, 1.0)
LENSES = {
    "plumb_bob": (-0.25, 0.08, 0.001, -0.0005, 0.0),
    "rational_polynomial": (0.2, -0.1, 0.0005, 0.0003, 0.02, 0.3, -0.1, 0.01),
    "equidistant": (-0.02, 0.01, -0.003, 0.0005),
}


@pytest.mark.parametrize("model", LENSES)
def test_what_is_projected_comes_back_as_the_same_ray(model):
    camera = camera_from_calibration(640, 480, K, LENSES[model], model)
    rng = np.random.default_rng(0)
    points = rng.uniform((-0.8, -0.6, 2.0), (0.8, 0.6, 4.0), (5, 33, 3))
    rays = camera.normalise(camera.project(points))
    np.testing.assert_allclose(rays, points[..., :2] / points[..., 2:], atol=1e-4)
    pinhole = Camera(640, 480, 600.0, 610.0, 330.0, 250.0)
    off = np.abs(pinhole.project(points) - camera.project(points)).max()
    assert off > 3.0  # the lens matters, and is taken out


@given(st.floats(20.0, 150.0))
def test_the_angle_of_view_spans_the_image(field_of_view):
    camera = camera_from_view(640, 360, field_of_view)
    edge = math.tan(math.radians(field_of_view / 2.0))
    np.testing.assert_allclose(
        camera.normalise([(0.0, 180.0), (640.0, 180.0)])[:, 0], [-edge, edge]
    )
    assert camera.assumed


def test_what_is_behind_the_camera_has_no_pixel():
    camera = camera_from_view(640, 360, 60.0)
    pixels = camera.project([(0.0, 0.0, -1.0), (0.0, 0.0, 1.0), (np.nan, 0.0, np.nan)])
    assert np.isnan(pixels).all(axis=1).tolist() == [True, False, True]
    assert pixels[1].tolist() == [320.0, 180.0]


@pytest.mark.parametrize(
    ("matrix", "distortion", "model", "sentence"),
    [
        ([0.0] * 9, (), "plumb_bob", "focal lengths 0 and 0 px; calibrate the camera"),
        (K, (0.1, 0.2), "plumb_bob", "2 distortion coefficients; model 'plumb_bob' takes 0 or 4"),
        (
            K,
            (0.1,),
            "thin_prism",
            "unknown distortion|distortion model 'thin_prism'; known are plumb",
        ),
        (K, (math.nan,) * 5, "plumb_bob", "finite"),
    ],
)
def test_a_calibration_that_is_none_is_refused(matrix, distortion, model, sentence):
    with pytest.raises(InputError, match=sentence):
        camera_from_calibration(640, 480, matrix, distortion, model)


def test_a_level_camera_sees_along_its_x_axis_with_down_below():
    transform = target_from_optical((3.0, 0.0, 1.5, 0.0, 0.0, math.pi))  # looks back at the origin
    ahead_and_below = transform @ (0.0, 1.0, 2.0, 1.0)
    np.testing.assert_allclose(ahead_and_below[:3], (1.0, 0.0, 0.5), atol=1e-12)
    down = target_from_optical((0.0, 0.0, 2.0, 0.0, math.pi / 2.0, 0.0)) @ (0.0, 0.0, 2.0, 1.0)
    np.testing.assert_allclose(down[:3], (0.0, 0.0, 0.0), atol=1e-12)  # pitch tilts it down
