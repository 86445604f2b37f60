"""Looks on at a cell without taking part: who is there, what flows, what the safety node says."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

from ses_gcn_ros import msg
from ses_gcn_ros.bringup import chosen_domain
from ses_gcn_ros.errors import SesGcnError
from ses_gcn_ros.nodes import process, qos
from ses_gcn_ros.nodes.managed_node import StreamStatistics, make_executor

NAME = "ses_gcn_watch"
_PATIENCE = 30.0  # s for an answer: to configure takes a node that compiles as long
_AGAIN = 2.0  # s from a question to the same one again
_ACQUAINTED = 0.5  # s from a service being found to it having found its client too
_LEVELS = ("CLEAR", "REDUCED", "STOP")
_STATUS = ("OK", "WARN", "ERROR", "STALE")


class CellObserver(Node):
    """Subscribes to a cell's topics and everybody's diagnostics, and sums them up on request.

    Players of recordings and videos wait for a number of subscribers to `skeletons`, and this must
    not count as one: it subscribes to them only once somebody else has received some.

    `namespace`: of the cell; empty for none.
    """

    def __init__(self, namespace: str = "") -> None:
        super().__init__(
            NAME, namespace=namespace, enable_rosout=False, start_parameter_services=False
        )
        self._streams: dict[str, StreamStatistics] = {}
        self._last: dict[str, tuple[float, Any]] = {}  # time [s, monotonic] and message, by topic
        self._status: dict[str, tuple[float, DiagnosticStatus]] = {}
        self._executor = make_executor()
        self._executor.add_node(self)
        self._subscribe("safety_state", msg.SafetyState)
        self._subscribe("speed_scaling", Float64)
        self._subscribe("forecasts", msg.ForecastArray)
        self._subscribe("actions", msg.ActionArray)
        self._subscribe("/diagnostics", DiagnosticArray, self._note_status)

    @property
    def receives(self) -> bool:
        """Whether a node of the cell has said anything."""
        return bool(self._last or self._status)

    def spin(self, seconds: float) -> None:
        """Receive for some time [s]; what can't be read as a message is passed over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            try:
                self._executor.spin_once(timeout_sec=min(left, 0.1))
            except Exception as error:  # of rclpy, over bytes that are no message
                self.get_logger().debug(repr(error))
            if "skeletons" not in self._streams and self._last.keys() & {"forecasts", "actions"}:
                self._subscribe("skeletons", msg.SkeletonArray)

    def managed(self) -> list[str]:
        """Full names of the cell's nodes that have a lifecycle."""
        here, end = self.get_namespace().rstrip("/") + "/", "/change_state"
        services = (name for name, _ in self.get_service_names_and_types())
        return sorted(
            n.removesuffix(end) for n in services if n.startswith(here) and n.endswith(end)
        )

    def state_of(self, node: str) -> str:
        """State of a managed node, such as "active"; raises SesGcnError where it doesn't answer."""
        answer = self._ask(GetState, f"{node}/get_state", GetState.Request())
        return str(answer.current_state.label)

    def states(self) -> dict[str, str]:
        """State of each of the cell's managed nodes; "no answer" of one that hangs or is gone."""
        services = {node: f"{node}/get_state" for node in self.managed()}
        found = self._ask_all(GetState, services.values(), GetState.Request())
        return {
            node: str(found[service].current_state.label) if service in found else "no answer"
            for node, service in services.items()
        }

    def change(self, node: str, transition: str) -> None:
        """Have a managed node make a transition, such as "deactivate", or "reset" a safety node.

        Raises SesGcnError where its state has no such transition, it fails or doesn't answer.
        """
        if transition == "reset":  # of a stop that is latched, and of the lost
            said = self._ask(Trigger, f"{node}/reset", Trigger.Request(), again=False)
            if not said.success:
                raise SesGcnError(f"{node} doesn't reset: {said.message}")
            return
        kind = GetAvailableTransitions
        answer = self._ask(kind, f"{node}/get_available_transitions", kind.Request())
        there = {each.transition.label: each.transition for each in answer.available_transitions}
        if transition not in there:
            known = ", ".join(sorted(there)) or "nothing at all"
            raise SesGcnError(
                f"{node} is {self.state_of(node)}: it can {known}, not '{transition}'"
            )
        request = ChangeState.Request(transition=there[transition])
        if not self._ask(ChangeState, f"{node}/change_state", request, again=False).success:
            raise SesGcnError(f"{node} can't {transition}; it says why in its log")

    def _ask(self, kind: Any, service: str, request: Any, *, again: bool = True) -> Any:
        """Answer of a service; raises SesGcnError if it gives none."""
        answers = self._ask_all(kind, [service], request, again=again)
        if service not in answers:
            raise SesGcnError(f"{service} doesn't answer within {_PATIENCE:g} s")
        return answers[service]

    def _ask_all(
        self, kind: Any, services: Iterable[str], request: Any, *, again: bool = True
    ) -> dict[str, Any]:
        """Answers of services that are asked at the same time, as far as they come.

        DDS loses an answer to a client whom the service doesn't know yet. So the question is asked
        `again` until it is answered, or else once, after a while.
        """
        clients = {service: self.create_client(kind, service) for service in services}
        asked: dict[str, list[Any]] = {service: [] for service in clients}
        due: dict[str, float] = {}  # s, monotonic: when to ask
        answers: dict[str, Any] = {}
        try:
            end = time.monotonic() + _PATIENCE
            while (now := time.monotonic()) < end and len(answers) < len(clients):
                for service in clients.keys() - answers.keys():
                    first = now + (0.0 if again else _ACQUAINTED)
                    ready = clients[service].service_is_ready()
                    if ready and now >= due.setdefault(service, first):
                        asked[service].append(clients[service].call_async(request))
                        due[service] = now + (_AGAIN if again else math.inf)
                    if done := [each for each in asked[service] if each.done()]:
                        answers[service] = done[0].result()
                self.spin(0.02)
        finally:
            for client in clients.values():
                self.destroy_client(client)
        return answers

    def reading(self) -> dict[str, Any]:
        """What is known now.

        Gives ``domain``, ``namespace``; ``state``: fields of the last SafetyState, the level as a
        word, and its age [s], None before the first; ``nodes``: name, status (OK, WARN, ERROR,
        STALE, or "silent" without diagnostics), message and values of each, but for those of other
        cells; ``elsewhere``: namespaces of other cells' safety nodes; ``streams``: topic, number of
        publishers, rate [Hz] and age of the last message [s]; ``people``: id, model of the forecast
        and action of everybody in the last forecasts and actions.
        """
        now = time.monotonic()
        return {
            "domain": int(os.environ.get("ROS_DOMAIN_ID") or 0),
            "namespace": self.get_namespace(),
            "state": self._state(now),
            "nodes": self._nodes(now),
            "elsewhere": self._elsewhere(),
            "streams": [
                {
                    "topic": self.resolve_topic_name(topic),
                    "publishers": self.count_publishers(self.resolve_topic_name(topic)),
                    "rate_hz": stream.rate(now),
                    "age_s": now - self._last[topic][0] if topic in self._last else None,
                }
                for topic, stream in self._streams.items()
            ],
            "people": self._people(),
        }

    def _subscribe(self, topic: str, kind: Any, then: Callable[[Any], None] | None = None) -> None:
        stream = self._streams[topic] = StreamStatistics()

        def receive(message: Any) -> None:
            now = time.monotonic()
            stream.handle(now, 0.0)
            self._last[topic] = now, message
            if then is not None:
                then(message)

        self.create_subscription(kind, topic, receive, qos.stream("best_effort"))

    def _note_status(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        self._status |= {status.name: (now, status) for status in message.status}

    def _state(self, now: float) -> dict[str, Any] | None:
        if "safety_state" not in self._last:
            return None
        received, message = self._last["safety_state"]
        fields = {name: getattr(message, name) for name in message.get_fields_and_field_types()}
        del fields["header"]
        state = {k: list(v) if hasattr(v, "tolist") else v for k, v in fields.items()}
        level = int(message.level)
        state["level"] = _LEVELS[level] if level < len(_LEVELS) else str(level)
        return {**state, "age_s": now - received}

    def _nodes(self, now: float) -> list[dict[str, Any]]:
        here = self.get_namespace().rstrip("/") + "/"
        names = {
            f"{place.rstrip('/')}/{name}" for name, place in self.get_node_names_and_namespaces()
        }
        shown = {name for name in names if name.startswith(here) and "/_" not in name}
        nodes: dict[str, dict[str, Any]] = {
            name: {"name": name, "status": "silent", "message": "", "age_s": None, "values": {}}
            for name in shown - {f"{here}{NAME}"}
        }
        for name, (received, status) in self._status.items():
            if f"/{name}" in names - shown:
                continue
            level = int.from_bytes(status.level, "little")
            nodes[f"/{name}"] = {
                "name": f"/{name}",
                "status": _STATUS[level] if level < len(_STATUS) else str(level),
                "message": status.message,
                "age_s": now - received,
                "values": {pair.key: pair.value for pair in status.values},
            }
        return [nodes[name] for name in sorted(nodes)]

    def _elsewhere(self) -> list[str]:
        topics = [
            name
            for name, kinds in self.get_topic_names_and_types()
            if "ses_gcn_ros/msg/SafetyState" in kinds and self.count_publishers(name)
        ]
        cells = {topic.rpartition("/")[0] or "/" for topic in topics}
        return sorted(cells - {self.get_namespace()})

    def _people(self) -> list[dict[str, Any]]:
        people: dict[str, dict[str, Any]] = {}

        def person(name: str) -> dict[str, Any]:
            empty = {"id": name, "forecast": "", "action": "", "probability": None}
            return people.setdefault(name, empty)

        if "forecasts" in self._last:
            for entry in self._last["forecasts"][1].forecasts:
                person(entry.person_id)["forecast"] = entry.model
        if "actions" in self._last:
            for entry in self._last["actions"][1].actions:
                said = {"action": entry.label, "probability": float(entry.probability)}
                person(entry.person_id).update(said)
        return [people[name] for name in sorted(people)]


@contextmanager
def observe(namespace: str = "") -> Iterator[CellObserver]:
    """Observer in this process, which leaves signals alone and shares no memory with the cell.

    Raises ConfigError for a ROS_DOMAIN_ID that can't be.
    """
    chosen_domain()
    process.avoid_shared_memory(os.environ)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        observer = CellObserver(namespace)
        try:
            yield observer
        finally:
            observer.destroy_node()
    finally:
        rclpy.try_shutdown()
