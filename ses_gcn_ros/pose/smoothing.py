"""Smoothing of joint paths with the One-Euro filter."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_DERIVATIVE_CUTOFF = 1.0  # Hz, as the paper sets it
_FORGET = 0.5  # s unseen after which a joint starts anew


class OneEuroFilter:
    """One-Euro filter over the joints of one person; unseen joints stay unseen.

    A first-order low pass whose cut-off rises with speed: ``min_cutoff + beta * speed``. At rest it
    delays by 1 / (2π min_cutoff), in motion by 1 / (2π (min_cutoff + beta * speed)). The speed is
    that of the joint in space, so the result turns with the axes.

    Parameters
    ----------
    min_cutoff : float
        Cut-off frequency at rest [Hz]; 0 passes everything through.
    beta : float
        Rise of the cut-off with speed [Hz per m/s].

    References
    ----------
    Casiez, Roussel, Vogel: 1€ Filter, CHI 2012.
    """

    def __init__(self, min_cutoff: float, beta: float) -> None:
        self._min_cutoff = min_cutoff
        self._beta = beta
        self._positions: NDArray[np.float64] | None = None  # (J, 3), NaN before the first sight
        self._velocities = np.zeros(0)
        self._stamps = np.zeros(0)  # (J,) when last seen

    def smooth(self, stamp: float, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Filtered positions (J, 3) of those measured at `stamp` [s]; NaN where unseen."""
        measured = np.asarray(positions, dtype=np.float64)
        if self._min_cutoff == 0.0:
            return measured
        if self._positions is None:
            self._positions = np.full_like(measured, np.nan)
            self._velocities = np.zeros_like(measured)
            self._stamps = np.full(len(measured), -math.inf)
        seen = np.all(np.isfinite(measured), axis=-1)
        elapsed = stamp - self._stamps
        known = seen & (elapsed < _FORGET)
        fresh = seen & ~known
        self._positions[fresh] = measured[fresh]
        self._velocities[fresh] = 0.0

        if known.any():
            step = elapsed[known, None]
            before = self._positions[known]
            velocity = (measured[known] - before) / step
            gain = _gain(step, _DERIVATIVE_CUTOFF)
            self._velocities[known] += gain * (velocity - self._velocities[known])
            speed = np.linalg.norm(self._velocities[known], axis=-1, keepdims=True)
            gain = _gain(step, self._min_cutoff + self._beta * speed)
            self._positions[known] = before + gain * (measured[known] - before)
        self._stamps[seen] = stamp
        return np.where(seen[:, None], self._positions, np.nan)


def _gain(step: NDArray[np.float64], cutoff: NDArray[np.float64] | float) -> NDArray[np.float64]:
    rate = 2.0 * np.pi * cutoff * step
    return rate / (rate + 1.0)
