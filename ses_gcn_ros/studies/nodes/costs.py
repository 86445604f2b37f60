"""What the forecaster node's part of the chain is made of, call by call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message

from ses_gcn_ros.forecast import ForecastConfig, Forecaster, load
from ses_gcn_ros.msg import SkeletonArray
from ses_gcn_ros.nodes.wire import read_skeletons
from ses_gcn_ros.nodes.wire_writers import write_forecasts

FRAMES, WARM_UP = 200, 60


def costs(messages: list[SkeletonArray], period: float) -> dict[str, float]:
    """Median seconds of converting and (de)serialising, and of inference, for one message each."""
    config = ForecastConfig()
    forecaster = Forecaster(load(threads=config.threads), config)
    spent: dict[str, list[float]] = {"conversion": [], "inference": []}
    for number in range(FRAMES):
        serialised = serialize_message(messages[number % len(messages)])
        heard, first = _timed(read_skeletons, serialised)
        _, second = _timed(forecaster.observe, number * period, heard.items)
        forecasts, third = _timed(forecaster.forecast)
        _, fourth = _timed(write_forecasts, heard.time, "world", forecasts)
        spent["conversion"].append(first + fourth)
        spent["inference"].append(second + third)
    return {name: float(np.median(values[WARM_UP:])) for name, values in spent.items()}


def _timed(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call(*arguments)
    return result, time.perf_counter() - started
