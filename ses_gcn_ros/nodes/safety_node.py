"""The safety node: what it subscribes to, and the state it publishes."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration
from rclpy.event_handler import (
    QoSLivelinessChangedInfo,
    QoSRequestedDeadlineMissedInfo,
    QoSRequestedIncompatibleQoSInfo,
    QoSSubscriptionMatchedInfo,
    SubscriptionEventCallbacks,
)
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Header, String
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from ses_gcn_ros import msg
from ses_gcn_ros.audit import AuditLog
from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.forecast.forecaster import forecasts_from_message
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import (
    Frames,
    message_type,
    node_of,
    skeletons_from_message,
    state_to_msg,
    to_seconds,
    to_time,
)
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.nodes.markers import SafetyDrawing
from ses_gcn_ros.safety import (
    Assessment,
    ClockMonitor,
    EventLog,
    Level,
    SafetyConfig,
    SeparationMonitor,
    compile_all,
    read_robots,
)
from ses_gcn_ros.safety.assessment import UNKNOWN
from ses_gcn_ros.safety.robot_motion import read_plan
from ses_gcn_ros.transforms import TransformBuffer

DESCRIPTION = "robot_description"
ALONE = 5.0  # s after which what nobody else publishes of the robot comes from this node


class SafetyInputs:
    """Subscriptions that feed a monitor.

    Raises InputError if the message type of the trajectories is not installed.

    `node`: opens them while it is active.
    `then`: called when forecasts have come, so that the answer need not wait for a timer.
    `description`: URDF of the robot, empty without one.
    """

    def __init__(
        self,
        node: ManagedNode,
        monitor: SeparationMonitor,
        then: Callable[[], None],
        description: str = "",
    ) -> None:
        self._node, self._monitor, self._then = node, monitor, then
        config: SafetyConfig = monitor.config
        self.frames = Frames(node, config.world_frame, config.future_tolerance)
        self._publishers: dict[str, Callable[[], int]] = {}
        self._streams: list[tuple[Any, Callable[[Any], None]]] = []  # of people; forecasts last
        self._least_age = math.inf  # of forecasts on arrival [s]
        self._seen_in: dict[str, str] = {}  # frame that people last came in, by topic
        profile = qos.stream(config.reliability, config.input_deadline or None)
        if config.input_lease:
            profile.liveliness_lease_duration = Duration(seconds=config.input_lease)
        self._subscribe("skeletons", msg.SkeletonArray, self.on_skeletons, profile)
        for topic in config.redundant_skeletons:
            handler = partial(self.on_skeletons, topic=topic)
            self._subscribe(topic, msg.SkeletonArray, handler, profile)
        self._subscribe("forecasts", msg.ForecastArray, self.on_forecasts, profile)
        if config.action_limits:
            self._subscribe("actions", msg.ActionArray, self.on_actions, qos.stream())
        for name in config.bridges:
            on_status, status = partial(self.on_bridge, name), f"{name}/status"
            subscription = node.subscription(DiagnosticStatus, status, on_status, qos.STREAM)
            self._publishers[status] = subscription.get_publisher_count
        self._description, self._said = description, False  # until this node receives its own
        self._alone_since = time.monotonic()
        if description:
            node.subscription(String, DESCRIPTION, self.on_description, qos.LATCHED)
        if monitor.joints and config.joint_states:
            best_effort = qos.stream("best_effort")  # matches reliable publishers as well
            node.subscription(JointState, config.joint_states, self.on_joint_states, best_effort)
        if monitor.joints and config.trajectory:
            kind = message_type(config.trajectory_type)
            node.subscription(kind, config.trajectory, self.on_trajectory, qos.STREAM)

    def publishers(self) -> dict[str, int]:
        """How many publishers each stream of people has, and each bridge's status."""
        return {source: count() for source, count in self._publishers.items()}

    def check_publishers(self, outputs: Sequence[str]) -> None:
        """Stop where a topic, a bridge or a frame of TF has two publishers instead of one.

        A second publisher of people, empty and fresher, would silence the first; one of a camera's
        frame or the robot's joints would put them elsewhere; a second safety node would tell the
        robot to go on; of two bridges under one name the death of one would go unnoticed.
        """
        # counted in the graph: others may receive from publishers that DDS does not match with us
        node = self._node
        names = {t: node.resolve_topic_name(t) for t in (*self._publishers, *outputs)}
        counts = {topic: node.count_publishers(name) for topic, name in names.items()}
        for topic, count in counts.items():
            if count < 2:
                self._monitor.well(f"publishers of {topic}")
                continue
            infos = node.get_publishers_info_by_topic(names[topic])
            publishers = ", ".join(sorted(map(node_of, infos)))
            reason = f"{count} publishers of {topic}, where one is to speak: {publishers}"
            self._monitor.fault(f"publishers of {topic}", reason)
        doubled = self.frames.doubled(self._monitor.model.frames)
        for frame in set(self._seen_in.values()):
            doubled |= self.frames.doubled([frame])
        if not doubled:
            self._monitor.well("publishers of tf")
        for frame, nodes in doubled.items():
            reason = f"tf of {frame} comes from several publishers: {', '.join(nodes)}"
            self._monitor.fault("publishers of tf", reason)

    def _subscribe(
        self, source: str, kind: Any, handler: Callable[[Any], None], profile: Any
    ) -> None:
        def handle(message: Any) -> None:
            handler(message)
            self._monitor.well(f"{source} deadline")
            self._monitor.well(f"{source} QoS")

        def handle_and_answer(message: Any) -> None:
            handle(message)
            for stream in self._streams if self._behind(message) else ():
                self._node.drain(*stream)
            self._then()

        subscription = self._node.subscription(
            kind,
            source,
            handle_and_answer if source == "forecasts" else handle,
            profile,
            event_callbacks=self._events(source),
        )
        self._publishers[source] = subscription.get_publisher_count
        self._streams.append((subscription, handle))

    def _behind(self, message: msg.ForecastArray) -> bool:
        """Whether forecasts come later than others did, so that more of them may wait.

        Of all that waits the newest is answered then: where the machine has too much to do, an
        answer to each would be as late as the queue is long. To look into empty queues takes a
        tenth of the time of an answer.
        """
        age = self._node.now() - to_seconds(message.header.stamp)
        before, self._least_age = self._least_age, min(self._least_age, age)
        return before == math.inf or age > before + QUEUED  # of the first nothing is known

    def _events(self, source: str) -> SubscriptionEventCallbacks:
        monitor, log = self._monitor, self._node.get_logger()

        def on_deadline(_: QoSRequestedDeadlineMissedInfo) -> None:
            limit = monitor.config.input_deadline
            monitor.fault(f"{source} deadline", f"{source} missed the deadline of {limit:.2f} s")

        def on_matched(info: QoSSubscriptionMatchedInfo) -> None:
            if info.current_count > 0:
                monitor.well(f"{source} publisher")
            elif info.total_count > 0:
                monitor.fault(f"{source} publisher", f"publisher of {source} gone")

        def on_liveliness(info: QoSLivelinessChangedInfo) -> None:
            if info.alive_count == 0 and info.not_alive_count > 0:
                monitor.fault(f"{source} liveliness", f"publisher of {source} not alive")
            else:
                monitor.well(f"{source} liveliness")

        def on_incompatible(info: QoSRequestedIncompatibleQoSInfo) -> None:
            policy = str(info.last_policy_kind).lower().split("policy_")[-1]
            reason = f"publisher of {source} not heard: it offers an incompatible {policy}"
            log.warning(
                f"{reason}; adapt the parameters reliability, input_deadline and input_lease"
            )
            monitor.fault(f"{source} QoS", reason)

        return SubscriptionEventCallbacks(
            deadline=on_deadline if monitor.config.input_deadline else None,
            liveliness=on_liveliness,
            matched=on_matched,
            incompatible_qos=on_incompatible,
        )

    def on_actions(self, message: msg.ActionArray) -> None:
        """Tell the monitor what everybody is doing."""
        labels = {action.person_id: action.label for action in message.actions}
        self._monitor.observe_actions(to_seconds(message.header.stamp), labels, self._node.now())

    def on_bridge(self, name: str, message: DiagnosticStatus) -> None:
        """Tell the monitor what a bridge says of itself."""
        fault = message.message if message.level >= DiagnosticStatus.ERROR else ""
        self._monitor.observe_bridge(name, fault, self._node.now())

    def on_skeletons(self, message: msg.SkeletonArray, topic: str = "skeletons") -> None:
        """Take everybody to the world frame and into the monitor."""
        stamp = to_seconds(message.header.stamp)
        self._seen_in[topic] = message.header.frame_id
        try:
            people = self._to_world(message.header.frame_id, skeletons_from_message(message), stamp)
        except InputError as error:
            self._monitor.fault(topic, f"{topic} unusable: {error}")
            raise
        self._monitor.observe_skeletons(stamp, people, self._node.now(), topic)
        self._monitor.prepare(topic)

    def on_forecasts(self, message: msg.ForecastArray) -> None:
        """Take everybody's forecast to the world frame and into the monitor."""
        stamp = to_seconds(message.header.stamp)
        self._seen_in["forecasts"] = message.header.frame_id
        try:
            forecasts = self._to_world(
                message.header.frame_id, forecasts_from_message(message), stamp
            )
        except InputError as error:
            self._monitor.fault("forecasts", f"forecasts unusable: {error}")
            raise
        self._monitor.observe_forecasts(stamp, forecasts, self._node.now())

    def on_description(self, message: String) -> None:
        """Hold what others publish of the robot against what they published first."""
        if self._said and message.data == self._description:
            self._said = False
            return
        self._monitor.observe_description(message.data)

    def describe_robot(self) -> None:
        """Publish the robot's description where nobody else does, for RViz and recordings."""
        node, now = self._node, time.monotonic()
        if not self._description or node.count_publishers(node.resolve_topic_name(DESCRIPTION)):
            self._alone_since = now
        elif now - self._alone_since > ALONE:
            self._said = True
            node.publisher(String, DESCRIPTION, qos.LATCHED).publish(String(data=self._description))

    def on_joint_states(self, message: JointState) -> None:
        """Feed joint states to the prediction of the robot's motion."""
        assert self._monitor.joints is not None
        self._monitor.joints.observe(
            to_seconds(message.header.stamp), message.name, message.position, message.velocity
        )

    def on_trajectory(self, message: Any) -> None:
        """Feed a planned JointTrajectory, or MoveIt's DisplayTrajectory, to that prediction."""
        assert self._monitor.joints is not None
        if len(getattr(message, "trajectory", [])) > 1:
            self._node.get_logger().info("the trajectory has stages; the first is followed")
        self._monitor.joints.observe_plan(*read_plan(message))

    def look_up_robot(self, now: float) -> None:
        """Hand the latest poses of robot, tools and zones to the monitor."""
        try:
            self._monitor.observe_robot(*self.frames.poses(self._monitor.model.frames, now), now)
        except (RobotError, InputError) as error:
            self._node.statistics.fail(type(error).__name__, str(error))
            self._monitor.fault("robot", str(error))

    def _to_world(self, frame: str, entries: Sequence[Any], stamp: float) -> Sequence[Any]:
        if frame == self.frames.world:
            return entries
        return [
            dataclasses.replace(
                entry, positions=self.frames.points(entry.positions, frame, stamp).astype("float32")
            )
            for entry in entries
        ]


QUEUED = 0.005  # s later than the least that forecasts have waited
MARKER_PERIOD = 0.03  # s; of skeletons that come faster not every one is drawn
LOOK_PERIOD = 0.1  # s between looks at who else publishes
DEADLINE = 3.0  # periods between two states that are offered as the deadline
LAST_WORD = Duration(seconds=0.1)  # that the last stop may take to its subscribers
CONTROL = "control_msgs/msg/SpeedScalingFactor"


class SafetyNode(ManagedNode):
    """Tell the robot how fast it may move, fifty times a second, with the reason."""

    config_type = SafetyConfig
    config: SafetyConfig

    def __init__(self) -> None:
        super().__init__()
        self.audit = AuditLog("", self.config)
        self.earlier: SeparationMonitor | None = None  # of when it was active before
        self.add_post_set_parameters_callback(self.on_parameters)

    def configure(self) -> None:
        """Read robots, zones and what else can be wrong before anything moves."""
        self.robots = read_robots(self.config)
        model = SeparationMonitor(self.config, self.robots.model).model
        self.log = EventLog(self.config.event_log)
        if self.config.speed_scaling_input:
            message_type(CONTROL)
        compile_all()
        TransformBuffer(self.config.world_frame)  # compiles
        self.audit = AuditLog(self.config.audit_log, self.config, 1e6 * self.config.audit_log_size)
        config = self.config
        stops = "a table of stops" if config.stopping_times else f"{config.deceleration:g} m/s²"
        self.get_logger().info(
            f"{len(model.names)} robot capsules in {', '.join(model.frames)}; it brakes by {stops} "
            f"from {config.robot_speed_max:g} m/s at most, after {config.reaction_time:g} s; "
            f"people walk at {config.human_speed:g}, reach at {config.arm_speed:g} m/s at least; "
            "not a certified safety function"
        )

    def activate(self) -> None:
        """Begin stopped, subscribe, and publish at least at a fixed rate."""
        config = self.config
        self.monitor = SeparationMonitor(
            config, self.robots.model, self.robots.urdf, time.monotonic
        )
        if self.earlier is not None:
            self.monitor.succeed(self.earlier, self.now())
        self.assessment: Assessment | None = None
        self.drawing, self.next_drawing = SafetyDrawing(self.monitor), 0.0
        self.clocks: ClockMonitor | None = None
        period = 1.0 / config.rate
        self.states = self.publisher(
            msg.SafetyState, "safety_state", qos.stream(deadline=DEADLINE * period)
        )
        self.factors = self.publisher(Float64, "speed_scaling", qos.SPEED_FACTOR)
        self.controller = None
        if config.speed_scaling_input:
            self.controller_message = message_type(CONTROL)()
            self.controller = self.publisher(
                type(self.controller_message), config.speed_scaling_input, qos.SPEED_FACTOR
            )
        self.drawings = self.publisher(MarkerArray, "markers/safety", qos.MARKERS)
        description = self.robots.urdf.text if self.robots.urdf else ""
        self.inputs = SafetyInputs(self, self.monitor, self.assess_at_once, description)
        self.while_active(self.create_service(Trigger, "~/reset", self.on_reset))
        self.while_active(self.create_service(SetBool, "~/enable", self.on_enable))
        self.next_look, self.outputs = 0.0, ["safety_state", "speed_scaling"]
        self.error = ""
        self.timer = self.every(period, self.tick)
        self.audit.record("activated")

    def deactivate(self) -> None:
        """Leave the robot stopped, and remember who was there."""
        self.earlier = self.monitor
        self.publish_stop("safety node deactivated")
        for publisher in (self.factors, self.states):  # what is not confirmed goes with them
            publisher.wait_for_all_acked(LAST_WORD)
        self.audit.record("deactivated")

    def release(self) -> None:
        """Close the audit log."""
        self.audit.record("end")
        self.audit.close()
        self.audit = AuditLog("", self.config)

    def on_parameters(self, parameters: Sequence[Parameter[Any]]) -> None:
        """Record in the audit log what somebody set; it holds from the next activation on."""
        self.audit.record("parameters", values={each.name: each.value for each in parameters})

    def on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Release a latched stop, and take what somebody has looked at as it is now."""
        response.success, response.message = self.monitor.reset(self.inputs.frames.believe)
        self.get_logger().info(f"reset: {response.message}")
        self.audit.record("reset", done=response.success, answer=response.message)
        return response

    def on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Switch monitoring on, or off for a while where a parameter allows that."""
        response.success, response.message = self.monitor.enable(request.data, self.now())
        self.get_logger().warning(f"enable {request.data}: {response.message}")
        answer = {"done": response.success, "answer": response.message}
        self.audit.record("enable", on=request.data, **answer)
        return response

    def assess_at_once(self) -> None:
        """Assess now, and a period later again if no forecasts come before."""
        self.timer.reset()
        self.tick()

    def tick(self) -> None:
        """Assess and publish; whatever goes wrong in here stops the robot."""
        try:
            now = self.now()
            self.check_clocks(now)
            self.inputs.look_up_robot(now)
            self.assessment = self.monitor.assess(now)
            self.publish(self.assessment)
            # what the next state is soon enough for
            self.check_publishers()
            self.check_audit_log()
            self.log_change(self.assessment)
            self.draw(self.assessment)
        except Exception as error:
            self.statistics.fail(f"internal {type(error).__name__}", repr(error))
            self.get_logger().error(f"internal error: {error!r}", throttle_duration_sec=2.0)
            self.publish_stop(f"internal error: {error!r}")
            if repr(error) != self.error:
                self.error = repr(error)
                self.audit.record("internal error", error=self.error)

    def check_clocks(self, now: float) -> None:
        """Stop for a clock that leaps or stands, and for a loop that was held up."""
        if self.clocks is None:  # begins with the first state: what starting took is no fault
            if now <= 0.0:
                self.monitor.fault("clock", "no time on /clock yet")
                return
            self.clocks = ClockMonitor(self.config, now, time.monotonic())
        faults = self.clocks.check(now, time.monotonic())
        for source in ("clock", "loop"):
            if source in faults:
                self.monitor.fault(source, faults[source])
            else:
                self.monitor.well(source)
        if "loop" in faults:
            self.statistics.fail("late state", faults["loop"])

    def check_publishers(self) -> None:
        """Look now and then for a second publisher of an input or of this node's outputs."""
        now = time.monotonic()
        if now >= self.next_look:
            self.next_look = now + LOOK_PERIOD
            self.inputs.check_publishers(self.outputs)
            self.inputs.describe_robot()

    def check_audit_log(self) -> None:
        """Say in the state that the audit log can't be written; nothing stops for it."""
        if self.audit.problem:
            self.monitor.inputs.note("audit log", self.audit.problem)
        else:
            self.monitor.well("audit log")

    def publish(self, assessment: Assessment) -> None:
        """Publish the state and the speed factor."""
        self.publish_factor(assessment.speed_factor)
        self.states.publish(state_to_msg(self.config.world_frame, assessment))

    def publish_factor(self, factor: float) -> None:
        """Publish the speed factor, to a controller of ros2_control too where asked for."""
        self.factors.publish(Float64(data=factor))
        if self.controller is not None:
            self.controller_message.factor = factor
            self.controller.publish(self.controller_message)

    def publish_stop(self, reason: str) -> None:
        """Publish a stop that doesn't depend on anything."""
        self.publish_factor(0.0)
        nan = float("nan")
        unknown = dataclasses.asdict(UNKNOWN)
        state = msg.SafetyState(level=msg.SafetyState.STOP, reasons=[reason], **unknown)
        state.header = self.header(self.now())
        state.separation = state.protective_distance = state.margin = nan
        state.skeleton_age = state.forecast_age = state.tf_age = nan
        self.states.publish(state)

    def header(self, stamp: float) -> Header:
        """Header in the world frame."""
        return Header(stamp=to_time(stamp), frame_id=self.config.world_frame)

    def log_change(self, assessment: Assessment) -> None:
        """One line when the answer changes, with the numbers behind it."""
        if self.log.observe(assessment):
            self.audit.record("state", **assessment.event())
        line = self.log.due(time.monotonic())
        if not line:
            return
        if assessment.level == Level.STOP or not assessment.enabled:
            self.get_logger().warning(line)
        else:
            self.get_logger().info(line)

    def draw(self, assessment: Assessment) -> None:
        """Publish the markers, less often than the state."""
        now = time.monotonic()
        if now < self.next_drawing:
            return
        self.next_drawing = now + MARKER_PERIOD
        if self.drawings.get_subscription_count():
            self.drawings.publish(self.drawing.draw(self.header(assessment.stamp), assessment))

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """Level, reasons, ages and terms."""
        last = self.assessment
        if last is None:
            return DiagnosticStatus.WARN, "nothing assessed yet", {}
        values: dict[str, object] = {
            "level": last.level.name,
            "speed_factor": f"{last.speed_factor:.3f}",
            "monitoring": "on" if last.enabled else "off",
            "people": last.people,
            "skeleton_age_s": f"{last.skeleton_age:.3f}",
            "forecast_age_s": f"{last.forecast_age:.3f}",
            "tf_age_s": f"{last.tf_age:.3f}",
        }
        values |= {f"publishers of {name}": n for name, n in self.inputs.publishers().items()}
        if last.breakdown is not None:
            terms = dataclasses.asdict(last.breakdown)
            values |= {f"protective {name}": f"{value:.3f}" for name, value in terms.items()}
        text = "; ".join(last.reasons) or "clear"
        level = DiagnosticStatus.WARN if last.level == Level.STOP else DiagnosticStatus.OK
        if self.log.problem:
            level, text = DiagnosticStatus.WARN, f"{self.log.problem}; {text}"
        self.audit.retry()
        if self.audit.problem:
            level, text = DiagnosticStatus.ERROR, f"{self.audit.problem}; {text}"
        elif self.config.audit_log:
            values["audit_hash"] = self.audit.hash
        return level if last.enabled else DiagnosticStatus.ERROR, text, values
