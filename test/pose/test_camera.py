"""The camera's intrinsics: pixels to rays and back, from calibrations of every lens model."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import (
    Camera,
    camera_from_calibration,
    camera_from_info,
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


@pytest.mark.parametrize(
    ("distortion", "model"),
    [
        ((-0.03, 0.035, 0.0, 0.0, -0.012, 0.0, 0.0, 0.0), "plumb_bob"),  # as some drivers pad it
        ((0.0,) * 5, ""),  # not calibrated for distortion
        ((0.01,) * 8 + (0.0,) * 4, "rational_polynomial"),
        ((0.01,) * 8 + (0.0,) * 6, "rational_polynomial"),
        ((0.01,) * 4, "plumb_bob"),
        ((0.01,) * 12, "rational_polynomial"),
        ((0.01,) * 14, "rational_polynomial"),  # of a tilted sensor
    ],
)
def test_distortion_as_drivers_write_it_is_taken(distortion, model):
    camera = camera_from_calibration(640, 480, K, distortion, model)
    points = np.array([(0.3, 0.2, 2.0)])
    np.testing.assert_allclose(camera.normalise(camera.project(points)), [(0.15, 0.1)], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "distortion", "sentence"),
    [
        ({2: 1e12}, (), "principal point at 1e.12, 250 px, outside of the image of 640×480"),
        ({5: -1.0}, (), "outside of the image"),
        ({0: 1e-9, 4: 1e-9}, (), "which no lens before 640×480 px has"),
        ({0: 1e7, 4: 1e7}, (), "which no lens before 640×480 px has"),
        ({}, (1e6,) * 5, "with which no pixel about the middle has a ray"),
    ],
)
def test_a_calibration_that_no_camera_has_is_refused(changes, distortion, sentence):
    matrix = [changes.get(index, value) for index, value in enumerate(K)]
    with pytest.raises(InputError, match=sentence):
        camera_from_calibration(640, 480, matrix, distortion, "plumb_bob")


def info(**fields):
    """CameraInfo of 640×480 px."""
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    whole = {"width": 640, "height": 480, "k": K, "d": (), "distortion_model": "plumb_bob"}
    return SimpleNamespace(**{**whole, "binning_x": 0, "binning_y": 0, "roi": roi, **fields})


def test_binning_and_region_of_interest_move_the_pixels():
    whole = camera_from_info(info())
    assert whole == camera_from_calibration(640, 480, K, (), "plumb_bob")
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=300)
    part = camera_from_info(info(roi=roi, binning_x=2, binning_y=2))
    assert (part.width, part.height) == (200, 150)
    point = (0.2, 0.1, 2.0)
    expected = (whole.project(point) - (100, 40)) / 2.0
    np.testing.assert_allclose(part.project(point), expected)
    far = SimpleNamespace(x_offset=600, y_offset=0, width=400, height=300)
    with pytest.raises(InputError, match=r"400×300 px at 600, 0, which is not in the image"):
        camera_from_info(info(roi=far))


def test_the_right_camera_of_a_pair_sees_from_its_own_place():
    projection = (600.0, 0.0, 330.0, -60.0, 0.0, 610.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    right = camera_from_info(info(p=projection, r=np.eye(3).ravel()))
    assert right == camera_from_info(info())  # pictures are not rectified: P is not theirs


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
