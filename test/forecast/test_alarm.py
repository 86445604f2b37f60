"""A probability of contact rises with time and urgency, comes from both paths, and comes true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ses_gcn_ros.forecast.alarm import (
    HORIZONS,
    SHIPPED,
    THRESHOLD,
    fit,
    reliability,
    urgency,
)

Z = st.lists(st.floats(-20, 20), min_size=5, max_size=5)


def world(seed: int, windows: int = 20000):
    """z of both paths, and contacts that come with a known probability."""
    rng = np.random.default_rng(seed)
    network = np.minimum.accumulate(rng.uniform(-1, 4, (windows, 5)), axis=1)
    velocity = np.minimum.accumulate(rng.uniform(-1, 4, (windows, 5)), axis=1)
    truth = 1 / (1 + np.exp(-(-0.5 - 2 * network - 1 * velocity)))
    return network, velocity, rng.random(truth.shape) < truth, truth


def test_what_is_fitted_comes_as_often_as_it_says_on_what_was_not_seen():
    network, velocity, contact, _ = world(0)
    alarm = fit(network, velocity, contact)
    np.testing.assert_allclose(alarm.coefficients, np.tile([-0.5, -2, -1], (5, 1)), atol=0.15)
    network, velocity, contact, truth = world(1)
    said = alarm.probability(network, velocity)
    for k in range(len(HORIZONS)):
        bins, error, brier = reliability(said[:, k], contact[:, k])
        assert error < 0.015
        assert brier == pytest.approx(np.mean((truth[:, k] - contact[:, k]) ** 2), abs=0.003)
        assert sum(b.windows for b in bins) == len(contact)


@given(network=Z, velocity=Z, nearer=st.floats(0, 5))
def test_it_never_falls_with_time_or_as_people_come_nearer(network, velocity, nearer):
    near, far = (np.minimum.accumulate(np.array(z)) for z in (network, velocity))
    said = SHIPPED.probability(near, far)
    assert ((said >= 0) & (said <= 1)).all()
    assert (np.diff(said) >= 0).all()
    assert (SHIPPED.probability(near - nearer, far) >= said - 1e-12).all()
    assert (SHIPPED.probability(near, far - nearer) >= said - 1e-12).all()


def test_a_path_that_is_missing_is_stood_in_for_by_the_other_and_nobody_near_is_no_contact():
    z, none = np.linspace(2, 0, 5), np.full(5, np.nan)
    np.testing.assert_array_equal(SHIPPED.probability(z, none), SHIPPED.probability(z, z))
    np.testing.assert_array_equal(SHIPPED.probability(none, z), SHIPPED.probability(z, z))
    away = np.full(5, np.inf)
    assert SHIPPED.probability(away, away).max() < 1e-6


def test_urgency_is_the_least_so_far_in_radii():
    gaps = np.full((1, 25, 2, 3), 1.0)
    gaps[0, 11, 1, 2] = THRESHOLD + 0.1  # 0.48 s ahead
    radius = np.linspace(0.04, 1.0, 25)[None, :, None].repeat(2, axis=2)
    z = urgency(gaps, radius, 0.04)[0]
    assert (np.diff(z) <= 0).all()
    assert z[1] == pytest.approx((1 - THRESHOLD) / radius[0, 9, 0])
    assert z[2] == pytest.approx(0.1 / radius[0, 11, 0])
