"""Protective separation distance: cases worked by hand, its inverse, and what it must never do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety import allowed_speed, protective_distance, protective_terms

speeds = st.floats(0, 5)
times = st.floats(0, 2)
rates = st.floats(0.1, 20)
lengths = st.floats(0, 1)
braking = st.one_of(
    st.fixed_dictionaries({"deceleration": rates}), st.fixed_dictionaries({"stopping_time": times})
)
keeping = st.fixed_dictionaries(
    {
        "reaction_time": times,
        "intrusion": lengths,
        "human_uncertainty": lengths,
        "robot_uncertainty": lengths,
    }
)


def test_by_hand_with_a_deceleration():
    # T_s = 1/2 = 0.5; S_h = 1.6 × 0.6 = 0.96; S_r = 0.1; S_s = 1/4 = 0.25
    terms = protective_terms(
        human_speed=1.6,
        robot_speed=1.0,
        reaction_time=0.1,
        deceleration=2.0,
        intrusion=0.1,
        human_uncertainty=0.05,
        robot_uncertainty=0.01,
    )
    assert terms.human == pytest.approx(0.96)
    assert terms.reaction == pytest.approx(0.10)
    assert terms.stopping == pytest.approx(0.25)
    assert terms.total == pytest.approx(0.96 + 0.10 + 0.25 + 0.16)


def test_by_hand_with_a_stopping_time():
    # S_h = 2 × (0.2 + 0.4) = 1.2; S_r = 0.3; S_s = ½ × 1.5 × 0.4 = 0.3
    distance = protective_distance(
        human_speed=2.0, robot_speed=1.5, reaction_time=0.2, stopping_time=0.4
    )
    assert distance == pytest.approx(1.8)


def test_a_standing_robot_needs_the_distance_of_the_reaction_alone():
    distance = protective_distance(
        human_speed=1.6, robot_speed=0.0, reaction_time=0.15, deceleration=3.0, intrusion=0.1
    )
    assert distance == pytest.approx(1.6 * 0.15 + 0.1)


def test_whoever_moves_away_counts_as_standing():
    standing = {"human_speed": 0.0, "robot_speed": 0.0}
    leaving = {"human_speed": -1.0, "robot_speed": -2.0}
    kept = {"reaction_time": 0.2, "deceleration": 3.0, "intrusion": 0.1}
    assert protective_distance(**leaving, **kept) == protective_distance(**standing, **kept)


def test_speed_allowed_by_hand():
    # √(1.6² + 0.2² + 2·2·(1.5 − 0.16)) − 0.2 − 1.6 with aT_r = 0.2
    speed = allowed_speed(
        1.5,
        human_speed=1.6,
        reaction_time=0.1,
        deceleration=2.0,
        intrusion=0.1,
        human_uncertainty=0.05,
        robot_uncertainty=0.01,
    )
    assert speed == pytest.approx(np.sqrt(2.56 + 0.04 + 4 * 1.34) - 1.8)


@settings(max_examples=500)
@given(st.floats(0, 20), speeds, keeping, braking)
def test_the_inverse_gives_the_speed_whose_distance_it_is(distance, human_speed, kept, brake):
    speed = allowed_speed(distance, human_speed=human_speed, **kept, **brake)
    assert speed >= 0
    assume(0 < speed < 1e6)
    needed = protective_distance(human_speed=human_speed, robot_speed=speed, **kept, **brake)
    assert needed == pytest.approx(distance, abs=1e-9)


@settings(max_examples=300)
@given(st.floats(0, 5), speeds, speeds, keeping, braking)
def test_any_speed_is_allowed_exactly_where_its_distance_fits(
    distance, human_speed, robot_speed, kept, brake
):
    needed = protective_distance(human_speed=human_speed, robot_speed=robot_speed, **kept, **brake)
    allowed = allowed_speed(distance, human_speed=human_speed, **kept, **brake)
    if allowed > robot_speed + 1e-9:
        assert needed <= distance + 1e-9
    if robot_speed > allowed + 1e-9:
        assert needed >= distance - 1e-9


@settings(max_examples=300)
@given(
    speeds,
    speeds,
    keeping,
    braking,
    st.sampled_from(
        [
            "human_speed",
            "robot_speed",
            "reaction_time",
            "stopping_time",
            "intrusion",
            "human_uncertainty",
            "robot_uncertainty",
        ]
    ),
    st.floats(0, 2),
)
def test_more_speed_latency_or_uncertainty_never_needs_less(
    human_speed, robot_speed, kept, brake, raised, by
):
    assume(raised != "stopping_time" or raised in brake)
    case = {"human_speed": human_speed, "robot_speed": robot_speed, **kept, **brake}
    more = {**case, raised: case[raised] + by}
    assert protective_distance(**more) >= protective_distance(**case) - 1e-12
    del case["robot_speed"], more["robot_speed"]
    assert allowed_speed(1.0, **more) <= allowed_speed(1.0, **case) + 1e-12


@settings(max_examples=200)
@given(speeds, speeds, keeping, rates, st.floats(0, 5))
def test_better_brakes_never_need_more(human_speed, robot_speed, kept, rate, by):
    case = {"human_speed": human_speed, "robot_speed": robot_speed, **kept}
    assert protective_distance(**case, deceleration=rate + by) <= protective_distance(
        **case, deceleration=rate
    )


def test_arguments_broadcast():
    speeds_toward = np.linspace(0, 2, 5)
    distances = protective_distance(
        human_speed=speeds_toward[:, None],
        robot_speed=speeds_toward,
        reaction_time=0.1,
        deceleration=3.0,
    )
    assert distances.shape == (5, 5)
    assert distances[2, 3] == protective_distance(
        human_speed=speeds_toward[2],
        robot_speed=speeds_toward[3],
        reaction_time=0.1,
        deceleration=3.0,
    )


def test_an_unknown_distance_allows_no_known_speed():
    assert np.isnan(allowed_speed(np.nan, human_speed=1.6, reaction_time=0.1, deceleration=3.0))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"reaction_time": -0.1}, "reaction_time is -0.1"),
        ({"deceleration": 0.0}, "deceleration is 0.0"),
        ({"deceleration": None}, "one of deceleration, stopping_time and stopping_table"),
        ({"stopping_time": 0.3}, "one of deceleration, stopping_time and stopping_table"),
        ({"intrusion": -1.0}, "intrusion is -1.0"),
    ],
)
def test_impossible_arguments_are_refused(changed, sentence):
    case = {"human_speed": 1.6, "robot_speed": 1.0, "reaction_time": 0.1, "deceleration": 3.0}
    with pytest.raises(InputError, match=sentence):
        protective_distance(**{**case, **changed})
