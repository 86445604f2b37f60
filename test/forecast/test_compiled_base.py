"""A learnt base without torch is the one with it."""

from __future__ import annotations

import numpy as np
import pytest
from untrained import FRAMED, make_weights

from ses_gcn_ros.forecast import build_engine
from ses_gcn_ros.models.config import ModelConfig

LEARNT = ModelConfig(widths=(16, 8), head="body", gate=12, **FRAMED)


def histories(clip: np.ndarray, count: int = 8) -> np.ndarray:
    history = np.stack([clip[3 * i : 3 * i + 10] for i in range(count)])
    history[1] = history[1, -1:]  # stands perfectly still
    history[2] += np.random.default_rng(0).normal(0, 0.01, history[2].shape)  # a camera's noise
    history[3, :, [1, 2, 3, 4, 5, 6]] = np.nan  # arms alone
    return history.astype(np.float32)


@pytest.mark.parametrize("kind", ["compiled", "onnx"])
def test_the_base_and_the_scale_are_those_of_the_torch_module(clip, kind):
    weights = make_weights(LEARNT)
    history = histories(clip)
    path, scale = build_engine(weights, kind).predict_with_scale(history)
    expected, expected_scale = build_engine(weights, "eager", "cpu").predict_with_scale(history)
    np.testing.assert_allclose(path, expected, atol=2e-5)
    np.testing.assert_allclose(scale, expected_scale, rtol=1e-3)
    assert np.isnan(path[3, :, 1]).all()
    assert np.isfinite(path[3, :, 7:]).all()
