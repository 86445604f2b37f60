"""One camera's distances: recorded people before virtual cameras, and a person who squats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.pose.camera import View, camera_from_view
from ses_gcn_ros.pose.placement import UPRIGHT, DepthFilter, floor_of, place, stature
from ses_gcn_ros.pose.virtual_cameras import look_at

CAMERA = camera_from_view(1280, 720, 65.0)
VIEW = View(CAMERA, look_at((3.5, 0.0, 1.7), (0.0, 0.0, 0.9)))
SEEN = np.ones(15, bool)


@pytest.fixture(scope="module")
def standing(shared_data: Path) -> np.ndarray:
    """Two seconds of a real person, at the middle of the cell; shape (T, 15, 3)."""
    motion = read_recording(shared_data / "motion" / "idle_dev.npz")
    body = motion.sequences[0].positions[:48].astype(float)
    return body - body[0, 0] * (1.0, 1.0, 0.0)


def distances(filter_, bodies, size=1.0, floor=None, period=0.04):
    """Depth of the ankles as filtered [m], of people whose landmarks are `size` times as large."""
    found = []
    for frame, body in enumerate(bodies):
        factor = size[frame] if np.ndim(size) else size
        local = VIEW.to_camera(body)
        rays = local[:, :2] / local[:, 2:]
        placed = place(
            factor * (local - local[0])[None], rays[None], SEEN[None] * 1.0, upright=True
        ).positions[0]
        scale = filter_.update(frame * period, placed, rays, SEEN, floor)
        found.append((placed * scale[:, None])[[3, 6], 2].mean())
    return np.array(found)


def true_distances(bodies):
    return np.array([VIEW.to_camera(body)[[3, 6], 2].mean() for body in bodies])


def floor():
    return floor_of(VIEW.base_from_camera, 0.0)


def test_the_floor_tells_the_distance_of_people_taller_or_smaller_than_the_landmarks_say(standing):
    for size in (0.9, 1.1):
        people = distances(DepthFilter("chico15"), standing, size)
        assert people[-1] / true_distances(standing)[-1] == pytest.approx(size, abs=0.02)
        people = distances(DepthFilter("chico15"), standing, size, floor())
        np.testing.assert_allclose(people[25:], true_distances(standing)[25:], rtol=0.03)


def test_what_posture_does_to_the_landmarks_size_does_not_move_resting_feet(standing):
    squats = 1.0 + 0.08 * np.sin(np.linspace(0.0, 4.0 * np.pi, 150))
    still = np.repeat(standing[:1], 150, axis=0)
    people = distances(DepthFilter("chico15"), still, squats)
    raw = squats * true_distances(still)
    assert np.ptp(raw[50:]) > 0.4
    assert np.ptp(people[50:]) < 0.1


def both_feet(bodies, astray):
    """Depths (T, 2) of the ankles as filtered, whose first one's landmark errs by shares (T)."""
    filter_, found = DepthFilter("chico15"), []
    for frame, (body, share) in enumerate(zip(bodies, astray, strict=True)):
        placed = VIEW.to_camera(body)
        rays = placed[:, :2] / placed[:, 2:]
        placed[3] *= 1.0 + share
        scale = filter_.update(0.04 * frame, placed, rays, SEEN)
        found.append((placed * scale[:, None])[[3, 6], 2])
    return np.array(found)


def test_each_foot_that_rests_keeps_its_own_distance(standing):
    errors = 0.02 * np.sin(np.linspace(0.0, 6.0 * np.pi, 150))
    still = np.repeat(standing[:1], 150, axis=0)
    assert np.ptp(both_feet(still, errors), axis=0).max() < 0.05
    assert np.ptp(errors) * VIEW.to_camera(still[0])[3, 2] > 0.13


def test_a_foot_that_steps_takes_its_distance_along(standing):
    stepping = np.repeat(standing[:1], 100, axis=0)
    stepping[40:, 3] += np.minimum(np.arange(60), 10)[:, None] * (0.04, 0.0, 0.0)  # 1 m/s
    feet = both_feet(stepping, np.zeros(100))
    true = VIEW.to_camera(stepping)[:, [3, 6], 2]
    assert np.ptp(true, axis=0).round(2).tolist() == [0.39, 0.0]
    assert np.abs((feet - true)[65:]).max() < 0.06
    assert np.abs(np.diff(feet[65:], axis=1) - np.diff(true[65:], axis=1)).max() < 0.05


def test_a_jump_is_no_step_back(standing):
    jump = np.zeros(48)
    jump[20:30] = 0.3 * np.sin(np.linspace(0.0, np.pi, 10))
    jumping = standing + jump[:, None, None] * (0.0, 0.0, 1.0)
    people = distances(DepthFilter("chico15"), jumping, 1.0, floor())
    assert np.abs(people - true_distances(jumping))[15:].max() < 0.25  # the floor alone: 0.9 m


def test_somebody_who_walks_up_to_the_camera_is_followed(standing):
    steps = np.linspace(0.0, 1.5, 48)
    walking = standing + steps[:, None, None] * (1.0, 0.0, 0.0)
    off = distances(DepthFilter("chico15"), walking, 1.05, floor()) - true_distances(walking)
    assert np.abs(off[10:]).max() < 0.2


def test_a_floor_that_is_somewhere_else_is_not_believed(standing):
    table = floor_of(VIEW.base_from_camera, 0.9)  # the target frame's origin is on a table
    filter_ = DepthFilter("chico15")
    people = distances(filter_, standing, 1.0, table)
    assert not filter_.on_floor
    np.testing.assert_allclose(people[25:], true_distances(standing)[25:], rtol=0.06)
    assert floor_of(VIEW.base_from_camera, 2.0) is None  # above the camera


def test_a_step_beneath_somebody_of_known_height_is_stated(standing):
    height = float(np.percentile(stature(standing, "chico15"), UPRIGHT))
    bodies = np.concatenate((standing,) * 3)
    for up, told, least, most in (
        (0.0, 0.0, 0.0, 0.02),
        (0.1, 0.0, 0.03, 0.07),
        (0.15, 0.0, 0.05, 0.1),
        (0.15, 0.15, 0.08, 0.1),
    ):
        raised = bodies + np.array((0.0, 0.0, up))
        filter_ = DepthFilter("chico15", height)
        ground = floor_of(VIEW.base_from_camera, 0.0, sigma=told)
        off = distances(filter_, raised, 1.0, ground) / true_distances(raised) - 1.0
        assert least <= filter_.sigma <= most
        assert np.abs(off[-1]) < 2.0 * filter_.sigma


def test_the_height_of_the_person_sets_the_scale(standing):
    far, near = (distances(DepthFilter("chico15", height), standing) for height in (2.0, 1.5))
    np.testing.assert_allclose(far / near, 2.0 / 1.5, rtol=1e-3)


def test_stated_certainty_follows_what_is_known(standing):
    sigma = {}
    for name, height, ground in (("guess", 0.0, None), ("height", 1.8, None), ("floor", 0.0, 1)):
        filter_ = DepthFilter("chico15", height)
        distances(filter_, standing, 1.0, floor() if ground else None)
        sigma[name] = filter_.sigma
    assert sigma["floor"] < sigma["height"] < sigma["guess"]
    assert sigma["guess"] > 0.05  # at least the spread of stature
