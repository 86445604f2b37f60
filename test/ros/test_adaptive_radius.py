"""The forecaster says how well its radius holds, and remembers it over a restart."""

from __future__ import annotations

import signal

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from stream import PersonStream

from ses_gcn_ros import forecast
from ses_gcn_ros.forecast import AdaptiveRadius, ForecastConfig
from ses_gcn_ros.msg import Action, ActionArray, ForecastArray
from ses_gcn_ros.nodes import qos


def test_coverage_is_in_the_diagnostics_and_learnt_state_on_disk(cell, tmp_path):
    state = tmp_path / "state" / "radius.npz"
    forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
    diagnostics = cell.listen(DiagnosticArray, "/diagnostics", 10)
    process = cell.start("forecaster_node", adaptive_state=str(state))
    person = PersonStream(cell.node)
    cell.wait_for_listeners(person.publisher)
    person.start()

    def coverage() -> float | None:
        statuses = [status for message in diagnostics for status in message.status]
        values = {value.key: value.value for value in statuses[-1].values} if statuses else {}
        return float(values["coverage step 1"]) if "coverage step 1" in values else None

    covered = cell.wait_for(coverage, "coverage in the diagnostics")
    assert 0 <= covered <= 1
    cell.wait_for(lambda: len(forecasts) > 40, "forecasts that have fallen due")
    person.stop()
    process.send_signal(signal.SIGINT)
    process.wait(10)

    engine = forecast.load(device="cpu")
    radius = AdaptiveRadius(engine.radius, engine.coverage, ForecastConfig())
    radius.restore(state)
    assert radius.seconds > 0.5
    assert not np.array_equal(radius.factor, np.ones_like(radius.factor))


def test_what_people_do_has_a_radius_of_its_own_while_it_is_told(cell):
    diagnostics = cell.listen(DiagnosticArray, "/diagnostics", 10)
    cell.start("forecaster_node", adaptive_state="none", adaptive_actions=True)
    person = PersonStream(cell.node)
    actions = cell.node.create_publisher(ActionArray, "actions", qos.STREAM)
    cell.wait_for_listeners(person.publisher, actions)
    person.start()
    name = person.messages[0].skeletons[0].person_id
    told = ActionArray(actions=[Action(person_id=name, label="walk")])

    def walking() -> str | None:
        actions.publish(told)
        statuses = [status for message in diagnostics for status in message.status]
        values = {value.key: value.value for value in statuses[-1].values} if statuses else {}
        return values.get("radius of walk")

    assert cell.wait_for(walking, "the radius of an action").startswith("factor ")


def test_a_damaged_state_is_warned_of_and_the_node_runs(cell, tmp_path):
    state = tmp_path / "radius.npz"
    state.write_bytes(b"damaged")
    forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
    process = cell.start("forecaster_node", adaptive_state=str(state))
    person = PersonStream(cell.node)
    cell.wait_for_listeners(person.publisher)
    person.start()
    cell.wait_for(lambda: len(forecasts) > 12, "forecasts")
    person.stop()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1].decode()
    assert "the radius starts as calibrated: " in said
