"""Cameras in time: waited for, interpolated, left out, and carried on without."""

from __future__ import annotations

import numpy as np
import pytest

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Detections, View, camera_from_view
from ses_gcn_ros.pose.config import FusionConfig
from ses_gcn_ros.pose.multiview import Synchroniser

VIEW = View(camera_from_view(640, 360, 60.0), np.eye(4))
PERIOD = 0.04


def seen(*people: tuple[str, float]) -> Detections:
    """People whose joints all lie at (u, u)."""
    pixels = np.array([np.full((15, 2), u) for _, u in people]).reshape(-1, 15, 2)
    return Detections(
        VIEW, "chico15", pixels, np.ones(pixels.shape[:2]), tuple(name for name, _ in people)
    )


def test_an_instant_waits_for_every_living_camera():
    sync = Synchroniser(FusionConfig())
    sync.add(0, 1.0, seen(("a", 1.0)), now=0.0)
    sync.add(1, 1.0, seen(("b", 2.0)), now=0.0)
    assert [stamp for stamp, _ in sync.take(0.0)] == [1.0]
    sync.add(0, 1.04, seen(("a", 1.0)), now=0.04)
    assert sync.take(0.04) == []  # the other may come
    sync.add(1, 1.04, seen(("b", 2.0)), now=0.06)
    [(stamp, detections)] = sync.take(0.06)
    assert stamp == 1.04
    assert sorted(detections) == [0, 1]


def test_a_camera_that_is_late_is_left_out_after_a_while():
    sync = Synchroniser(FusionConfig(max_wait=0.08))
    sync.add(1, 0.9, seen(("b", 0.0)), now=0.0)
    sync.add(0, 1.0, seen(("a", 0.0)), now=0.02)
    sync.take(0.02)
    sync.add(0, 1.04, seen(("a", 0.0)), now=0.04)
    taken = dict(sync.take(0.2))
    assert sorted(taken[1.04]) == [0]


def test_cameras_out_of_step_are_interpolated_person_by_person():
    sync = Synchroniser(FusionConfig())
    sync.add(1, 0.99, seen(("x", 10.0), ("gone", 0.0)), now=0.0)
    sync.add(0, 1.0, seen(("a", 5.0)), now=0.0)
    sync.add(1, 1.03, seen(("new", 0.0), ("x", 14.0)), now=0.03)
    taken = dict(sync.take(0.03))
    between = taken[1.0][1]
    assert between.names == ("x",)
    np.testing.assert_allclose(between.pixels, 11.0)
    np.testing.assert_allclose(taken[1.0][0].pixels, 5.0)


def test_over_a_long_gap_nothing_is_invented():
    sync = Synchroniser(FusionConfig(max_gap=0.1))
    sync.add(1, 0.9, seen(("x", 10.0)), now=0.0)
    sync.add(0, 1.0, seen(("a", 5.0)), now=0.1)
    sync.add(1, 1.1, seen(("x", 14.0)), now=0.2)
    taken = dict(sync.take(0.2))
    assert sorted(taken[1.0]) == [0]


def test_the_next_camera_leads_when_the_first_falls_silent():
    sync = Synchroniser(FusionConfig(camera_timeout=0.3))
    stamps = []
    for frame in range(50):
        now = PERIOD * frame
        for camera in range(3):
            if camera == 0 and frame >= 15:
                continue
            sync.add(camera, 1.0 + now + 0.002 * camera, seen(("x", 1.0)), now)
        stamps += [(stamp, sorted(cameras)) for stamp, cameras in sync.take(now)]
    times = [stamp for stamp, _ in stamps]
    assert times == sorted(times)
    assert np.max(np.diff(times)) < 0.3 + 3 * PERIOD
    assert stamps[-1][1] == [1, 2]
    assert sync.alive(PERIOD * 49) == [1, 2]


def test_a_stamp_that_goes_back_a_little_is_refused_and_a_lot_starts_over():
    sync = Synchroniser(FusionConfig())
    sync.add(0, 100.0, seen(("x", 1.0)), now=0.0)
    with pytest.raises(InputError, match="camera 0 sent stamp 99"):
        sync.add(0, 99.9, seen(("x", 1.0)), now=0.1)
    assert not sync.restarted
    sync.add(0, 5.0, seen(("x", 1.0)), now=0.2)
    assert sync.restarted
    assert [stamp for stamp, _ in sync.take(0.2)] == [5.0]
