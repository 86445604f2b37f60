"""What every adapter ends with: positions to a skeleton."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ses_gcn_ros.skeleton import Skeleton


def seen_skeleton(
    person_id: str, layout: str, positions: ArrayLike, confidence: float = 1.0
) -> Skeleton:
    """Skeleton of positions (J, 3) [m]; a joint that is not finite is unseen, others are trusted.

    Parameters
    ----------
    person_id, layout : str
    positions : array-like, shape (J, 3)
        Joint positions [m].
    confidence : float
        Confidence of the joints that are seen, 0 to 1.
    """
    points = np.array(positions, np.float32)
    seen = np.isfinite(points).all(axis=1)
    points[~seen] = np.nan
    trust = np.zeros(len(points), np.float32)
    trust[seen] = confidence
    return Skeleton(person_id, layout, points, trust)
