"""One camera held against recorded people, with errors as MediaPipe makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import View, camera_from_view
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import SkeletonEstimator
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.placement import ANKLE_HEIGHT, facing
from ses_gcn_ros.pose.virtual_cameras import look_at
from ses_gcn_ros.studies.pose_accuracy import measure_monocular


@pytest.mark.parametrize(
    ("known", "mean", "most"),
    [("place", 0.06, 0.12), ("height", 0.02, 0.06), ("nothing", 0.06, 0.15)],
)
def test_distances_and_their_stated_uncertainty(shared_data: Path, known, mean, most):
    motion = read_recording(shared_data / "motion" / "idle_dev.npz")
    found = measure_monocular(motion, scenes=6, known=known, seed=2).as_dict()
    assert found["root_depth_mean_share"] <= mean
    assert found["root_depth_p95_share"] <= most
    assert found["relative_mean_mm"] <= 70.0
    assert found["covered_along_share"] >= 0.9
    assert found["covered_across_share"] >= 0.9
    assert np.isfinite(found["found_share"])


@pytest.mark.parametrize("fault", ["pose", "step"])
def test_what_the_settings_say_may_be_wrong_is_covered(shared_data: Path, fault: str):
    motion = read_recording(shared_data / "motion" / "idle_dev.npz")
    lied, said = (
        measure_monocular(motion, scenes=6, fault=fault, stated=stated, seed=2).as_dict()
        for stated in (False, True)
    )
    assert lied["covered_along_share"] < 0.8
    assert min(said["covered_along_share"], said["covered_across_share"]) >= 0.9
    assert said["beyond_3_sigma_share"] <= 0.02


def test_feet_beneath_the_picture_say_nothing_of_the_floor(shared_data: Path):
    motion = read_recording(shared_data / "motion" / "idle_dev.npz")
    body = motion.sequences[0].positions[0].astype(float)
    body -= (*body[0, :2], body[:, 2].min() - ANKLE_HEIGHT)
    view = View(camera_from_view(1280, 720, 60.0), look_at((1.6, 0.0, 1.6), (0.0, 0.0, 1.3)))
    pixels, local = view.project(body), view.to_camera(body)
    assert (pixels[[3, 6], 1] > 720.0).all()
    about = (local - local[0]) @ facing(local[0])
    landmarks = Landmarks(pixels[None], about[None], np.ones((1, 15)), "chico15")  # and is sure
    estimator = SkeletonEstimator(PoseConfig(), "chico15")
    for frame in range(25):
        [person] = estimator.update(0.04 * frame, landmarks, view.camera, view.base_from_camera)
    assert not estimator.off_floor
    assert np.linalg.norm(person.positions[0] - body[0]) < 0.1


def test_people_without_legs_are_refused(shared_data: Path):
    motion = read_recording(shared_data / "motion" / "assembly_dev.npz")
    with pytest.raises(InputError, match=r"lacks hip, r_hip, r_knee in some frames; virtual"):
        measure_monocular(motion, scenes=1)
