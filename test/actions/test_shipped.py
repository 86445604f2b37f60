"""The weights that ship: small, complete, and right about people who stand still."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.actions.recogniser import ActionConfig, Recogniser
from ses_gcn_ros.actions.weights import DEFAULT_WEIGHTS, UNKNOWN, read_action_weights
from ses_gcn_ros.datasets.actions import read_actions
from ses_gcn_ros.skeleton import Skeleton, get_layout


def test_the_file_is_small_and_has_a_card():
    weights = read_action_weights()
    assert DEFAULT_WEIGHTS.stat().st_size < 1_000_000
    assert 0.5 < weights.threshold <= 1
    card = DEFAULT_WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
    assert all(label in card for label in weights.labels)


def test_an_idle_person_is_idle_or_unknown_in_a_stream(shared_data: Path):
    """Person 011 was never trained on."""
    arrays = np.load(shared_data / "motion" / "idle_dev.npz")
    index = list(arrays["subject"]).index("011")
    start = int(arrays["lengths"][:index].sum())
    motion = arrays["positions_mm"][start : start + 480] / np.float32(1000)
    recogniser = Recogniser(read_action_weights(), ActionConfig())
    labels = []
    for frame, positions in enumerate(motion):
        person = Skeleton("011", "chico15", positions.astype(np.float32), np.ones(15, np.float32))
        recogniser.observe(frame / float(arrays["fps"]), [person])
        labels += [action.label for action in recogniser.recognise()]
    assert np.mean([label in ("idle", UNKNOWN) for label in labels]) > 0.97
    assert "idle" in labels


@pytest.mark.parametrize(
    ("name", "every", "near"),
    [("hrc_dev", 10, {"idle", "hand_work", UNKNOWN}), ("florence3d", 1, {UNKNOWN})],
)
def test_people_before_cameras_that_never_trained_are_seldom_told_wrong(
    shared_data: Path, name: str, every: int, near: set[str]
):
    """People at a table before an Azure Kinect, and everyday motion before a Kinect of 2010.

    Prints (pytest -s) what is told of each action, in shares of the answers.
    """
    data = read_actions(shared_data / "actions" / f"{name}.npz")
    names = {"nose": "head", "c_shoulder": "neck", "l_foot": "l_ankle", "r_foot": "r_ankle"}
    columns = list(data.joints.names)
    told: dict[str, Counter[str]] = {label: Counter() for label in data.labels}
    for recording in data.recordings[::every]:
        if "hip" in columns:
            motion = recording.positions
        else:  # y up, no hip
            parts = [
                recording.positions[:, [columns.index(names.get(j, j)) for j in sides]].mean(axis=1)
                for joint in get_layout("chico15").joints
                for sides in [("l_hip", "r_hip") if joint == "hip" else (joint,)]
            ]
            motion = np.stack(parts, axis=1) @ np.float32([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
        recogniser = Recogniser(read_action_weights(), ActionConfig())
        for frame, positions in enumerate(motion):
            person = Skeleton("ann", "chico15", positions, np.ones(15, np.float32))
            recogniser.observe(frame / recording.fps, [person])
            answers = [a for a in recogniser.recognise() if a.reason != "seen too briefly"]
            told[recording.label].update(answer.label for answer in answers)
    for label, counts in told.items():
        shares = {one: round(n / counts.total(), 3) for one, n in counts.most_common()}
        print(f"{name} {label}: {counts.total()} answers, {shares}")
    wrong = sum(n for counts in told.values() for one, n in counts.items() if one not in near)
    assert wrong / sum(counts.total() for counts in told.values()) < 0.05
