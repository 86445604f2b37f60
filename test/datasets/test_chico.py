"""CHICO's pickles are read as arrays, and run nothing."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from small_files import chico_frames, write_chico

from ses_gcn_ros.datasets.mocap import CRASH, read_collaboration
from ses_gcn_ros.datasets.sources import read_dataset
from ses_gcn_ros.errors import InputError


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_person_and_robot_come_in_metres(tmp_path, protocol):
    write_chico(tmp_path, {"S00/lift": 20}, protocol)
    both = read_collaboration(tmp_path / "S00" / "lift.pkl")
    person, robot = (np.stack(part) for part in zip(*chico_frames(20), strict=True))
    np.testing.assert_allclose(both.person, person / 1000, atol=1e-6)
    np.testing.assert_allclose(both.robot, robot / 1000, atol=1e-6)
    assert (both.fps, both.person.shape, both.robot.shape) == (25.0, (20, 15, 3), (20, 9, 3))


def test_a_folder_is_one_data_set_with_subjects_and_actions(tmp_path):
    write_chico(tmp_path, {"S00/lift": 9, "S04/place-hp_CRASH": 8, "S18/polish": 7})
    sequences = read_dataset(tmp_path).sequences
    assert [s.name for s in sequences] == ["S00/lift", "S04/place-hp_CRASH", "S18/polish"]
    assert [s.subject for s in sequences] == ["00", "04", "18"]
    assert [s.tags for s in sequences] == [{"lift"}, {"place-hp", CRASH}, {"polish"}]
    assert [len(s) for s in sequences] == [9, 8, 7]
    assert {s.layout for s in sequences} == {"chico15"}


def test_files_are_opened_when_they_are_looked_at(tmp_path):
    write_chico(tmp_path, {"S00/lift": 9, "S01/lift": 9})
    (tmp_path / "S01" / "lift.pkl").write_bytes(b"damaged")
    first, second = read_dataset(tmp_path, "chico").sequences
    assert len(first) == 9
    with pytest.raises(InputError, match="no pickle of lists and arrays"):
        len(second)


class Trap:
    """Touches a file when it is unpickled by anybody who trusts it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_that_asks_for_anything_but_arrays_is_refused_and_not_run(tmp_path):
    path = tmp_path / "trap.pkl"
    path.write_bytes(pickle.dumps([Trap(tmp_path / "sprung")]))
    with pytest.raises(InputError, match=r"asks for 'pathlib.*'; a recording holds lists and"):
        read_collaboration(path)
    for code in (b"cbuiltins\neval\n(V1\ntR.", b"cos\nsystem\n(Vtrue\ntR.", b"cnumpy\nload\n."):
        path.write_bytes(code)
        with pytest.raises(InputError, match="it was not opened"):
            read_collaboration(path)
    hidden = np.empty(1, object)
    hidden[0] = Trap(tmp_path / "sprung")
    path.write_bytes(pickle.dumps([hidden]))
    with pytest.raises(InputError, match="it was not opened"):
        read_collaboration(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: [(p[:14], r) for p, r in f], r"frame 0 .* person of shape \(14, 3\)"),
        (lambda f: f[:3] + [(p, r[:8]) for p, r in f[3:]], r"frame 3 .* robot of shape \(8, 3\)"),
        (lambda f: [*f, (f[0][0] * np.nan, f[0][1])], "not finite at frame 5, point 0 of the pers"),
        (lambda f: [*f, (f[0][0] * 0 + 1e300, f[0][1])], "not finite at frame 5, point 0 of the p"),
        (lambda f: [p for p, _ in f], r"has a person of shape \(3,\)"),
        (lambda f: [("anna", "robot")], "frame 0 .* has no person of numbers"),
        (lambda f: [5], "frame 0 .* has no person of numbers"),
        (lambda f: [], "holds no list of frames"),
        (lambda f: {"frames": 3}, "holds no list of frames"),
    ],
    ids=["joints", "robot", "nan", "too large", "person alone", "text", "number", "empty", "dict"],
)
def test_files_of_another_form_are_a_sentence(tmp_path, change, sentence):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps(change(chico_frames(5))))
    with pytest.raises(InputError, match=sentence):
        read_collaboration(path)


def test_missing_files_and_empty_folders_are_a_sentence(tmp_path):
    with pytest.raises(InputError, match="there is no recording at"):
        read_collaboration(tmp_path / "absent.pkl")
    with pytest.raises(InputError, match="holds no files like S00/hammer"):
        read_dataset(tmp_path, "chico")
    with pytest.raises(InputError, match="no data set of a known kind"):
        read_dataset(tmp_path)
    with pytest.raises(InputError, match="there is no kind of data 'martian'"):
        read_dataset(tmp_path, "martian")
