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

    Attributes
    ----------
    latest : float
        Time of the latest observation [s]; -inf before the first.
    last : NDArray, shape (J, 3)
        Its positions [m], as they were given.
    """

    def __init__(self, joints: int, capacity: int) -> None:
        self._capacity = capacity
        self._stamps = np.empty(2 * capacity, np.float64)
        self._positions = np.empty((2 * capacity, joints, 3), np.float32)
        self._end = 0
        self.latest = -np.inf
        self.last = np.full((joints, 3), np.nan, np.float32)

    def append(self, stamp: float, positions: NDArray[np.float32]) -> None:
        """Add an observation at `stamp` [s], positions (J, 3) [m] with NaN for unseen joints.

        The positions are kept; they must not be written to afterwards.
        """
        if self._end == len(self._stamps):
            kept = self._capacity - 1
            self._stamps[:kept] = self._stamps[-kept:]
            self._positions[:kept] = self._positions[-kept:]
            self._end = kept
        self._stamps[self._end] = stamp
        self._positions[self._end] = positions
        self._end += 1
        self.latest, self.last = stamp, positions

    def since(self, start: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Stamps and positions of the observations from `start` [s] on."""
        first = max(0, self._end - self._capacity)
        first += int(self._stamps[first : self._end].searchsorted(start))
        return self._stamps[first : self._end], self._positions[first : self._end]

    @property
    def stamps(self) -> NDArray[np.float64]:
        """Times of the observations [s], shape (M,)."""
        return self._stamps[max(0, self._end - self._capacity) : self._end]

    @property
    def positions(self) -> NDArray[np.float32]:
        """Positions [m], shape (M, J, 3)."""
        return self._positions[max(0, self._end - self._capacity) : self._end]
