"""What goes to another process comes out as it went in."""

from __future__ import annotations

import numpy as np

from ses_gcn_ros.bags.bag_messages import Observation
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.replay.events import Event
from ses_gcn_ros.replay.parcels import pack, unpack
from ses_gcn_ros.skeleton import Skeleton, get_layout

RNG = np.random.default_rng(0)


def person(name: str, layout: str) -> Skeleton:
    joints = len(get_layout(layout).joints)
    positions = RNG.normal(size=(joints, 3)).astype(np.float32)
    positions[1] = np.nan
    return Skeleton(name, layout, positions, RNG.random(joints).astype(np.float32))


def forecast(name: str, steps: int, radius: np.ndarray) -> Forecast:
    positions = RNG.normal(size=(steps, 15, 3)).astype(np.float32)
    return Forecast(name, "chico15", 5.0, 0.04, positions, radius, 0.95, "m")


def fields(content: object) -> dict[str, object]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(content).items()}


def assert_same(one: Event, other: Event) -> None:
    assert (one.time, one.kind) == (other.time, other.kind)
    if one.kind == "people":
        assert one.content[:2] == other.content[:2]
        pairs = zip(one.content.people, other.content.people, strict=True)
    elif one.kind == "forecasts":
        assert one.content[:2] == other.content[:2]
        pairs = zip(one.content[2], other.content[2], strict=True)
    else:
        np.testing.assert_equal(one.content, other.content)
        return
    for first, second in pairs:
        np.testing.assert_equal(fields(first), fields(second))


def test_every_kind_of_event_arrives():
    radius = RNG.random((25, 15)).astype(np.float32)
    alike = [person("a", "chico15"), person("b", "chico15")]
    events = [
        Event(1.0, "people", Observation(1.0, "world", alike)),
        Event(1.1, "people", Observation(1.1, "world", [*alike, person("c", "coco17")])),
        Event(1.2, "people", Observation(1.2, "", [])),
        Event(1.3, "forecasts", (1.3, "world", [forecast("a", 25, radius)] * 2)),
        Event(
            1.4,
            "forecasts",
            (1.4, "world", [forecast("a", 25, radius), forecast("b", 5, radius[:5])]),
        ),
        Event(1.5, "forecasts", (1.5, "world", [])),
        Event(1.6, "tick", (1.58, RNG.normal(size=(7, 4, 4)))),
        Event(1.7, "tick", "tf of base missing"),
        Event(1.8, "refused", ("tf", "a sentence")),
    ]
    for sent, arrived in zip(events, unpack(pack(events)), strict=True):
        assert_same(arrived, sent)


def test_an_error_arrives_behind_what_came_before():
    first, second = unpack(pack([Event(1.0, "refused", ("tf", "x")), BagError("damaged")]))
    assert first == Event(1.0, "refused", ("tf", "x"))
    assert isinstance(second, BagError)
    assert str(second) == "damaged"
