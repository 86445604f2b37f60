"""What was seen of one person lately."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class History:
    """The latest observations of one person, oldest first, in arrays that are never copied whole.

    Observations are written one after the other into arrays twice as long as what is kept; when
    they are full the kept half moves to the front. So a view of the latest is always contiguous.

    Parameters
    ----------
    joints : int
        Number of joints J.
    capacity : int
        Number of observations kept.
    """

    def __init__(self, joints: int, capacity: int) -> None:
        self._capacity = capacity
        self._stamps = np.empty(2 * capacity, np.float64)
        self._positions = np.empty((2 * capacity, joints, 3), np.float32)
        self._end = 0

    def append(self, stamp: float, positions: NDArray[np.float32]) -> None:
        """Add an observation at `stamp` [s], positions (J, 3) [m] with NaN for unseen joints."""
        if self._end == len(self._stamps):
            kept = self._capacity - 1
            self._stamps[:kept] = self._stamps[-kept:]
            self._positions[:kept] = self._positions[-kept:]
            self._end = kept
        self._stamps[self._end] = stamp
        self._positions[self._end] = positions
        self._end += 1

    def since(self, start: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Stamps and positions of the observations from `start` [s] on."""
        stamps, positions = self.stamps, self.positions
        first = int(stamps.searchsorted(start))
        return stamps[first:], positions[first:]

    @property
    def latest(self) -> float:
        """Time of the latest observation [s]."""
        return float(self._stamps[self._end - 1])

    @property
    def stamps(self) -> NDArray[np.float64]:
        """Times of the observations [s], shape (M,)."""
        return self._stamps[max(0, self._end - self._capacity) : self._end]

    @property
    def positions(self) -> NDArray[np.float32]:
        """Positions [m], shape (M, J, 3)."""
        return self._positions[max(0, self._end - self._capacity) : self._end]
