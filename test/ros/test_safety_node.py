"""The safety node over DDS: zones, services, what DDS says of publishers, the event log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.qos import LivelinessPolicy, QoSProfile
from std_msgs.msg import Float64
from std_srvs.srv import SetBool
from stream import PersonStream
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from ses_gcn_ros.audit import verify
from ses_gcn_ros.msg import SafetyState, SkeletonArray
from ses_gcn_ros.nodes import qos

DEADLINE, LEASE = 0.3, 1.0  # s asked of the skeletons
ZONE = "{name: hall, frame: cart, position: [0, 0, 1], size: [20, 20, 4], factor: 0.5}"


class Watch:
    """A safety node that watches a standing robot, and what it says."""

    def __init__(self, cell, log) -> None:
        self.cell, self.log = cell, log
        self.states = cell.listen(SafetyState, "safety_state", qos.STREAM)
        self.diagnostics = cell.listen(DiagnosticArray, "/diagnostics", qos.STREAM)
        self.markers = cell.listen(MarkerArray, "markers/safety", qos.STREAM)
        self.audit = log.parent / "audit" / "audit.jsonl"
        self.audit.parent.mkdir()
        frames = cell.publisher(TFMessage, "/tf_static", qos.LATCHED)
        frames.publish(TFMessage(transforms=[frame("low", 0.3), frame("high", 1.3), frame("cart")]))
        cell.start(
            "safety_node",
            robot_frames=["low", "high"],
            robot_radii=[0.07],
            zones=[ZONE],
            forecast_lost_factor=1.0,
            input_deadline=DEADLINE,
            input_lease=LEASE,
            disabled_factor=0.3,
            disable_timeout=600.0,
            event_log=str(log),
            audit_log=str(self.audit),
        )
        self.person = PersonStream(cell.node)
        cell.node.destroy_publisher(self.person.publisher)  # it offers no deadline
        cell.wait_for(lambda: self.states, "a state before anybody is seen")

    def wait_for(self, condition, what: str) -> SafetyState:
        """The first state from now on that a condition holds for."""
        seen = len(self.states)

        def answered():
            return next((state for state in self.states[seen:] if condition(state)), None)

        last = self.states[-1] if self.states else None
        return self.cell.wait_for(answered, f"{what}; last {last}")

    def wait_for_reason(self, words: str) -> SafetyState:
        return self.wait_for(lambda state: any(words in r for r in state.reasons), words)

    def wait_until_logged(self, words: str) -> None:
        self.cell.wait_for(lambda: words in self.log.read_text(), f"{words} in the event log")

    def call(self, service: str, request) -> SetBool.Response:
        client = self.cell.node.create_client(SetBool, service)
        self.cell.wait_for_services(client.service_is_ready, what=service)
        answer = client.call_async(request)
        return self.cell.wait_for(answer.result, f"an answer of {service}")


def offered(liveliness: LivelinessPolicy) -> QoSProfile:
    """A profile that is good enough for the node."""
    profile = qos.stream(deadline=DEADLINE / 2)
    profile.liveliness = liveliness
    profile.liveliness_lease_duration = Duration(seconds=LEASE / 2)
    return profile


def frame(name: str, height: float = 0.0) -> TransformStamped:
    """A frame of the world, so far from the sample's person that only zones matter."""
    transform = TransformStamped(child_frame_id=name)
    transform.header.frame_id = "world"
    transform.transform.translation.x = 0.0 if name == "cart" else 30.0
    transform.transform.translation.z = height
    transform.transform.rotation.w = 1.0
    return transform


@pytest.fixture(scope="module")
def watch(shared_cell, tmp_path_factory) -> Watch:
    return Watch(shared_cell, tmp_path_factory.mktemp("log") / "events.jsonl")


@pytest.fixture
def person(watch) -> Iterator[PersonStream]:
    """Somebody in the zone, who goes on from where the last test left them."""
    cell, person = watch.cell, watch.person
    person.publisher = cell.publisher(
        SkeletonArray, "skeletons", offered(LivelinessPolicy.AUTOMATIC)
    )
    cell.wait_for_listeners(person.publisher)
    person.start()
    watch.wait_for(lambda s: s.level == SafetyState.REDUCED and s.zone, "a zone")
    yield person
    person.stop()
    cell.node.destroy_publisher(person.publisher)


def test_a_publisher_that_promises_too_long_a_deadline_is_named(watch):
    profile = offered(LivelinessPolicy.AUTOMATIC)
    profile.deadline = Duration(seconds=2 * DEADLINE)
    stranger = watch.cell.publisher(SkeletonArray, "skeletons", profile)
    reason = "publisher of skeletons not heard: it offers an incompatible deadline"
    assert watch.wait_for_reason(reason).level == SafetyState.STOP
    watch.cell.node.destroy_publisher(stranger)


def test_a_person_in_a_zone_slows_the_robot_and_the_zone_is_named_and_drawn(watch, person):
    state = watch.wait_for(lambda s: s.level == SafetyState.REDUCED and s.zone, "a zone")
    assert state.zone == "hall"
    assert 0.0 < state.speed_factor <= 0.5
    assert state.human_speed > 0
    drawn = watch.cell.wait_for(
        lambda: [m for array in watch.markers for m in array.markers if m.ns == "zone/hall"],
        "the zone's marker",
    )
    assert drawn[0].type == Marker.CUBE
    assert (drawn[0].scale.x, drawn[0].scale.z) == (20.0, 4.0)


def test_switching_off_is_slow_said_and_diagnosed(watch, person):
    answer = watch.call("safety_node/enable", SetBool.Request(data=False))
    assert answer.success
    assert "monitoring is off for 600.0 s" in answer.message
    state = watch.wait_for_reason("monitoring disabled by ~/enable")
    assert state.level == SafetyState.REDUCED
    assert state.speed_factor <= 0.5

    def alarm():
        statuses = [s for array in watch.diagnostics for s in array.status if "safety" in s.name]
        errors = [s.message for s in statuses if s.level == DiagnosticStatus.ERROR]
        return any("monitoring disabled" in message for message in errors)

    watch.cell.wait_for(alarm, "an ERROR in /diagnostics")
    assert watch.call("safety_node/enable", SetBool.Request(data=True)).success
    watch.wait_for(lambda s: not any("disabled" in r for r in s.reasons), "monitoring")
    watch.wait_until_logged("monitoring disabled")


def test_silence_and_departure_are_named_as_dds_reports_them(watch, person):
    person.stop()
    missed = watch.wait_for_reason(f"skeletons missed the deadline of {DEADLINE:.2f} s")
    assert missed.level == SafetyState.STOP
    watch.cell.node.destroy_publisher(person.publisher)
    assert watch.wait_for_reason("publisher of skeletons gone").level == SafetyState.STOP


def test_a_publisher_that_does_not_assert_its_liveliness_is_named(watch):
    idle = watch.cell.publisher(
        SkeletonArray, "skeletons", offered(LivelinessPolicy.MANUAL_BY_TOPIC)
    )
    watch.cell.wait_for_listeners(idle)
    idle.publish(watch.person.messages[0])
    watch.wait_for_reason("publisher of skeletons not alive")
    watch.cell.node.destroy_publisher(idle)


def test_every_change_is_in_the_event_log(watch, person):
    person.stop()
    for words in ("zone hall", "missed the deadline"):
        watch.wait_until_logged(words)
    events = [json.loads(line) for line in watch.log.read_text().splitlines()]
    levels = [event["level"] for event in events]
    assert levels[0] == "STOP"
    first = " ".join(events[0]["reasons"])  # a start is no fault of a clock or of the node
    assert "no skeletons yet" in first
    assert "clock" not in first
    assert "late" not in first
    assert "REDUCED" in levels
    assert {"stopping_term", "people", "zone", "speed_factor"} <= set(events[0])


def test_the_audit_log_holds_what_was_done_and_nobody_changed_it(watch, person):
    watch.call("safety_node/enable", SetBool.Request(data=True))
    report = verify(watch.audit)
    assert report.ok, report
    events = [json.loads(line) for line in watch.audit.read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[:2] == ["begin", "activated"]
    assert {"state", "enable"} <= set(kinds)
    said = [reason for event in events for reason in event.get("reasons", ())]
    assert any("zone hall" in reason for reason in said)
    status = watch.cell.wait_for(lambda: status_with(watch, "audit_hash"), "a hash")
    assert verify(watch.audit, status["audit_hash"]).ok


def test_an_audit_log_that_cannot_be_written_is_an_error_and_the_node_goes_on(watch):
    away = watch.audit.parent.with_name("away")
    watch.audit.parent.rename(away)
    seen = len(watch.diagnostics)
    watch.call("/safety_node/enable", SetBool.Request(data=True))
    watch.wait_for_reason("audit_log: No such file or directory")

    def error():
        return any(
            status.level == DiagnosticStatus.ERROR and "audit_log" in status.message
            for array in watch.diagnostics[seen:]
            for status in array.status
        )

    watch.cell.wait_for(error, "an error in /diagnostics")
    away.rename(watch.audit.parent)
    watch.wait_for(lambda state: not any("audit_log" in r for r in state.reasons), "a log again")
    assert verify(watch.audit).ok
    last = [json.loads(line) for line in watch.audit.read_text().splitlines()]
    assert any(event.get("lost_events", 0) > 0 for event in last)


def status_with(watch, key: str):
    """Values of the latest status of the node that has a key."""
    for array in reversed(watch.diagnostics):
        for status in array.status:
            values = {entry.key: entry.value for entry in status.values}
            if key in values:
                return values
    return None


@pytest.mark.parametrize(
    ("kind", "topic"),
    [(SkeletonArray, "skeletons"), (Float64, "speed_scaling"), (SafetyState, "safety_state")],
)
def test_a_second_voice_stops_the_robot_by_name(watch, kind, topic):
    watch.wait_for(lambda state: not any("publishers" in r for r in state.reasons), "one voice")
    others = [watch.cell.node.create_publisher(kind, topic, qos.STREAM) for _ in range(2)]
    state = watch.wait_for_reason(f"publishers of {topic}, where one is to speak")
    assert (state.level, state.speed_factor) == (SafetyState.STOP, 0.0)
    assert "/tester" in " ".join(state.reasons)
    for other in others:
        watch.cell.node.destroy_publisher(other)
    watch.wait_for(lambda state: not any("publishers" in r for r in state.reasons), "one voice")
