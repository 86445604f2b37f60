"""One person has one name behind covers, in cuts and blur; all variants by `covers.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("mediapipe", reason="these tests need mediapipe")

import cv2
import numpy as np
from covers import FISHEYE, FLAT, PEOPLE, VARIANTS, away, follow, landmarks_of

from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import SkeletonEstimator
from ses_gcn_ros.pose.sources import Frame, VideoFile
from ses_gcn_ros.safety.people import PHANTOM

VIDEO = "one_person.mp4"


@pytest.fixture(scope="module")
def video(media: Path) -> list[Frame]:
    return list(VideoFile(str(media / VIDEO)))


@pytest.fixture(scope="module")
def config(model: str) -> PoseConfig:
    return PoseConfig(model=model)


SLOW = (
    "hidden for 0.5 s",
    "black every second",
    "cut",
    "mirrored from the middle on",
    "panned",
    "carried and smeared",
    "5 pictures a second",
    "lights that jump",
    "lamps that flicker",
    "lintel",
    "away for 3 s",
    "away for 19 s",
    "on its side",
)


# Held until somebody was looked for beside who is known; see the next test for what holds now.
NOT_YET = pytest.mark.xfail(strict=True, reason="a post or a drawn figure has a name")
SLOW_NOT_YET = ("shaken and blurred", "bar before a side")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("body-wide bar that passes", marks=NOT_YET),
        "counter",
        *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
        *(pytest.param(name, marks=[pytest.mark.slow, NOT_YET]) for name in SLOW_NOT_YET),
    ],
)
def test_one_person_has_one_name_and_one_skeleton(video, config, name):
    frames = VARIANTS[name](video, PEOPLE[VIDEO][0])
    found = follow(frames, landmarks_of(frames, config), config, PEOPLE[VIDEO])
    # while nobody is there, people far off are searched for, and one is drawn in the video
    assert [n for n, alive in found.alive.items() if alive >= PHANTOM] == ["p1"], found
    assert max(found.people) == 1, found
    # what a variant puts between the pictures of the video shows nobody
    shown = min(sum(bool(frame.rgb.any()) for frame in frames), len(video))
    assert found.names["p1"] > 0.8 * shown, found


@pytest.mark.parametrize(
    "name",
    [
        "body-wide bar that passes",
        pytest.param("shaken and blurred", marks=pytest.mark.slow),
        pytest.param("bar before a side", marks=pytest.mark.slow),
    ],
)
def test_what_passes_for_a_second_person_is_somewhere_else_and_the_one_keeps_the_name(
    video, config, name
):
    """A post and a figure that is drawn, beside a person of whom little is left."""
    found = follow(
        frames := VARIANTS[name](video, PEOPLE[VIDEO][0]),
        landmarks_of(frames, config),
        config,
        PEOPLE[VIDEO],
    )
    assert found.names["p1"] > 0.8 * len(video), found
    assert [who for who, places in found.places.items() if 0 in places] == ["p1"], found
    assert len(found.names) <= 2, found
    assert found.doubles == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("black every second", 5),
        ("half the resolution", 4),
        ("hidden for 3 s", 3),
        ("bar of 1/5", 4),
        ("hard JPEG", 5),
        ("body-wide bar that passes", 3),
    ],
)
def test_three_in_the_same_clothes_keep_apart(config, media, name, most):
    """And one or two are missed at times: each of these had a name on two or three people."""
    video, boxes = list(VideoFile(str(media / "exercise.avi"))), PEOPLE["exercise.avi"]
    frames = VARIANTS[name](video, boxes[0])
    found = follow(frames, landmarks_of(frames, config), config, boxes)
    beside = sum(places.pop(-1, 0) for places in found.places.values())
    assert all(len(places) == 1 for places in found.places.values()), found
    assert beside <= ("bar that passes" in name), (
        found
    )  # one picture, as two are found at one place
    assert len(found.names) <= most, found
    assert found.doubles == 0


def test_somebody_far_off_who_walks_is_found_in_parts_of_the_picture(video, config):
    frames = VARIANTS["80 px tall"](video[:75], PEOPLE[VIDEO][0])
    found = follow(frames, landmarks_of(frames, config), config, PEOPLE[VIDEO])
    assert list(found.names) == ["p1"], found
    # a second passes before parts are searched, and another until all have been
    later = sum(frame.stamp >= frames[0].stamp + 2.0 for frame in frames)
    assert found.names["p1"] >= 0.9 * later, found
    assert found.alive["p1"] > 0.7, found


def test_a_figure_drawn_in_the_picture_is_given_and_not_alive(video, config):
    video = video[:20]
    frames = away(7.0)(video, PEOPLE[VIDEO][0])
    found = follow(frames, landmarks_of(frames, config), config, PEOPLE[VIDEO])
    assert found.names["p1"] == len(video), found
    [figure] = set(found.names) - {"p1"}
    assert found.names[figure] > 10, found
    assert found.alive[figure] < PHANTOM, found


def test_somebody_stands_where_he_stands_through_a_fisheye_lens_too(video, config):
    config = replace(config, layout="mediapipe33")
    seen = []
    for name, camera in (("as it is", FLAT), ("fish-eye", FISHEYE)):
        frames = VARIANTS[name](video[:15], PEOPLE[VIDEO][0])
        estimator = SkeletonEstimator(config)
        for frame, landmarks in zip(frames, landmarks_of(frames, config), strict=True):
            people = estimator.update(frame.stamp, landmarks, camera)
        seen += people
    flat, bulging = seen
    trunk = [11, 12, 23, 24]
    off = np.linalg.norm(flat.positions[trunk] - bulging.positions[trunk], axis=-1)
    sigma = np.sqrt(bulging.covariance[trunk][:, [0, 3, 5]].sum(-1))
    assert (off < 2.0 * sigma).all(), (off, sigma)
    middles = [person.positions[trunk].mean(0) for person in seen]
    one, other = (middle / np.linalg.norm(middle) for middle in middles)
    assert one @ other > np.cos(np.radians(2.0)), middles


def test_after_a_cut_to_another_scene_nobody_has_the_name_of_somebody_before(video, config, media):
    before = video[:30]
    height, width = before[0].rgb.shape[:2]
    other = list(VideoFile(str(media / "exercise.avi")))[50:80]
    after = [
        Frame(2.0 + frame.stamp, np.asarray(cv2.resize(frame.rgb, (width, height)), np.uint8))
        for frame in other
    ]
    frames = before + after
    found = follow(frames, landmarks_of(frames, config), config, PEOPLE["exercise.avi"])
    assert found.names["p1"] == len(before), found
    assert len(found.names) >= 3, found
