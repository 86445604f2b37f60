"""What an adaptive radius has learnt, kept over restarts without holding the stream up."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.adaptive import AdaptiveRadius
from ses_gcn_ros.forecast.weights import write_atomically

EVERY = 30.0  # s between two writings


class RadiusKeeper:
    """Reads the state of a radius at start and writes it now and then, on a thread of its own.

    Parameters
    ----------
    radius : AdaptiveRadius
        What learns.
    path : Path or None
        File of its state; None: it is kept nowhere.

    Attributes
    ----------
    problem : str
        Why the state could not be read or last be written; empty if it could.
    """

    def __init__(self, radius: AdaptiveRadius, path: Path | None) -> None:
        self._radius, self._path = radius, path
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="radius")
        self._written: Future[None] | None = None
        self._last = time.monotonic()
        self.problem = ""
        if path is not None:
            try:
                radius.restore(path)
            except (InputError, OSError) as error:
                self.problem = f"the radius starts as calibrated: {error}"

    def keep(self) -> None:
        """Write the state if it is time to, and don't wait for the disk."""
        idle = self._written is None or self._written.done()
        if self._path is None or not idle or time.monotonic() - self._last < EVERY:
            return
        self._look()
        self._last = time.monotonic()
        self._written = self._writer.submit(_write, self._path, self._radius.packed())

    def close(self) -> None:
        """Write the state a last time and wait for it."""
        if self._path is not None and self._radius.seconds:
            self._written = self._writer.submit(_write, self._path, self._radius.packed())
        self._writer.shutdown()
        self._look()

    def _look(self) -> None:
        error = self._written.exception() if self._written is not None else None
        self.problem = f"the radius can't be kept in '{self._path}': {error}" if error else ""


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
