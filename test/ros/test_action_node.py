"""The action node over DDS: labels for everybody, through gaps, bad messages and a restart."""

from __future__ import annotations

import copy
import dataclasses
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from stream import PersonStream

from ses_gcn_ros.actions.weights import write_action_weights
from ses_gcn_ros.msg import ActionArray
from ses_gcn_ros.nodes import qos

sys.path.append(str(Path(__file__).resolve().parents[1] / "actions"))
from small_network import random_weights


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """Weights whose answers are all sure enough."""
    path = tmp_path / "small.safetensors"
    write_action_weights(path, dataclasses.replace(random_weights(width=4), threshold=0.0))
    return str(path)


def started(cell, weights: str):
    actions = cell.listen(ActionArray, "actions", qos.STREAM)
    process = cell.start("action_node", weights=weights)
    person = PersonStream(cell.node)
    cell.wait_for_listeners(person.publisher)
    person.start()
    return actions, person, process


def labels(actions: list[ActionArray]) -> list[str]:
    return [one.label for message in actions for one in message.actions]


def test_everybody_gets_a_label_that_says_what_it_rests_on(cell, weights: str):
    actions, _, process = started(cell, weights)
    cell.wait_for(lambda: set(labels(actions)) - {"unknown"}, "a label")
    message = actions[-1]
    (one,) = message.actions
    assert message.header.frame_id
    assert list(one.labels) == ["idle", "walk", "reach"]
    assert one.label in one.labels
    assert sum(one.probabilities) == pytest.approx(1, abs=1e-4)
    assert one.probability == pytest.approx(max(one.probabilities))
    assert one.window == pytest.approx(1.2)
    assert len(one.importance) == len(one.joints) == 9
    since = one.since.sec + one.since.nanosec * 1e-9
    assert since <= message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_a_cut_cable_bad_messages_and_unseen_joints_are_survived(cell, weights: str):
    actions, person, process = started(cell, weights)
    diagnostics = cell.listen(DiagnosticArray, "/diagnostics", 10)
    cell.wait_for(lambda: set(labels(actions)) - {"unknown"}, "a label")
    person.stop()
    stopped = cell.node.get_clock().now()
    good = person.messages[0]
    bad = []
    for spoil in ("layout", "length", "twice", "frame"):
        message = copy.deepcopy(good)
        if spoil == "layout":
            message.skeletons[0].layout = "octopus"
        elif spoil == "length":
            message.skeletons[0].positions = message.skeletons[0].positions[:5]
        elif spoil == "twice":
            message.skeletons = [message.skeletons[0], message.skeletons[0]]
        else:
            message.header.frame_id = ""
        bad.append(message)
    for message in bad:
        message.header.stamp = cell.node.get_clock().now().to_msg()
        person.publisher.publish(message)

    def problems() -> bool:
        values = {v.key for m in diagnostics for s in m.status for v in s.values}
        return "problem InputError" in values

    cell.wait_for(problems, "the bad messages in the diagnostics")
    for message in person.messages:  # from here on the right arm is out of sight
        for skeleton in message.skeletons:
            positions = np.array(skeleton.positions).reshape(-1, 3)
            positions[9:12] = np.nan
            skeleton.positions = positions.ravel().tolist()
    # A gap as long as this begins anew: first nothing is known, then something is. Diagnostics may
    # have come sooner than the half second that is bridged.
    cell.wait_for(lambda: cell.node.get_clock().now() - stopped > Duration(seconds=1), "a gap")
    actions.clear()
    person.start()
    cell.wait_for(
        lambda: "unknown" in labels(actions),
        lambda: f"unknown after the gap; there were {set(labels(actions))}",
    )
    cell.wait_for(lambda: set(labels(actions)) - {"unknown"}, "a label after the gap")
    assert process.poll() is None


def test_another_body_under_the_same_name_begins_anew(cell, weights: str):
    """Trackers exchange identities; what the first did says nothing of the second."""
    actions, person, process = started(cell, weights)
    cell.wait_for(lambda: set(labels(actions)) - {"unknown"}, "a label")
    first = labels(actions)[-1]
    for message in person.messages:
        for skeleton in message.skeletons:
            positions = np.array(skeleton.positions).reshape(-1, 3) + np.array([4.0, 0, 0])
            skeleton.positions = positions.ravel().tolist()
    actions.clear()
    cell.wait_for(lambda: "unknown" in labels(actions), "unknown after the exchange")
    after = labels(actions)
    assert set(after[: after.index("unknown")]) <= {first}
    cell.wait_for(lambda: labels(actions)[-1] != "unknown", "a label of the second")
    changed = next(one for m in actions for one in m.actions if one.label == "unknown")
    again = actions[-1].actions[0]
    waited = [one.since.sec + one.since.nanosec * 1e-9 for one in (changed, again)]
    assert waited[1] - waited[0] >= 0.5  # 60 % of a window of 1.2 s has to be seen first
    assert process.poll() is None


def test_weights_that_are_missing_end_the_node_with_a_sentence(cell, tmp_path: Path):
    process = cell.start("action_node", weights=str(tmp_path / "nowhere.safetensors"))
    said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 1
    assert "there are no weights at" in said


def test_a_killed_node_comes_back_with_nothing_remembered(cell, weights: str):
    actions, _, process = started(cell, weights)
    cell.wait_for(lambda: set(labels(actions)) - {"unknown"}, "a label")
    process.kill()
    process.wait(10)
    actions.clear()
    cell.start("action_node", weights=weights)
    cell.wait_for(lambda: actions, "the new node")
    assert labels(actions)[0] == "unknown"
    cell.wait_for(lambda: set(labels(actions)) - {"unknown"}, "a label of the new node")
