"""One person of a recording over time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LEVELS = ("CLEAR", "REDUCED", "STOP")
LONGEST_GAP = 0.2  # s between two observations that may be interpolated


@dataclass
class Track:
    """One person over time: N stamps [s] and positions (N, J, 3) [m]."""

    layout: str
    stamps: list[float] = field(default_factory=list)
    positions: list[NDArray[np.float32]] = field(default_factory=list)

    def at(self, times: NDArray[np.floating]) -> NDArray[np.float32]:
        """Positions at times [s], shape (len(times), J, 3), interpolated.

        NaN outside of the track, across gaps and where a joint is unseen.
        """
        stamps, positions = np.array(self.stamps), np.stack(self.positions)
        before = np.clip(np.searchsorted(stamps, times, side="right") - 1, 0, len(stamps) - 1)
        after = np.minimum(before + 1, len(stamps) - 1)
        gap = stamps[after] - stamps[before]
        # Rounded, so that a stamp that is hit but for the clock's last digits is hit.
        share = np.round((times - stamps[before]) / np.where(gap > 0, gap, 1.0), 4)
        first, second, weight = positions[before], positions[after], share[:, None, None]
        between = np.where(weight == 0, first, (1 - weight) * first + weight * second)
        between = np.where(weight == 1, second, between)
        outside = (times < stamps[0] - 1e-6) | (times > stamps[-1] + 1e-6)
        outside |= (gap > LONGEST_GAP) & (share != 0) & (share != 1)
        between[outside] = np.nan
        return between.astype(np.float32)
