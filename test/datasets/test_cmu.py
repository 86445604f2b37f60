"""CMU's motion: its own files, and the benchmark's exponential maps as they are and repaired."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_files import write_asf_amc, write_expmaps

from ses_gcn_ros.datasets.expmap import CMU_BENCHMARK, repaired_cmu
from ses_gcn_ros.datasets.mocap import (
    UNIT,
    positions,
    read_amc,
    read_asf,
    read_training_trials,
    resampled,
)
from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.datasets.sources import PROTOCOLS, read_dataset
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.skeleton import get_layout

JOINTS = {name: index for index, name in enumerate(get_layout("chico15").joints)}


def test_trials_of_a_folder_come_at_25_hz_with_their_subject(tmp_path):
    write_asf_amc(tmp_path, {"02_01": 241, "13_29": 121})
    recording = read_dataset(tmp_path, "asf_amc")
    first, second = recording.sequences
    assert (first.name, first.subject, first.fps, first.layout) == (
        "cmu_02_01",
        "02",
        25,
        "chico15",
    )
    assert (second.name, second.subject) == ("cmu_13_29", "13")
    assert (len(first), len(second)) == (51, 26)
    assert "EIA-0196217" in recording.about["acknowledgement"]


def test_bones_keep_their_lengths_and_the_body_stands_upright(tmp_path):
    write_asf_amc(tmp_path, {"02_01": 241})
    (sequence,) = read_dataset(tmp_path, "asf_amc").sequences
    body = sequence.positions
    # Smoothing bends bones a little.
    for start, end, length in (("r_hip", "r_knee", 7.5), ("l_knee", "l_foot", 7.2)):
        bone = np.linalg.norm(body[:, JOINTS[end]] - body[:, JOINTS[start]], axis=-1)
        np.testing.assert_allclose(bone, length * UNIT, rtol=2e-3)
    np.testing.assert_allclose(
        body[:, JOINTS["hip"]], body[:, [JOINTS["r_hip"], JOINTS["l_hip"]]].mean(axis=1), atol=1e-6
    )
    assert (body[:, JOINTS["nose"], 2] > body[:, JOINTS["hip"], 2]).all()  # z up
    np.testing.assert_allclose(body[:, JOINTS["hip"], 2].mean(), (17 - 1.6) * UNIT, atol=0.05)


def test_a_joint_turns_in_its_bones_own_frame(tmp_path):
    """One knee bent by hand: its axis is turned by 20° about z, as in CMU's legs."""
    write_asf_amc(tmp_path, {"02_01": 40})
    bones = read_asf(tmp_path / "02" / "02.asf")
    angles = read_amc(tmp_path / "02" / "02_01.amc", bones)
    angles = {name: np.zeros_like(numbers) for name, numbers in angles.items()}
    angles["ltibia"][:] = 90.0
    body = positions(bones, angles)[0]
    shin = body[JOINTS["l_foot"]] - body[JOINTS["l_knee"]]
    # The leg points down and outwards by 20°; bent about its own x it points straight back.
    np.testing.assert_allclose(shin, [0, 7.2 * UNIT, 0], atol=1e-4)


def test_resampling_follows_slow_motion_and_drops_what_is_too_fast():
    time = np.arange(600) / 120
    slow = np.sin(2 * np.pi * 1.5 * time)[:, None, None] * np.ones((1, 15, 3))
    noise = 0.1 * np.sin(2 * np.pi * 40 * time)[:, None, None]
    at_25 = resampled(slow + noise)
    expected = np.sin(2 * np.pi * 1.5 * np.arange(len(at_25)) / 25)
    np.testing.assert_allclose(at_25[5:-5, 0, 0], expected[5:-5], atol=0.01)


def test_the_training_trials_are_those_of_the_shipped_recording(shared_data, tmp_path):
    """The list and what was shipped agree in names, kinds and lengths."""
    shipped = {s.name: s for s in read_recording(shared_data / "motion" / "cmu.npz").sequences}
    with open(share_path("config", "training", "cmu_trials.csv")) as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        sequence = shipped[row["id"]]
        frames = int((int(row["last"]) - int(row["first"]) - 1) * 25 / 120 + 1e-9) + 1
        assert abs(len(sequence) - frames) <= 1, row["id"]
        assert {row["category"], *["core"] * int(row["core"])} == sequence.tags
    unlisted = set(shipped) - {row["id"] for row in rows}
    assert all(name.startswith("cmu_x_") for name in unlisted)  # their trial is not known
    write_asf_amc(tmp_path, {"02_01": 40})
    with pytest.raises(InputError, match=r"lacks \d+ of the 152 listed trials"):
        read_training_trials(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("ltibia ", "elbow "), r"has \(0,\) numbers of 'ltibia' in 40 frames"),
        (("ltibia ", "ltibia 1 "), r"has \(40, 2\) numbers of 'ltibia'"),
        (("ltibia ", "ltibia x"), "no motion in Acclaim's format"),
    ],
    ids=["bone", "freedoms", "text"],
)
def test_motion_of_another_skeleton_is_a_sentence(tmp_path, change, sentence):
    write_asf_amc(tmp_path, {"02_01": 40})
    path = tmp_path / "02" / "02_01.amc"
    path.write_text(path.read_text().replace(*change))
    (sequence,) = read_dataset(tmp_path, "asf_amc").sequences
    with pytest.raises(InputError, match=sentence):
        len(sequence)


def test_a_missing_or_damaged_skeleton_is_a_sentence(tmp_path):
    write_asf_amc(tmp_path, {"02_01": 40})
    skeleton = tmp_path / "02" / "02.asf"
    skeleton.write_text(skeleton.read_text().replace("length 7.5", "length"))
    (sequence,) = read_dataset(tmp_path, "asf_amc").sequences
    with pytest.raises(InputError, match="no skeleton in Acclaim's format"):
        len(sequence)
    skeleton.unlink()
    with pytest.raises(InputError, match=r"lacks its skeleton '02\.asf'"):
        read_dataset(tmp_path, "asf_amc")


def test_benchmark_files_are_read_as_benchmarks_do(tmp_path):
    table = write_expmaps(tmp_path / "test" / "walking" / "walking_1.txt", 201)
    write_expmaps(tmp_path / "train" / "walking" / "walking_1.txt", 301, seed=1)
    first, second = read_dataset(tmp_path).sequences
    assert (first.name, second.name) == ("test/walking/walking_1", "train/walking/walking_1")
    assert (first.layout, first.fps, first.stored.shape) == ("cmu25", 25.0, (101, 25, 3))
    # 70 mm for what is 56 mm, and no global rotation: the left hip stays where it is.
    all38 = CMU_BENCHMARK.positions(table)
    expected = 0.070 * np.array([1.65674, -1.80282, 0.62477])
    assert np.ptp(np.linalg.norm(all38[:, 2], axis=-1)) < 1e-9
    assert np.linalg.norm(all38[0, 2]) == pytest.approx(np.linalg.norm(expected))
    for copy, joint in CMU_BENCHMARK.copies.items():
        np.testing.assert_allclose(all38[:, copy], all38[:, joint], atol=1e-12)


def test_the_cmu_protocol_draws_eight_windows_of_each_test_recording(tmp_path):
    write_expmaps(tmp_path / "test" / "walking" / "walking_1.txt", 241)
    protocol = PROTOCOLS["cmu"]
    chosen = protocol.sequences(read_dataset(tmp_path).sequences, "test")
    ((sequence, windows),) = protocol.choose(chosen, "8", 10, 25)
    rng = np.random.RandomState(1234567890)
    starts = [rng.randint(0, 121 - 75) + 40 for _ in range(8)]
    expected = [sequence.positions[start : start + 35] for start in starts]
    np.testing.assert_array_equal(windows, np.stack(expected))
    assert protocol.weights.sum() == pytest.approx(32 / 38)
    write_expmaps(tmp_path / "test" / "walking" / "walking_1.txt", 140)
    short = protocol.sequences(read_dataset(tmp_path).sequences, "test")
    with pytest.raises(InputError, match=r"has 70 frames; .* takes more than 75"):
        list(protocol.choose(short, "8", 10, 25))


def test_the_root_is_turned_in_the_databases_order_once_repaired():
    x, y, z = 0.3, -0.8, 1.1
    line = np.zeros((1, 117))
    line[0, :3] = 10, 17, -5
    # What the files hold: the database's angles composed as Z·X·Y, for row vectors.
    wrong = Rotation.from_euler("ZXY", [z, x, y]).as_matrix().T
    line[0, 3:6] = Rotation.from_matrix(wrong).as_rotvec()
    body = repaired_cmu(line)[0]
    right = Rotation.from_euler("ZYX", [z, y, x])
    hip = UNIT * (np.array([10, 17, -5]) + right.apply([-1.61070, -1.80282, 0.62476]))
    np.testing.assert_allclose(body[JOINTS["r_hip"]], [hip[0], -hip[2], hip[1]], atol=1e-9)


def test_repaired_files_have_their_thorax_and_wrists_again(tmp_path):
    write_expmaps(tmp_path / "test" / "walking" / "walking_1.txt", 201)
    (sequence,) = read_dataset(tmp_path, "cmu_repaired").sequences
    assert (sequence.layout, sequence.fps, len(sequence)) == ("chico15", 120.0, 201)
    body = repaired_cmu(np.zeros((1, 117)))[0]
    back = 2.0545 + 2.06436 + 2.06805 + (0.90436 + 0.75994) / 2
    assert body[JOINTS["c_shoulder"], 2] == pytest.approx(back * UNIT, abs=1e-9)
    reach = body[JOINTS["l_wrist"], 0] - body[JOINTS["l_elbow"], 0]
    assert reach == pytest.approx((3.35554 + 1.67777) * UNIT, abs=1e-9)
