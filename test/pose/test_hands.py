"""Hands whose bodies are not in the picture: people of few joints, none a body has already."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ses_gcn_ros.pose.camera import camera_from_view
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import SkeletonEstimator
from ses_gcn_ros.pose.landmarker import Landmarks, with_lone_hands
from ses_gcn_ros.skeleton import get_layout

CAMERA = camera_from_view(640, 360, 60.0)
SIZE = (CAMERA.width, CAMERA.height)
NOBODY = Landmarks(np.zeros((0, 33, 2)), np.zeros((0, 33, 3)), np.zeros((0, 33)))
JOINTS = get_layout("mediapipe33").joints


def hand(place, side="Left", size=1.0):
    """What MediaPipe says of an open hand of a wrist's place (3,) [m] in the optical frame."""
    across = np.array([0.0, -0.04, -0.05, -0.055, -0.06, -0.025, -0.025, -0.025, -0.025, 0.0])
    across = np.concatenate((across, [0.0] * 3, [0.02] * 4, [0.035] * 4))
    along = np.array([0.0, 0.03, 0.05, 0.07, 0.09, *[0.09, 0.13, 0.15, 0.17] * 2])
    along = np.concatenate((along, *[(0.085, 0.12, 0.14, 0.16), (0.075, 0.10, 0.12, 0.14)]))
    points = np.stack((across, -along, 0.1 * across), axis=1)
    pixels = CAMERA.project(points + place) / SIZE
    return SimpleNamespace(
        handedness=[[SimpleNamespace(category_name=side, score=0.97)]],
        hand_landmarks=[[SimpleNamespace(x=x, y=y) for x, y in pixels.tolist()]],
        hand_world_landmarks=[
            [SimpleNamespace(x=x, y=y, z=z) for x, y, z in (size * points - points[9]).tolist()]
        ],
    )


def body(wrist):
    """A body that stands 2 m away, its left wrist at a place [px]."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform((280.0, 60.0), (360.0, 300.0), (33, 2))
    pixels[15] = wrist
    return Landmarks(pixels[None], rng.normal(0.0, 0.3, (1, 33, 3)), np.ones((1, 33)))


@pytest.mark.parametrize(("side", "joint"), [("Left", "r_wrist"), ("Right", "l_wrist")])
def test_a_hand_alone_is_a_person_of_few_joints_at_its_distance(side, joint):
    place = np.array([0.1, 0.1, 0.7])
    seen = with_lone_hands(NOBODY, hand(place, side), SIZE)
    for layout, number in (("mediapipe33", 4), ("chico15", 1)):
        estimator = SkeletonEstimator(PoseConfig(layout=layout, target_frame=""), "mediapipe33")
        rgb = np.zeros((360, 640, 3), np.uint8)
        for frame in range(5):
            [person] = estimator.update(0.04 * frame, seen, CAMERA, rgb=rgb)
        assert person.person_id == "p1"
        known = np.isfinite(person.positions).all(-1)
        assert known.sum() == number
        assert (person.confidence > 0.0).tolist() == known.tolist()
        index = get_layout(layout).joints.index(joint)
        assert np.linalg.norm(person.positions[index] - place) < 0.05
        xx, *_, zz = person.covariance[index]
        assert zz > xx  # the distance is known least
        assert 0.04**2 < zz < 0.3**2


def test_a_hand_alone_is_where_a_depth_camera_sees_it():
    place = np.array([0.1, 0.1, 0.7])
    depth = np.full((360, 640), 2.0, np.float32)
    [[u, v]] = CAMERA.project(place[None]).astype(int)
    depth[v - 150 : v + 30, u - 80 : u + 80] = 0.65  # the back of the hand
    config = PoseConfig(layout="mediapipe33", mode="rgbd")
    seen = with_lone_hands(NOBODY, hand(place, size=1.3), SIZE)
    [person] = SkeletonEstimator(config, "mediapipe33").update(0.0, seen, CAMERA, depth=depth)
    assert np.isfinite(person.positions).all(-1).sum() == 4
    assert 0.65 < person.positions[JOINTS.index("r_wrist"), 2] < 0.70


def test_a_smaller_hand_than_the_landmarks_say_is_nearer_as_the_covariance_states():
    place = np.array([0.0, 0.0, 0.6])
    estimator = SkeletonEstimator(PoseConfig(layout="mediapipe33"), "mediapipe33")
    [person] = estimator.update(0.0, with_lone_hands(NOBODY, hand(place, size=1.1), SIZE), CAMERA)
    wrist = JOINTS.index("r_wrist")
    off = person.positions[wrist, 2] - place[2]
    assert 0.03 < off < 2.0 * np.sqrt(person.covariance[wrist, 5])


def test_a_bodys_own_hand_is_no_second_person():
    place = np.array([0.3, 0.1, 1.0])
    [wrist] = CAMERA.project(place[None])
    found = with_lone_hands(body(wrist + np.array((8.0, 5.0))), hand(place), SIZE)
    assert len(found.pixels) == 1
    elsewhere = with_lone_hands(body((300.0, 200.0)), hand(place), SIZE)
    assert len(elsewhere.pixels) == 2
    assert np.isfinite(elsewhere.pixels[0]).all()
    assert np.isfinite(elsewhere.pixels[1]).all(-1).sum() == 4
