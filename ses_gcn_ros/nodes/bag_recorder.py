"""Topics → a bag, as serialised, whatever their types."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile

from ses_gcn_ros.bags.rosbag2 import BagWriter
from ses_gcn_ros.bringup import RecorderConfig
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.nodes.conversions import message_type
from ses_gcn_ros.nodes.managed_node import ManagedNode

_DISCOVERY_PERIOD = 0.1  # s between looks at the graph for topics not yet subscribed to
_QUEUE = 100  # messages a topic may be ahead of the disk


class BagRecorder(ManagedNode):
    """Record each topic from the moment somebody publishes it."""

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
        self.every(_DISCOVERY_PERIOD, self.discover)
        self.discover()

    def release(self) -> None:
        """Close the bag."""
        self.writer.close()

    def discover(self) -> None:
        """Subscribe to the topics that have appeared."""
        if not self.missing:
            return
        for topic, types in self.get_topic_names_and_types():
            if topic in self.missing and (offers := self.get_publishers_info_by_topic(topic)):
                self.missing.discard(topic)
                self._record(topic, types[0], offers[0].qos_profile)

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

        self.subscription(message_type(type_name), topic, write, profile, raw=True)

    def _write_early(self, now: int) -> None:
        # A simulated clock stands at zero, decades before the rest, until somebody moves it.
        for topic, type_name, data in self.early:
            self.writer.write(topic, type_name, now, data)
        self.early.clear()
