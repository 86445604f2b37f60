"""Depth: every encoding, no data is no data, edges and occluders, joints where they are."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import View, camera_from_view
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.depth import (
    check_aligned,
    decode_compressed_depth,
    decode_depth,
    place_with_depth,
    surfaces,
)
from ses_gcn_ros.pose.estimator import SkeletonEstimator
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.virtual_cameras import look_at, measured_depth, render_depth
from ses_gcn_ros.studies.pose_accuracy import measure_rgbd

CAMERA = camera_from_view(640, 360, 65.0)
VIEW = View(CAMERA, look_at((3.2, 0.0, 1.0), (0.0, 0.0, 0.9)))
# A person who faces the camera (+x), arms a little out; layout chico15.
BODY = np.array(
    [
        (0, 0, 0.95), (0, -0.1, 0.93), (0, -0.11, 0.5), (0, -0.12, 0.1),
        (0, 0.1, 0.93), (0, 0.11, 0.5), (0, 0.12, 0.1), (0.08, 0, 1.6),
        (0, 0, 1.4), (0, -0.18, 1.4), (0, -0.4, 1.2), (0.05, -0.55, 1.0),
        (0, 0.18, 1.4), (0, 0.4, 1.2), (0.05, 0.55, 1.0),
    ],
    float,
)  # fmt: skip


def seen(body: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shape about the hips, pixels and full visibility of a body."""
    local = VIEW.to_camera(body)
    return (local - local[0])[None], CAMERA.project(local)[None], np.ones((1, 15))


def errors(positions: np.ndarray) -> np.ndarray:
    return np.linalg.norm(VIEW.to_base(positions[0]) - BODY, axis=-1)


@pytest.mark.parametrize("big", [False, True])
def test_millimetres_and_metres_are_told_apart_and_no_data_is_nan(big):
    order = ">" if big else "<"
    metres = np.array([[1.5, np.nan, 0.0], [np.inf, 2.25, -1.0]])
    raw = metres.astype(order + "f4")
    found = decode_depth(raw.tobytes(), 2, 3, "32FC1", 12, big)
    np.testing.assert_allclose(found, [[1.5, np.nan, np.nan], [np.nan, 2.25, np.nan]])
    counts = np.array([[1500, 0, 0], [65535, 2250, 0]]).astype(order + "u2")
    found = decode_depth(counts.tobytes(), 2, 3, "16UC1", 6, big)
    np.testing.assert_allclose(found, [[1.5, np.nan, np.nan], [np.nan, 2.25, np.nan]])


def test_rows_may_be_padded():
    rows = np.zeros((2, 5), "<u2")
    rows[:, :3] = ((1000, 2000, 3000), (1100, 2100, 3100))
    np.testing.assert_allclose(
        decode_depth(rows.tobytes(), 2, 3, "16UC1", 10), [[1, 2, 3], [1.1, 2.1, 3.1]]
    )


def test_a_compressed_depth_image_is_read_with_and_without_its_header():
    picture = np.array([[1500, 0], [2250, 900]], np.uint16)
    png = cv2.imencode(".png", picture)[1].tobytes()
    for data in (png, b"\x00" * 12 + png):
        np.testing.assert_allclose(decode_compressed_depth(data), [[1.5, np.nan], [2.25, 0.9]])
    with pytest.raises(InputError, match="is no 16-bit PNG"):
        decode_compressed_depth(cv2.imencode(".png", picture.astype(np.uint8))[1].tobytes())


@pytest.mark.parametrize(
    ("encoding", "data", "step", "sentence"),
    [
        ("rgb8", bytes(12), 6, "depth encoding 'rgb8' is not supported; known are 16UC1"),
        ("16UC1", bytes(7), 4, "16UC1 image of 2×2 px has 7 bytes in rows of 4"),
        ("32FC1", bytes(16), 4, "32FC1 image of 2×2 px has 16 bytes in rows of 4"),
    ],
)
def test_what_is_no_depth_is_refused(encoding, data, step, sentence):
    with pytest.raises(InputError, match=sentence):
        decode_depth(data, 2, 2, encoding, step)


def test_depth_of_another_size_than_colour_is_not_aligned():
    with pytest.raises(InputError, match="depth is 320×180 px, but the colour image is 640×360"):
        check_aligned(np.zeros((180, 320), np.float32), CAMERA)


def test_surfaces_at_an_edge_are_not_averaged():
    depth = np.full((100, 100), 3.0, np.float32)
    depth[:, :50] = 1.0
    depth[:20, :50] = np.nan
    found, shares = surfaces(depth, np.array([[50.0, 60.0], [50.0, 10.0]]), np.array([6.0, 6.0]))
    np.testing.assert_allclose(found[:, :2], [[1.0, 3.0], [3.0, np.nan]])
    assert 0.3 < shares[0, 0] < 0.7
    assert np.isnan(found[:, 2:]).all()


def test_outside_of_the_image_there_is_no_surface():
    depth = np.ones((10, 10), np.float32)
    points = np.array([[-1.0, 5.0], [5.0, 10.0], [np.nan, 5.0]])
    found, shares = surfaces(depth, points, np.full(3, 2.0))
    assert np.isnan(found).all()
    assert (shares == 0.0).all()


def test_joints_lie_within_the_body_not_on_its_skin():
    depth, visible = render_depth(VIEW, BODY[None])
    assert visible.all()
    positions, confidence, *_ = place_with_depth(*seen(BODY), depth, CAMERA, layout="chico15")
    assert errors(positions).mean() < 0.03
    assert (confidence == 1.0).mean() > 0.9
    on_skin = depth[tuple(CAMERA.project(VIEW.to_camera(BODY)).astype(int).T[::-1])]
    assert np.median(VIEW.to_camera(BODY)[:, 2] - on_skin) > 0.03


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_depth_sets_the_size_that_one_camera_can_not_tell(scale):
    depth, _ = render_depth(VIEW, BODY[None])
    world, pixels, visibility = seen(BODY)
    positions, _, *_ = place_with_depth(
        scale * world, pixels, visibility, depth, CAMERA, layout="chico15"
    )
    assert errors(positions).mean() < 0.04


def test_a_joint_behind_an_object_is_filled_in_with_low_confidence():
    depth, _ = render_depth(VIEW, BODY[None])
    world, pixels, visibility = seen(BODY)
    u, v = pixels[0, 11].astype(int)
    depth[v - 25 : v + 25, u - 25 : u + 25] = 1.5  # a box before the right wrist
    positions, confidence, *_ = place_with_depth(
        world, pixels, visibility, depth, CAMERA, layout="chico15"
    )
    assert errors(positions)[11] < 0.08
    assert confidence[0, 11] <= 0.3
    assert (np.delete(confidence[0], 11) == 1.0).mean() > 0.9


def test_a_landmark_astray_on_the_wall_or_the_body_does_not_lead_astray():
    depth, _ = render_depth(VIEW, BODY[None])
    for goal in ((560.0, 60.0), CAMERA.project(VIEW.to_camera(BODY[8]))):
        world, pixels, visibility = seen(BODY)
        pixels[0, 14] = goal
        positions, confidence, *_ = place_with_depth(
            world, pixels, visibility, depth, CAMERA, layout="chico15"
        )
        assert errors(positions)[14] < 0.1
        assert confidence[0, 14] <= 0.3


def test_holes_in_the_depth_leave_the_rest():
    depth, _ = render_depth(VIEW, BODY[None])
    holed = depth.copy()
    holed[np.random.default_rng(0).random(depth.shape) < 0.5] = np.nan
    positions, _, *_ = place_with_depth(*seen(BODY), holed, CAMERA, layout="chico15")
    assert errors(positions).mean() < 0.03


def test_without_depth_nobody_is_placed():
    nothing = np.full((360, 640), np.nan, np.float32)
    positions, confidence, *_ = place_with_depth(*seen(BODY), nothing, CAMERA, layout="chico15")
    assert np.isnan(positions).all()
    assert (confidence == 0.0).all()


def test_joints_outside_of_the_image_are_unseen():
    depth, _ = render_depth(VIEW, BODY[None])
    world, pixels, visibility = seen(BODY)
    pixels[0, 3] = (300.0, 400.0)
    positions, confidence, *_ = place_with_depth(
        world, pixels, visibility, depth, CAMERA, layout="chico15"
    )
    assert np.isnan(positions[0, 3]).all()
    assert confidence[0, 3] == 0.0


def test_noise_is_of_the_size_asked_for():
    exact = np.full((200, 300), 3.0, np.float32)
    noisy = measured_depth(exact, np.random.default_rng(1), 0.01)
    assert np.nanstd(noisy) == pytest.approx(0.03, rel=0.1)
    assert 0.03 < np.isnan(noisy).mean() < 0.07


def test_visible_joints_are_within_35_mm_of_where_they_are(shared_data: Path):
    motion = read_recording(shared_data / "motion" / "cmu.npz")
    found = measure_rgbd(motion, scenes=10, frames=5, seed=1).as_dict()
    assert found["mean_mm"] <= 35.0
    assert found["counted_share"] > 0.5


@pytest.mark.parametrize("distance", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("encoding", ["32FC1; compressedDepth png", None])
def test_compressed_depth_in_metres_is_inverse(distance, encoding):
    a, most = 100.0 * 101.0, 10.0  # the transport's defaults
    b = 1.0 - a / most
    png = cv2.imencode(".png", np.full((4, 5), a / distance + b, np.uint16))[1].tobytes()
    sent = struct.pack("<iff", 0, a, b) + png
    np.testing.assert_allclose(decode_compressed_depth(sent, encoding), distance, rtol=0.01)
    millimetres = struct.pack("<iff", 0, 0.0, 0.0) + png
    assert decode_compressed_depth(millimetres)[0, 0] == pytest.approx(
        (a / distance + b) // 1 / 1e3
    )
    with pytest.raises(InputError, match="parameters nan and 0 before its PNG"):
        decode_compressed_depth(struct.pack("<iff", 0, np.nan, 0.0) + png, "32FC1; png")


PARTS = {
    "hand": [10, 11],
    "arm": [9, 10, 11],
    "trunk": [1, 4, 8, 9, 12],
    "head": [7],
    "leg": [2, 3],
}


@pytest.mark.parametrize("mode", ["rgbd", "monocular"])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_body_alone_is_somebody_with_few_joints_and_much_doubt(part, mode):
    joints = PARTS[part]
    world, pixels, visibility = seen(BODY)
    visibility[:, [j for j in range(15) if j not in joints]] = 0.1
    depth, _ = render_depth(VIEW, BODY[None])
    estimator = SkeletonEstimator(PoseConfig(mode=mode), "chico15")
    found = Landmarks(pixels, world, visibility, "chico15")
    for frame in range(5):
        people = estimator.update(0.04 * frame, found, CAMERA, VIEW.base_from_camera, depth)
    if part == "head" and mode == "monocular":  # one joint says nothing of the distance
        assert people == []
        return
    [person] = people
    sure = person.confidence > 0.3
    assert set(np.flatnonzero(sure)) == set(joints)
    assert 0.0 <= person.liveness <= 1.0
    off = np.linalg.norm(person.positions[joints] - BODY[joints], axis=-1)
    sigma = np.sqrt(person.covariance[joints][:, [0, 3, 5]].sum(-1))
    assert (off < 2.5 * sigma).all()
    assert (sigma > 0.03).all()
