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
        from ses_gcn_ros.replay.scoring_kernel import interpolate

        stamps, positions = np.array(self.stamps), np.array(self.positions, np.float32)
        found = np.empty((len(times), *positions.shape[1:]), np.float32)
        interpolate(stamps, positions, np.ascontiguousarray(times), LONGEST_GAP, found)
        return found
