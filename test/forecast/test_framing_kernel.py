"""The compiled engine frames histories as `models.framing` does for the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from untrained import FRAMED, make_weights

from ses_gcn_ros.forecast import build_engine
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, read_weights
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.skeleton import get_layout

CONFIGS = {
    "published": ModelConfig(unit="mm"),
    "origin": ModelConfig(widths=(16, 3), origin=True),
    "heading": ModelConfig(widths=(16, 3), heading=True),
    "offset": ModelConfig(widths=(16, 3), offset=True),
    "motion": ModelConfig(widths=(16, 3), motion=True),
    "visibility": ModelConfig(widths=(16, 3), visibility=True),
    "frequency": ModelConfig(widths=(16, 8), head="linear", frequency=True, **FRAMED),
    "22 joints": ModelConfig(layout="h36m22", joints=22, widths=(16, 3), **FRAMED),
}
ALL = ["shipped", *CONFIGS]


@pytest.fixture(scope="module")
def engines():
    """By name of the network, its compiled engine and the eager one."""
    weights = {name: make_weights(config) for name, config in CONFIGS.items()}
    weights["shipped"] = read_weights(DEFAULT_WEIGHTS)
    return {
        name: tuple(build_engine(each, engine=kind) for kind in ("compiled", "eager"))
        for name, each in weights.items()
    }


def histories(clip, engine):
    """Three of a person who moves, with made-up joints where the layout has more."""
    joints = len(get_layout(engine.layout).joints)
    seen = np.stack([clip[start : start + engine.observed] for start in (0, 20, 40)])
    more = np.random.default_rng(0).normal(1, 0.3, (*seen.shape[:2], 10, 3))
    return np.concatenate([seen, more], axis=2)[:, :, :joints].astype(np.float32)


@pytest.mark.parametrize("name", ALL)
def test_everybody_in_sight(clip, engines, name):
    compiled, eager = engines[name]
    history = histories(clip, compiled)
    expected = eager.predict(history)
    np.testing.assert_allclose(compiled.predict(history), expected, atol=1e-5)


@settings(max_examples=60)
@given(
    name=st.sampled_from(["shipped", "visibility", "frequency", "22 joints"]),
    unseen=st.sets(st.integers(0, 14), max_size=14),
)
def test_any_joints_unseen(clip, engines, name, unseen):
    compiled, eager = engines[name]
    history = histories(clip, compiled)
    history[1, :, list(unseen)] = np.nan
    answer, expected = compiled.predict(history), eager.predict(history)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert np.isnan(answer[1, :, list(unseen)]).all()
    assert np.isfinite(answer[[0, 2]]).all()


def test_a_body_without_a_front(clip, engines):
    """All joints in one place: it faces along the frame's own x, as anywhere else."""
    compiled, eager = engines["shipped"]
    history = np.full((1, compiled.observed, 15, 3), 0.5, np.float32)
    np.testing.assert_allclose(compiled.predict(history), eager.predict(history), atol=1e-5)


def test_company_changes_nothing(clip, engines):
    compiled, _ = engines["shipped"]
    history = histories(clip, compiled)
    history[2, :, 3] = np.nan
    together = compiled.predict(history)
    for person in range(3):
        alone = compiled.predict(history[person : person + 1])
        np.testing.assert_array_equal(together[person : person + 1], alone)
