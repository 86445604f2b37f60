"""Colour and depth of the same moment, from two streams that arrive apart."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

C = TypeVar("C")
D = TypeVar("D")

_WAITING = 5  # colour images that may wait for their depth
_KEPT = 10  # depth images that are kept for colour still to come
_RESTART = 1.0  # s that a stamp may lie back before it means that the recording starts over


class Pairer(Generic[C, D]):
    """Pair each colour image with the depth image nearest in time, within a tolerance.

    A colour image waits until a depth image at or after its own time has come, since that may be
    the nearest; then it takes the nearer neighbour, or is given up if none is near enough. The
    newest depth image is never taken just because it is the newest.

    Parameters
    ----------
    tolerance : float
        Greatest difference of stamps [s].
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._colour: deque[tuple[float, C]] = deque()
        self._depth: deque[tuple[float, D]] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self.unpaired = 0  # colour images given up

    def add_colour(self, stamp: float, image: C) -> list[tuple[C, D]]:
        """Take in a colour image; gives the pairs that are ready."""
        with self._lock:
            self._forget_after(stamp + _RESTART)
            self._colour.append((stamp, image))
            pairs = self._ready()
            while len(self._colour) > _WAITING:
                self._colour.popleft()
                self.unpaired += 1
            return pairs

    def add_depth(self, stamp: float, image: D) -> list[tuple[C, D]]:
        """Take in a depth image; gives the pairs that are ready."""
        with self._lock:
            self._forget_after(stamp + _RESTART)
            self._depth.append((stamp, image))
            return self._ready()

    def _forget_after(self, stamp: float) -> None:
        """Drop what is of a recording that has started over since."""
        while self._colour and self._colour[-1][0] >= stamp:
            self._colour.pop()
        while self._depth and self._depth[-1][0] >= stamp:
            self._depth.pop()

    def _ready(self) -> list[tuple[C, D]]:
        pairs = []
        while self._colour and self._depth:
            stamp, colour = self._colour[0]
            apart, nearest = min(
                ((abs(when - stamp), image) for when, image in self._depth), key=lambda e: e[0]
            )
            if apart > 0.0 and self._depth[-1][0] < stamp:
                break  # a nearer one may still come
            self._colour.popleft()
            if apart <= self._tolerance:
                pairs.append((colour, nearest))
            else:
                self.unpaired += 1
        return pairs
