"""Where the network is behind what needs no training, that speaks in its place, and says so."""

from __future__ import annotations

import numpy as np
import pytest
from untrained import FRAMED, make_weights

from ses_gcn_ros.forecast import ForecastConfig, Forecaster, build_engine
from ses_gcn_ros.forecast.adaptive import Due
from ses_gcn_ros.forecast.forecaster import GROUPS, OnlineScore
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.skeleton import Skeleton


def due(network: float, last: float, damped: float, kind: int = 0, arms: float = 1.0) -> Due:
    """Forecasts off by so much [m], those of the arms by a factor more."""
    errors = np.repeat(np.float32([network, network, last, damped])[:, None, None], 15, axis=2)
    errors[1, :, [10, 11, 13, 14]] *= arms
    return Due(errors, errors[0], np.ones(1), np.array([kind]))


def teach(score: OnlineScore, result: Due, seconds: float) -> None:
    for _ in range(round(25 * seconds)):
        score.observe([result], result.kinds[None], 0.04)


def test_the_network_is_used_until_it_is_known_to_be_behind():
    score = OnlineScore("chico15")
    teach(score, due(0.02, 0.01, 0.03), 10)
    assert (score.used == 1).all()
    assert score.warning() == ""
    teach(score, due(0.02, 0.01, 0.03), 13)
    assert score.used[0].tolist() == [2, 2, 2]
    assert (score.used[1:] == 1).all()
    assert "trunk of people standing (20 mm, last pose 10 mm)" in score.warning()


def test_only_the_group_that_is_behind_is_replaced_by_the_better_of_both():
    score = OnlineScore("chico15")
    teach(score, due(0.02, 0.05, 0.03, kind=1, arms=2), 30)
    assert score.used[1].tolist() == [3, 1, 1]
    network, last, damped = (np.full((25, 15, 3), value, np.float32) for value in (1, 2, 3))
    path, said = score.choose(1, network, [last, damped])
    assert said == "arms: damped_velocity"
    assert (path[:, [10, 11, 13, 14]] == 3).all()
    assert (np.delete(path, [10, 11, 13, 14], axis=1) == 1).all()
    assert score.choose(0, network, [last, damped]) == (network, "")
    assert (
        "network 40 mm, last pose 50 mm, damped velocity 30 mm"
        in score.report()["error arms working"]
    )


def test_a_tie_changes_nothing_and_a_network_that_catches_up_speaks_again():
    score = OnlineScore("chico15")
    teach(score, due(0.0104, 0.01, 0.02), 60)
    assert (score.used == 1).all()
    teach(score, due(0.03, 0.01, 0.02), 60)
    assert score.used[0].tolist() == [2, 2, 2]
    teach(score, due(0.005, 0.01, 0.02), 600)
    assert (score.used == 1).all()


def test_people_who_stand_still_are_forecast_by_their_pose_after_a_while(clip):
    engine = build_engine(make_weights(ModelConfig(widths=(16, 8), head="linear", **FRAMED)))
    forecaster = Forecaster(engine, ForecastConfig())
    pose = Skeleton("anna", "chico15", clip[0], np.ones(15, np.float32))
    for frame in range(25 * 25):
        forecaster.observe(frame / 25, [pose])
        (forecast,) = forecaster.forecast()
    assert forecast.model == f"untrained ({', '.join(f'{group}: last_pose' for group in GROUPS)})"
    np.testing.assert_allclose(forecast.positions, np.repeat(clip[None, 0], 25, axis=0), atol=1e-5)
    assert any("network behind" in reason for reason in forecaster.counts.fallbacks)
    unscored = Forecaster(engine, ForecastConfig(scored=False))
    for frame in range(25 * 25):
        unscored.observe(frame / 25, [pose])
        (forecast,) = unscored.forecast()
    assert forecast.model == "untrained"


@pytest.mark.parametrize("layout", ["chico15", "coco17", "h36m22"])
def test_every_joint_is_in_one_group(layout):
    assert (OnlineScore(layout).members.sum(axis=0) == 1).all()
