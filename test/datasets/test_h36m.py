"""Human3.6M's exponential maps become the positions that the field forecasts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_files import write_h36m

from ses_gcn_ros.datasets.expmap import H36M_BENCHMARK
from ses_gcn_ros.datasets.sources import read_dataset
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import get_layout


def test_a_body_that_turns_nowhere_stands_as_its_bones_do():
    (standing,) = 1000 * H36M_BENCHMARK.positions(np.zeros((1, 99)))
    np.testing.assert_allclose(standing[0], 0)
    np.testing.assert_allclose(standing[1], [-132.948591, 0, 0])  # right hip
    np.testing.assert_allclose(standing[3], [-132.948591, -442.894612 - 454.206447, 0])
    np.testing.assert_allclose(
        standing[15], [0, 0.1 + 233.383263 + 257.077681 + 121.134938 + 115.002227, 0]
    )


def test_rotations_chain_from_the_root_outwards():
    line = np.random.default_rng(0).normal(0, 0.6, 99)
    # By hand, with another library: hip 6, knee 7 and ankle 8 of the left leg.
    hip, knee = (Rotation.from_rotvec(line[3 * j + 3 : 3 * j + 6]).as_matrix() for j in (6, 7))
    offsets = H36M_BENCHMARK.body.offsets
    at_knee = offsets[6] + offsets[7] @ hip
    at_ankle = at_knee + offsets[8] @ knee @ hip
    (positions,) = H36M_BENCHMARK.positions(line[None])
    np.testing.assert_allclose(positions[6:9], [offsets[6], at_knee, at_ankle], atol=1e-12)


def test_global_rotation_and_translation_do_not_count():
    line = np.random.default_rng(0).normal(size=(2, 99))
    elsewhere = line.copy()
    elsewhere[:, :6] = 3.0
    np.testing.assert_array_equal(
        H36M_BENCHMARK.positions(line), H36M_BENCHMARK.positions(elsewhere)
    )


def test_copies_lie_on_what_they_copy_and_four_joints_stand_still():
    positions = H36M_BENCHMARK.positions(np.random.default_rng(0).normal(size=(5, 99)))
    for copy, joint in H36M_BENCHMARK.copies.items():
        np.testing.assert_allclose(positions[:, copy], positions[:, joint], atol=1e-12)
    still = set(range(32)) - set(H36M_BENCHMARK.used) - set(H36M_BENCHMARK.copies)
    assert still == {0, 1, 6, 11}
    np.testing.assert_allclose(np.ptp(positions[:, sorted(still)], axis=0), 0, atol=1e-12)


def test_weights_of_22_joints_make_the_mean_over_32():
    error = np.random.default_rng(0).uniform(size=22)
    over32 = np.zeros(32)
    over32[list(H36M_BENCHMARK.used)] = error
    for copy, joint in H36M_BENCHMARK.copies.items():
        over32[copy] = over32[joint]
    assert (H36M_BENCHMARK.joint_weights() * error).sum() == pytest.approx(over32.mean())


def test_recordings_come_at_25_hz_with_22_joints(tmp_path):
    write_h36m(tmp_path, {"S1/walking_1": 101, "S5/eating_2": 60, "S5/somersault_1": 60})
    first, second = read_dataset(tmp_path).sequences
    assert (first.name, first.subject, first.tags) == ("S1/walking_1", "1", {"walking"})
    assert (second.name, second.subject, second.tags) == ("S5/eating_2", "5", {"eating"})
    assert first.stored.shape == (51, len(get_layout(first.layout).joints), 3)
    assert (first.fps, first.layout) == (25.0, "h36m22")
    table = np.loadtxt(tmp_path / "S1" / "walking_1.txt", delimiter=",")
    expected = H36M_BENCHMARK.positions(table[[0, 2, 4]])[:, H36M_BENCHMARK.used]
    np.testing.assert_allclose(first.positions[:3], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("1,2,3\n4,5,6\n", "2 lines of 3 numbers; exponential maps of 32 joints have 99"),
        ("1,2,x\n", "no table of numbers"),
        (",".join(["0"] * 98 + ["nan"]) + "\n", "not finite in line 1, number 99"),
    ],
    ids=["another body", "text", "nan"],
)
def test_other_files_are_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "S1" / "walking_1.txt"
    path.parent.mkdir()
    path.write_text(content)
    (sequence,) = read_dataset(tmp_path).sequences
    with pytest.raises(InputError, match=sentence):
        len(sequence)
