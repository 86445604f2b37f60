"""What the forecaster node's part of the chain is made of, call by call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

from ses_gcn_ros.forecast import ForecastConfig, Forecaster, load
from ses_gcn_ros.msg import SkeletonArray
from ses_gcn_ros.nodes.conversions import forecasts_to_msg, skeletons_from_msg

FRAMES, WARM_UP = 200, 60


def costs(messages: list[SkeletonArray], period: float) -> dict[str, float]:
    """Median seconds of converting and (de)serialising, and of inference, for one message each."""
    engine = load()
    forecaster = Forecaster(engine, ForecastConfig())
    spent: dict[str, list[float]] = {"conversion": [], "inference": []}
    for number in range(FRAMES):
        serialised = serialize_message(messages[number % len(messages)])
        message, first = _timed(deserialize_message, serialised, SkeletonArray)
        people, second = _timed(skeletons_from_msg, message)
        _, third = _timed(forecaster.observe, number * period, people)
        forecasts, fourth = _timed(forecaster.forecast)
        answer, fifth = _timed(forecasts_to_msg, message.header.stamp, "world", forecasts)
        _, sixth = _timed(serialize_message, answer)
        spent["conversion"].append(first + second + fifth + sixth)
        spent["inference"].append(third + fourth)
    return {name: float(np.median(values[WARM_UP:])) for name, values in spent.items()}


def _timed(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call(*arguments)
    return result, time.perf_counter() - started
