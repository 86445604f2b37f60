"""Protocols pick the sequences, windows and means of the field."""

from __future__ import annotations

import numpy as np
import pytest
from small_files import write_chico, write_h36m

from ses_gcn_ros.datasets.sources import PROTOCOLS, read_dataset
from ses_gcn_ros.errors import InputError


def test_chico_is_split_by_subject_and_collisions_are_left_out(tmp_path):
    subjects = [f"S{number:02}" for number in range(20)]
    files = {f"{subject}/lift": 40 for subject in subjects} | {"S02/polish_CRASH": 40}
    sequences = read_dataset(write_chico(tmp_path, files)).sequences
    protocol = PROTOCOLS["chico"]
    parts = {part: protocol.sequences(sequences, part) for part in ("train", "validate", "test")}
    assert [s.subject for s in parts["test"]] == ["02", "03", "18", "19"]
    assert [s.subject for s in parts["validate"]] == ["00", "04"]
    assert len(parts["train"]) == 14
    windows = list(protocol.choose(parts["test"], "all", 10, 25))
    assert [len(views) for _, views in windows] == [6, 6, 6, 6]
    np.testing.assert_array_equal(windows[1][1][2], parts["test"][1].positions[2:37])


def test_human36m_is_split_by_subject(tmp_path):
    files = {f"S{subject}/eating_1": 80 for subject in (1, 5, 6, 7, 8, 9, 11)}
    sequences = read_dataset(write_h36m(tmp_path, files)).sequences
    protocol = PROTOCOLS["h36m"]
    split = {part: protocol.sequences(sequences, part) for part in ("train", "validate", "test")}
    assert [s.subject for s in split["test"]] == ["5"]
    assert [s.subject for s in split["validate"]] == ["11"]
    assert sorted(s.subject for s in split["train"]) == ["1", "6", "7", "8", "9"]
    assert protocol.weights.sum() == pytest.approx(28 / 32)


def test_sequences_shorter_than_a_window_are_a_sentence(tmp_path):
    sequences = read_dataset(write_chico(tmp_path, {"S02/lift": 34})).sequences
    protocol = PROTOCOLS["chico"]
    with pytest.raises(InputError, match="none of 1 sequences is as long as a window of 35"):
        list(protocol.choose(protocol.sequences(sequences, "test"), "all", 10, 25))
    with pytest.raises(InputError, match="none of 1 sequences belongs to the train part"):
        protocol.sequences(sequences, "train")
