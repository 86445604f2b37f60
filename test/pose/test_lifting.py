"""From joints in the image of one camera to joints in space."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.models.lifting import (
    LiftingConfig,
    LiftingWeights,
    make_network,
    read_lifting_weights,
    write_lifting_weights,
)
from ses_gcn_ros.pose.camera import Camera, camera_from_view
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import LiftingPlacer
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.lifting import Lifter, frame_rays
from ses_gcn_ros.pose.virtual_cameras import observe, sample_view
from ses_gcn_ros.skeleton import mapping
from ses_gcn_ros.training.trainer import tensors_of


@pytest.fixture(scope="module")
def walk(shared_data: Path) -> np.ndarray:
    """Half a second of somebody who walks, (T, 15, 3) [m]."""
    recording = read_recording(shared_data / "motion" / "cmu.npz")
    return next(s for s in recording.sequences if s.subject == "07").positions[20:40]


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    """The network that ships."""
    return Lifter()


@pytest.fixture
def small() -> LiftingWeights:
    config = LiftingConfig(width=8, blocks=1)
    return LiftingWeights(config, tensors_of(make_network(config).state_dict()), "small")


def test_features_do_not_say_where_in_the_picture_a_person_is() -> None:
    rng = np.random.default_rng(0)
    body = rng.uniform(-0.5, 0.5, (15, 3))
    looks = []
    for angle in (0.0, 0.4):  # the same body, seen alike, turned about the camera's centre
        turn = np.array(
            [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        )
        joints = (body + np.array([0.0, 0.0, 3.0])) @ turn.T
        rays = (joints[:, :2] / joints[:, 2:])[None, None]
        looks.append(frame_rays(rays, np.ones((1, 1, 15), bool)).features)
    np.testing.assert_allclose(looks[1], looks[0], atol=0.05)


def test_unseen_joints_are_zero_and_say_so() -> None:
    rays = np.random.default_rng(1).uniform(-0.1, 0.1, (1, 2, 15, 2))
    seen = np.ones((1, 2, 15), bool)
    seen[0, 0, 4] = False
    rays[0, 0, 4] = np.nan
    features = frame_rays(rays, seen).features
    assert features[0, 4, :3].tolist() == [0.0, 0.0, 0.0]
    assert features[0, 4, 5] == 1.0


def test_the_network_that_ships_lifts_a_walk_it_has_not_seen(
    lifter: Lifter, walk: np.ndarray
) -> None:
    rng = np.random.default_rng(2)
    errors = []
    for start in range(len(walk) - lifter.frames):
        window = walk[start : start + lifter.frames].astype(np.float64)
        view = sample_view(rng, window[-1].mean(axis=0))
        pixels, confidence = observe(view, window, rng)
        lifted = lifter.lift(view.camera.normalise(pixels)[None], confidence[None])[0]
        truth = view.to_camera(window[-1])
        errors.append(np.linalg.norm(lifted - (truth - truth[0]), axis=-1)[1:].mean())
    assert np.mean(errors) < 0.12


def test_a_person_of_whom_next_to_nothing_is_seen_is_not_lifted(lifter: Lifter) -> None:
    rays = np.random.default_rng(3).uniform(-0.1, 0.1, (2, lifter.frames, 15, 2))
    confidence = np.ones((2, lifter.frames, 15))
    confidence[1, -1, 3:] = 0.0
    lifted = lifter.lift(rays, confidence)
    assert np.isfinite(lifted[0]).all()
    assert np.isnan(lifted[1]).all()


def test_mode_lifting_places_a_person_in_metres_from_the_picture_alone(walk: np.ndarray) -> None:
    camera: Camera = camera_from_view(1280, 720, 65.0)
    placer = LiftingPlacer(PoseConfig(mode="lifting"), "mediapipe33")
    view = sample_view(np.random.default_rng(4), walk[10].mean(axis=0), heading=0.5)
    spread = np.linalg.pinv(mapping("mediapipe33", "chico15"))
    apart = []
    for frame, joints in enumerate(walk.astype(np.float64)):
        truth = view.to_camera(joints)
        pixels = (spread @ camera.project(truth))[None]
        visibility = np.ones((1, 33))
        # No landmark in metres is given: the mode must not look at it.
        landmarks = Landmarks(pixels, np.full((1, 33, 3), np.nan), visibility)
        placed = placer.place(0.04 * frame, landmarks, camera, None)
        apart.append(np.linalg.norm(placed.positions[0] - truth, axis=-1).mean())
        assert placed.ray_sigma[0] > 0.0
    assert np.mean(apart) < 0.35  # most of it along the ray: one camera does not know the stature


def test_weights_survive_a_file(tmp_path: Path, small: LiftingWeights) -> None:
    write_lifting_weights(tmp_path / "w.safetensors", small)
    read = read_lifting_weights(tmp_path / "w.safetensors")
    assert read.config == small.config
    assert read.name == "small"
    for name, tensor in small.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)


def test_weights_that_do_not_fit_are_refused_with_the_tensor_named(small: LiftingWeights) -> None:
    missing = {k: v for k, v in small.tensors.items() if k != "leave.bias"}
    with pytest.raises(ModelError, match=r"leave\.bias"):
        Lifter(dataclasses.replace(small, tensors=missing))
    broken = {**small.tensors, "leave.bias": np.full(3, np.nan, np.float32)}
    with pytest.raises(ModelError, match=r"leave\.bias.*finite"):
        Lifter(dataclasses.replace(small, tensors=broken))


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="no readable safetensors"):
        read_lifting_weights(path)


def test_a_missing_file_and_another_kind_of_weights_are_refused(tmp_path: Path) -> None:
    from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS

    with pytest.raises(ModelError, match="there are no weights"):
        read_lifting_weights(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="holds no lifting network"):
        read_lifting_weights(DEFAULT_WEIGHTS)
