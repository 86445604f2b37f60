"""Calibration: rendered boards and virtual walkers give back where the cameras are."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from boards import picture_of
from scipy.spatial.transform import Rotation

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.pose.calibration import (
    Board,
    CameraPlace,
    Walk,
    align_walks,
    arrange_cameras,
    locate_board,
    read_calibration,
    read_intrinsics,
    write_calibration,
    write_launch_file,
)
from ses_gcn_ros.pose.camera import View, camera_from_view, target_from_optical
from ses_gcn_ros.pose.placement import place, stature
from ses_gcn_ros.pose.virtual_cameras import estimate_shape, look_at, observe, sample_views

CAMERA = camera_from_view(1280, 720, 65.0)
BOARD = Board(7, 5, 0.1, 0.075)


@pytest.mark.parametrize("place_", [(0.4, -1.2, 1.2), (-0.6, -0.8, 1.0), (1.5, 0.9, 0.9)])
def test_a_rendered_board_gives_the_camera_s_place(place_):
    view = View(CAMERA, look_at(place_, (0.35, 0.25, 0.0)))
    found = locate_board([picture_of(BOARD, view)] * 2, CAMERA, BOARD)
    base_from_camera = np.linalg.inv(found.camera_from_board)
    np.testing.assert_allclose(base_from_camera[:3, 3], place_, atol=0.01)
    turn = base_from_camera[:3, :3].T @ view.base_from_camera[:3, :3]
    assert np.degrees(Rotation.from_matrix(turn).magnitude()) < 0.4
    assert found.error < 1.0
    assert found.pictures == 2


def test_a_board_that_moves_is_refused():
    pictures = [
        picture_of(BOARD, View(CAMERA, look_at(eye, (0.35, 0.25, 0.0))))
        for eye in ((0.4, -1.2, 1.2), (0.0, -1.0, 1.3))
    ]
    with pytest.raises(InputError, match="the board does not lie still"):
        locate_board(pictures, CAMERA, BOARD)


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (np.full((720, 1280, 3), 90, np.uint8), "none of 1 pictures shows 6 corners of a 7×5"),
        (np.full((360, 640, 3), 90, np.uint8), "a picture is 640×360 px, but the intrinsics"),
    ],
)
def test_pictures_without_a_board_or_of_another_size_are_refused(picture, sentence):
    with pytest.raises(InputError, match=sentence):
        locate_board([picture], CAMERA, BOARD)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((2, 5, 0.1, 0.07), "it takes 3×3 at least"),
        ((7, 5, 0.1, 0.1), "markers smaller than squares"),
        ((7, 5, 0.1, 0.07, "DICT_9X9"), "there is no dictionary 'DICT_9X9'"),
    ],
)
def test_a_board_that_can_not_be_is_refused(numbers, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Board(*numbers)


def walkers(shared_data: Path, seed: int) -> tuple[list[View], list[Walk], float]:
    """A recorded walk of 6 s before three cameras, and the walker's height."""
    rng = np.random.default_rng(seed)
    motion = read_recording(shared_data / "motion" / "cmu.npz")
    walks = [s for s in motion.sequences if "walk" in s.tags and len(s) > 150]
    people = walks[rng.integers(len(walks))].positions[:150].astype(float)
    people = people - people.reshape(-1, 3).mean(0) * (1.0, 1.0, 0.0)
    views = sample_views(rng, (0.0, 0.0, 0.9), 3, distance=(3.0, 4.0))
    seen = []
    for view in views:
        pixels, confidence = observe(view, people, rng)
        rays = view.camera.normalise(np.nan_to_num(pixels))
        known = confidence > 0.0
        placed = place(estimate_shape(view, people, rng), rays, known * 1.0).positions
        seen.append(Walk(view.camera, pixels, np.where(known[..., None], placed, np.nan)))
    return views, seen, float(np.median(stature(people, "chico15")))


def test_a_walking_person_arranges_the_cameras(shared_data: Path):
    views, seen, height = walkers(shared_data, 0)
    found = arrange_cameras(seen, height, "chico15")
    truth = np.stack([view.base_from_camera for view in views])
    for pose, true in zip(found.base_from_camera[1:], truth[1:], strict=True):
        relative = np.linalg.inv(found.base_from_camera[0]) @ pose
        expected = np.linalg.inv(truth[0]) @ true
        assert np.linalg.norm(relative[:3, 3] - expected[:3, 3]) < 0.04
        turn = relative[:3, :3].T @ expected[:3, :3]
        assert np.degrees(Rotation.from_matrix(turn).magnitude()) < 0.5
    up = found.base_from_camera[0][2, :3] @ truth[0][2, :3]
    assert np.degrees(np.arccos(min(up, 1.0))) < 2.5  # z is up
    heights = found.base_from_camera[:, 2, 3] - truth[:, 2, 3]
    assert np.abs(heights).max() < 0.2  # and counts from the floor
    assert found.base_from_camera[0][0, 3] > 0.0  # x points to the first camera
    assert abs(found.base_from_camera[0][1, 3]) < 1e-6
    assert (found.errors < 6.0).all()


def test_cameras_that_see_too_little_of_the_same_are_refused(shared_data: Path):
    _, seen, height = walkers(shared_data, 1)
    with pytest.raises(InputError, match="1 camera saw the walk"):
        arrange_cameras(seen[:1], height, "chico15")
    blind = Walk(seen[1].camera, np.full_like(seen[1].pixels, np.nan), seen[1].positions)
    with pytest.raises(InputError, match="saw the person together at 0 moments"):
        arrange_cameras([seen[0], blind], height, "chico15")
    lost = Walk(seen[1].camera, seen[1].pixels, np.full_like(seen[1].positions, np.nan))
    with pytest.raises(InputError, match="cameras 1 and 2 have 0 joints in common"):
        arrange_cameras([seen[0], lost], height, "chico15")


def test_videos_of_different_rates_are_brought_to_common_times():
    fast, slow = np.arange(0.0, 2.0, 0.04), np.arange(0.0, 2.0, 0.05)

    def walk(times: np.ndarray) -> tuple[np.ndarray, Walk]:
        values = np.repeat(times[:, None, None], 33, axis=1)
        return times, Walk(CAMERA, np.repeat(values, 2, axis=2), np.repeat(values, 3, axis=2))

    first, second = align_walks([walk(fast), walk(slow)])
    inside = fast <= slow[-1]
    np.testing.assert_allclose(second.pixels[inside], first.pixels[inside])
    assert np.isnan(second.pixels[~inside]).all()


def test_what_was_found_is_written_and_read_back(tmp_path: Path):
    pose = (1.0, -2.0, 1.5, 0.1, 0.3, -2.0)
    places = [CameraPlace("left", "left_optical_frame", target_from_optical(pose), 0.42)]
    path, launch = tmp_path / "cell.yaml", tmp_path / "cell.launch.py"
    write_calibration(path, "world", places, "board")
    frame, transforms = read_calibration(path)
    assert frame == "world"
    np.testing.assert_allclose(
        transforms["left_optical_frame"], places[0].base_from_camera, atol=2e-6
    )
    assert f"camera_pose: [{pose[0]}, {pose[1]}, {pose[2]}, {pose[3]}" in path.read_text()

    write_launch_file(launch, "world", places)
    tree = ast.parse(launch.read_text())
    [table] = [node for node in tree.body if isinstance(node, ast.Assign)]
    [entry] = ast.literal_eval(table.value)
    turn = Rotation.from_quat([float(entry[f"--q{axis}"]) for axis in "xyzw"])
    np.testing.assert_allclose(turn.as_matrix(), places[0].base_from_camera[:3, :3], atol=2e-6)
    assert entry["--frame-id"] == "world"
    assert entry["--child-frame-id"] == "left_optical_frame"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cell.launch.py", "cell.yaml"]


def test_files_that_say_nothing_of_cameras_are_refused(tmp_path: Path):
    path = tmp_path / "other.yaml"
    path.write_text("a: [1, 2]\n")
    with pytest.raises(ConfigError, match="says not where cameras are"):
        read_calibration(path)
    with pytest.raises(InputError, match="is no camera calibration"):
        read_intrinsics(path)
    path.write_text("a: [1, 2\n")
    with pytest.raises(InputError, match="is no YAML file"):
        read_intrinsics(path)
    with pytest.raises(ConfigError, match="can't be read"):
        read_calibration(tmp_path / "none.yaml")
