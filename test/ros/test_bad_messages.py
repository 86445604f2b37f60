"""A bad message is counted, named in /diagnostics and never forecast; the node stays up."""

from __future__ import annotations

import copy
from array import array

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from stream import PersonStream

from ses_gcn_ros.msg import ForecastArray
from ses_gcn_ros.nodes import qos


def with_unknown_layout(message):
    message.skeletons[0].layout = "octopus8"


def with_short_positions(message):
    message.skeletons[0].positions = message.skeletons[0].positions[:-1]


def with_infinite_joint(message):
    message.skeletons[0].positions[4] = float("inf")


def with_the_same_person_twice(message):
    message.skeletons.append(copy.deepcopy(message.skeletons[0]))


def without_frame(message):
    message.header.frame_id = ""


def from_the_past(message):
    message.header.stamp.sec -= 10


@pytest.mark.parametrize(
    "spoil",
    [
        with_unknown_layout,
        with_short_positions,
        with_infinite_joint,
        with_the_same_person_twice,
        without_frame,
        from_the_past,
    ],
)
def test_the_forecaster_survives_a_message(cell, spoil):
    forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
    diagnostics = cell.listen(DiagnosticArray, "/diagnostics", 10)
    process = cell.start("forecaster_node")
    person = PersonStream(cell.node)
    cell.wait_for_listeners(person.publisher)
    person.start()
    cell.wait_for(lambda: len(forecasts) >= 5, "forecasts of good messages")
    person.stop()

    bad = copy.deepcopy(person.messages[0])
    bad.header.stamp = cell.node.get_clock().now().to_msg()
    spoil(bad)
    person.publisher.publish(bad)

    def counted():
        values = [v for d in diagnostics for s in d.status for v in s.values]
        return any(value.key.startswith("problem InputError") for value in values)

    cell.wait_for(counted, "the problem in /diagnostics")
    seen = len(forecasts)
    assert all(f.header.stamp != bad.header.stamp for f in forecasts), "it was forecast"
    person.start()
    cell.wait_for(lambda: len(forecasts) >= seen + 5, "forecasts after the bad message")
    assert process.poll() is None


def test_unseen_joints_are_no_bad_message(cell):
    forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
    cell.start("forecaster_node")
    person = PersonStream(cell.node)
    for message in person.messages:
        skeleton = message.skeletons[0]
        skeleton.positions[6:9] = array("f", [float("nan")] * 3)  # r_knee
        skeleton.confidence[2] = 0.0
    cell.wait_for_listeners(person.publisher)
    person.start()
    cell.wait_for(lambda: len(forecasts) >= 15, "forecasts of a person with an unseen knee")
    forecast = forecasts[-1].forecasts[0]
    assert len(forecast.positions) == forecast.steps * 45
