"""A camera that was pushed is noticed; people and light that come and go are not taken for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from covers import flickering

from ses_gcn_ros.pose.camera import CameraMotionDetector, SceneCutDetector
from ses_gcn_ros.pose.sources import Frame, VideoFile

NOBODY = np.zeros((0, 33, 2))


@pytest.fixture(scope="module")
def picture(shared_data: Path) -> np.ndarray:
    """A real room."""
    return next(iter(VideoFile(str(shared_data / "media" / "exercise.avi")))).rgb


def pushed(picture: np.ndarray, degrees: float) -> np.ndarray:
    """The picture of a camera of 60° turned about the vertical, and a little about its axis."""
    height, width = picture.shape[:2]
    focal = 0.5 * width / np.tan(np.radians(30.0))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0.2 * degrees, 1.0)
    turn[0, 2] += focal * np.tan(np.radians(degrees))
    return cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def look(pictures, people=NOBODY):
    detector = CameraMotionDetector()
    for second, picture in enumerate(pictures):
        detector.update(float(second), picture, people)
    return detector


def noisy(picture: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, 4.0, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def test_a_turn_of_one_degree_is_named_within_a_minute(picture):
    before = [noisy(picture, i) for i in range(10)]
    assert not look(before).moved
    after = [noisy(pushed(picture, 1.0), i) for i in range(10)]
    found = look([*before, *after])
    assert found.moved
    assert found.shift == pytest.approx(5.8, abs=0.7)  # px of 384


@pytest.mark.parametrize(("aside", "forward"), [(0.02, 0.0), (0.0, 0.02)])
def test_two_centimetres_are_named_within_a_minute(picture, aside, forward):
    height, width = picture.shape[:2]
    focal, away = 0.5 * width / np.tan(np.radians(30.0)), 4.0  # m to what the camera sees
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0.0, away / (away - forward))
    turn[0, 2] += focal * aside / away
    after = cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    before = [noisy(picture, i) for i in range(10)]
    assert look([*before, *(noisy(after, i) for i in range(50))]).moved


@pytest.mark.parametrize("degrees", [-20.0, 15.0])
def test_a_camera_that_is_turned_away_is_named_too(picture, degrees):
    before = [noisy(picture, i) for i in range(10)]
    found = look([*before, *(noisy(pushed(picture, degrees), i) for i in range(10))])
    assert found.moved
    assert found.shift == np.inf


def test_brighter_light_and_a_person_who_walks_by_are_no_push(picture):
    brighter = [(picture * gain).clip(0, 255).astype(np.uint8) for gain in (1.0, 0.8, 1.2, 0.9)]
    assert not look(brighter * 5).moved
    walking = []
    for step in range(20):
        shown = picture.copy()
        shown[100:280, 15 * step : 15 * step + 80] = (40, 90, 200)
        walking.append(shown)
    assert not look(walking).moved


def test_a_lens_that_is_covered_says_nothing(picture):
    black = np.zeros_like(picture)
    assert not look([picture, *[noisy(black, i) for i in range(20)], *[picture] * 20]).moved


def test_another_scene_is_a_cut_and_what_happens_before_a_camera_is_none(shared_data: Path):
    media = shared_data / "media"
    yard = [frame.rgb for frame in VideoFile(str(media / "one_person.mp4"))][::10]
    room = [frame.rgb for frame in VideoFile(str(media / "exercise.avi"))][::20]
    room = [np.asarray(cv2.resize(picture, (640, 360)), np.uint8) for picture in room]

    def cuts(pictures: list[np.ndarray]) -> list[int]:
        detector = SceneCutDetector()
        return [i for i, picture in enumerate(pictures) if detector.update(picture)]

    assert cuts(yard + room + yard) == [len(yard), len(yard) + len(room)]
    assert cuts(yard[:3] + [picture[:, ::-1] for picture in yard]) == [3]
    black = np.zeros_like(yard[0])
    assert not cuts([yard[0], black, black, yard[1]])
    covered = yard[1].copy()
    covered[:, 200:420] = 20
    assert not cuts([yard[0], covered, yard[2]])
    lights = [
        (gain * room[0].astype(float)).clip(0, 255).astype(np.uint8) for gain in (1, 2.5, 0.3)
    ]
    assert not cuts(lights * 3)
    assert not cuts([flickering(i, Frame(0.04 * i, yard[0]), None) for i in range(8)])
    assert not cuts([np.roll(yard[0], shift, (0, 1)) for shift in ((0, 0), (20, 50), (-10, -60))])
