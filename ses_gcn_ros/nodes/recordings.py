"""Nodes for recordings: one plays them, one records, one has the robot stop for them."""

from __future__ import annotations

import time
from typing import Any

from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock

from ses_gcn_ros import msg
from ses_gcn_ros.bags.messages import RawMessage
from ses_gcn_ros.bags.rosbag2 import BagWriter, read_current, topics_of
from ses_gcn_ros.bringup import PlayerConfig, RecorderConfig, TesterConfig
from ses_gcn_ros.errors import BagError, ConfigError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import message_type
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.resources import share_path

TRANSFORMS = {"/tf": qos.TRANSFORMS, "/tf_static": qos.STATIC_TRANSFORMS}
_PATIENCE = Duration(seconds=1.0)  # with subscribers that don't confirm a topic's last message
ROBOT = {*TRANSFORMS, "joint_states"}  # not waited for: who subscribes to it depends on the cell


class BagPlayer(ManagedNode):
    """A bag → its topics and /clock, at the recording's pace or a multiple, once all subscribe."""

    config_type = PlayerConfig
    config: PlayerConfig

    def configure(self) -> None:
        """Open the bag."""
        self.bag = self.config.bag or share_path("config", "demo", "visitor")
        self.types = topics_of(self.bag)
        transforms = [topic for topic in TRANSFORMS if topic in self.types]
        self.topics = self.config.topics or ("skeletons", *transforms)
        self.messages = read_current(self.bag, self.topics)
        self.next: RawMessage | None = next(self.messages, None)
        if self.next is None:
            raise BagError(f"bag '{self.bag}' has no message on {', '.join(self.topics)}")
        self.begin = self.next.stamp

    def activate(self) -> None:
        """Start the clock, which waits for the subscribers."""
        self.clock = self.publisher(Clock, "/clock", qos.STREAM)
        self.outputs: dict[str, Any] = {
            topic: self.publisher(
                message_type(self.types[topic]), topic, TRANSFORMS.get(topic, qos.STREAM)
            )
            for topic in self.topics
        }
        self.started: float | None = None
        period = 1.0 / self.config.clock_frequency
        self.every(period, self.tick)

    def tick(self) -> None:
        """Move the clock on and publish what is due."""
        if self.count_publishers("/clock") > 1:
            self.get_logger().error(
                "somebody else publishes /clock; give each replay a ROS_DOMAIN_ID of its own",
                throttle_duration_sec=5.0,
            )
            if self.started is None:  # who came second goes, and whoever plays already goes on
                self.finish(1)
                return
        now = time.monotonic()
        if self.started is None and self._awaited():
            self.started = now
        elapsed = 0.0 if self.started is None else (now - self.started) * self.config.rate
        moment = self.begin + int((elapsed - self.config.lead_in) * 1e9)
        self.clock.publish(Clock(clock=Time(sec=moment // 10**9, nanosec=moment % 10**9)))
        while self.next is not None and self.next.stamp <= moment:
            self.outputs[self.next.topic].publish(self.next.data)
            self.statistics.handle(now, time.monotonic() - now)
            self.next = next(self.messages, None)
        if self.next is None:
            for publisher in self.outputs.values():  # the last message goes with its publisher
                publisher.wait_for_all_acked(_PATIENCE)
            self.finish()

    def _awaited(self) -> bool:
        return all(
            publisher.get_subscription_count() >= self.config.subscribers
            for topic, publisher in self.outputs.items()
            if topic not in ROBOT
        )


_DISCOVERY_PERIOD = 0.1  # s between looks at the graph for topics not yet subscribed to
_QUEUE = 100  # messages a topic may be ahead of the disk


class BagRecorder(ManagedNode):
    """Topics → a bag, as serialised, whatever their types, each from its first publisher on."""

    config_type = RecorderConfig
    config: RecorderConfig

    def configure(self) -> None:
        """Open the bag."""
        if not self.config.bag:
            raise ConfigError("parameter 'bag' is empty; give the folder of the bag to write")
        self.writer = BagWriter(self.config.bag)
        self.early: list[tuple[str, str, bytes]] = []

    def activate(self) -> None:
        """Look for the topics."""
        self.missing = {self.resolve_topic_name(topic) for topic in self.config.topics}
        self.awaited = [self.resolve_topic_name(topic) for topic in self.config.awaited]
        self.people, self.since = self.resolve_topic_name("skeletons"), time.monotonic()
        self.recorded: dict[str, Any] = {}
        self.every(_DISCOVERY_PERIOD, self.discover)
        self.discover()

    def release(self) -> None:
        """Close the bag."""
        self.writer.close()

    def discover(self) -> None:
        """Subscribe to the topics that have appeared, and to people when the awaited ones have.

        A replay begins when everybody listens to its people.
        """
        if not self.missing:
            return
        for topic, types in self.get_topic_names_and_types():
            if topic == self.people and self._too_early():
                continue
            if topic in self.missing and (offers := self.get_publishers_info_by_topic(topic)):
                self.missing.discard(topic)
                self._record(topic, types[0], offers[0].qos_profile)

    def _too_early(self) -> bool:
        if time.monotonic() - self.since > self.config.awaited_for:
            return False
        found = (self.recorded.get(topic) for topic in self.awaited)
        return not all(each is not None and each.get_publisher_count() for each in found)

    def _record(self, topic: str, type_name: str, offered: QoSProfile) -> None:
        profile = QoSProfile(
            depth=_QUEUE, reliability=offered.reliability, durability=offered.durability
        )
        lasting = offered.durability == DurabilityPolicy.TRANSIENT_LOCAL

        def write(data: bytes) -> None:
            now = self.get_clock().now().nanoseconds
            if now:
                self._write_early(now)
                self.writer.write(topic, type_name, now, data)
            elif lasting:
                self.early.append((topic, type_name, data))

        kind = message_type(type_name)
        self.recorded[topic] = self.subscription(kind, topic, write, profile, raw=True)

    def _write_early(self, now: int) -> None:
        # A simulated clock stands at zero, decades before the rest, until somebody moves it.
        for topic, type_name, data in self.early:
            self.writer.write(topic, type_name, now, data)
        self.early.clear()


PERIOD = 0.05  # s
REST = 2.0  # s that the robot is held
RUN, SPREAD = 2.5, 2.0  # s at full speed before a stop, and longer by up to, so that none are alike
GOLDEN = 0.618034  # its multiples spread evenly
PATIENCE = 60.0  # s for the factor to rise to 1


class StopTester(ManagedNode):
    """Deactivate the safety node `stops` times, so that the robot stops, or wait, and end."""

    config_type = TesterConfig
    config: TesterConfig

    def activate(self) -> None:
        """Begin with the first state of the safety node."""
        self.done, self.calling = 0, False
        self.reasons = "no safety_state is heard"
        self.held: float | None = None  # since when the robot is held
        self.started = self.full = self.unable = float("nan")
        self.client = self.create_client(ChangeState, f"{self.config.safety_node}/change_state")
        self.when_inactive(lambda: self.destroy_client(self.client))
        self.subscription(msg.SafetyState, "safety_state", self.on_state, qos.STREAM)
        self.unable = time.monotonic()
        self.every(PERIOD, self.tick)

    def on_state(self, message: msg.SafetyState) -> None:
        """Take how fast the robot may be, and since when it may be as fast as it can."""
        now = time.monotonic()
        self.reasons = "; ".join(message.reasons)
        if self.started != self.started:  # NaN: the first state
            self.started = now
        if message.speed_factor >= 1.0:
            self.full = now if self.full != self.full else self.full
            self.unable = now
        else:
            self.full = float("nan")

    def tick(self) -> None:
        """Go on with the test."""
        now = time.monotonic()
        if not self.config.stops:
            if now - self.started >= self.config.seconds:
                self.finish()
        elif self.calling:
            return
        elif self.held is not None:
            if now - self.held >= REST:
                self.change(Transition.TRANSITION_ACTIVATE)
        elif self.done >= self.config.stops:
            self.finish()
        elif now - self.full >= RUN + SPREAD * (self.done * GOLDEN % 1.0):
            self.change(Transition.TRANSITION_DEACTIVATE)
        if self.held is None and now - self.unable > PATIENCE and self.exit_code is None:
            self.get_logger().error(
                f"the speed factor has not been 1 for {PATIENCE:.0f} s: {self.reasons}"
            )
            self.finish(1)

    def change(self, transition: int) -> None:
        """Ask the safety node for a transition."""
        if self.client.service_is_ready():
            self.calling = True
            request = ChangeState.Request(transition=Transition(id=transition))
            self.client.call_async(request).add_done_callback(self.on_answer)

    def on_answer(self, future: Any) -> None:
        """Count a stop when the safety node is active again."""
        self.calling, now = False, time.monotonic()
        if not future.result().success:
            self.get_logger().warning("the safety node refuses the transition")
        elif self.held is None:
            self.held, self.full = now, float("nan")
        else:
            self.held, self.unable = None, now
            self.done += 1
            self.get_logger().info(f"{self.done} of {self.config.stops} stops")
