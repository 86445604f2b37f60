"""Forecasts take their places in the stream of events, whatever blocks they were made in."""

from __future__ import annotations

import numpy as np
import pytest

from ses_gcn_ros import forecast
from ses_gcn_ros.bags.bag_messages import Observation
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.replay import forecasting
from ses_gcn_ros.replay.events import Event
from ses_gcn_ros.replay.forecasting import with_forecasts
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
            Event(stamp, "tf", []),
            Event(stamp, "forecasts", (stamp, "world", [])),  # recorded: left out
            Event(stamp, "people", Observation(stamp, frame_id, [person])),
            Event(stamp, "tf", []),
        ]
    return events


@pytest.mark.parametrize("block", [1, 7, 32])
def test_every_observation_is_followed_by_its_forecasts(engine, monkeypatch, block):
    monkeypatch.setattr(forecasting, "_BLOCK", block)
    frames = {20: "", 21: "world", 30: "map", 50: ""}
    found = list(with_forecasts(stream(60, frames), engine, CONFIG))
    kinds = [event.kind for event in found]
    refused = [number for number in range(60) if number == 20 or number >= 50]
    for number in range(60):
        answer = "refused" if number in refused else "forecasts"
        assert kinds[4 * number : 4 * number + 4] == ["tf", "people", answer, "tf"]
    made = [event.content for event in found if event.kind == "forecasts"]
    assert [frame for _, frame, _ in made] == ["world"] * 29 + ["map"] * 20
    by_model = [forecasts[0].model == engine.name for _, _, forecasts in made]
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
    assert [next(events).kind for _ in range(20)] == ["tf", "people", "forecasts", "tf"] * 5


def test_long_silence_is_not_kept(engine):
    transforms = iter([Event(100.0, "tf", [])] * 5000)
    next(with_forecasts(transforms, engine, CONFIG))
    assert len(list(transforms)) >= 4000
