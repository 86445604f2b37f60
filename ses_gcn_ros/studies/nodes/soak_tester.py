"""Plays the camera of a crowd and notes when safety states are made and when they come."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from ses_gcn_ros import msg
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import skeletons_to_msg, to_seconds
from ses_gcn_ros.studies.synthetic_recording import Crowd


class SoakTester(Node):
    """Publish skeletons at a fixed rate, listen to the safety node.

    Parameters
    ----------
    rate : float
        Of the skeletons [Hz].

    Attributes
    ----------
    stamps, arrivals : list of float
        When each state was made, and when it came by a clock that never jumps [s].
    levels : Counter of int
        How often each level was said.
    """

    def __init__(self, crowd: Crowd, rate: float) -> None:
        super().__init__("soak_tester")
        self._crowd = crowd
        self.stamps: list[float] = []
        self.arrivals: list[float] = []
        self.levels: Counter[int] = Counter()
        self._skeletons = self.create_publisher(msg.SkeletonArray, "skeletons", qos.STREAM)
        self.create_subscription(msg.SafetyState, "safety_state", self._hear, qos.STREAM)
        self._start = time.monotonic()
        self.create_timer(1.0 / rate, self._show)

    @property
    def started(self) -> bool:
        """Whether forecaster and safety node listen, and states come."""
        return self._skeletons.get_subscription_count() >= 2 and bool(self.stamps)

    def spin(self) -> None:
        """Go on for a tenth of a second."""
        rclpy.spin_once(self, timeout_sec=0.1)

    def forget(self) -> None:
        """Begin counting anew."""
        self.stamps.clear()
        self.arrivals.clear()
        self.levels.clear()

    def _show(self) -> None:
        stamp = self.get_clock().now().to_msg()
        people = self._crowd.at(time.monotonic() - self._start)
        self._skeletons.publish(skeletons_to_msg(stamp, "world", people))

    def _hear(self, state: msg.SafetyState) -> None:
        self.stamps.append(to_seconds(state.header.stamp))
        self.arrivals.append(time.monotonic())
        self.levels[state.level] += 1


@contextmanager
def soak_tester(crowd: Crowd, rate: float) -> Iterator[SoakTester]:
    """Tester in this process; signals are left to whoever runs the nodes."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    tester = SoakTester(crowd, rate)
    try:
        yield tester
    finally:
        tester.destroy_node()
        rclpy.try_shutdown()
