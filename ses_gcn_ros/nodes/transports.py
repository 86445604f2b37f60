"""How DDS carries a node's messages: over the loopback network, not through shared memory.

Fast DDS guards each process's shared memory by a lock that whoever writes to it takes. A process
that is killed while it holds one takes it along, and everybody else who wants it waits for up to
a second, in the middle of publishing. Its check of an idle peer's health holds up publishers too
(https://github.com/eProsima/Fast-DDS/issues/6535). A safety node must not wait for a dead peer or
an idle one, so it has no shared memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableMapping
from pathlib import Path

THIS_MACHINE = Path(__file__).with_name("this_machine.xml")

# Images of megabytes go through shared memory; over UDP pieces of them would be lost.
_WITH_IMAGES = {"pose_node", "bag_player", "bag_recorder"}

_PROFILES = "FASTDDS_DEFAULT_PROFILES_FILE"
_PROFILES_BEFORE_3 = "FASTRTPS_DEFAULT_PROFILES_FILE"
_BEFORE_3 = {"humble", "iron", "jazzy"}  # distributions with Fast DDS 2
_TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_LOCALHOST_ONLY = "ROS_LOCALHOST_ONLY"  # its forerunner, which still holds where it is set
_PEERS = "ROS_STATIC_PEERS"


def choose_for(executables: Iterable[str]) -> None:
    """Choose the transports of this process, before rclpy is initialised, by its nodes' names."""
    if not _WITH_IMAGES.intersection(executables):
        avoid_shared_memory(os.environ)


def avoid_shared_memory(environment: MutableMapping[str, str]) -> None:
    """Have Fast DDS use UDP alone, unless the user says which transports to use.

    Parameters
    ----------
    environment : mutable mapping of str to str
        Environment of this process, before rclpy is initialised. Changed in place.
    """
    if any(environment.get(name) for name in (_PROFILES, _PROFILES_BEFORE_3, _TRANSPORTS)):
        return
    if environment.get(_RANGE) != "LOCALHOST" and environment.get(_LOCALHOST_ONLY) != "1":
        environment[_TRANSPORTS] = "UDPv4"
        return
    # For LOCALHOST rmw_fastrtps makes transports itself, shared memory among them, and looks at
    # neither variable. A profile does the same without, if rmw_fastrtps is told to change nothing;
    # but then it doesn't look for peers that are named either.
    if environment.get(_PEERS):
        return
    environment.pop(_LOCALHOST_ONLY, None)
    environment[_RANGE] = "SYSTEM_DEFAULT"
    old = environment.get("ROS_DISTRO") in _BEFORE_3
    environment[_PROFILES_BEFORE_3 if old else _PROFILES] = str(THIS_MACHINE)
