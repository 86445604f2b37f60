"""The topics and services of a simulated robot driver, with the driver's own message types."""

from __future__ import annotations

from functools import partial
from typing import Any

from ses_gcn_ros.drivers import BridgeConfig, Call, SimulatedDriver, calls, holds
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import message_type
from ses_gcn_ros.nodes.managed_node import ManagedNode


class DriverPorts:
    """Open what a bridge of this configuration speaks to, while a node is active.

    Raises InputError if the driver's messages are not installed.
    """

    def __init__(self, node: ManagedNode, config: BridgeConfig, driver: SimulatedDriver) -> None:
        self._driver = driver
        # every call of a name has its fields in the same order
        spoken = [driver.driver.carrying(1.0), *(hold.call for hold in holds(config))]
        self._fields = {call.name: [name for name, _ in call.fields] for call in reversed(spoken)}
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
