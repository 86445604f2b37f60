"""A node's process: signals, threads and DDS transports, chosen before anything is imported.

Signals: from the first moment to its end the process obeys SIGINT and SIGTERM, and ends clean. A
Python signal handler runs only when the interpreter gets its turn, which a thread waiting in the
middleware doesn't give it. So the signals are blocked in every thread but one that waits.

Transports: messages go over the loopback network, not through shared memory. Fast DDS guards each
process's shared memory by a lock that whoever writes to it takes. A process that is killed while it
holds one takes it along, and everybody else who wants it waits for up to a second, in the middle of
publishing. Its check of an idle peer's health holds up publishers too
(https://github.com/eProsima/Fast-DDS/issues/6535). A safety node must not wait for a dead peer or
an idle one, so it has no shared memory.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import NoReturn

GRACE = 2.0  # s that an orderly end may take before the process leaves regardless
_SIGNALS = {signal.SIGINT, signal.SIGTERM}

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


_signalled = threading.Event()
_running = threading.Event()  # whether the nodes are up, and end in an orderly way
_prepared = False


def prepare(executables: Iterable[str] = ()) -> threading.Event:
    """Obey SIGINT and SIGTERM from now on, compute in one thread, and choose DDS transports.

    Call it before anything is imported: threads inherit the signal mask, and arithmetic libraries
    read their number of threads, when they start. The arrays of a node are small; the threads of
    several nodes on one machine would only wait for each other (measured: 10 times slower).

    `executables`: names of the nodes to come; those with images keep shared memory, and so does a
    process without any.
    Gives an event that is set once a signal came. Until `orderly_from_now_on`, the process has left
    by then.
    """
    global _prepared
    names = set(executables)
    if names and not _WITH_IMAGES & names:
        avoid_shared_memory(os.environ)
    if not _prepared:
        _prepared = True
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        threading.Thread(target=_wait, name="signals", daemon=True).start()
    return _signalled


def orderly_from_now_on() -> None:
    """Leave it to the caller of `prepare` to end, within `GRACE` seconds of a signal."""
    _running.set()


def _wait() -> None:
    signal.sigwait(_SIGNALS)
    _signalled.set()
    if not _running.is_set():
        leave(0)  # still importing: nothing is open that would have to be closed
    # A thread stuck in foreign code must not keep the process alive.
    timer = threading.Timer(GRACE, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    print(f"no orderly end within {GRACE} s of the signal; leaving", file=sys.stderr)
    leave(0)


def leave(code: int) -> NoReturn:
    """End the process now. Interpreter teardown with middleware threads about was seen to hang."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def avoid_shared_memory(environment: MutableMapping[str, str]) -> None:
    """Have Fast DDS use UDP alone, unless the user says which transports to use.

    The environment, of this process before rclpy is initialised, is changed in place.
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
