"""A bad message is counted, named in /diagnostics and never forecast; the node stays up."""

from __future__ import annotations

import copy
from array import array

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
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
    message.header.stamp.sec -= 1  # farther back, it would be a clock that was set back


class Forecasting:
    """A forecaster, the person it sees, and what it says."""

    def __init__(self, cell) -> None:
        self.cell = cell
        self.forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
        self.diagnostics = cell.listen(DiagnosticArray, "/diagnostics", 10)
        self.process = cell.start("forecaster_node")
        self.person = PersonStream(cell.node)
        cell.wait_for_listeners(self.person.publisher)

    def see(self) -> None:
        """Show it the person until five forecasts have come."""
        self.person.start()
        seen = len(self.forecasts)
        self.cell.wait_for(lambda: len(self.forecasts) >= seen + 5, "five forecasts")
        self.person.stop()

    def problems(self) -> int:
        """Bad messages counted in the latest diagnostics."""
        statuses = [status for message in self.diagnostics for status in message.status]
        values = statuses[-1].values if statuses else []
        return sum(int(v.value) for v in values if v.key == "problem InputError")


@pytest.fixture(scope="module")
def forecasting(shared_cell) -> Forecasting:
    return Forecasting(shared_cell)


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
def test_the_forecaster_counts_a_message_and_goes_on(forecasting, spoil):
    forecasting.see()
    before = forecasting.problems()
    bad = copy.deepcopy(forecasting.person.messages[0])
    bad.header.stamp = forecasting.cell.node.get_clock().now().to_msg()
    spoil(bad)
    forecasting.person.publisher.publish(bad)
    forecasting.cell.wait_for(
        lambda: forecasting.problems() == before + 1, "the problem in /diagnostics"
    )
    stamps = [forecast.header.stamp for forecast in forecasting.forecasts]
    assert bad.header.stamp not in stamps, "it was forecast"
    forecasting.see()
    assert forecasting.process.poll() is None


def test_unseen_joints_are_no_bad_message(forecasting):
    before = forecasting.problems()
    for message in forecasting.person.messages:
        skeleton = message.skeletons[0]
        skeleton.positions[6:9] = array("f", [float("nan")] * 3)  # r_knee
        skeleton.confidence[2] = 0.0
    forecasting.see()
    forecasting.see()
    forecast = forecasting.forecasts[-1].forecasts[0]
    assert len(forecast.positions) == forecast.steps * 45
    assert forecasting.problems() == before


def test_a_silent_input_is_an_error_in_the_diagnostics(forecasting):
    forecasting.see()

    def silent() -> list[DiagnosticStatus]:
        said = [status for message in forecasting.diagnostics[-1:] for status in message.status]
        return [status for status in said if status.message.startswith("no skeletons for")]

    (status,) = forecasting.cell.wait_for(silent, "a word on the silence")
    assert status.level == DiagnosticStatus.ERROR
    forecasting.see()
