"""Change the speed factor at random and note when a simulated driver hears of it.

``python -m ses_gcn_ros.studies.nodes.bridge_probe CHANGES SEED --ros-args -p driver:=…`` waits
until the bridge obeys, changes the factor so many times, each once the driver has followed the one
before, and prints a line of JSON: seconds from publishing each factor to the first message or call
at the driver that says something else, how many were not followed and what was refused.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from std_msgs.msg import Float64

from ses_gcn_ros import msg
from ses_gcn_ros.drivers import BridgeConfig, Call, SimulatedDriver
from ses_gcn_ros.nodes import process, qos
from ses_gcn_ros.nodes.managed_node import ManagedNode, make_executor
from ses_gcn_ros.nodes.simulated_driver import DriverPorts

BEAT = 0.02  # s between what a safety node says
REST = 0.05  # s that the driver is left alone at most, so that changes come at any moment
PATIENCE, START = 2.0, 60.0  # s for a change to be followed, and for the bridge to come up
NEAR = 0.011  # of factors that are told in whole per cents


class _NotingDriver(SimulatedDriver):
    """Notes when it first hears something else than before."""

    heard: Call | None = None
    at: float | None = None

    def take(self, call: Call) -> bool:
        if call != self.heard and self.at is None:
            self.at = time.monotonic()
        self.heard = call
        return super().take(call)


class BridgeProbe(ManagedNode):
    """Safety node and driver in one: both sides of a bridge."""

    config_type = BridgeConfig
    config: BridgeConfig

    def activate(self) -> None:
        """Begin with a stop."""
        self.factor = 0.0
        self.driver = _NotingDriver(self.config)
        DriverPorts(self, self.config, self.driver)
        self.states = self.publisher(msg.SafetyState, "safety_state", qos.STREAM)
        self.factors = self.publisher(Float64, "speed_scaling", qos.LATCHED)
        self.every(BEAT, self.say)

    def say(self) -> None:
        """What a safety node says 50 times a second."""
        stop = self.factor == 0.0
        level = msg.SafetyState.STOP if stop else msg.SafetyState.CLEAR
        self.states.publish(msg.SafetyState(level=level))
        self.factors.publish(Float64(data=self.factor))

    def followed(self) -> bool:
        """Whether the driver does what was said last."""
        return abs(self.driver.speed - self.factor) <= NEAR

    def another(self, rng: np.random.Generator) -> float:
        """A factor that the driver can tell from the one in force; 0 in 3 of 10 cases."""
        lowest = max(self.driver.driver.lowest, 0.02)
        while True:
            moving = rng.integers(round(100 * lowest), 101) / 100
            factor = float(moving if rng.random() > 0.3 else 0.0)
            if abs(factor - self.factor) > 2 * NEAR:
                return factor


def measure(
    node: BridgeProbe, wait: Callable[[Callable[[], bool], float], bool], changes: int, seed: int
) -> dict[str, Any]:
    """What the changes of the factor gave; `wait` spins until something holds, or a time is up."""
    wait(node.followed, START)
    rng, lost = np.random.default_rng(seed), 0
    delays: list[float] = []
    for _ in range(changes):
        wait(lambda: False, rng.uniform(0.0, REST))
        node.factor, node.driver.at = node.another(rng), None
        sent = time.monotonic()
        node.say()
        lost += not wait(node.followed, PATIENCE)
        if node.driver.at is not None:
            delays.append(node.driver.at - sent)
    refused = [f"{call.name} {dict(call.fields)}" for call in node.driver.refused]
    return {"delays": delays, "lost": lost, "refused": refused}


def main(changes: int, seed: int) -> None:
    """Measure and print."""
    process.prepare(["bridge_probe"])
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node, executor = BridgeProbe(), make_executor()
    executor.add_node(node)
    node.bring_up()

    def wait(until: Callable[[], bool], seconds: float) -> bool:
        ends = time.monotonic() + seconds
        while not (done := until()) and time.monotonic() < ends:
            executor.spin_once(timeout_sec=0.01)
        return done

    print(json.dumps(measure(node, wait, changes, seed)))
    node.close()
    process.leave(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
