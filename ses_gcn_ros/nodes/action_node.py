"""skeletons → actions: what everybody is doing, or that it is not known."""

from __future__ import annotations

import time
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from ses_gcn_ros.actions.recogniser import Action, ActionConfig, Recogniser
from ses_gcn_ros.actions.weights import UNKNOWN, read_action_weights
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.msg import Action as ActionMsg
from ses_gcn_ros.msg import ActionArray, SkeletonArray
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import flat, skeletons_from_message, to_seconds, to_time
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.nodes.markers import MarkerBoard, action_markers

_SILENCE = 1.0  # s without skeletons after which it is diagnosed


class ActionNode(ManagedNode):
    """Recognise what everybody in `skeletons` does and publish `actions`."""

    config_type = ActionConfig
    config: ActionConfig

    def __init__(self) -> None:
        super().__init__()
        self.recogniser: Recogniser | None = None
        self.actions: list[Action] = []

    def configure(self) -> None:
        """Load the weights."""
        weights = read_action_weights(self.config.weights or None)
        self.recogniser = Recogniser(weights, self.config)
        self.frame_id = ""
        self.get_logger().info(f"{weights.name}: {', '.join(weights.labels)}, or {UNKNOWN}")

    def activate(self) -> None:
        """Subscribe and publish."""
        self.board, self.received = MarkerBoard(), time.monotonic()
        self.answers = self.publisher(ActionArray, "actions", qos.STREAM)
        self.markers = self.publisher(MarkerArray, "markers/actions", qos.STREAM)
        profile = qos.stream(self.config.reliability)
        self.subscription(SkeletonArray, "skeletons", self.on_skeletons, profile)

    def release(self) -> None:
        """Give the weights' memory back."""
        self.recogniser, self.actions = None, []

    def on_skeletons(self, message: SkeletonArray) -> None:
        """Recognise from one more observation of everybody."""
        assert self.recogniser is not None  # messages come after configuring
        self.received, header = time.monotonic(), message.header
        if not header.frame_id:
            raise InputError("skeletons came without a frame_id; set it to a frame with z up")
        people = skeletons_from_message(message)
        if header.frame_id != self.frame_id:
            self.recogniser.forget()  # histories in another frame would look like a jump
            self.frame_id = header.frame_id
        self.recogniser.observe(to_seconds(header.stamp), people)
        self.actions = self.recogniser.recognise()
        self.answers.publish(actions_message(header, self.actions, self.recogniser))
        if self.markers.get_subscription_count():
            names = self.recogniser.canonical
            self.markers.publish(
                self.board.show(header, action_markers(people, self.actions, names))
            )

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """People, what they do, and why it is not known."""
        if self.recogniser is None:
            return DiagnosticStatus.WARN, "no weights", {}
        values: dict[str, object] = {
            "people": len(self.actions),
            "model": self.recogniser.weights.name,
        }
        for action in self.actions:
            reason = f" ({action.reason})" if action.reason else ""
            values[f"person {action.person_id}"] = f"{action.label}{reason}"
        silent = time.monotonic() - self.received
        if silent > _SILENCE:
            return DiagnosticStatus.ERROR, f"no skeletons for {silent:.1f} s", values
        if self.statistics.problems:
            text = f"some messages could not be used: {self.statistics.last}"
            return DiagnosticStatus.WARN, text, values
        return DiagnosticStatus.OK, "recognising", values


def actions_message(header: Header, actions: list[Action], recogniser: Recogniser) -> ActionArray:
    """ActionArray of what everybody does."""
    weights = recogniser.weights
    labels = list(weights.labels)
    message = ActionArray(header=header)
    for action in actions:
        message.actions.append(
            ActionMsg(
                person_id=action.person_id,
                label=action.label,
                probability=action.probability,
                labels=labels,
                probabilities=flat(action.probabilities),
                since=to_time(action.since),
                window=weights.window.duration,
                joints=list(recogniser.canonical),
                importance=flat(action.importance),
                model=weights.name,
            )
        )
    return message
