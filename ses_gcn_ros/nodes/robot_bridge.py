"""speed_scaling + safety_state → the robot's driver, in the form that the driver takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from std_msgs.msg import Float64

from ses_gcn_ros import msg
from ses_gcn_ros.drivers import Bridge, BridgeConfig, Call, calls
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import message_type
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.safety.obedience import DISOBEYS

STATUS_PERIOD = 0.03  # s; of the bridge's word to the safety node, which waits for 0.1 s


class RobotBridge(ManagedNode):
    """Speak one robot's driver; run one bridge for each robot, under names of their own."""

    config_type = BridgeConfig
    config: BridgeConfig

    def configure(self) -> None:
        """Find the driver's messages and services; raises InputError where a package is missing."""
        self.calls = calls(self.config)
        self.types = {name: message_type(call.type) for name, call in self.calls.items()}

    def activate(self) -> None:
        """Begin holding the robot, and go on by the ramp once the safety node allows it."""
        self.bridge = Bridge(self.config)
        self.said: Mapping[str, int] = {}
        self.status = self.publisher(DiagnosticStatus, "~/status", qos.STREAM)
        self.told = float("-inf")
        self.outputs: dict[str, Any] = {}
        for call in self.calls.values():
            kind, name = self.types[call.name], self.config.resolved(call.name)
            if call.is_service:
                client = self.create_client(kind, name)
                self.when_inactive(partial(self.destroy_client, client))
                self.outputs[call.name] = client
            else:
                # latched for a controller that comes up later, as ros2_control asks for
                self.outputs[call.name] = self.publisher(kind, name, qos.LATCHED)
        self.subscription(Float64, "speed_scaling", self.on_factor, qos.LATCHED)
        self.subscription(msg.SafetyState, "safety_state", self.on_state, qos.STREAM)
        if self.config.driver == "twist":
            kind = self.types[self.bridge.driver.factor.name]
            self.subscription(kind, "cmd_vel_in", self.on_twist, qos.STREAM)
        self.every(1.0 / self.config.rate, self.tick)

    def on_factor(self, message: Float64) -> None:
        """Take the speed factor."""
        self.bridge.receive_factor(message.data, time.monotonic())
        self.tick()

    def on_state(self, message: msg.SafetyState) -> None:
        """Take the level, and whether the robot disobeys."""
        disobeys = any(reason.startswith(DISOBEYS) for reason in message.reasons)
        stop = message.level == msg.SafetyState.STOP
        self.bridge.receive_state(stop, time.monotonic(), disobeys)

    def on_twist(self, message: Any) -> None:
        """Pass a velocity command on, as fast as is allowed."""
        for part in (message.twist.linear, message.twist.angular):
            for axis in ("x", "y", "z"):
                setattr(part, axis, self.bridge.factor * getattr(part, axis))
        self.outputs[self.bridge.driver.factor.name].publish(message)

    def tick(self) -> None:
        """Go on with the ramp, and say how it goes."""
        now = time.monotonic()
        for call in self.bridge.tick(now):
            self.send(call)
        news = {k: n for k, n in self.bridge.problems.items() if n != self.said.get(k)}
        if news:
            self.said = dict(self.bridge.problems)
            self.get_logger().error(
                f"{self.config.driver}: {', '.join(news)}", throttle_duration_sec=2.0
            )
        if news or now - self.told >= STATUS_PERIOD:
            self.told = now
            level, text, values = self.diagnose()
            pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
            name = self.get_fully_qualified_name()
            self.status.publish(
                DiagnosticStatus(level=level, name=name, message=text, values=pairs)
            )

    def absent(self) -> str:
        """What nobody listens to, where that is known; empty otherwise."""
        for name, output in self.outputs.items():
            if self.calls[name].is_service:
                continue
            if not output.get_subscription_count():
                return f"nobody listens to {output.topic_name}"
        return ""

    def send(self, call: Call) -> None:
        """Publish a message, or call a service."""
        output, kind = self.outputs[call.name], self.types[call.name]
        if not call.is_service:
            if self.config.driver == "twist":  # what goes out are the commands that come in
                return
            output.publish(filled(kind(), call))
        elif output.service_is_ready():
            future = output.call_async(filled(kind.Request(), call))
            future.add_done_callback(partial(self.on_answer, call))
        else:
            self.bridge.answer(call, False, "not offered")

    def on_answer(self, call: Call, future: Any) -> None:
        """Take a service's answer to the bridge."""
        self.bridge.answer(call, accepted(future.result()))

    def deactivate(self) -> None:
        """Leave the robot held."""
        self.bridge.receive_state(True, time.monotonic())
        self.bridge.factor = 0.0
        for call in self.bridge.tick(time.monotonic()):
            self.send(call)

    def diagnose(self) -> tuple[bytes, str, Mapping[str, object]]:
        """Factor on the wire, and what the driver refused."""
        bridge = self.bridge
        values = {"driver": self.config.driver, "factor": f"{bridge.factor:.3f}"}
        values |= {f"problem {name}": str(count) for name, count in bridge.problems.items()}
        if fault := bridge.fault or self.absent():
            return DiagnosticStatus.ERROR, fault, values
        if bridge.reason:
            return DiagnosticStatus.WARN, f"held: {bridge.reason}", values
        return DiagnosticStatus.OK, "moving as allowed", values


def filled(message: Any, call: Call) -> Any:
    """A message or request with the fields of a call."""
    for name, value in call.fields:
        if not hasattr(message, name):
            raise InputError(f"'{call.type}' has no field '{name}'; another release of the driver?")
        setattr(message, name, value)
    return message


def accepted(answer: Any) -> bool:
    """Whether a driver's answer says yes, in the words that drivers use for it."""
    if hasattr(answer, "success"):
        return bool(answer.success)
    if hasattr(answer, "ret"):  # xarm_msgs
        return answer.ret == 0
    if hasattr(answer, "result_code"):  # abb_robot_msgs
        return answer.result_code == 1
    if hasattr(answer, "return_code"):  # action_msgs: 2 and 3 are goals that are over already
        return answer.return_code in (0, 2, 3)
    return answer is not None
