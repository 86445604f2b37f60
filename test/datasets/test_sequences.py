"""Recordings are read as they are, and files of another form are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import Sequence, read_recording, write_recording
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
        ({"fps": np.float32([25, 30])}, r"fps of .* is \[25.0, 30.0\]; a recording has one rate"),
        ({"positions_mm": np.zeros((10, 15, 3), np.float32)}, "holds float32; it takes int16"),
    ],
    ids=["lengths", "joints", "no positions", "no rate", "pickled", "rates", "numbers"],
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


def made(name="a", frames=6, fps=25.0, layout="chico15", dtype=np.float32, scale=1.0):
    joints = {"chico15": 15, "h36m22": 22}[layout]
    body = np.random.default_rng(0).normal(size=(frames, joints, 3)) * scale
    return Sequence(name, 0, "S7", frozenset({"walk", "core"}), fps, layout, body.astype(dtype))


@pytest.mark.parametrize(("millimetres", "tolerance"), [(False, 0), (True, 0.00051)])
def test_what_is_written_is_read_again(tmp_path, millimetres, tolerance):
    sequences, path = [made("a", 6), made("b", 9)], tmp_path / "r.npz"
    write_recording(path, sequences, {"licence": "free"}, millimetres=millimetres)
    recording = read_recording(path)
    assert recording.about == {"licence": "free"}
    for written, read in zip(sequences, recording.sequences, strict=True):
        np.testing.assert_allclose(read.positions, written.positions, atol=tolerance)
        for what in ("name", "subject", "tags", "fps", "layout"):
            assert getattr(read, what) == getattr(written, what)


def test_positions_stay_on_disk_until_they_are_looked_at(tmp_path):
    path = tmp_path / "r.npz"
    write_recording(path, [made("a", 600, layout="h36m22")], {})
    array = read_recording(path).sequences[0].stored
    chain = []
    while array is not None:
        chain.append(type(array))
        array = getattr(array, "base", None)
    assert np.memmap in chain


@pytest.mark.parametrize(
    ("sequences", "sentence"),
    [
        ([], "there are no sequences"),
        ([made(), made("b", fps=30)], "different frame rates: 25, 30; a recording takes one"),
        ([made(), made("b", layout="h36m22")], "different layouts: chico15, h36m22"),
        ([made(scale=100)], r"m from the origin; whole millimetres reach 32\.8 m"),
    ],
    ids=["none", "rates", "layouts", "far"],
)
def test_what_fits_no_file_is_refused_and_the_old_one_kept(tmp_path, sequences, sentence):
    path = tmp_path / "r.npz"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=sentence):
        write_recording(path, sequences, {}, millimetres=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_gap_in_positions_is_a_sentence():
    body = np.zeros((6, 15, 3), np.float32)
    body[4, 11, 1] = np.nan
    sequence = Sequence("a", 0, "", frozenset(), 25.0, "chico15", body)
    with pytest.raises(InputError, match="'a' is not finite at frame 4, joint r_wrist"):
        len(sequence)
