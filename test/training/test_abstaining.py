"""Calibrated probabilities, and a share of wrong answers that is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ses_gcn_ros.actions.weights import probabilities
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.training.actions import best_temperature, risk_bound, risk_threshold


def drawn(seed: int, count: int, heat: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `heat` times too large, and labels drawn by their true probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, 5)) * 3
    labels = np.array([rng.choice(5, p=row) for row in probabilities(logits, 1.0)])
    return logits * heat, labels


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_overconfidence(heat: float):
    logits, labels = drawn(0, 4000, heat)
    assert best_temperature(logits, labels) == pytest.approx(heat, rel=0.1)


def test_the_risk_asked_for_is_kept_on_new_draws():
    kept, answered = [], []
    for seed in range(60):
        logits, labels = drawn(seed, 2000)
        chances = probabilities(logits, 1.0)
        best, right = chances.max(axis=1), chances.argmax(axis=1) == labels
        threshold = risk_threshold(best[:500], right[:500], 0.1, confidence=0.9)
        given_ = best[500:] >= threshold
        kept.append((~right[500:])[given_].mean() <= 0.1)
        answered.append(given_.mean())
    assert np.mean(kept) > 0.85  # 0.9, and what 60 draws may miss it by
    assert np.mean(answered) > 0.3


def test_answers_that_are_all_wrong_are_never_given():
    assert risk_threshold(np.array([0.9, 0.8]), np.array([False, False]), 0.05) > 1
    with pytest.raises(InputError, match="no windows to calibrate on"):
        risk_threshold(np.zeros(0), np.zeros(0, bool), 0.05)


def test_windows_that_overlap_count_for_less():
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.2, 1, 600)
    right = rng.random(600) < chance
    alone = risk_threshold(chance, right, 0.15)
    assert risk_threshold(chance, right, 0.15, weight=np.full(600, 0.3)) >= alone


def test_a_common_class_does_not_hide_the_mistakes_of_a_rare_one():
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.5, 1, 1100)
    right = np.append(np.ones(1000, bool), rng.random(100) < 0.5)
    assert risk_threshold(probability, right, 0.1) < 0.6
    weight = np.append(np.full(1000, 0.1), np.ones(100))
    assert risk_threshold(probability, right, 0.1, weight=weight) > 0.9


@given(st.integers(0, 50), st.integers(1, 200))
def test_the_bound_is_above_what_was_seen_and_falls_with_more_of_it(wrong: int, answered: int):
    share = min(wrong, answered) / answered
    assert share <= risk_bound(share, answered, 0.9) <= 1
    assert risk_bound(share, 10 * answered, 0.9) <= risk_bound(share, answered, 0.9) + 1e-12
