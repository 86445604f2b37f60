"""Diagnostics count what was handled, how fast, and what went wrong."""

import math

import pytest

from ses_gcn_ros.nodes.managed_node import StreamMonitor


def test_before_the_first_message_there_is_no_latency():
    monitor = StreamMonitor()
    assert math.isnan(monitor.latency(0.5))
    assert monitor.rate(now=10.0) == 0.0


def test_the_rate_counts_the_last_seconds_only():
    monitor = StreamMonitor()
    for k in range(100):
        monitor.handle(time=k * 0.04, latency=0.001)
    assert monitor.rate(now=99 * 0.04, window=2.0) == pytest.approx(25.0, abs=0.5)
    assert monitor.rate(now=100.0) == 0.0
    assert monitor.handled == 100


def test_latencies_are_those_of_the_latest_messages():
    monitor = StreamMonitor(window=10)
    for k in range(20):
        monitor.handle(time=float(k), latency=float(k))
    assert monitor.latency(0.0) == 10.0
    assert monitor.latency(1.0) == 19.0


def test_problems_are_counted_by_name():
    monitor = StreamMonitor()
    monitor.fail("InputError")
    monitor.fail("InputError")
    assert monitor.problems == {"InputError": 2}
