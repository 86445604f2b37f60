"""The demo cell's robot, which sweeps as fast as speed_scaling lets it, and simulated drivers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, String
from tf2_msgs.msg import TFMessage

from ses_gcn_ros.config import build
from ses_gcn_ros.drivers import SIMULATED, BridgeConfig, Call, SimulatedDriver, calls, holds
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import TransformSender, message_type, to_time
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.safety import DemoRobotConfig, Urdf
from ses_gcn_ros.safety.robot_motion import SweepMotion


class DriverPorts:
    """Topics and services of a simulated driver, in its own messages, while a node is active.

    Raises InputError if the driver's messages are not installed.
    """

    def __init__(self, node: ManagedNode, config: BridgeConfig, driver: SimulatedDriver) -> None:
        self._driver = driver
        # every call of a name has its fields in the same order
        said = [driver.driver.carrying(1.0), *(hold.call for hold in holds(config))]
        self._fields = {call.name: [name for name, _ in call.fields] for call in reversed(said)}
        for name, call in calls(config).items():
            kind, port = message_type(call.type), config.resolved(name)
            if call.is_service:
                answer = partial(self._serve, call)
                node.while_active(node.create_service(kind, port, answer))
            else:
                node.subscription(kind, port, partial(self._take, call), qos.LATCHED)

    def _take(self, call: Call, message: Any) -> bool:
        fields = self._fields.get(call.name, [])
        values = tuple((name, getattr(message, name)) for name in fields)
        return self._driver.take(Call(call.name, call.type, values))

    def _serve(self, call: Call, request: Any, response: Any) -> Any:
        accepted = self._take(call, request)
        for name, said in (
            ("success", accepted),
            ("ret", 0 if accepted else 1),  # xarm_msgs
            ("result_code", 1 if accepted else 0),  # abb_robot_msgs
            ("return_code", 0 if accepted else 1),  # action_msgs
        ):
            if hasattr(response, name):
                setattr(response, name, said)
        return response


TOGETHER = 0.2  # s in which each of several publishers of the speed factor counts
LONGEST_STEP = 0.1  # s; a clock that leaps must not make the robot leap


class DemoRobot(ManagedNode):
    """Publish joint states and transforms of a robot that obeys."""

    config_type = DemoRobotConfig
    config: DemoRobotConfig

    def configure(self) -> None:
        """Read the description and lay out the motion."""
        self.urdf = Urdf.load(self.config.robot_description)
        self.motion = SweepMotion(self.config, self.urdf)
        self.senders = {
            moving: TransformSender(
                [(j.parent, j.child) for j in self.urdf.joints if (j.kind != "fixed") == moving]
            )
            for moving in (False, True)
        }

    def activate(self) -> None:
        """Publish what doesn't change, then move."""
        self.factors: deque[tuple[float, float]] = deque()
        self.factor, self.received = 0.0, float("-inf")
        self.state = JointState(name=list(self.motion.joints))
        self.last = self.now()
        self.descriptions = self.publisher(String, "robot_description", qos.LATCHED)
        self.descriptions.publish(String(data=self.urdf.text))
        self.static_frames = self.publisher(TFMessage, "/tf_static", qos.LATCHED)
        self.static_frames.publish(self.transforms(moving=False))
        self.moving_frames = self.publisher(TFMessage, "/tf", qos.STREAM)
        self.states = self.publisher(JointState, "joint_states", qos.STREAM)
        self.driver: SimulatedDriver | None = None
        if self.config.driver:
            self.open_driver()
        else:
            self.orders = self.subscription(Float64, "speed_scaling", self.on_factor, qos.LATCHED)
        self.every(1.0 / self.config.rate, self.tick)

    def open_driver(self) -> None:
        """Obey a simulated driver, which comes up paused, until a bridge resumes it."""
        name = self.config.driver
        values = {"driver": name, "driver_namespace": self.config.driver_namespace}
        bridge = build(BridgeConfig, values)
        if bridge.driver not in SIMULATED:
            raise ConfigError(
                f"driver is '{bridge.driver}', which moves no arm; the demo robot takes "
                f"{', '.join(SIMULATED)}"
            )
        self.driver = SimulatedDriver(bridge)
        self.driver.pause()
        DriverPorts(self, bridge, self.driver)

    def on_factor(self, message: Float64) -> None:
        """Take the speed factor; the lowest of the last ones where several publish it."""
        self.received = time.monotonic()
        self.factors.append((self.received, message.data))
        alone = self.orders.get_publisher_count() < 2
        while (alone and len(self.factors) > 1) or self.factors[0][0] < self.received - TOGETHER:
            self.factors.popleft()
        self.factor = min(factor for _, factor in self.factors)

    def allowed(self) -> float:
        """Speed factor in force: one that is not received is not given."""
        if self.driver is not None:  # which goes on as it was told last, as drivers do
            return self.driver.speed
        silent = time.monotonic() - self.received
        return self.factor if silent <= self.config.heartbeat else 0.0

    def tick(self) -> None:
        """Move on by the time that has passed, and say where the robot is."""
        now = self.now()
        passed = now - self.last
        self.last = now
        if passed <= 0.0:  # a simulated clock that stands still or went back
            return
        self.motion.advance(min(passed, LONGEST_STEP), self.allowed())
        self.state.header.stamp = to_time(now)
        self.state.position = self.motion.positions.tolist()
        self.state.velocity = self.motion.velocities.tolist()
        self.states.publish(self.state)
        self.moving_frames.publish(self.transforms(moving=True))

    def transforms(self, *, moving: bool) -> TFMessage:
        """Transforms of all joints that move, or of all that don't."""
        positions = dict(zip(self.motion.joints, self.motion.positions.tolist(), strict=True))
        joints = [joint for joint in self.urdf.joints if (joint.kind != "fixed") == moving]
        poses = [joint.transform(positions.get(joint.name, 0.0)) for joint in joints]
        return self.senders[moving].fill(self.last, np.stack(poses))

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """Pace, and whether the speed factor is received."""
        values: dict[str, object] = {
            "speed_factor": f"{self.allowed():.3f}",
            "pace": f"{self.motion.pace:.3f}",
        }
        if self.driver is not None:
            values |= {"driver": self.config.driver, "refused": len(self.driver.refused)}
            return DiagnosticStatus.OK, f"held by {self.driver.held_by or 'nothing'}", values
        if time.monotonic() - self.received > self.config.heartbeat:
            return DiagnosticStatus.WARN, "stopped: no speed_scaling is heard", values
        return DiagnosticStatus.OK, "moving" if self.motion.pace > 0 else "standing", values
