"""Distributions of any number of values in a few kilobytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAST, _RATIO, _BINS = 1e-3, 1.02, 1200  # bins from 1e-3 to 2e7 of whatever unit, 2 % wide


class Distribution:
    """Count, least, greatest and mean to the last digit, quantiles to 1 %; values not negative."""

    def __init__(self) -> None:
        self.count = 0
        self._least, self._greatest, self._sum = math.inf, -math.inf, 0.0
        self._bins: NDArray[np.int64] = np.zeros(_BINS, np.int64)

    def add(self, values: ArrayLike) -> None:
        """Take in values; those that are not finite are left out."""
        found = np.asarray(values, np.float64).ravel()
        found = found[np.isfinite(found)]
        if not len(found):
            return
        self.count += len(found)
        self._least = min(self._least, float(found.min()))
        self._greatest = max(self._greatest, float(found.max()))
        self._sum += float(found.sum())
        position = np.log(np.maximum(found, _LEAST) / _LEAST) / math.log(_RATIO)
        index = np.minimum(position.astype(np.int64), _BINS - 1)
        self._bins += np.bincount(index, minlength=_BINS)

    def quantile(self, share: float) -> float:
        """Value that a share of the others is below; NaN without any."""
        if not self.count:
            return math.nan
        index = int(np.searchsorted(np.cumsum(self._bins), share * self.count))
        middle = _LEAST * _RATIO ** (index + 0.5)
        return min(max(middle, self._least), self._greatest)

    def summary(self) -> dict[str, Any] | None:
        """Plain numbers for a report; None without any value."""
        if not self.count:
            return None
        quantiles = {"median": 0.5, "p90": 0.9, "p99": 0.99}
        return {
            "count": self.count,
            "min": self._least,
            **{name: self.quantile(share) for name, share in quantiles.items()},
            "max": self._greatest,
            "mean": self._sum / self.count,
        }
