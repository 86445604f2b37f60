"""Recordings are read as they are, and files of another form are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import InputError


def write(path, **changes):
    arrays = {
        "ids": np.array(["a", "b"]),
        "lengths": np.array([4, 6]),
        "fps": np.float32(25),
        "positions_mm": np.arange(10 * 45, dtype=np.int16).reshape(10, 15, 3),
    }
    arrays.update(changes)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_motion_capture_with_its_licence(shared_data):
    recording = read_recording(shared_data / "motion" / "cmu.npz")
    assert len(recording.sequences) == 209
    assert sum(len(s) for s in recording.sequences) / 25 / 60 == pytest.approx(45.3, abs=0.05)
    assert "mocap.cs.cmu.edu" in recording.about["acknowledgement"]
    walk = next(s for s in recording.sequences if s.name == "cmu_02_01")
    assert (walk.subject, walk.tags, walk.fps) == ("02", {"walk", "core"}, 25)
    assert walk.positions.shape == (72, 15, 3)
    feet = walk.positions[:, [3, 6], 2]
    assert 0 < feet.min() < 0.2  # metres above the floor, z up
    assert walk.positions[:, 7, 2].min() > 1.3


def test_two_people_of_one_recording_share_its_index(shared_data):
    recording = read_recording(shared_data / "motion" / "handover_dev.npz")
    assert len(recording.sequences) == 2 * 770
    receiver, giver = recording.sequences[18:20]
    assert receiver.index == giver.index == 9
    assert receiver.name.endswith("/receiver")
    assert giver.name.endswith("/giver")
    assert len(receiver) == len(giver)
    assert receiver.fps == 30


def test_sequences_are_told_apart(tmp_path):
    first, second = read_recording(write(tmp_path / "r.npz")).sequences
    assert (first.name, len(first), second.name, len(second)) == ("a", 4, "b", 6)
    assert second.positions[0, 0, 0] == pytest.approx(4 * 45 / 1000)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lengths": np.array([4, 7])}, r"lengths and layout chico15 ask for \(11, 15, 3\)"),
        ({"positions_mm": np.zeros((10, 14, 3), np.int16)}, r"has shape \(10, 14, 3\)"),
        ({"positions_mm": None}, "a recording holds ids, lengths, fps"),
        ({"fps": None}, "a recording holds ids, lengths, fps"),
        ({"ids": np.array(["a", {}], dtype=object)}, "no npz file of arrays"),
    ],
    ids=["lengths", "joints", "no positions", "no rate", "pickled"],
)
def test_files_of_another_form_are_refused(tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        read_recording(write(tmp_path / "r.npz", **changes))


def test_missing_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no recording at"):
        read_recording(tmp_path / "absent.npz")
    path = write(tmp_path / "r.npz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="no npz file of arrays"):
        read_recording(path)
    path = write(tmp_path / "r.npz")
    path.with_suffix(".json").write_text(json.dumps({"sequences": [{"name": "a"}]}))
    with pytest.raises(InputError, match="does not describe a recording"):
        read_recording(path)
