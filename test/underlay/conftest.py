"""Fixtures for the tests of tf2 and tf_transformations, whether real or standing in.

The tests use only what both have in common, and run on what is importable.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("tf2_ros")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from tf2_ros import Buffer


@pytest.fixture
def buffer() -> Buffer:
    return Buffer()


class Network:
    """Nodes of this process on a network of their own."""

    def __init__(self) -> None:
        self._executor = SingleThreadedExecutor()
        self._nodes: list[Node] = []

    def node(self, name: str, *, spun: bool = True, use_sim_time: bool = False) -> Node:
        """Make a node; `spin_until` runs its callbacks unless `spun` is false."""
        overrides = [Parameter("use_sim_time", value=use_sim_time)]
        node = rclpy.create_node(name, parameter_overrides=overrides)
        self._nodes.append(node)
        if spun:
            self._executor.add_node(node)
        return node

    def spin_until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Run callbacks until `condition` holds; fail the test if it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"did not happen within {seconds} s"
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        """Destroy the nodes; a process that ends with nodes alive may hang."""
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """DDS between nodes of this process alone."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init(domain_id=1 + os.getpid() % 100)  # up to 101 keeps clear of ephemeral ports
    network = Network()
    yield network
    network.close()
    rclpy.try_shutdown()
