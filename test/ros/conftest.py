"""Real node processes over real DDS, on a ROS domain of the test process's own."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="these tests need ROS 2")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402

from ses_gcn_ros.bringup import (  # noqa: E402
    Value,
    demo_environment,
    ros_arguments,
)


class Cell:
    """Node processes, and a node in this process that talks with them."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("tester")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, executable: str, *, params_file: str | Path = "", **parameters: Value
    ) -> subprocess.Popen[bytes]:
        """Start a node process with parameters on top of the parameter file."""
        arguments = ros_arguments(
            parameters, params_file=str(params_file), namespace="", log_level="warn"
        )
        command = [sys.executable, "-m", "ses_gcn_ros.nodes", executable, *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.processes[executable] = process
        return process

    def publisher(self, kind: Any, topic: str, qos: Any) -> Any:
        """Publisher of the tester's."""
        return self.node.create_publisher(kind, topic, qos)

    def listen(self, kind: Any, topic: str, qos: Any) -> list[Any]:
        """List that grows by every message on a topic."""
        heard: list[Any] = []
        self.node.create_subscription(kind, topic, heard.append, qos)
        return heard

    def wait_for(
        self, condition: Callable[[], Any], what: str | Callable[[], str], timeout: float = 300.0
    ) -> Any:
        """Spin until `condition` is true and return what it gave; fail after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not (result := condition()):
            if time.monotonic() > deadline:
                ended = {n: p.returncode for n, p in self.processes.items() if p.poll() is not None}
                missing = what if isinstance(what, str) else what()
                pytest.fail(f"waited {timeout} s for {missing}; processes that ended: {ended}")
            self.executor.spin_once(timeout_sec=0.02)
        return result

    def wait_for_listeners(self, *publishers: Any, count: int = 1) -> None:
        """Wait until each publisher has `count` matched subscriptions."""
        for publisher in publishers:
            self.wait_for(
                lambda publisher=publisher: publisher.get_subscription_count() >= count,
                f"{count} listeners on {publisher.topic_name}",
            )

    def wait_for_services(self, *ready: Callable[[], bool], what: str) -> None:
        """Wait until services are there for us, and have had a second to find us.

        DDS drops an answer to a client whom the service has not found (ros2/rmw_fastrtps waits for
        it for 0.1 s), and nothing tells the client who has found it.
        """
        for each in ready:
            self.wait_for(each, what)
        found = time.monotonic()
        self.wait_for(lambda: time.monotonic() > found + 1.0, "a second to pass")

    def close(self) -> None:
        """End the processes and the tester."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGINT)
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stderr:
                process.stderr.close()
        self.executor.shutdown()
        _leave(self.node)


def _leave(node: Any) -> None:
    """Take this process, and all that was made in it, off DDS."""
    node.destroy_node()
    rclpy.try_shutdown()
    gc.collect()  # rclpy keeps a closed node's lifecycle services on DDS until it is collected


@pytest.fixture(scope="session", autouse=True)
def ros_domain(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep this test process and its nodes to themselves."""
    os.environ["SES_GCN_STATE"] = str(tmp_path_factory.mktemp("state"))
    os.environ.pop("ROS_DOMAIN_ID", None)
    os.environ.update(demo_environment())


@pytest.fixture
def node(ros_domain: None) -> Iterator[Any]:
    """A node in this process that is tested itself, or has what is tested."""
    rclpy.init()
    node = rclpy.create_node("tested")
    yield node
    _leave(node)


@pytest.fixture
def cell(ros_domain: None) -> Iterator[Cell]:
    """A fresh cell, closed after the test."""
    cell = Cell()
    yield cell
    cell.close()


@pytest.fixture(scope="module")
def shared_cell(ros_domain: None) -> Iterator[Cell]:
    """A cell for all tests of a module, which leave it as they found it."""
    cell = Cell()
    yield cell
    cell.close()


@pytest.fixture(scope="module")
def pictures(media: Path) -> list[Any]:
    """The first pictures of a video, a person in all of them, BGR."""
    cv2 = pytest.importorskip("cv2")
    capture = cv2.VideoCapture(str(media / "one_person.mp4"))
    return [capture.read()[1] for _ in range(6)]
