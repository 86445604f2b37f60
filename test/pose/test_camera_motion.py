"""A camera that was pushed is noticed; people and light that come and go are not taken for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ses_gcn_ros.pose.camera import CameraMotionDetector
from ses_gcn_ros.pose.sources import VideoFile

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
    found = look([picture, *[np.zeros_like(picture)] * 20])
    assert not found.moved
