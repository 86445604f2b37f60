"""Diagnostics count what was handled, how fast, and what went wrong."""

import math

import pytest

from ses_gcn_ros.nodes.managed_node import StreamStatistics


def test_before_the_first_message_there_is_no_latency():
    statistics = StreamStatistics()
    assert math.isnan(statistics.latency(0.5))
    assert statistics.rate(now=10.0) == 0.0


def test_the_rate_counts_the_last_seconds_only():
    statistics = StreamStatistics()
    for k in range(100):
        statistics.handle(time=k * 0.04, latency=0.001)
    assert statistics.rate(now=99 * 0.04, window=2.0) == pytest.approx(25.0, abs=0.5)
    assert statistics.rate(now=100.0) == 0.0
    assert statistics.handled == 100


def test_latencies_are_those_of_the_latest_messages():
    statistics = StreamStatistics(window=10)
    for k in range(20):
        statistics.handle(time=float(k), latency=float(k))
    assert statistics.latency(0.0) == 10.0
    assert statistics.latency(1.0) == 19.0


def test_problems_are_counted_by_name():
    statistics = StreamStatistics()
    statistics.fail("InputError", "a word")
    statistics.fail("InputError", "another")
    assert statistics.problems == {"InputError": 2}
    assert statistics.last == "another"
