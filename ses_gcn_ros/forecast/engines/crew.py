"""The compiled network on as many threads as it is worth."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.engines.packing import PackedNetwork
from ses_gcn_ros.forecast.engines.sharing import LIBRARY, end, make_shared

Features = NDArray[np.float32]

FEW = 8  # people that one thread has nearly done before another has woken up
ROOM = 64  # people that threads share at a time


class Crew:
    """Run a packed network; every answer is the same to the bit on however many threads.

    Parameters
    ----------
    network : callable
        As `kernel.compile_network` gives it.
    packed : PackedNetwork
        Weights; each thread works in a copy of their memory.
    features, answer : tuple of int
        Shapes of one person's features and answer.
    threads : int
        Threads at most that take people from `FEW` on, and no more than there are processors that
        this process may use.
    """

    def __init__(
        self,
        network: Callable[..., None],
        packed: PackedNetwork,
        features: tuple[int, ...],
        answer: tuple[int, ...],
        threads: int,
    ) -> None:
        self._network, self._lock = network, threading.Lock()
        self._own = packed.memory, packed.layers, packed.convolutions, packed.plan
        self._alone = make_shared()  # with nobody
        self._processors = _usable_processors()
        self._helpers: list[threading.Thread] = []
        helpers = min(threads, len(self._processors)) - 1
        if helpers < 1:
            return
        self._here = -1
        self._shared = make_shared()
        self._features = np.empty((ROOM, *features), np.float32)
        self._answer = np.empty((ROOM, *answer), np.float32)
        weakref.finalize(self, end, self._shared, helpers)
        for _ in range(helpers):
            own = packed.copy()
            constant = own.memory, own.layers, own.convolutions, own.plan
            job = *constant, self._features, self._answer, self._shared, 0, -1
            helper = threading.Thread(target=network, args=job, name="forecast", daemon=True)
            helper.start()
            self._helpers.append(helper)

    def __call__(self, features: Features, answer: Features) -> None:
        """Fill answer (N, H, J, 3) for features (N, T, J, C)."""
        with self._lock:  # the network works in its memory and does not hold Python's own lock
            for first in range(0, len(features), ROOM):
                part = slice(first, first + ROOM)
                self._run(features[part], answer[part])

    def _run(self, features: Features, answer: Features) -> None:
        people = len(features)
        if not self._helpers or people < FEW:
            self._network(*self._own, features, answer, self._alone, people, 0)
            return
        self._make_room()
        self._features[:people] = features
        self._network(
            *(*self._own, self._features, self._answer, self._shared, people),
            len(self._helpers),
        )
        answer[:] = self._answer[:people]

    def _make_room(self) -> None:
        """Keep helpers off the processor that this thread runs on.

        Linux likes to wake a thread next to the one that wakes it, and then the two take turns
        there while other processors are idle.
        """
        here = LIBRARY.sched_getcpu()
        if here == self._here:
            return
        self._here = here
        with contextlib.suppress(OSError):  # forbidden meanwhile: it is slower, not wrong
            for helper in self._helpers:
                os.sched_setaffinity(helper.native_id or 0, self._processors - {here})


def _usable_processors() -> set[int]:
    """Processors that this process may run on; one where the system doesn't tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
