"""Skeletons from real video: found, placed, named, and every wrong input answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from covers import PEOPLE, VARIANTS

pytest.importorskip("mediapipe", reason="these tests need mediapipe")

from ses_gcn_ros.errors import ConfigError, InputError, ModelError
from ses_gcn_ros.pose.camera import camera_from_view, target_from_optical
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import PoseEstimator
from ses_gcn_ros.pose.landmarker import (
    Landmarks,
    PoseLandmarker,
    _Graph,
    distinct,
    native_log,
    without,
)
from ses_gcn_ros.pose.overlay import draw_skeletons
from ses_gcn_ros.pose.placement import stature
from ses_gcn_ros.pose.sources import Frame, VideoFile
from ses_gcn_ros.skeleton import check_skeleton, get_layout

CAMERA = camera_from_view(640, 360, 60.0)
EYE = np.eye(4)


@pytest.fixture(scope="module")
def frames(shared_data: Path) -> list[Frame]:
    source = iter(VideoFile(str(shared_data / "media" / "one_person.mp4")))
    return [next(source) for _ in range(40)]


def watch(frames, **settings):
    """Skeletons of each frame."""
    transform = settings.pop("transform", None)
    estimator = PoseEstimator(PoseConfig(**settings))
    try:
        return [estimator.process(f.stamp, f.rgb, CAMERA, transform) for f in frames]
    finally:
        estimator.close()


@pytest.fixture(scope="module")
def seen(frames, model):
    return watch(frames, model=model, layout="mediapipe33", max_people=1)


def test_one_person_is_one_valid_skeleton_in_every_frame(seen):
    assert [[person.person_id for person in people] for people in seen] == [["p1"]] * 40
    for [person] in seen:
        check_skeleton(person)
        assert person.positions.dtype == person.confidence.dtype == np.float32
        unseen = np.isnan(person.positions).any(axis=1)
        assert (person.confidence[unseen] == 0.0).all()
        assert (person.confidence[~unseen] >= 0.5).all()


def test_the_skeleton_is_of_human_size_ahead_of_the_camera_and_upright(seen):
    joints = get_layout("mediapipe33").joints
    for [person] in seen:
        nose, hip = (person.positions[joints.index(name)] for name in ("nose", "l_hip"))
        assert 1.0 < hip[2] < 6.0
        assert 0.4 < np.linalg.norm(nose - hip) < 0.9
        assert nose[1] < hip[1]  # optical frame: y down
    assert np.nanmedian([stature(person.positions) for [person] in seen]) == pytest.approx(
        1.7, abs=0.35
    )


def test_skeletons_project_onto_the_landmarks(seen, frames, model):
    landmarker = PoseLandmarker(PoseConfig(model=model, max_people=1))
    landmarks = [landmarker.detect(0.04, frame.rgb) for frame in frames]
    landmarker.close()
    errors = [
        np.linalg.norm(CAMERA.project(person.positions) - found.pixels[0], axis=-1)
        for [person], found in zip(seen, landmarks, strict=True)
    ]
    assert np.nanmedian(errors) < 8.0  # px, of a person some 300 px high


def test_a_known_height_sets_the_scale(frames, model, seen):
    size = {
        height: np.nanmedian(
            [
                p[0].positions[24, 2]
                for p in watch(
                    frames[:10],
                    model=model,
                    body_height=height,
                    layout="mediapipe33",
                    max_people=1,
                    smoothing_cutoff=0.0,
                )
            ]
        )
        for height in (1.5, 2.0)
    }
    assert size[2.0] / size[1.5] == pytest.approx(2.0 / 1.5, rel=1e-3)


def test_the_target_frame_is_where_the_camera_pose_says(frames, model):
    pose = target_from_optical((3.0, 0.0, 1.5, 0.0, 0.0, np.pi))
    here = watch(frames[:5], model=model, max_people=1)
    there = watch(frames[:5], model=model, max_people=1, transform=pose)
    for [own], [cell] in zip(here, there, strict=True):
        moved = own.positions @ pose[:3, :3].T + pose[:3, 3]
        np.testing.assert_allclose(cell.positions, moved, atol=1e-5)
        assert own.layout == cell.layout == "chico15"


def test_ten_people_at_once_have_ten_names_and_keep_them(frames, model, monkeypatch):
    """Copies of the one who is found, in two rows of five who stroll, in any order."""
    rng, orders = np.random.default_rng(0), []
    detect = PoseLandmarker.detect

    def ten(self, elapsed, rgb):
        found = detect(self, elapsed, rgb)
        orders.append(rng.permutation(10))
        across, down = 0.19 * (orders[-1] % 5) + 0.001 * len(orders), 0.5 * (orders[-1] // 5)
        place = np.stack((640 * (across - 0.12), 360 * down), axis=-1)
        pixels = 0.4 * found.pixels[0] + place[:, None]
        world, visibility = (np.tile(v[:1], (10, 1, 1)) for v in (found.world, found.visibility))
        return Landmarks(pixels, world, visibility[:, 0])

    monkeypatch.setattr(PoseLandmarker, "detect", ten)
    names = {}
    for people in watch(frames[:20], model=model, max_people=10):
        assert len({person.person_id for person in people}) == len(people) == 10
        for number, person in zip(orders.pop(0), people, strict=True):
            check_skeleton(person)
            names.setdefault(number, set()).add(person.person_id)
    assert sorted(name for [name] in names.values()) == sorted(f"p{n}" for n in range(1, 11))


def test_an_empty_picture_has_nobody_and_whoever_comes_after_is_new_or_known(frames, model):
    blank = [Frame(10.0 + 0.1 * i, np.zeros_like(frames[0].rgb)) for i in range(3)]
    after = [Frame(32.0 + 0.04 * i, frame.rgb) for i, frame in enumerate(frames[:3])]
    people = watch([*frames[:3], *blank, *after], model=model)
    assert people[3:6] == [[], [], []]
    assert people[0][0].person_id == "p1"
    assert people[-1][0].person_id == "p2"  # out of sight for longer than anybody is remembered


def test_who_comes_back_in_the_same_clothes_is_the_same(frames, model):
    blank = [Frame(10.0 + 0.1 * i, np.zeros_like(frames[0].rgb)) for i in range(3)]
    after = [Frame(15.0 + 0.04 * i, frame.rgb) for i, frame in enumerate(frames[:3])]
    changed = [Frame(frame.stamp, frame.rgb[..., ::-1]) for frame in after]
    before = [*frames[:10], *blank]
    assert watch([*before, *after], model=model)[-1][0].person_id == "p1"
    assert watch([*before, *changed], model=model)[-1][0].person_id == "p2"


def test_stamps_that_go_back_a_little_are_refused_and_a_lot_start_over(frames, model):
    estimator = PoseEstimator(PoseConfig(model=model))
    process = lambda stamp, index: estimator.process(stamp, frames[index].rgb, CAMERA)  # noqa: E731
    assert process(100.0, 0)[0].person_id == "p1"
    for stamp in (100.0, 99.9):
        with pytest.raises(InputError, match=r"is not after the last one, 100.000000 s"):
            process(stamp, 1)
    assert process(100.04, 1)[0].person_id == "p1"
    assert process(50.0, 2)[0].person_id == "p2"  # a recording that began again
    assert process(50.04, 3)[0].person_id == "p2"
    estimator.close()


def test_an_image_of_another_size_than_calibrated_is_refused(frames, model):
    estimator = PoseEstimator(PoseConfig(model=model))
    with pytest.raises(InputError, match="image is 320×180 px, but camera_info says 640×360"):
        estimator.process(0.0, frames[0].rgb[::2, ::2], CAMERA)
    estimator.close()


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.task").write_bytes(b"no model")
    with pytest.raises(ModelError, match="is no pose landmarker"):
        PoseEstimator(PoseConfig(model=str(tmp_path / "model.task")))


@pytest.fixture(scope="module")
def two(frames) -> list[Frame]:
    """Two people side by side, 25 images a second."""
    return VARIANTS["two side by side"](frames, PEOPLE["one_person.mp4"][0])


def test_results_do_not_depend_on_how_fast_images_come(two, model):
    seen = []
    for waits in (True, False):
        estimator = PoseEstimator(PoseConfig(model=model))
        jobs = []
        for frame in two:
            jobs.append(estimator.begin(list, frame.stamp, frame.rgb, CAMERA))
            if waits:
                jobs[-1].result()
        seen.append([job.result() for job in jobs])
        estimator.close()
    for slow, fast in zip(*seen, strict=True):
        assert [person.person_id for person in slow] == [person.person_id for person in fast]
        for one, other in zip(slow, fast, strict=True):
            np.testing.assert_array_equal(one.positions, other.positions)
    assert {person.person_id for person in slow} == {"p1", "p2"}


def test_an_image_that_the_landmarker_fails_on_is_one_lost_image(two, model, monkeypatch):
    estimator = PoseEstimator(PoseConfig(model=model))
    people, calls, order = _Graph.people, [], []

    def fail_once(self, rgb, milliseconds=None):
        calls.append(milliseconds)
        if len(calls) == 30:
            raise RuntimeError("no memory")
        return people(self, rgb, milliseconds)

    monkeypatch.setattr(_Graph, "people", fail_once)
    jobs, failed = [], []
    for frame in two[:20]:
        answer = lambda people, stamp=frame.stamp: order.append(stamp) or len(people)  # noqa: E731
        try:
            jobs.append(estimator.begin(answer, frame.stamp, frame.rgb, CAMERA))
        except RuntimeError:
            failed.append(frame.stamp)
    estimator.close()  # with an image in work
    assert len(failed) == 1
    assert order == [frame.stamp for frame in two[:20] if frame.stamp not in failed]
    assert {job.result() for job in jobs} == {2}


def test_a_landmarker_told_to_lose_everybody_begins_anew(two, model):
    fresh, lost, kept = (PoseLandmarker(PoseConfig(model=model, max_people=2)) for _ in range(3))
    for frame in two[:5]:
        for landmarker in (lost, kept):
            landmarker.detect(0.04, frame.rgb)
    lost.lose()
    found = [of.detect(0.04, two[5].rgb).pixels for of in (fresh, lost, kept)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    for landmarker in (fresh, lost, kept):
        landmarker.close()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"source": "video"}, "names no file"),
        ({"source": "webcam", "field_of_view": 0.0}, "has no camera_info; set 'field_of_view'"),
        ({"camera_pose": (1.0, 2.0)}, "has 2 values; it takes six"),
        ({"camera_pose": (0.0,) * 6}, "'target_frame' does not say in which frame"),
    ],
)
def test_settings_that_contradict_are_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        PoseConfig(**settings)


def test_of_two_findings_on_one_body_the_more_visible_stays():
    rng = np.random.default_rng(0)
    body = rng.uniform((100, 50), (160, 250), (33, 2))
    body[[11, 12]], body[[23, 24]] = ((120, 90), (140, 90)), ((122, 160), (138, 160))
    pixels = body + np.array([(0.0, 0.0), (4.0, 2.0), (90.0, 0.0)])[:, None]
    visibility = np.array([[0.7], [0.9], [0.8]]) * np.ones(33)
    assert distinct(pixels, visibility).tolist() == [1, 2]
    assert distinct(pixels[:0], visibility[:0]).tolist() == []
    exchanged = body[[get_layout("mediapipe33").mirror]]  # left for right, and astray limbs
    exchanged[0, 25:] += 40.0
    both = np.concatenate((pixels[1:2], exchanged))
    assert distinct(both, visibility[[1, 0]]).tolist() == [0]


def test_who_was_followed_before_stays_whatever_comes_up_on_the_body():
    rng = np.random.default_rng(0)
    body = rng.uniform((100, 50), (160, 250), (33, 2))
    body[[11, 12]], body[[23, 24]] = ((120, 90), (140, 90)), ((122, 160), (138, 160))
    larger = body + 1.2 * (body - body.mean(axis=0))
    pixels, visibility = np.stack((body, larger)), np.ones((2, 33))
    assert distinct(pixels, visibility).tolist() == [1]
    assert distinct(pixels, visibility, [False, True]).tolist() == [0]


def test_who_is_followed_is_found_no_more_beside_them_and_others_are(two, model):
    """Painted over in one colour, a person would still look like one."""
    finder = PoseLandmarker(PoseConfig(model=model))
    bodies = finder.detect(0.0, two[0].rgb).pixels
    assert len(bodies) == 2
    assert without(two[0].rgb, []) is two[0].rgb
    for hidden in ([0], [1], [0, 1]):
        rest = finder.detect(1.0, without(two[0].rgb, [bodies[i] for i in hidden])).pixels
        left = [i for i in (0, 1) if i not in hidden]
        assert len(rest) == len(left)
        for found, was in zip(rest, bodies[left], strict=True):
            assert np.median(np.linalg.norm(found - was, axis=-1)) < 8.0  # px
    finder.close()


def test_three_who_stand_near_one_another_are_all_found_and_followed(shared_data, model):
    """MediaPipe's landmarker for four people finds all three in one picture of four."""
    video = list(VideoFile(str(shared_data / "media" / "exercise.avi")))[:75]
    finder = PoseLandmarker(PoseConfig(model=model))
    found = [len(finder.detect(0.04, frame.rgb).pixels) for frame in video]
    finder.close()
    assert max(found) == 3
    assert found[25:].count(3) >= 45, found


def test_pictures_of_another_size_begin_anew(frames, model):
    finder = PoseLandmarker(PoseConfig(model=model))
    for size in ((640, 360), (320, 180), (1920, 1080), (360, 640)):
        for frame in frames[:3]:
            picture = np.asarray(cv2.resize(frame.rgb, size), np.uint8)
            pixels = finder.detect(0.04, picture).pixels
            if size[0] > size[1]:
                [body] = pixels
                assert abs(body[:, 0].mean() / size[0] - 0.5) < 0.2
    finder.close()


def test_a_part_of_a_body_is_nobody_else_however_visible(frames, model):
    landmarker = PoseLandmarker(PoseConfig(model=model))
    body = landmarker.detect(0.0, frames[0].rgb).pixels
    landmarker.close()
    shin = body[:, 25:26] + 0.25 * (body - body[:, 25:26])
    beside = body + np.array((120.0, 0.0))
    pixels = np.concatenate((shin, body, beside))
    visibility = np.array([[1.0], [0.8], [0.9]]) * np.ones(33)
    assert distinct(pixels, visibility).tolist() == [1, 2]


def test_a_body_made_of_two_is_nobody(frames, model):
    landmarker = PoseLandmarker(PoseConfig(model=model))
    [body] = landmarker.detect(0.0, frames[0].rgb).pixels
    landmarker.close()
    others = body + np.array((200.0, 0.0)), body + np.array((400.0, 0.0))
    left = np.array([name.startswith("l_") for name in get_layout("mediapipe33").joints])
    of_two = np.where(left[:, None], others[0], body)
    people = np.stack((of_two, body, *others))
    assert distinct(people, np.ones((4, 33))).tolist() == [1, 2, 3]
    between = body + np.array((100.0, 0.0))  # somebody does stand there
    people = np.stack((between, body, *others))
    assert distinct(people, np.ones((4, 33))).tolist() == [0, 1, 2, 3]


def test_feet_on_one_spot_stay_there_while_a_person_squats(shared_data, model):
    video = VideoFile(str(shared_data / "media" / "one_person.mp4"))
    people = watch(list(video), model=model, layout="mediapipe33")
    assert {person.person_id for [person] in people} == {"p1"}
    joints = get_layout("mediapipe33").joints
    ankles, hips = (
        np.stack([p.positions[[joints.index(f"{s}_{part}") for s in "lr"]] for [p] in people])
        for part in ("ankle", "hip")
    )
    assert np.ptp(hips[:, :, 1].mean(1)) > 0.35  # it is a squat
    assert np.ptp(ankles[:, :, 2], axis=0).max() < 0.10


def test_skeletons_state_how_sure_they_are_and_that_the_person_lives(seen):
    for [person] in seen[10:]:
        known = np.isfinite(person.positions).all(-1)
        variance = person.covariance[:, [0, 3, 5]]
        assert (np.isfinite(variance).all(-1) == known).all()
        assert (variance[known] > 0.0).all()
        # without the camera's place, one camera knows the distance least; but joints may leap
        assert (variance[known, 2] > variance[known, 0]).mean() > 0.8
        assert 0.5 < person.liveness <= 1.0


def test_what_native_libraries_say_goes_to_the_debug_log(capfd, caplog):
    with caplog.at_level("DEBUG", "mediapipe"), native_log():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nours\n")
    assert caplog.messages == ["INFO: Created TensorFlow Lite XNNPACK delegate for CPU."]
    assert capfd.readouterr().err == "ours\n"


def test_the_overlay_draws_on_the_person(frames, seen):
    drawn = draw_skeletons(frames[20].rgb, seen[20], CAMERA, EYE)
    changed = (drawn != frames[20].rgb).any(axis=-1)
    pixels = CAMERA.project(seen[20][0].positions)
    for u, v in pixels[np.isfinite(pixels).all(-1)].round().astype(int):
        if 0 <= u < 640 and 0 <= v < 360:
            assert changed[v, u]
    assert changed.mean() < 0.3
    np.testing.assert_array_equal(draw_skeletons(frames[0].rgb, [], CAMERA), frames[0].rgb)


def test_a_process_that_used_the_model_ends_by_itself(model):
    program = (
        "from ses_gcn_ros.pose.config import PoseConfig as C\n"
        "from ses_gcn_ros.pose.estimator import PoseEstimator as E\n"
        f"E(C(model={model!r})).close()\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=240, check=False).returncode == 0
