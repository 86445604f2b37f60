"""Nodes that talk to each other over DDS."""

from __future__ import annotations

import time
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter


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

    def spin_until(self, condition: Callable[[], bool], seconds: float = 120.0) -> None:
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
