"""Start a forecaster and see how long its first forecast takes.

``python -m ses_gcn_ros.studies.nodes.first_forecast ARGUMENTS…`` publishes skeletons, starts the
forecaster node with these arguments and prints one line of JSON: seconds from the start of its
process to its first message and to the first forecast by the network, and its resident memory a
while after that [bytes].
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from ses_gcn_ros.msg import ForecastArray, SkeletonArray
from ses_gcn_ros.nodes import process, qos
from ses_gcn_ros.nodes.conversions import to_time
from ses_gcn_ros.studies.nodes.probe import PERIOD, read_people
from ses_gcn_ros.studies.soak import memory

SETTLE = 2.0  # s after the first forecast until memory is read
PATIENCE = 120.0  # s


def main(arguments: list[str]) -> None:
    """Measure and print."""
    process.prepare(["first_forecast"])
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node("first_forecast")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    messages = read_people(1)
    publisher = node.create_publisher(SkeletonArray, "skeletons", qos.STREAM)
    seen: dict[str, float] = {}

    def on_forecasts(message: ForecastArray) -> None:
        seen.setdefault("message", time.monotonic())
        if any(forecast.coverage > 0 for forecast in message.forecasts):
            seen.setdefault("forecast", time.monotonic())

    node.create_subscription(ForecastArray, "forecasts", on_forecasts, qos.STREAM)
    command = [sys.executable, "-m", "ses_gcn_ros.nodes", "forecaster_node", *arguments]
    started = time.monotonic()
    child = subprocess.Popen(command)
    sent, result = 0, dict[str, Any]()
    try:
        while child.poll() is None and time.monotonic() - started < PATIENCE:
            due = started + sent * PERIOD
            if time.monotonic() < due:
                executor.spin_once(due - time.monotonic())
                continue
            message = messages[sent % len(messages)]
            message.header.stamp = to_time(time.time())
            publisher.publish(message)
            sent += 1
            if "forecast" in seen and time.monotonic() - seen["forecast"] > SETTLE:
                result = {name: moment - started for name, moment in seen.items()}
                result["memory"] = memory(child.pid)[0]
                break
    finally:
        child.terminate()
        child.wait()
    print(json.dumps(result))
    process.leave(0 if result else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
