"""Stopping tables: interpolated over speed and payload, and inverted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety import (
    SafetyConfig,
    StoppingTable,
    allowed_speed,
    protective_distance,
)
from ses_gcn_ros.safety.separation import braking, speed_stopping_within

TABLE = StoppingTable.of([0.25, 0.5, 1.0], [0.1, 0.15, 0.35])
rising = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6)


@pytest.mark.parametrize(
    ("speed", "time"), [(0.0, 0.1), (0.25, 0.1), (0.375, 0.125), (0.75, 0.25), (1.5, 0.55)]
)
def test_times_are_linear_between_the_measured_ones(speed, time):
    assert TABLE.time(speed) == pytest.approx(time)


@settings(max_examples=200, derandomize=True)
@given(rising, rising, st.floats(0, 3), st.floats(0, 0.5), st.floats(0, 3))
def test_the_allowed_speed_needs_exactly_the_distance_there_is(steps, more, v_h, t_r, speed):
    knots = min(len(steps), len(more))
    table = StoppingTable.of(np.cumsum(steps[:knots]), np.cumsum(more[:knots]))
    case = {"human_speed": v_h, "reaction_time": t_r, "stopping_table": table, "intrusion": 0.1}
    distance = protective_distance(robot_speed=speed, **case)
    assert allowed_speed(distance, **case) == pytest.approx(speed, abs=1e-9)
    again = protective_distance(robot_speed=allowed_speed(distance + 0.3, **case), **case)
    assert again == pytest.approx(distance + 0.3, abs=1e-9)


@settings(max_examples=50, derandomize=True)
@given(st.floats(0.5, 10), st.floats(0, 3), st.floats(0, 0.5), st.floats(0, 4))
def test_a_table_of_a_constant_deceleration_is_that_deceleration(rate, v_h, t_r, distance):
    table = StoppingTable.of([0.0, 1.0], [0.0, 1.0 / rate])
    case = {"human_speed": v_h, "reaction_time": t_r}
    by_table = allowed_speed(distance, **case, stopping_table=table)
    assert by_table == pytest.approx(allowed_speed(distance, **case, deceleration=rate), abs=1e-9)


def test_a_distance_that_not_even_a_standing_robot_keeps_allows_no_speed():
    assert allowed_speed(0.2, human_speed=1.6, reaction_time=0.1, stopping_table=TABLE) == 0.0


@settings(max_examples=50, derandomize=True)
@given(st.floats(0, 2))
def test_the_speed_that_stops_within_a_time_does_so(time):
    speed = TABLE.speed_stopping_within(time)
    assert speed == 0.0 or TABLE.time(speed) <= time + 1e-9


def test_the_payload_is_interpolated():
    config = SafetyConfig(
        stopping_speeds=(0.0, 1.0),
        stopping_times=(0.0, 0.2, 0.0, 0.4),
        stopping_payloads=(0.0, 10.0),
        payload=5.0,
    )
    assert braking(config)["stopping_table"].time(1.0) == pytest.approx(0.3)
    assert speed_stopping_within(config, 0.15) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"stopping_speeds": (1.0,), "stopping_times": (0.2,)}, "takes at least two"),
        ({"stopping_times": (0.2, 0.3)}, "without stopping_speeds"),
        ({"stopping_speeds": (0.0, 1.0), "stopping_times": (0.2,)}, "has 1 values; 1 payloads of"),
        ({"stopping_speeds": (1.0, 0.5), "stopping_times": (0.1, 0.2)}, "the speeds must rise"),
        ({"stopping_speeds": (0.5, 1.0), "stopping_times": (0.3, 0.2)}, "the times must not fall"),
        (
            {
                "stopping_speeds": (0.5, 1.0),
                "stopping_times": (0.1, 0.2, 0.1, 0.3),
                "stopping_payloads": (1.0, 2.0),
                "payload": 3.0,
            },
            "payload is 3.0 kg; stopping_payloads ends at 2.0 kg",
        ),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        braking(SafetyConfig(**values))
