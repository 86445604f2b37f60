"""Distributions of what was measured in a replay, to the last digit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.replay.forecast_scores import Distribution
from ses_gcn_ros.replay.safety_scores import kind_of


@settings(max_examples=50)
@given(st.lists(st.floats(0.0, 1e5), min_size=1, max_size=200))
def test_quantiles_are_values_that_are_there(values):
    found = Distribution()
    for value in values:
        found.add(value)
    for share in (0.5, 0.9, 0.99):
        assert found.quantile(share) == sorted(values)[math.ceil(share * len(values)) - 1]


def test_asking_in_between_changes_no_answer():
    values = np.random.default_rng(0).exponential(20.0, 10_000)
    whole, asked = Distribution(), Distribution()
    for number, value in enumerate(values):
        whole.add(value)
        asked.add(value)
        if number % 1000 == 0:
            assert asked.summary()["count"] == number + 1
    one = whole.summary()
    assert one == asked.summary()
    assert one["mean"] == pytest.approx(values.mean())
    assert one["max"] == values.max()


def test_what_is_not_finite_is_left_out():
    found = Distribution()
    assert found.summary() is None
    assert math.isnan(found.quantile(0.5))
    for value in (math.nan, math.inf, 3.0):
        found.add(value)
    assert found.summary()["count"] == 1
    assert found.quantile(0.5) == 3.0


def test_complaints_are_of_one_kind_whatever_their_numbers_and_keep_their_names():
    said = "person 1: wrist_3_link of chico15 at -0.31 m, 12 times"
    assert kind_of(said) == "person …: wrist_3_link of chico15 at … m, … times"
