"""Smoothing of joint paths, and bones that keep their length."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.skeleton import get_layout, mapping

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
        self._velocities = np.zeros((0, 3))
        self._delays = np.zeros(0)  # (J,) s by which the last result lags
        self._stamps = np.zeros(0)  # (J,) when last seen

    def smooth(self, stamp: float, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Filtered positions (J, 3) of those measured at `stamp` [s]; NaN where unseen."""
        measured = np.asarray(positions, dtype=np.float64)
        if self._positions is None:
            self._delays = np.zeros(len(measured))
            self._positions = np.full_like(measured, np.nan)
            self._velocities = np.zeros_like(measured)
            self._stamps = np.full(len(measured), -math.inf)
        seen = np.all(np.isfinite(measured), axis=-1)
        elapsed = stamp - self._stamps
        known = seen & (elapsed < _FORGET)
        if self._min_cutoff == 0.0:
            return measured
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
            cutoff = self._min_cutoff + self._beta * speed
            gain = _gain(step, cutoff)
            self._delays[known] = 1.0 / (2.0 * np.pi * cutoff[:, 0])
            self._positions[known] = before + gain * (measured[known] - before)
        self._stamps[seen] = stamp
        return np.where(seen[:, None], self._positions, np.nan)

    def lag_covariance(self) -> NDArray[np.float64]:
        """Second moment (J, 3, 3) [m²] of the last result's error by delay: speed times delay."""
        lag = self._velocities * self._delays[:, None]
        return np.asarray(lag[:, :, None] * lag[:, None, :])


def packed_covariance(
    covariance: NDArray[np.float64], positions: NDArray[np.floating], source: str, target: str
) -> NDArray[np.float32]:
    """Covariances as a `Skeleton` has them, of joints converted to another layout.

    Joints that are averaged err together, so that the mean of covariances bounds that of the mean.

    Parameters
    ----------
    covariance : NDArray, shape (J_source, 3, 3)
        Of the joints of the source's layout [m²].
    positions : NDArray, shape (J_target, 3)
        Converted joints; where they are NaN the covariance is.
    source, target : str
        Names of layouts.

    Returns
    -------
    NDArray, shape (J_target, 6), float32
        xx, xy, xz, yy, yz, zz [m²].
    """
    flat = np.nan_to_num(covariance.reshape(-1, 9)[:, [0, 1, 2, 4, 5, 8]])
    packed = np.abs(mapping(source, target)) @ flat
    return np.where(np.isfinite(positions).all(-1)[:, None], packed, np.nan).astype(np.float32)


def _gain(step: NDArray[np.float64], cutoff: NDArray[np.float64] | float) -> NDArray[np.float64]:
    rate = 2.0 * np.pi * cutoff * step
    return rate / (rate + 1.0)


_REMEMBERED = 50  # frames that a limb's length is taken from
_NEEDED = 10  # frames before it is trusted
_PASSES = 6
_STIFFNESS = 0.8  # share of a limb's deviation that a pass takes away
# Pairs of joints that no bone ties; their distance changes as the trunk bends and the head turns.
_LOOSE = ("nose", "eye", "ear", "mouth", "thumb", "index", "pinky", "toe", "heel")


class BoneLengthFilter:
    """Estimate the lengths of one person's limbs and move joints so that they keep them.

    The length of a limb is the median over the last frames and both sides of the body. Joints are
    moved along their limbs, those that are less certain more (position-based dynamics).

    Parameters
    ----------
    layout : str
        Joint layout.

    References
    ----------
    Müller et al.: Position Based Dynamics, VRIPHYS 2006.
    """

    def __init__(self, layout: str) -> None:
        shape = get_layout(layout)
        rigid = [all(word not in name for word in _LOOSE) for name in shape.joints]
        limbs = [(a, b) for a, b in shape.limbs if rigid[a] and rigid[b]]
        self._ends = np.array(limbs, int).reshape(-1, 2)
        order = {frozenset(limb): i for i, limb in enumerate(limbs)}
        other = [order[frozenset((shape.mirror[a], shape.mirror[b]))] for a, b in limbs]
        self._mirror = np.array(other, int)
        self._seen = np.full((_REMEMBERED, len(limbs)), np.nan)
        self._frames = 0

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Lengths [m] of the limbs that are held, shape (L,); NaN while not known."""
        both = np.concatenate((self._seen, self._seen[:, self._mirror]))
        counted = np.isfinite(both).sum(axis=0)
        middle = np.full(len(self._ends), np.nan)
        known = counted >= 2 * _NEEDED
        if known.any():
            middle[known] = np.nanmedian(both[:, known], axis=0)
        return middle

    def fit(
        self, positions: NDArray[np.float64], sigma: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Joints (J, 3) [m] with limbs of the person's own lengths; NaN stays NaN.

        Parameters
        ----------
        positions : NDArray, shape (J, 3)
            Joints as measured [m].
        sigma : NDArray, shape (J,), optional
            Their standard deviations [m]; by default all are equally certain.
        """
        first, second = self._ends.T
        self._seen[self._frames % _REMEMBERED] = np.linalg.norm(
            positions[second] - positions[first], axis=-1
        )
        self._frames += 1
        lengths = self.lengths
        held = np.isfinite(lengths) & np.isfinite(positions[first] + positions[second]).all(-1)
        if not held.any():
            return positions
        first, second, lengths = first[held], second[held], lengths[held]
        mobility = np.ones(len(positions)) if sigma is None else sigma**2
        share = mobility[first] / (mobility[first] + mobility[second])
        degree = np.bincount(np.concatenate((first, second)), minlength=len(positions))
        degree = np.maximum(degree, 1)[:, None]
        moved = positions.copy()
        for _ in range(_PASSES):
            along = moved[second] - moved[first]
            length = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
            push = _STIFFNESS * along * (1.0 - lengths[:, None] / length)
            change = np.zeros_like(moved)
            np.add.at(change, first, share[:, None] * push)
            np.add.at(change, second, -(1.0 - share)[:, None] * push)
            moved += change / degree
        return moved
