"""The weights that ship: small, complete, and right about people who stand still."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ses_gcn_ros.actions.recogniser import ActionConfig, Recogniser
from ses_gcn_ros.actions.weights import DEFAULT_WEIGHTS, UNKNOWN, read_action_weights
from ses_gcn_ros.skeleton import Skeleton


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
