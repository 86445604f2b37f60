"""What the forecaster node's part of the chain is made of, call by call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message

from ses_gcn_ros.forecast import Forecast, ForecastConfig, Forecaster, load
from ses_gcn_ros.msg import SkeletonArray
from ses_gcn_ros.nodes.conversions import forecasts_to_msg, skeletons_from_msg
from ses_gcn_ros.skeleton import Skeleton

FRAMES, WARM_UP = 200, 60


def costs(messages: list[SkeletonArray], period: float) -> dict[str, float]:
    """Median seconds of converting and (de)serialising, and of inference, for one message each."""
    config = ForecastConfig()
    forecaster = Forecaster(load(threads=config.threads), config)
    spent: dict[str, list[float]] = {"conversion": [], "inference": []}
    for number in range(FRAMES):
        serialised = serialize_message(messages[number % len(messages)])
        people, first = _timed(_receive, serialised)
        _, second = _timed(forecaster.observe, number * period, people)
        forecasts, third = _timed(forecaster.forecast)
        _, fourth = _timed(_send, forecasts)
        spent["conversion"].append(first + fourth)
        spent["inference"].append(second + third)
    return {name: float(np.median(values[WARM_UP:])) for name, values in spent.items()}


def _receive(serialised: bytes) -> list[Skeleton]:
    return skeletons_from_msg(deserialize_message(serialised, SkeletonArray))


def _send(forecasts: list[Forecast]) -> None:
    serialize_message(forecasts_to_msg(Time(), "world", forecasts))


def _timed(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call(*arguments)
    return result, time.perf_counter() - started
