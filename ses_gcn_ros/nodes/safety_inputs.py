"""What the safety node hears, and what DDS says about those who speak."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.duration import Duration
from rclpy.event_handler import (
    QoSLivelinessChangedInfo,
    QoSRequestedDeadlineMissedInfo,
    QoSRequestedIncompatibleQoSInfo,
    QoSSubscriptionMatchedInfo,
    SubscriptionEventCallbacks,
)
from sensor_msgs.msg import JointState

from ses_gcn_ros import msg
from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import (
    forecasts_from_msg,
    message_type,
    skeletons_from_msg,
    to_seconds,
)
from ses_gcn_ros.nodes.frames import Frames
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.safety import SafetyConfig, SeparationMonitor


class SafetyInputs:
    """Subscriptions that feed a monitor.

    Parameters
    ----------
    node : ManagedNode
        Opens them while it is active.
    watch : SeparationMonitor
    then : callable
        Called after each message of forecasts, so that the answer need not wait for a timer.

    Raises
    ------
    InputError
        If the message type of the trajectories is not installed.
    """

    def __init__(
        self, node: ManagedNode, watch: SeparationMonitor, then: Callable[[], None]
    ) -> None:
        self._node, self._watch, self._then = node, watch, then
        config: SafetyConfig = watch.config
        self.frames = Frames(node, config.world_frame)
        self._publishers: dict[str, Callable[[], int]] = {}
        profile = qos.stream(config.reliability, config.input_deadline or None)
        if config.input_lease:
            profile.liveliness_lease_duration = Duration(seconds=config.input_lease)
        self._listen("skeletons", msg.SkeletonArray, self.on_skeletons, profile)
        self._listen("forecasts", msg.ForecastArray, self.on_forecasts, profile)
        if config.action_limits:
            self._listen("actions", msg.ActionArray, self.on_actions, qos.stream())
        if watch.joints and config.joint_states:
            best_effort = qos.stream("best_effort")  # hears reliable publishers as well
            handler = node.guarded(self.on_joint_states)
            node.while_active(
                node.create_subscription(JointState, config.joint_states, handler, best_effort)
            )
        if watch.joints and config.trajectory:
            kind = message_type(config.trajectory_type)
            handler = node.guarded(self.on_trajectory)
            node.while_active(
                node.create_subscription(kind, config.trajectory, handler, qos.STREAM)
            )

    def publishers(self) -> dict[str, int]:
        """How many publishers each stream of people has."""
        return {source: count() for source, count in self._publishers.items()}

    def look_for_others(self, outputs: Sequence[str]) -> None:
        """Stop where more than one speaks: of people or forecasts, or on this node's own topics.

        A second publisher of people, empty and fresher, would silence the first; a second safety
        node would tell the robot to go on.
        """
        # also those that DDS does not match with this node: others may hear them
        node = self._node
        names = {t: node.resolve_topic_name(t) for t in (*self._publishers, *outputs)}
        counts = {topic: node.count_publishers(name) for topic, name in names.items()}
        for topic, count in counts.items():
            if count < 2:
                self._watch.well(f"publishers of {topic}")
                continue
            infos = node.get_publishers_info_by_topic(names[topic])
            speakers = ", ".join(sorted(info.node_name for info in infos))
            reason = f"{count} publishers of {topic}, where one is to speak: {speakers}"
            self._watch.fault(f"publishers of {topic}", reason)

    def _listen(self, source: str, kind: Any, handler: Callable[[Any], None], profile: Any) -> None:
        def handle(message: Any) -> None:
            handler(message)
            self._watch.well(f"{source} deadline")
            self._watch.well(f"{source} QoS")

        subscription = self._node.while_active(
            self._node.create_subscription(
                kind,
                source,
                self._node.guarded(handle),
                profile,
                event_callbacks=self._events(source),
            )
        )
        self._publishers[source] = subscription.get_publisher_count

    def _events(self, source: str) -> SubscriptionEventCallbacks:
        watch, log = self._watch, self._node.get_logger()

        def on_deadline(_: QoSRequestedDeadlineMissedInfo) -> None:
            limit = watch.config.input_deadline
            watch.fault(f"{source} deadline", f"{source} missed the deadline of {limit:.2f} s")

        def on_matched(info: QoSSubscriptionMatchedInfo) -> None:
            if info.current_count > 0:
                watch.well(f"{source} publisher")
            elif info.total_count > 0:
                watch.fault(f"{source} publisher", f"publisher of {source} gone")

        def on_liveliness(info: QoSLivelinessChangedInfo) -> None:
            if info.alive_count == 0 and info.not_alive_count > 0:
                watch.fault(f"{source} liveliness", f"publisher of {source} not alive")
            else:
                watch.well(f"{source} liveliness")

        def on_incompatible(info: QoSRequestedIncompatibleQoSInfo) -> None:
            policy = str(info.last_policy_kind).lower().split("policy_")[-1]
            reason = f"publisher of {source} not heard: it offers an incompatible {policy}"
            log.warning(
                f"{reason}; adapt the parameters reliability, input_deadline and input_lease"
            )
            watch.fault(f"{source} QoS", reason)

        return SubscriptionEventCallbacks(
            deadline=on_deadline if watch.config.input_deadline else None,
            liveliness=on_liveliness,
            matched=on_matched,
            incompatible_qos=on_incompatible,
        )

    def on_actions(self, message: msg.ActionArray) -> None:
        """Take what everybody does to the monitor."""
        labels = {action.person_id: action.label for action in message.actions}
        self._watch.observe_actions(to_seconds(message.header.stamp), labels, self._node.now())

    def on_skeletons(self, message: msg.SkeletonArray) -> None:
        """Take everybody to the world frame and into the monitor."""
        stamp = to_seconds(message.header.stamp)
        try:
            people = self._to_world(message.header.frame_id, skeletons_from_msg(message), stamp)
        except InputError as error:
            self._watch.fault("skeletons", f"skeletons unusable: {error}")
            raise
        self._watch.observe_skeletons(stamp, people, self._node.now())

    def on_forecasts(self, message: msg.ForecastArray) -> None:
        """Take everybody's forecast to the world frame and into the monitor, and answer."""
        stamp = to_seconds(message.header.stamp)
        try:
            forecasts = self._to_world(message.header.frame_id, forecasts_from_msg(message), stamp)
        except InputError as error:
            self._watch.fault("forecasts", f"forecasts unusable: {error}")
            raise
        self._watch.observe_forecasts(stamp, forecasts, self._node.now())
        self._then()

    def on_joint_states(self, message: JointState) -> None:
        """Take joints into the prediction of the robot."""
        assert self._watch.joints is not None
        self._watch.joints.observe(
            to_seconds(message.header.stamp), message.name, message.position, message.velocity
        )

    def on_trajectory(self, message: Any) -> None:
        """Take what a planner said, from a JointTrajectory or MoveIt's DisplayTrajectory."""
        assert self._watch.joints is not None
        parts = [part.joint_trajectory for part in getattr(message, "trajectory", [])] or [message]
        if len(parts) > 1:  # stages of one plan; only the one under way counts, so the first
            self._node.get_logger().info("the trajectory has stages; the first is followed")
        points = parts[0].points
        self._watch.joints.observe_plan(
            parts[0].joint_names,
            [to_seconds(point.time_from_start) for point in points],
            [list(point.positions) for point in points],
        )

    def look_up_robot(self, now: float) -> None:
        """Hand the latest poses of robot, tools and zones to the monitor."""
        try:
            self._watch.observe_robot(*self.frames.poses(self._watch.model.frames, now), now)
        except (RobotError, InputError) as error:
            self._node.monitor.fail(type(error).__name__)
            self._watch.fault("robot", str(error))

    def _to_world(self, frame: str, entries: Sequence[Any], stamp: float) -> Sequence[Any]:
        if frame == self.frames.world:
            return entries
        return [
            dataclasses.replace(
                entry,
                positions=self.frames.points(entry.positions, frame, stamp).astype("float32"),
            )
            for entry in entries
        ]
