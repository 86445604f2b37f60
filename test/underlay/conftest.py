"""Fixtures for the tests of tf2, whether real or standing in.

The tests use only what both have in common, and run on what is importable. Nothing of ROS is
imported here outside the fixtures, so that without it the tests are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tf2_ros import Buffer
    from tf_network import Network


@pytest.fixture
def buffer() -> Buffer:
    from tf2_ros import Buffer

    return Buffer()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """DDS between nodes of this process alone."""
    import rclpy
    from tf_network import Network

    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init(domain_id=1 + os.getpid() % 100)  # up to 101 keeps clear of ephemeral ports
    network = Network()
    yield network
    network.close()
    rclpy.try_shutdown()
