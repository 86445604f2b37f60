"""Skeletons from real video: found, placed, named, and every wrong input answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from covers import PEOPLE, VARIANTS

pytest.importorskip("mediapipe", reason="these tests need mediapipe")

from ses_gcn_ros.errors import ConfigError, InputError, ModelError
from ses_gcn_ros.pose.camera import camera_from_view, target_from_optical
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import PoseEstimator
from ses_gcn_ros.pose.landmarker import PoseLandmarker, distinct, native_log
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


class TenCopies:
    """A landmarker that sees its person ten times: in two rows of five who stroll, in any order."""

    def __init__(self, landmarker) -> None:
        self._landmarker = landmarker
        self._rng = np.random.default_rng(0)
        self._frame = 0

    def detect_for_video(self, image, milliseconds):
        """What MediaPipe would answer; who is who is in `order`."""
        found = self._landmarker.detect_for_video(image, milliseconds)
        [person], [world] = found.pose_landmarks, found.pose_world_landmarks
        self.order = self._rng.permutation(10)
        stroll = 0.001 * self._frame
        self._frame += 1
        people = []
        for number in self.order:
            left, top = 0.19 * (number % 5) + stroll, 0.5 * (number // 5)
            people.append(
                [
                    SimpleNamespace(
                        x=left + 0.4 * (p.x - 0.3), y=top + 0.4 * p.y,
                        visibility=p.visibility, presence=p.presence,
                    )
                    for p in person
                ]
            )  # fmt: skip
        return SimpleNamespace(pose_landmarks=people, pose_world_landmarks=[world] * 10)

    def close(self) -> None:
        """End the landmarker."""
        self._landmarker.close()


def test_ten_people_at_once_have_ten_names_and_keep_them(frames, model):
    estimator = PoseEstimator(PoseConfig(model=model, max_people=10))
    graphs = estimator._lanes[0].landmarker._graphs
    graphs[10] = copies = TenCopies(graphs[10])
    names = {}
    for frame in frames[:20]:
        people = estimator.process(frame.stamp, frame.rgb, CAMERA)
        assert len({person.person_id for person in people}) == len(people) == 10
        for number, person in zip(copies.order, people, strict=True):
            check_skeleton(person)
            names.setdefault(number, set()).add(person.person_id)
    estimator.close()
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


@pytest.fixture
def processors(monkeypatch):
    """Two of them, whatever the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def test_two_lanes_find_what_one_finds_however_fast_images_come(two, model, processors):
    config = PoseConfig(model=model)
    seen = {}
    for way, lanes in (("one", 1), ("by turns", 2), ("side by side", 2)):
        estimator = PoseEstimator(config, lanes)
        jobs = []
        for frame in two:
            jobs.append(estimator.begin(list, frame.stamp, frame.rgb, CAMERA))
            if way == "by turns":
                jobs[-1].result()
        seen[way] = [job.result() for job in jobs]
        estimator.close()
    assert {lane.stamp for lane in estimator._lanes} == {f.stamp for f in two[-2:]}  # both at work
    apart = []
    for people in zip(*seen.values(), strict=True):
        one, by_turns, side_by_side = (
            {person.person_id: person.positions for person in found} for found in people
        )
        assert one.keys() == by_turns.keys() == side_by_side.keys() == {"p1", "p2"}
        for name, positions in side_by_side.items():
            np.testing.assert_array_equal(positions, by_turns[name])
            apart.append(np.nanmean(np.linalg.norm(positions - one[name], axis=-1)))
    assert np.mean(apart) < 0.03, apart  # m; both are some 50 mm from where the joints are


def test_one_person_is_followed_in_one_lane_with_the_same_result(frames, model, seen, processors):
    estimator = PoseEstimator(PoseConfig(model=model, max_people=1, layout="mediapipe33"), 2)
    for frame, [person] in zip(frames, seen, strict=True):
        [same] = estimator.process(frame.stamp, frame.rgb, CAMERA)
        np.testing.assert_array_equal(same.positions, person.positions)
    estimator.close()


def test_an_image_that_a_lane_fails_on_is_one_lost_image(two, model, processors, monkeypatch):
    estimator = PoseEstimator(PoseConfig(model=model), 2)
    detect, calls, order = PoseLandmarker.detect, [], []

    def fail_once(self, elapsed, rgb):
        calls.append(elapsed)
        if len(calls) == 12:
            raise RuntimeError("no memory")
        return detect(self, elapsed, rgb)

    monkeypatch.setattr(PoseLandmarker, "detect", fail_once)
    jobs = []
    for frame in two[:20]:
        answer = lambda people, stamp=frame.stamp: order.append(stamp) or len(people)  # noqa: E731
        jobs.append(estimator.begin(answer, frame.stamp, frame.rgb, CAMERA))
    estimator.close()  # with images in work
    assert all(job.done() for job in jobs)
    [failed] = [index for index, job in enumerate(jobs) if job.exception()]
    assert order == [frame.stamp for index, frame in enumerate(two[:20]) if index != failed]
    assert {job.result() for index, job in enumerate(jobs) if index != failed} == {2}


def test_a_landmarker_told_to_lose_everybody_begins_anew(two, model):
    fresh, lost, kept = (PoseLandmarker(PoseConfig(model=model, max_people=2)) for _ in range(3))
    for frame in two[:5]:
        for landmarker in (lost, kept):
            landmarker.detect(0.04, frame.rgb)
    lost.lose(two[0].rgb)
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
