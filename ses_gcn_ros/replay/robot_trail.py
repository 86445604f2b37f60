"""Where the robot's capsules were over the last seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class RobotTrail:
    """Ends of M capsules at rising times, in arrays that grow as they must.

    Parameters
    ----------
    capsules : int
        M.
    patience : float
        How long a pose may stand for an earlier or later instant [s].
    """

    def __init__(self, capsules: int, patience: float) -> None:
        from ses_gcn_ros.replay.scoring_kernel import between  # numba takes half a second

        self._between = between
        self._patience = patience
        self._stamps = np.empty(256)
        self._ends = np.empty((256, 2, capsules, 3))
        self._first = self._past = 0

    def add(self, time: float, start: Array, end: Array) -> None:
        """Take in the ends (M, 3) each [m] at a time [s]; a clock set back forgets the others."""
        if self._past > self._first and time <= self._stamps[self._past - 1]:
            if time == self._stamps[self._past - 1]:
                return
            self._first = self._past = 0
        if self._past == len(self._stamps):
            self._make_room()
        self._stamps[self._past] = time
        self._ends[self._past, 0], self._ends[self._past, 1] = start, end
        self._past += 1

    def _make_room(self) -> None:
        """Move what is kept to the front, into arrays that it fills by half at most."""
        kept = slice(self._first, self._past)
        stamps, ends = self._stamps[kept].copy(), self._ends[kept].copy()
        size = max(len(self._stamps), 2 * len(stamps))
        self._stamps, self._ends = np.empty(size), np.empty((size, *ends.shape[1:]))
        self._stamps[: len(stamps)], self._ends[: len(stamps)] = stamps, ends
        self._first, self._past = 0, len(stamps)

    def forget(self, before: float) -> None:
        """Let go of what was before a time [s]."""
        stamps = self._stamps[self._first : self._past]
        self._first += int(np.searchsorted(stamps, before))

    def at(self, times: Array) -> tuple[Array, Array] | None:
        """Ends of the capsules at rising times [s], each (T, M, 3); None where they are unknown."""
        stamps = self._stamps[self._first : self._past]
        if not len(stamps):
            return None
        if times[0] < stamps[0] - self._patience or times[-1] > stamps[-1] + self._patience:
            return None
        ends = self._ends[self._first : self._past]
        start, end = np.empty((2, len(times), *ends.shape[2:]))
        self._between(stamps, ends, times, start, end)
        return start, end
