"""Forecasts of one person that wait for what happens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.kernels import kernel

_CLOSEST = 0.5  # steps between forecasts that are kept


class Outstanding:
    """The latest forecasts of one person, until their last step is past.

    Parameters
    ----------
    horizon, joints : int
        Steps H and joints J of a forecast.
    step : float
        Time between steps [s].
    """

    def __init__(self, horizon: int, joints: int, step: float) -> None:
        self._errors_between = kernel("learning").errors_between
        capacity = int(np.ceil((horizon + 1) / _CLOSEST)) + 1
        self._step, self._next = step, 0
        self._stamps = np.full(capacity, -np.inf)
        self._positions = np.zeros((capacity, horizon, joints, 3), np.float32)
        self._factors = np.ones((capacity, horizon))
        self._ahead = step * np.arange(1, horizon + 1)

    def add(
        self, stamp: float, positions: NDArray[np.float32], factor: NDArray[np.float64]
    ) -> None:
        """Keep a forecast made at `stamp` [s], (H, J, 3) [m], with its radii's factors (H,)."""
        if stamp - self._stamps[self._next - 1] < (_CLOSEST - 1e-6) * self._step:
            return
        self._stamps[self._next] = stamp
        self._positions[self._next] = positions
        self._factors[self._next] = factor
        self._next = (self._next + 1) % len(self._stamps)

    def errors(
        self,
        before: tuple[float, NDArray[np.float32]],
        now: tuple[float, NDArray[np.float32]],
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """How far off the forecasts were that fell due between two observations.

        Parameters
        ----------
        before, now : (float, NDArray of shape (J, 3))
            Stamps [s] and positions [m] of two observations, one after the other; NaN for unseen
            joints. Where the joints were when a forecast fell due is interpolated.

        Returns
        -------
        errors : NDArray, shape (H, J), float32
            Distance [m] at each step, NaN where none fell due.
        factors : NDArray, shape (H,)
            What the radii given out were multiplied by.
        """
        (earlier, start), (later, end) = before, now
        errors = np.empty(self._positions.shape[1:3], np.float32)
        issued = np.empty(len(errors))
        forecasts = self._stamps, self._positions, self._factors, self._ahead
        self._errors_between(*forecasts, earlier, later, start, end, errors, issued)
        return errors, issued
