"""Forecasts take their places in the stream of events, whatever blocks they were made in."""

from __future__ import annotations

import numpy as np
import pytest

from ses_gcn_ros import forecast
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.replay import chain
from ses_gcn_ros.replay.chain import with_forecasts
from ses_gcn_ros.replay.events import Event, PeopleForecast, PeopleSeen, Refused, Transforms
from ses_gcn_ros.skeleton import Skeleton

CONFIG = forecast.ForecastConfig()


@pytest.fixture(scope="module")
def engine() -> forecast.Engine:
    return forecast.load()


def stream(count: int, frames: dict[int, str]) -> list[Event]:
    """People at 25 Hz, each between two transforms; `frames` says from when on in which frame."""
    events, frame_id = [], "world"
    pose = np.random.default_rng(0).normal(size=(15, 3)).astype(np.float32)
    for number in range(count):
        frame_id = frames.get(number, frame_id)
        stamp = 100 + number / 25
        person = Skeleton("1", "chico15", pose + np.float32(0.01 * number), np.ones(15, np.float32))
        events += [
            Transforms(stamp, [], static=False),
            PeopleForecast(stamp, stamp, "world", []),  # recorded: left out
            PeopleSeen(stamp, stamp, frame_id, [person]),
            Transforms(stamp, [], static=False),
        ]
    return events


@pytest.mark.parametrize("block", [1, 7, 32])
def test_every_observation_is_followed_by_its_forecasts(engine, monkeypatch, block):
    monkeypatch.setattr(chain, "_BLOCK", block)
    frames = {20: "", 21: "world", 30: "map", 50: ""}
    found = list(with_forecasts(stream(60, frames), engine, CONFIG))
    kinds = [type(event) for event in found]
    refused = [number for number in range(60) if number == 20 or number >= 50]
    for number in range(60):
        answer = Refused if number in refused else PeopleForecast
        assert kinds[4 * number : 4 * number + 4] == [Transforms, PeopleSeen, answer, Transforms]
    made = [event for event in found if isinstance(event, PeopleForecast)]
    assert [event.frame_id for event in made] == ["world"] * 29 + ["map"] * 20
    by_model = [event.forecasts[0].model == engine.name for event in made]
    assert by_model[9:29] == [True] * 20
    assert not any(by_model[29:38])  # in another frame everything begins anew


def test_an_error_comes_behind_what_came_before_it(engine):
    def damaged():
        yield from stream(5, {})
        raise BagError("the bag ends here")

    heard = []
    with pytest.raises(BagError, match="ends here"):
        heard.extend(with_forecasts(damaged(), engine, CONFIG))
    events = with_forecasts(damaged(), engine, CONFIG)
    block = [Transforms, PeopleSeen, PeopleForecast, Transforms]
    assert [type(next(events)) for _ in range(20)] == block * 5


def test_long_silence_is_not_kept(engine):
    transforms = iter([Transforms(100.0, [], static=False)] * 5000)
    next(with_forecasts(transforms, engine, CONFIG))
    assert len(list(transforms)) >= 4000
