"""skeletons + forecasts + TF of the robot → safety_state and the speed factor, at a fixed rate."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Float64, Header
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

from ses_gcn_ros import msg
from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import (
    forecasts_from_msg,
    skeletons_from_msg,
    state_to_msg,
    to_seconds,
    to_time,
)
from ses_gcn_ros.nodes.frames import Frames
from ses_gcn_ros.nodes.managed_node import STEADY, ManagedNode, run
from ses_gcn_ros.nodes.markers import (
    LEVEL_COLOURS,
    SKELETON_COLOUR,
    MarkerBoard,
    capsule_markers,
    closest_pair_markers,
    text_marker,
)
from ses_gcn_ros.safety import (
    Assessment,
    Level,
    SafetyConfig,
    SeparationMonitor,
    capsule_distances,
    read_robots,
)

MARKER_PERIOD = 0.2  # s; a drawing takes longer than a decision
CLOCK_PATIENCE = 0.5  # s of real time that a simulated clock may stand still
OVERRUN = 3.0  # periods between two states, beyond which the node's own loop is late


class SafetyNode(ManagedNode):
    """Tell the robot how fast it may move, fifty times a second, with the reason."""

    config: SafetyConfig

    def __init__(self) -> None:
        super().__init__("safety_node", SafetyConfig)

    def configure(self) -> None:
        """Read the robot's shape."""
        self.robots = read_robots(self.config)
        self.model = SeparationMonitor(self.config, self.robots.model).model
        capsule_distances([0, 0, 0], [0, 0, 1], 0.1, [1, 0, 0], [1, 0, 1], 0.1)  # compiles
        self.get_logger().info(
            f"{len(self.model.names)} robot capsules in {', '.join(self.model.frames)}; "
            "not a certified safety function"
        )

    def activate(self) -> None:
        """Begin stopped, listen, and publish at a fixed rate."""
        config = self.config
        self.watch = SeparationMonitor(config, self.model)
        self.frames = Frames(self, config.world_frame)
        self.assessment: Assessment | None = None
        self.board, self.next_drawing = MarkerBoard(), 0.0
        self.last_tick = self.clock_moved = time.monotonic()
        self.last_now = self.now()
        period = 1.0 / config.rate
        self.states = self.while_active(
            self.create_publisher(
                msg.SafetyState, "safety_state", qos.stream(deadline=OVERRUN * period)
            )
        )
        self.factors = self.while_active(
            self.create_publisher(Float64, "speed_scaling", qos.LATCHED)
        )
        self.drawings = self.while_active(
            self.create_publisher(MarkerArray, "markers/safety", qos.STREAM)
        )
        profile = qos.stream(config.reliability)
        for topic, kind, handler in (
            ("skeletons", msg.SkeletonArray, self.on_skeletons),
            ("forecasts", msg.ForecastArray, self.on_forecasts),
        ):
            self.while_active(self.create_subscription(kind, topic, self.guarded(handler), profile))
        self.while_active(self.create_service(Trigger, "~/reset", self.on_reset))
        self.while_active(self.create_timer(period, self.tick, clock=STEADY))

    def deactivate(self) -> None:
        """Leave the robot stopped."""
        self.frames.close()
        self.publish_stop("safety node deactivated")

    def on_skeletons(self, message: msg.SkeletonArray) -> None:
        """Take everybody to the world frame and into the monitor."""
        stamp = to_seconds(message.header.stamp)
        try:
            people = [
                dataclasses.replace(
                    person,
                    positions=self.frames.points(
                        person.positions, message.header.frame_id, stamp
                    ).astype("float32"),
                )
                for person in skeletons_from_msg(message)
            ]
        except InputError as error:
            self.watch.fault("skeletons", f"skeletons unusable: {error}")
            raise
        self.watch.observe_skeletons(stamp, people, self.now())

    def on_forecasts(self, message: msg.ForecastArray) -> None:
        """Take the forecasts to the world frame and into the monitor."""
        stamp = to_seconds(message.header.stamp)
        try:
            forecasts = [
                dataclasses.replace(
                    forecast,
                    positions=self.frames.points(
                        forecast.positions, message.header.frame_id, stamp
                    ).astype("float32"),
                )
                for forecast in forecasts_from_msg(message)
            ]
        except InputError as error:
            self.watch.fault("forecasts", f"forecasts unusable: {error}")
            raise
        self.watch.observe_forecasts(stamp, forecasts, self.now())

    def on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Release a latched stop."""
        response.success, response.message = self.watch.reset()
        self.get_logger().info(f"reset: {response.message}")
        return response

    def tick(self) -> None:
        """Assess and publish; whatever goes wrong in here stops the robot."""
        try:
            now = self.now()
            self.watch_own_loop(now)
            self.look_up_robot(now)
            before, self.assessment = self.assessment, self.watch.assess(now)
            self.publish(self.assessment)
            self.log_change(before, self.assessment)
            self.draw(self.assessment)
        except Exception as error:
            self.monitor.fail(f"internal {type(error).__name__}")
            self.get_logger().error(f"internal error: {error!r}", throttle_duration_sec=2.0)
            self.publish_stop(f"internal error: {error!r}")

    def watch_own_loop(self, now: float) -> None:
        """Count late turns, and stop where a simulated clock stands still."""
        steady = time.monotonic()
        if steady - self.last_tick > OVERRUN / self.config.rate:
            self.monitor.fail("late state")
        self.last_tick = steady
        if now != self.last_now:
            self.last_now, self.clock_moved = now, steady
        still = steady - self.clock_moved
        if still > CLOCK_PATIENCE:
            self.watch.fault("clock", f"clock stands still for {still:.1f} s")
        else:
            self.watch.well("clock")

    def look_up_robot(self, now: float) -> None:
        """Hand the robot's latest poses to the monitor."""
        try:
            self.watch.observe_robot(*self.frames.poses(self.model.frames, now))
        except (RobotError, InputError) as error:
            self.monitor.fail(type(error).__name__)
            self.watch.fault("robot", str(error))

    def publish(self, assessment: Assessment) -> None:
        """Publish the state and the speed factor."""
        self.factors.publish(Float64(data=assessment.speed_factor))
        self.states.publish(state_to_msg(assessment, self.config.world_frame))

    def publish_stop(self, reason: str) -> None:
        """Publish a stop that doesn't depend on anything."""
        self.factors.publish(Float64(data=0.0))
        nan = float("nan")
        state = msg.SafetyState(level=msg.SafetyState.STOP, reasons=[reason])
        state.header = self.header(self.now())
        state.separation = state.protective_distance = state.margin = nan
        state.skeleton_age = state.forecast_age = state.tf_age = nan
        self.states.publish(state)

    def header(self, stamp: float) -> Header:
        """Header in the world frame."""
        return Header(stamp=to_time(stamp), frame_id=self.config.world_frame)

    def log_change(self, before: Assessment | None, after: Assessment) -> None:
        """One line when the level changes, with the numbers behind it."""
        if before is not None and before.level == after.level:
            return
        why = "; ".join(after.reasons) or "nothing holds the robot"
        line = f"{after.level.name}, factor {after.speed_factor:.2f}: {why}"
        if after.level == Level.STOP:
            self.get_logger().warning(line)
        else:
            self.get_logger().info(line)

    def draw(self, assessment: Assessment) -> None:
        """Publish the markers, less often than the state."""
        if self.last_tick < self.next_drawing or not self.drawings.get_subscription_count():
            return
        self.next_drawing = self.last_tick + MARKER_PERIOD
        level, markers = int(assessment.level), list[Marker]()
        people, robot = self.watch.tracks.people().limbs, self.watch.robot.state
        markers += capsule_markers(
            "people", people.start, people.end, people.radius, SKELETON_COLOUR
        )
        if robot is not None:
            radius, colour = self.model.radius, LEVEL_COLOURS[level]
            markers += capsule_markers("robot", robot.start, robot.end, radius, colour)
            top = robot.start.max(axis=0) + np.array([0.0, 0.0, 0.5])
            text = f"{assessment.level.name} {assessment.speed_factor:.2f}"
            markers.append(text_marker("state", top, text, level))
        if assessment.pair is not None:
            pair = assessment.pair
            markers += closest_pair_markers(
                pair.human_point, pair.robot_point, assessment.separation, level
            )
        if assessment.predicted is not None:
            text = f"in {assessment.time_to_breach:.2f} s"
            place = assessment.predicted.pair.human_point
            markers.append(text_marker("predicted", place, text, level))
        self.drawings.publish(self.board.show(self.header(assessment.stamp), markers))

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """Level, reasons and ages."""
        last = getattr(self, "assessment", None)
        if last is None:
            return DiagnosticStatus.WARN, "not active", {}
        values = {
            "level": last.level.name,
            "speed_factor": f"{last.speed_factor:.3f}",
            "people": last.people,
            "skeleton_age_s": f"{last.skeleton_age:.3f}",
            "forecast_age_s": f"{last.forecast_age:.3f}",
            "tf_age_s": f"{last.tf_age:.3f}",
        }
        if last.breakdown is not None:
            terms = dataclasses.asdict(last.breakdown)
            values |= {f"protective {name}": f"{value:.3f}" for name, value in terms.items()}
        text = "; ".join(last.reasons) or "clear"
        stopped = last.level == Level.STOP
        return DiagnosticStatus.WARN if stopped else DiagnosticStatus.OK, text, values


def main(args: list[str] | None = None) -> int:
    """Entry point of ``ros2 run ses_gcn_ros safety_node``."""
    return run(lambda: [SafetyNode()], args)
