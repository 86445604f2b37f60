"""Protective separation distance: cases worked by hand, its inverse, and what it must never do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import highest_speed, moving, stopping_time

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety import (
    SafetyConfig,
    StoppingTable,
    allowed_speed,
    braking,
    protective_distance,
)

speeds = st.floats(0, 5)
times = st.floats(0, 2)
rising = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6)
tables = st.one_of(
    st.floats(0.1, 20).map(lambda rate: braking(SafetyConfig(deceleration=rate))[0]),
    st.floats(0.01, 2).map(lambda time: braking(SafetyConfig(stopping_time=time))[0]),
    st.tuples(rising, rising).map(
        lambda steps: StoppingTable.of(
            np.cumsum(steps[0][: min(map(len, steps))]), np.cumsum(steps[1][: min(map(len, steps))])
        )
    ),
)
TABLE = StoppingTable.of([0.25, 0.5, 1.0], [0.1, 0.15, 0.35])


def test_a_robot_slower_than_the_table_takes_as_long_as_its_slowest_entry():
    np.testing.assert_allclose(
        TABLE.time([0.0, 0.1, 0.25, 0.375, 0.5, 1.0]), [0.1, 0.1, 0.1, 0.125, 0.15, 0.35]
    )


def brakes(**values) -> StoppingTable:
    return braking(SafetyConfig(**values))[0]


def test_by_hand_with_a_deceleration():
    # T_s = 1/2 = 0.5; S_h = 1.6 × 0.6 = 0.96; S_r = 0.1; S_s = 1/4 = 0.25
    distance = protective_distance(
        human_speed=1.6,
        robot_speed=1.0,
        reaction_time=0.1,
        table=brakes(deceleration=2.0),
        intrusion=0.1,
        human_uncertainty=0.05,
        robot_uncertainty=0.01,
    )
    assert distance == pytest.approx(0.96 + 0.10 + 0.25 + 0.16)


def test_by_hand_with_a_stopping_time():
    # S_h = 2 × (0.2 + 0.4) = 1.2; S_r = 0.3; S_s = ½ × 1.5 × 0.4 = 0.3
    distance = protective_distance(
        human_speed=2.0, robot_speed=1.5, reaction_time=0.2, table=brakes(stopping_time=0.4)
    )
    assert distance == pytest.approx(1.8)


def test_speed_allowed_by_hand():
    # √(1.6² + 0.2² + 2·2·1.34) − 0.2 − 1.6 with aT_r = 0.2
    speed = allowed_speed(1.34, human_speed=1.6, reaction_time=0.1, table=brakes(deceleration=2.0))
    assert speed == pytest.approx(np.sqrt(2.56 + 0.04 + 4 * 1.34) - 1.8)


@settings(max_examples=300)
@given(speeds, speeds, times, tables)
def test_it_is_the_standards_formula(v_h, v_r, t_r, table):
    t_s = stopping_time(v_r, table.speeds, table.times)
    expected = moving(v_h, v_r, v_r, t_r, t_s) + 0.3
    kept = {"intrusion": 0.1, "human_uncertainty": 0.15, "robot_uncertainty": 0.05}
    found = protective_distance(
        human_speed=v_h, robot_speed=v_r, reaction_time=t_r, table=table, **kept
    )
    assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=300)
@given(st.floats(0, 20), speeds, times, tables)
def test_the_inverse_gives_the_highest_speed_that_fits(distance, v_h, t_r, table):
    def needs(v):
        return moving(v_h, v, v, t_r, stopping_time(v, table.speeds, table.times))

    found = allowed_speed(distance, human_speed=v_h, reaction_time=t_r, table=table)
    expected = highest_speed(distance, needs)
    if expected < 99.0:
        assert found == pytest.approx(expected, abs=1e-6)
    if found > 0.0:
        assert needs(found) <= distance + 1e-9


@settings(max_examples=200)
@given(speeds, speeds, times, tables, st.floats(0, 2))
def test_more_speed_or_latency_never_needs_less(v_h, v_r, t_r, table, by):
    def need(v_h, v_r, t_r):
        return protective_distance(human_speed=v_h, robot_speed=v_r, reaction_time=t_r, table=table)

    least = need(v_h, v_r, t_r) - 1e-12
    assert need(v_h + by, v_r, t_r) >= least
    assert need(v_h, v_r + by, t_r) >= least
    assert need(v_h, v_r, t_r + by) >= least


@pytest.mark.parametrize(
    ("speed", "time"), [(0.0, 0.1), (0.25, 0.1), (0.375, 0.125), (0.75, 0.25), (1.5, 0.55)]
)
def test_times_are_linear_between_the_measured_ones(speed, time):
    assert TABLE.time(speed) == pytest.approx(time)


@settings(max_examples=100)
@given(st.floats(0, 2), tables)
def test_the_speed_that_stops_within_a_time_does_so_and_no_faster_one_does(time, table):
    speed = table.speed_stopping_within(time)
    if np.isfinite(speed):
        assert speed == 0.0 or table.time(speed) <= time + 1e-9
        assert table.time(speed + 1e-3) >= time
    else:
        assert table.time(1e3) <= time + 1e-9


def test_the_payload_is_interpolated():
    config = SafetyConfig(
        stopping_speeds=(0.0, 1.0),
        stopping_times=(0.0, 0.2, 0.0, 0.4),
        stopping_payloads=(0.0, 10.0),
        payload=5.0,
    )
    (table,) = braking(config)
    assert table.time(1.0) == pytest.approx(0.3)
    assert table.speed_stopping_within(0.15) == pytest.approx(0.5)


def test_every_robot_has_its_own_brakes():
    others = ("{frames: [a, b], radii: [0.1], deceleration: 0.5}", "{frames: [c, d], radii: [0.1]}")
    first, slow, like_the_first = braking(SafetyConfig(more_robots=others))
    assert slow.time(1.0) == pytest.approx(2.0)
    assert like_the_first.time(1.0) == first.time(1.0) == pytest.approx(1 / 3)


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


def test_the_payloads_of_a_table_rise_and_the_last_one_is_the_most():
    times = (0.0, 0.2, 0.0, 0.4, 0.0, 0.6)
    case = {"stopping_speeds": (0.0, 1.0), "stopping_times": times}
    assert brakes(**case, stopping_payloads=(0.0, 5.0, 10.0), payload=7.5).time(1.0) == (
        pytest.approx(0.5)
    )
    for payloads in ((0.0, 5.0, 5.0), (0.0, 5.0, 3.0)):
        with pytest.raises(ConfigError, match="the payloads must rise"):
            brakes(**case, stopping_payloads=payloads)


@pytest.mark.parametrize("speeds", [(0.25, 1.0), (0.0, 1.0), (1.5, 2.0)])
def test_below_the_first_speed_of_a_table_its_time_holds(speeds):
    table = StoppingTable.of(speeds, (0.2, 0.5))
    assert table.time([0.0, 0.5 * speeds[0], speeds[0]]) == pytest.approx([0.2, 0.2, 0.2])
    assert table.time(speeds[1]) == pytest.approx(0.5)
