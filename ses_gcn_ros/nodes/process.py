"""A node's process: from the first moment to its end it obeys SIGINT and SIGTERM, and ends clean.

A Python signal handler runs only when the interpreter gets its turn, which a thread waiting in
the middleware doesn't give it. So the signals are blocked in every thread but one that waits.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

GRACE = 2.0  # s that an orderly end may take before the process leaves regardless
_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class _Watch:
    """What the waiting thread does when a signal comes."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.wake: Callable[[], None] | None = None

    def wait(self) -> None:
        signal.sigwait(_SIGNALS)
        self.requested.set()
        wake = self.wake
        if wake is None:
            leave(0)  # still importing: nothing is open that would have to be closed
        # A thread stuck in foreign code must not keep the process alive.
        timer = threading.Timer(GRACE, self._give_up)
        timer.daemon = True
        timer.start()
        wake()

    def _give_up(self) -> None:
        print(f"no orderly end within {GRACE} s of the signal; leaving", file=sys.stderr)
        leave(0)


_watch: _Watch | None = None


def prepare() -> None:
    """Obey SIGINT and SIGTERM from now on, and compute in one thread.

    Call it before anything is imported: threads inherit the signal mask, and arithmetic libraries
    read their number of threads, when they start. The arrays of a node are small; the threads of
    several nodes on one machine would only wait for each other (measured: 10 times slower).
    """
    global _watch
    if _watch is not None:
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _watch = _Watch()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    threading.Thread(target=_watch.wait, name="signals", daemon=True).start()


def when_signalled(wake: Callable[[], None]) -> threading.Event:
    """End in an orderly way from now on: `wake` is called, in another thread, when a signal came.

    Returns
    -------
    threading.Event
        Set once a signal came.
    """
    prepare()
    assert _watch is not None
    _watch.wake = wake
    return _watch.requested


def leave(code: int) -> NoReturn:
    """End the process now. Interpreter teardown with middleware threads about was seen to hang."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
