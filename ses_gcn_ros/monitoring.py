"""Rates, latencies and counts of a running stream, for diagnostics and reports."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np


class StreamMonitor:
    """Keep the recent latencies of a stream and count what went wrong with it.

    `window`: how many of the latest messages the rate and the latencies are taken from.
    """

    def __init__(self, window: int = 512) -> None:
        self._latencies: deque[float] = deque(maxlen=window)  # s
        self._times: deque[float] = deque(maxlen=window)  # s, steady clock
        self.handled = 0
        self.problems: Counter[str] = Counter()

    def handle(self, time: float, latency: float) -> None:
        """Note a message dealt with at `time` (steady clock, s), `latency` s after arrival."""
        self._times.append(time)
        self._latencies.append(latency)
        self.handled += 1

    def fail(self, problem: str) -> None:
        """Count a problem under its name."""
        self.problems[problem] += 1

    def rate(self, now: float, window: float = 2.0) -> float:
        """Messages per second over the last `window` seconds before `now` (steady clock, s)."""
        return sum(1 for time in self._times if now - time <= window) / window

    def latency(self, quantile: float) -> float:
        """Quantile (0 to 1) of the recent latencies [s]; NaN before the first message."""
        if not self._latencies:
            return float("nan")
        return float(np.quantile(np.asarray(self._latencies), quantile))
