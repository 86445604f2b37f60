"""Deactivates the safety node again and again: the robot stops and goes on, for a recording."""

from __future__ import annotations

import time
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from ses_gcn_ros import msg
from ses_gcn_ros.bringup import TesterConfig
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.managed_node import ManagedNode

PERIOD = 0.05  # s
REST = 2.0  # s that the robot is held
RUN, SPREAD = 2.5, 2.0  # s at full speed before a stop, and longer by up to, so that none are alike
GOLDEN = 0.618034  # its multiples spread evenly
PATIENCE = 60.0  # s for the factor to rise to 1


class StopTester(ManagedNode):
    """Stop the robot `stops` times, or wait for `seconds`, and end."""

    config_type = TesterConfig
    config: TesterConfig

    def activate(self) -> None:
        """Begin once the safety node is heard."""
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
