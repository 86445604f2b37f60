"""Nodes as child processes that live and die together, on a ROS domain of their own."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from rich.console import Console

from ses_gcn_ros.bringup import NodePlan, chosen_domain, ros_arguments, targeted_parameters
from ses_gcn_ros.errors import ConfigError

_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_PATIENCE = 4.0  # s for a child to end after a signal before it is killed
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

# DDS-RTPS 9.6.1: ports of a domain start at 7400 + 250 d; participant p takes unicast 10 + 2 p.
_PORT_BASE, _PORT_GAIN, _UNICAST_OFFSET, _PARTICIPANT_GAIN = 7400, 250, 10, 2
_PROBED_PARTICIPANTS = 8
_CANDIDATES = range(60, 100)  # 0–101 keep clear of the ephemeral ports of Linux


def check_ros() -> None:
    """Make sure that nodes can run here.

    Raises ConfigError if ROS 2 or the built messages are not there.
    """
    for module in ("rclpy", "ses_gcn_ros.msg"):
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"nodes need ROS 2, but the module {module} is not installed; run `make setup` in "
                "a checkout, or build the package with colcon in a ROS 2 distribution"
            )


class ProcessGroup:
    """Start nodes as processes; when one dies or a signal comes, end all of them.

    Use it as a context manager: leaving the context ends what still runs.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ending: set[str] = set()
        self._signalled = threading.Event()

    def __enter__(self) -> ProcessGroup:
        check_ros()
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._signalled.set())
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(
        self,
        *plans: NodePlan,
        environment: Mapping[str, str] | None = None,
        namespace: str = "",
        **options: str,
    ) -> None:
        """Start one process for the nodes of `plans`, with `options` of `ros_arguments`."""
        executables = [plan.executable for plan in plans]
        name = ", ".join(plan.name for plan in plans)
        parameters = plans[0].parameters if len(plans) == 1 else targeted_parameters(plans)
        place = plans[0].namespace_in(namespace)
        arguments = ros_arguments(parameters, namespace=place, **options)
        command = [sys.executable, "-m", "ses_gcn_ros.nodes", *executables, *arguments]
        self._children[name] = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C reaches this process alone, which ends them in order
            preexec_fn=_prepare_child,
        )
        if any(plan.ends_run for plan in plans):
            self._ending.add(name)

    @property
    def interrupted(self) -> bool:
        """Whether a signal came."""
        return self._signalled.is_set()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children that run, by the names of their nodes."""
        return {name: c.pid for name, c in self._children.items() if c.poll() is None}

    def wait(self) -> int:
        """Wait for the end: of a run that ends by itself, by a signal, or by a death.

        Gives 0 for the first two, and 1 after a death, which is reported by name.
        """
        while not self._signalled.is_set():
            for name, child in self._children.items():
                code = child.poll()
                if code is None:
                    continue
                if code == 0 and name in self._ending:
                    return 0
                how = (
                    f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited {code}"
                )
                self._console.print(f"{name} {how}; ending the other nodes", style="red")
                return 1
            self._signalled.wait(0.05)
        return 0

    def end(self) -> None:
        """End every child: asked first, killed if it doesn't."""
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _PATIENCE
        for name, child in self._children.items():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._console.print(
                    f"{name} did not end within {_PATIENCE:g} s; killed", style="red"
                )
                child.kill()
                child.wait()
        self._children.clear()


def _prepare_child() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # which wait until the node listens for them
    die_with_parent()


def die_with_parent() -> None:
    """End this child process when the one that started it ends, however that comes about."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork inherits what its parent makes of it
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def demo_environment() -> dict[str, str]:
    """Environment for a run of its own: a free domain, discovery on this machine alone.

    Raises ConfigError if ROS_DOMAIN_ID is set to a domain that is in use, or that doesn't exist.
    """
    domain = chosen_domain()
    if domain is None:
        domain = next((d for d in _CANDIDATES if not _in_use(d)), None)
        if domain is None:
            raise ConfigError(
                f"ROS domains {_CANDIDATES[0]} to {_CANDIDATES[-1]} are all in use; "
                "set ROS_DOMAIN_ID to a free one"
            )
    elif _in_use(domain):
        raise ConfigError(
            f"ROS domain {domain} is in use on this machine (UDP port {_port(domain, 0)} and "
            "following); end what uses it, or set ROS_DOMAIN_ID to a free one or unset it"
        )
    return {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def _port(domain: int, participant: int) -> int:
    return _PORT_BASE + _PORT_GAIN * domain + _UNICAST_OFFSET + _PARTICIPANT_GAIN * participant


def _in_use(domain: int) -> bool:
    for participant in range(_PROBED_PARTICIPANTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", _port(domain, participant)))
            except OSError:
                return True
    return False
