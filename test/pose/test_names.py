"""One person has one name behind covers, in cuts and blur; all variants by `covers.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mediapipe", reason="these tests need mediapipe")

import cv2
import numpy as np
from covers import PEOPLE, VARIANTS, follow, landmarks_of

from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.sources import Frame, VideoFile

VIDEO = "one_person.mp4"
slow = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [
        "body-wide bar that passes",
        "counter",
        pytest.param("hidden for 0.5 s", marks=slow),
        pytest.param("black every second", marks=slow),
        pytest.param("cut", marks=slow),
        pytest.param("mirrored from the middle on", marks=slow),
        pytest.param("shaken and blurred", marks=slow),
        pytest.param("panned", marks=slow),
        pytest.param("carried and smeared", marks=slow),
        pytest.param("5 pictures a second", marks=slow),
        pytest.param("lights that jump", marks=slow),
        pytest.param("away for 3 s", marks=slow),
        pytest.param("away for 19 s", marks=slow),
        pytest.param("on its side", marks=slow),
    ],
)
def test_one_person_has_one_name_and_one_skeleton(shared_data: Path, name):
    media = shared_data / "media"
    video = list(VideoFile(str(media / VIDEO)))
    frames = VARIANTS[name](video, PEOPLE[VIDEO][0])
    config = PoseConfig(model=str(media / "pose_landmarker_lite.task"))
    found = follow(frames, landmarks_of(frames, config), config, PEOPLE[VIDEO])
    assert list(found.names) == ["p1"], found
    assert max(found.people) == 1, found
    # what a variant puts between the pictures of the video shows nobody
    shown = min(sum(bool(frame.rgb.any()) for frame in frames), len(video))
    assert found.names["p1"] > 0.8 * shown, found


def test_after_a_cut_to_another_scene_nobody_has_the_name_of_somebody_before(shared_data: Path):
    media = shared_data / "media"
    before = list(VideoFile(str(media / "one_person.mp4")))[:30]
    height, width = before[0].rgb.shape[:2]
    other = list(VideoFile(str(media / "exercise.avi")))[50:80]
    after = [
        Frame(2.0 + frame.stamp, np.asarray(cv2.resize(frame.rgb, (width, height)), np.uint8))
        for frame in other
    ]
    config = PoseConfig(model=str(media / "pose_landmarker_lite.task"))
    frames = before + after
    found = follow(frames, landmarks_of(frames, config), config, PEOPLE["exercise.avi"])
    assert found.names["p1"] == len(before), found
    assert len(found.names) >= 3, found
