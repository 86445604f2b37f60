"""Heavy work on a stream of frames, in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

F_co = TypeVar("F_co", covariant=True)
F = TypeVar("F")
R = TypeVar("R")


class Source(Protocol[F_co]):
    """What gives frames until it is closed or ends."""

    def __iter__(self) -> Iterator[F_co]:
        """Frames as they come."""
        ...

    def close(self) -> None:
        """End the iteration from any thread."""
        ...

    @property
    def dropped(self) -> int:
        """Frames that nobody had the time to take."""
        ...


@dataclass(frozen=True, eq=False)
class Outcome(Generic[F, R]):
    """What came of a frame: a result, or the error that kept it from one."""

    frame: F
    result: R | None = None
    error: Exception | None = None


class Worker(Generic[F, R]):
    """Do `work` on each frame of a source, frame after frame; the owner takes the outcomes.

    Parameters
    ----------
    source : Source
        Gives the frames; closed by `close`.
    work : callable
        Makes a result of a frame. What it raises becomes the frame's outcome.
    notify : callable
        Called in the worker's thread whenever there is something to take, and at the end.
    """

    def __init__(
        self, source: Source[F], work: Callable[[F], R], notify: Callable[[], Any]
    ) -> None:
        self.source = source
        self._work = work
        self._notify = notify
        self._outcomes: deque[Outcome[F, R]] = deque()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.ended = False  # the source has no more frames; outcomes may still be there to take

    def start(self) -> None:
        """Begin; the source is not touched before."""
        self._thread.start()

    def take(self) -> Iterator[Outcome[F, R]]:
        """Outcomes so far, in order, each given once."""
        while self._outcomes:
            yield self._outcomes.popleft()

    def close(self, timeout: float = 1.5) -> None:
        """Close the source and wait for the frame in work, `timeout` seconds at most."""
        self.source.close()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        for frame in self.source:
            try:
                outcome = Outcome(frame, result=self._work(frame))
            except Exception as error:  # handed on: the owner reports it, the stream goes on
                outcome = Outcome(frame, error=error)
            self._outcomes.append(outcome)
            self._notify()
        self.ended = True
        self._notify()
