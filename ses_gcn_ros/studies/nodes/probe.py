"""Send skeletons into two chains by turns and note when their answers come.

``python -m ses_gcn_ros.studies.nodes.probe PEOPLE SECONDS`` waits until everybody listens, sends
at 30 Hz to the nodes and, half a period later, to the relays; prints "measuring", and at the end
one line of JSON: delays in seconds by chain and stage. An answer belongs to the skeletons whose
stamp it carries, a state to those of the forecast whose age it says.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message, serialize_message

from ses_gcn_ros.bags.rosbag2 import read_current
from ses_gcn_ros.forecast import Forecast, ForecastConfig, Forecaster, load
from ses_gcn_ros.msg import ForecastArray, SafetyState, Skeleton, SkeletonArray
from ses_gcn_ros.nodes import process, qos
from ses_gcn_ros.nodes.conversions import flat, forecasts_to_msg, to_seconds, to_time
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.skeleton import Skeleton as Person
from ses_gcn_ros.skeleton import skeletons_from_message

_FRAMES, _WARM = 200, 60


def costs(messages: list[SkeletonArray], period: float) -> dict[str, float]:
    """Median seconds of converting and (de)serialising, and of inference, for one message each."""
    config = ForecastConfig()
    forecaster = Forecaster(load(threads=config.threads), config)
    spent: dict[str, list[float]] = {"conversion": [], "inference": []}
    for number in range(_FRAMES):
        serialised = serialize_message(messages[number % len(messages)])
        people, first = _timed(_receive, serialised)
        _, second = _timed(forecaster.observe, number * period, people)
        forecasts, third = _timed(forecaster.forecast)
        _, fourth = _timed(_send, forecasts)
        spent["conversion"].append(first + fourth)
        spent["inference"].append(second + third)
    return {name: float(np.median(values[_WARM:])) for name, values in spent.items()}


def _receive(serialised: bytes) -> list[Person]:
    return skeletons_from_message(deserialize_message(serialised, SkeletonArray))


def _send(forecasts: list[Forecast]) -> None:
    serialize_message(forecasts_to_msg(Time(), "world", forecasts))


def _timed(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call(*arguments)
    return result, time.perf_counter() - started


PERIOD = 1 / 30  # s
WARM_UP = 2.0  # s in which histories fill and caches warm
PATIENCE = 120.0  # s to wait for everybody
GRACE = 0.5  # s to wait for the last answers
SPACING = 0.4  # m between people
TOLERANCE = 2e-4  # s by which an age, a float32, may miss a stamp
CHAINS = {"nodes": "", "floor": "floor/"}


class Chain:
    """One chain's topics, and the delays of its answers by the nanosecond of the skeletons."""

    def __init__(self, node: Any, prefix: str) -> None:
        self.sent: dict[int, float] = {}
        self.forecast: dict[int, float] = {}
        self.state: dict[int, float] = {}
        self.skeletons = node.create_publisher(SkeletonArray, f"{prefix}skeletons", qos.STREAM)
        node.create_subscription(ForecastArray, f"{prefix}forecasts", self.on_forecasts, qos.STREAM)
        self._state = node.create_subscription(
            SafetyState,
            f"{prefix}safety_state",
            self.on_state if prefix else self.on_assessed_state,
            qos.STREAM,
        )

    def on_forecasts(self, message: ForecastArray) -> None:
        self.note(self.forecast, key(message.header.stamp))

    def on_state(self, message: SafetyState) -> None:
        self.note(self.state, key(message.header.stamp))

    def on_assessed_state(self, message: SafetyState) -> None:
        if not np.isfinite(message.forecast_age):
            return
        used = to_seconds(message.header.stamp) - message.forecast_age
        for stamp in reversed(self.sent):
            if abs(stamp * 1e-9 - used) < TOLERANCE:
                self.note(self.state, stamp)
                return
            if stamp * 1e-9 < used:
                return

    def note(self, delays: dict[int, float], stamp: int) -> None:
        if stamp in self.sent:
            delays.setdefault(stamp, time.monotonic() - self.sent[stamp])

    def results(self, start: int) -> dict[str, Any]:
        """Delays of what was sent from number `start` on."""
        stamps = list(self.sent)[start:]
        delays = {"forecast": self.forecast, "state": self.state}
        return {
            "sent": len(stamps),
            **{name: [d[s] for s in stamps if s in d] for name, d in delays.items()},
        }


def key(stamp: Any) -> int:
    """A stamp in nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def read_people(people: int) -> list[SkeletonArray]:
    """The sample recording with as many people, who walk side by side."""
    messages = []
    for raw in read_current(share_path("config", "demo", "visitor"), ["skeletons"]):
        message = deserialize_message(raw.data, SkeletonArray)
        if len(message.skeletons) != 1:
            continue
        (one,) = message.skeletons
        positions = np.frombuffer(one.positions, np.float32).reshape(-1, 3)
        message.skeletons = [
            Skeleton(
                person_id=f"person_{number}",
                layout=one.layout,
                positions=flat(positions + np.array([0, SPACING * number, 0], np.float32)),
                confidence=one.confidence,
            )
            for number in range(people)
        ]
        messages.append(message)
    return messages


def main(people: int, seconds: float) -> None:
    """Measure and print."""
    process.prepare()
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node("probe")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    chains = {name: Chain(node, prefix) for name, prefix in CHAINS.items()}
    messages = read_people(people)
    listeners, waited = {"nodes": 2, "floor": 1}, time.monotonic()
    while any(
        chain.skeletons.get_subscription_count() < listeners[name]
        or node.count_publishers(chain._state.topic_name) < 1
        for name, chain in chains.items()
    ):
        if time.monotonic() - waited > PATIENCE:
            process.leave(1)
        executor.spin_once(0.1)

    starts: dict[str, int] = {}
    begun = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - begun) < WARM_UP + seconds:
        due = begun + sent * PERIOD / 2
        if time.monotonic() < due:
            executor.spin_once(due - time.monotonic())
            continue
        if not starts and elapsed > WARM_UP:
            starts = {name: len(chain.sent) for name, chain in chains.items()}
            print("measuring", flush=True)
        chain = list(chains.values())[sent % 2]
        message = messages[sent // 2 % len(messages)]
        now = time.time()
        message.header.stamp = to_time(now)
        chain.sent[key(message.header.stamp)] = time.monotonic()
        chain.skeletons.publish(message)
        sent += 1
    until = time.monotonic() + GRACE
    print("measured", flush=True)
    while time.monotonic() < until:
        executor.spin_once(0.05)
    results: dict[str, Any] = {name: chain.results(starts[name]) for name, chain in chains.items()}
    results["costs"] = costs(messages, PERIOD)
    print(json.dumps(results))
    process.leave(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
