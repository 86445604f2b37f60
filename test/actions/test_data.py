"""Readers of labelled actions on small files of the published forms, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.actions.windows import (
    AugmentConfig,
    Joints,
    WindowConfig,
    augmented,
    prepared,
    sample,
    trimmed,
    with_features,
)
from ses_gcn_ros.datasets.actions import (
    ActionSet,
    LabelledMotion,
    cut,
    of_classes,
    read_action_npz,
    read_actions,
    read_segments,
    write_segments,
)
from ses_gcn_ros.errors import InputError

RNG = np.random.default_rng(0)


def write_npz(path: Path, **changes: object) -> Path:
    lengths = np.array([5, 6, 7, 8])
    arrays = {
        "positions": RNG.normal(size=(26, 4, 3)).astype(np.float32),
        "lengths": lengths,
        "action": np.array([1, 1, 2, 2]),
        "subject": np.array([1, 2, 1, 2]),
        "bones": np.array([[1, 0], [1, 2], [3, 2]]),
        "joint_names": np.array(["head", "hip", "l_knee", "r_knee"]),
    }
    arrays.update(changes)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def skeleton_file(frames: int, bodies: int = 1) -> str:
    body = "\n".join(["72 0 1 1 0 0 0 0.1 0.2 2", "25"] + ["0.1 0.2 3.0" + " 0" * 9] * 25)
    return "\n".join([str(frames)] + [f"{bodies}" + f"\n{body}" * bodies] * frames) + "\n"


# npz --------------------------------------------------------------------------------------------


def test_an_npz_gives_recordings_of_people_and_a_tree(tmp_path: Path):
    data = read_action_npz(write_npz(tmp_path / "a.npz"))
    assert [len(r.positions) for r in data.recordings] == [5, 6, 7, 8]
    assert data.joints.parents == (1, -1, 1, 2)
    assert data.joints.mirror == (0, 1, 3, 2)
    assert len(data.of_subjects(["1"]).recordings) == 2
    assert {r.subject for r in data.without_subjects(["1"]).recordings} == {"2"}


def test_millimetres_become_metres(tmp_path: Path):
    positions = np.full((26, 4, 3), 1500, np.int16)
    path = write_npz(tmp_path / "a.npz", positions=None, positions_mm=positions)
    assert read_action_npz(path).recordings[0].positions.max() == pytest.approx(1.5)


def test_recordings_without_frames_are_left_out_by_name(tmp_path: Path):
    changes = {"lengths": np.array([5, 6, 0, 7, 8]), "action": np.array([1, 1, 2, 2, 2])}
    data = read_action_npz(write_npz(tmp_path / "a.npz", **changes, subject=np.arange(5)))
    assert [r.subject for r in data.recordings] == ["0", "1", "3", "4"]
    assert [len(r.positions) for r in data.recordings] == [5, 6, 7, 8]
    assert data.skipped == (f"recording 2 of '{tmp_path / 'a.npz'}' has no frames",)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bones": None}, "lacks 'bones'"),
        ({"lengths": np.array([5, 6, -1, 16])}, "lengths that sum to 26"),
        ({"lengths": np.array([5, 6, 7, 9])}, "lengths that sum to 27"),
        ({"action": np.array([1, 1, 1, 2])}, "class '2' .* has one sequence"),
        ({"bones": np.array([[1, 0], [1, 2]])}, "no bones lead to joint 'r_knee'"),
        ({"bones": np.array([[1, 0], [1, 9]])}, "there are 4 joints"),
        ({"subject": np.array([1, 2])}, "2 of 'subject' for 4"),
        ({"action_names": np.array(["sit"])}, "actions 1 to 2 and 1 action_names"),
        ({"positions": np.full((26, 4, 3), 1e300)}, "'0' of .* infinite or too large for float32"),
    ],
)
def test_a_wrong_npz_is_refused_in_a_sentence(tmp_path: Path, changes, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        read_actions(write_npz(tmp_path / "a.npz", **changes))
    assert len(str(caught.value)) < 400


def test_unknown_people_classes_and_labels_are_named(tmp_path: Path):
    data = read_action_npz(write_npz(tmp_path / "a.npz"))
    with pytest.raises(InputError, match="subject '9'; subjects are 1, 2"):
        data.of_subjects(["9"])
    with pytest.raises(InputError, match="leave at least one"):
        data.without_subjects(["1", "2"])
    with pytest.raises(InputError, match="no class 'fly'"):
        of_classes(data, ["fly"])
    with pytest.raises(InputError, match="which the model lacks"):
        cut(data, WindowConfig(), ["1"])


def test_the_real_recordings_are_read(shared_data: Path):
    data = read_actions(shared_data / "actions" / "msr_action3d.npz")
    assert (len(data.recordings), len(data.labels), data.layout) == (567, 20, "kinect20")
    train = cut(data.of_subjects("13579"), WindowConfig(), data.labels)
    test = cut(data.without_subjects("13579"), WindowConfig(), data.labels)
    # One sequence of the training half shows nobody.
    assert (len(train.labels), len(test.labels), train.up) == (291, 275, 1)


# Other files ------------------------------------------------------------------------------------


def test_ntu_files_are_read_and_damaged_ones_left_out_by_name(tmp_path: Path):
    good = ["S001C001P001R001A001", "S001C001P002R001A001"]
    for name in good:
        (tmp_path / f"{name}.skeleton").write_text(skeleton_file(6))
    (tmp_path / "S001C001P003R001A001.skeleton").write_text(skeleton_file(4, bodies=2))
    (tmp_path / "S001C001P004R001A001.skeleton").write_text(skeleton_file(3, bodies=0))
    (tmp_path / "S001C001P005R001A001.skeleton").write_text("0\n")
    (tmp_path / "S001C001P006R001A001.skeleton").write_text(skeleton_file(5)[:200])
    (tmp_path / "S001C001P007R001A001.skeleton").write_text("what")
    data = read_actions(tmp_path)
    assert [len(r.positions) for r in data.recordings] == [6, 6, 8]  # two bodies, interleaved
    assert [s.split(": ")[1][-45:] for s in data.skipped] == [
        "'S001C001P004R001A001.skeleton' shows nobody in 3 frames"[-45:],
        "'S001C001P005R001A001.skeleton' has 0 frames"[-45:],
        "'S001C001P006R001A001.skeleton' ends within its 5 frames"[-45:],
        "'S001C001P007R001A001.skeleton' is no .skeleton file"[-45:],
    ]


def test_a_folder_with_nothing_but_damage_says_what_is_wrong(tmp_path: Path):
    (tmp_path / "S001C001P005R001A001.skeleton").write_text("0\n")
    with pytest.raises(InputError, match="has 0 frames"):
        read_actions(tmp_path)


def test_openpose_folders_are_read_in_the_order_of_their_names(tmp_path: Path):
    for subject in ("01", "02"):
        video = tmp_path / f"person{subject}_boxing_d1"
        video.mkdir()
        for frame in (10, 2, 1):
            points = np.zeros((25, 3))
            points[:, 0], points[:, 2] = frame, 1
            points[3] = 0  # unseen
            people = [{"pose_keypoints_2d": points.ravel().tolist()}] if frame != 2 else []
            (video / f"{frame:012d}_keypoints.json").write_text(json.dumps({"people": people}))
    empty = tmp_path / "person03_boxing_d1"
    empty.mkdir()
    (empty / "000000000000_keypoints.json").write_text('{"people": []}')
    data = read_actions(tmp_path)
    assert data.labels == ("boxing",)
    assert data.recordings[0].positions[:, 0, 0].tolist() == [1, 10]
    assert np.isnan(data.recordings[0].positions[0, 3]).all()
    assert data.skipped == ("person03_boxing_d1: shows nobody in any frame",)


def test_kinect_text_files_are_read(tmp_path: Path):
    msr = tmp_path / "msr"
    msr.mkdir()
    rows = "\n".join(["0.1 0.2 3.0 1"] * 60)
    for subject in (1, 2):
        (msr / f"a01_s{subject:02d}_e01_skeleton3D.txt").write_text(rows)
    assert [len(r.positions) for r in read_actions(msr).recordings] == [3, 3]

    ut = tmp_path / "ut"
    ut.mkdir()
    for name in ("s01_e01", "s02_e01"):
        lines = [f"{n} " + " ".join(["0.5"] * 60) for n in range(100, 120)]
        (ut / f"joints_{name}.txt").write_text("\n".join(lines))
    (ut / "actionLabel.txt").write_text(
        "s01_e01 \nwalk: 100 109\nsitDown: NaN NaN\ns02_e01 \nwalk: 105 119\n"
    )
    data = read_actions(ut)
    assert [(r.label, r.subject, len(r.positions)) for r in data.recordings] == [
        ("walk", "1", 10),
        ("walk", "2", 15),
    ]
    assert data.skipped == ("s01_e01 sitDown: has no frames from NaN to NaN",)

    florence = tmp_path / "Florence_dataset_WorldCoordinates.txt"
    florence.write_text(
        "\n".join(f"{v} {v} 4 " + " ".join(["500"] * 45) for v in (1, 2) for _ in range(5))
    )
    data = read_actions(florence)
    assert [(r.subject, len(r.positions)) for r in data.recordings] == [("1", 5), ("2", 5)]


def test_segments_of_a_bag_are_written_and_read_back(tmp_path: Path):
    table = tmp_path / "actions.csv"
    write_segments(table, [("ann", 1.0, 2.5, "walk"), ("bob", 0.0, 1.0, "")])
    assert read_segments(table) == [("ann", 1.0, 2.5, "walk")]
    table.write_text("person_id,start,end\nann,1,2\n")
    with pytest.raises(InputError, match="lacks the column 'label'"):
        read_segments(table)
    table.write_text("person_id,start,end,label\nann,3,2,walk\n")
    with pytest.raises(InputError, match=r"line 2 .* ends at 2, before 3"):
        read_segments(table)


def test_what_is_nothing_known_says_what_is(tmp_path: Path):
    with pytest.raises(InputError, match="there are no recordings"):
        read_actions(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no labelled recordings that are known"):
        read_actions(tmp_path)


# Windows ----------------------------------------------------------------------------------------


def test_people_who_face_another_way_look_the_same():
    joints = Joints.of_layout("chico15")
    motion = RNG.normal(size=(20, 15, 3)).astype(np.float32)
    config = WindowConfig(frames=10, sampling="even", facing=True)
    cos, sin = np.cos(1.1), np.sin(1.1)
    turned = motion @ np.float32([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + np.float32([5, 2, 0])
    np.testing.assert_allclose(
        prepared(motion, joints, config, 2), prepared(turned, joints, config, 2), atol=1e-4
    )


def test_gaps_are_bridged_and_empty_frames_left_out():
    joints = Joints.of_layout("chico15")
    motion = np.tile(np.arange(10, dtype=np.float32)[:, None, None], (1, 15, 3))
    motion[:, :, 0] += 1
    motion[4, 7] = np.nan
    motion[6] = np.nan
    whole = prepared(motion, joints, WindowConfig(centring="none"), 2)
    assert len(whole) == 9
    assert whole[4, 7].tolist() == [5, 4, 4]
    with pytest.raises(InputError, match="nobody is in any of the 10 frames"):
        prepared(np.full_like(motion, np.nan), joints, WindowConfig(), 2)


@pytest.mark.parametrize("kind", ["segments", "uniform", "stratified", "even", "pad", "loop"])
@pytest.mark.parametrize("length", [3, 20, 21, 97])
def test_every_sampling_gives_the_frames_asked_for_in_order(kind: str, length: int):
    motion = np.tile(np.arange(1, length + 1, dtype=np.float32)[:, None, None], (1, 2, 3))
    config = WindowConfig(frames=20, sampling=kind)
    for rng in (None, np.random.default_rng(0)):
        drawn = sample(motion, config, rng)[:, 0, 0]
        assert len(drawn) == 20
        if length >= 20:
            assert (np.diff(drawn) >= 0).all()
            assert drawn.min() >= 1
    np.testing.assert_array_equal(sample(motion, config), sample(motion, config))


@pytest.mark.parametrize("length", [2, 13, 39, 76])
def test_a_stratified_sample_sees_every_stretch_of_a_recording_to_its_end(length: int):
    motion = np.arange(length, dtype=np.float32)[:, None, None]
    config = WindowConfig(frames=20, sampling="stratified")
    stretches = np.linspace(0, length - 1, 21)
    for seed in range(20):
        drawn = sample(motion, config, np.random.default_rng(seed))[:, 0, 0]
        assert (drawn >= stretches[:-1] - 1e-4).all()
        assert (drawn <= stretches[1:] + 1e-4).all()
    middles = (stretches[:-1] + stretches[1:]) / 2
    np.testing.assert_allclose(sample(motion, config)[:, 0, 0], middles, atol=1e-4)


def test_a_flip_swaps_sides_and_a_rotation_keeps_lengths():
    joints = Joints.of_layout("chico15")
    x = RNG.normal(size=(64, 5, 15, 3)).astype(np.float32)
    flipped = augmented(x, joints, 2, AugmentConfig(flip=True), np.random.default_rng(0))
    changed = (flipped != x).any(axis=(1, 2, 3))
    assert 10 < changed.sum() < 54
    mirror = x[changed][:, :, list(joints.mirror)] * np.float32([-1, 1, 1])
    np.testing.assert_array_equal(flipped[changed], mirror)
    turned = augmented(
        x, joints, 2, AugmentConfig(rotation=0.3, turn=1.0), np.random.default_rng(0)
    )
    np.testing.assert_allclose(
        np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-4
    )


@pytest.mark.parametrize("length", [2, 7, 40])
def test_a_trim_leaves_the_middle(length: int):
    motion = np.arange(length, dtype=np.float32)[:, None, None]
    for seed in range(20):
        left = trimmed(motion, 0.3, np.random.default_rng(seed))[:, 0, 0]
        assert left[0] < 0.3 * length
        assert left[-1] >= 0.7 * length - 1
        assert (np.diff(left) == 1).all()


def test_a_lead_lets_windows_begin_in_what_came_before():
    joints = Joints.of_layout("chico15")
    stream = np.ones((50, 15, 3), np.float32) * np.arange(1, 51)[:, None, None]
    part = LabelledMotion(stream[30:], "walk", "1", 25.0, before=stream[:30])
    data = ActionSet((part,), ("walk",), joints)
    config = WindowConfig(duration=0.8, stride=0.4, frames=10, sampling="even", centring="none")
    begins = [
        [motion[0, 0, 0] for motion in cut(data, config, ("walk",), lead=lead).motions]
        for lead in (0.0, 0.4)
    ]
    assert begins == [[31], [21, 31]]


def test_bones_and_velocities_are_what_they_are_called():
    joints = Joints.of_layout("chico15")
    x = RNG.normal(size=(2, 6, 15, 3)).astype(np.float32)
    y = with_features(x, joints.parents, ("joint", "bone", "velocity"))
    assert y.shape == (2, 6, 15, 9)
    np.testing.assert_array_equal(y[..., 2, 3:6], x[..., 2, :] - x[..., 1, :])
    np.testing.assert_array_equal(y[:, 0, :, 6:], x[:, 1] - x[:, 0])
