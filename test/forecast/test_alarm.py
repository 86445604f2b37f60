"""A probability of contact rises with time and urgency, comes from three paths, and comes true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ses_gcn_ros.forecast.alarm import HORIZONS, SHARES, SHIPPED, fit, reliability, urgency

Z = st.lists(st.floats(-20, 20), min_size=5, max_size=5).map(np.array)


def world(seed: int, windows: int = 20000):
    """Urgencies, and contacts that come with a known probability."""
    rng = np.random.default_rng(seed)
    urgent = np.minimum.accumulate(rng.uniform(-1, 3, (windows, 5)), axis=1)
    truth = 1 / (1 + np.exp(-(-0.5 - 3 * urgent)))
    return urgent, rng.random(truth.shape) < truth, truth


def test_what_is_fitted_comes_as_often_as_it_says_on_what_was_not_seen():
    urgent, contact, _ = world(0)
    alarm = fit(urgent, contact)
    np.testing.assert_allclose(alarm.coefficients, np.tile([-0.5, -3], (5, 1)), atol=0.2)
    urgent, contact, truth = world(1)
    said = alarm.probability(urgent)
    for k in range(len(HORIZONS)):
        bins, error, brier = reliability(said[:, k], contact[:, k])
        assert error < 0.015
        assert brier == pytest.approx(np.mean((truth[:, k] - contact[:, k]) ** 2), abs=0.003)
        assert sum(b.windows for b in bins) == len(contact)


@given(paths=st.tuples(Z, Z, Z), which=st.integers(0, 2), nearer=st.floats(0, 5))
def test_it_never_falls_with_time_or_as_people_come_nearer(paths, which, nearer):
    said = SHIPPED.probability(urgency(*paths))
    assert ((said >= 0) & (said <= 1)).all()
    assert (np.diff(said) >= 0).all()
    closer = [path - nearer * (number == which) for number, path in enumerate(paths)]
    assert (SHIPPED.probability(urgency(*closer)) >= said - 1e-12).all()


def test_urgency_is_the_mean_in_shares_of_the_least_so_far():
    paths = np.array([[1.0, 0.2, 0.8], [1.5, 0.9, -0.3], [0.5, 0.5, 0.4]])
    least = np.array([[1.0, 0.2, 0.2], [1.5, 0.9, -0.3], [0.5, 0.5, 0.4]])
    np.testing.assert_allclose(urgency(*paths), np.array(SHARES) @ least)


@pytest.mark.parametrize("which", range(3))
def test_what_one_path_alone_is_sure_of_is_heard(which):
    paths = [np.full(5, 10.0 if path != which else -3.0) for path in range(3)]
    assert SHIPPED.probability(urgency(*paths)).min() > 0.99


def test_a_path_that_is_missing_is_stood_in_for_by_the_others_and_nobody_near_is_no_contact():
    z, none = np.linspace(2, 0, 5), np.full(5, np.nan)
    for paths in ((z, none, none), (none, z, none), (z, none, z)):
        np.testing.assert_allclose(urgency(*paths), z)
    away = np.full(5, np.inf)
    for paths in ((away, away, away), (none, none, none), (away, none, away)):
        assert SHIPPED.probability(urgency(*paths)).max() < 1e-6
