"""How likely a person and a robot will touch: a probability from how many radii lie between them.

The urgency of a forecast is z, the least over all limbs, links and steps so far of

    (distance − threshold) / radius,

once for the network's path and once for constant velocity, which errs in other ways. A logistic
regression on both, one for each horizon, turns them into the probability that a contact begins by
then (Platt, *Probabilistic outputs for support vector machines*, 1999). Judged by how often what it
says comes true: reliability, Brier score (Brier 1950).

The coefficients that ship were fitted with `ses-gcn alarm --fit` on recordings that are free to
use: people of cmu.npz, put near one another at random. People who know of each other touch less
often than that, so what it says is more than what comes (docs/uncertainty.md has the figures).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

THRESHOLD = 0.13  # m between the axes of limb and link: CHICO's contact
HORIZONS = (0.2, 0.4, 0.6, 0.8, 1.0)  # s
_CLIPPED = 5.0  # |z| beyond which nothing more is learnt
_SWEEPS, _RIDGE = 50, 1e-3


@dataclass(frozen=True, eq=False)
class ContactAlarm:
    """Probability of contact by each horizon."""

    # (5, 3): of one, of the network's z and of constant velocity's, for each of `HORIZONS`
    coefficients: Array

    def probability(self, network: Array, velocity: Array) -> Array:
        """Probability that a contact has begun, for each of `HORIZONS`.

        Parameters
        ----------
        network, velocity : NDArray, shape (..., 5)
            z of the network's path and of constant velocity up to each horizon; infinite where
            nothing is near. Where one is NaN, the other stands for it.

        Returns
        -------
        NDArray, shape (..., 5)
            It never falls from one horizon to the next.
        """
        logit = np.einsum("...kc,kc->...k", _inputs(network, velocity), self.coefficients)
        rising: Array = np.maximum.accumulate(1 / (1 + np.exp(-logit)), axis=-1)
        return rising

    def by_step(self, times: Array, network: Array, velocity: Array) -> Array:
        """Probability that a contact has begun by each step, (..., H).

        Between two horizons their coefficients are interpolated; before the first and after the
        last they are its own.

        Parameters
        ----------
        times : NDArray, shape (H,)
            Since the last observation [s], rising.
        network, velocity : NDArray, shape (..., H)
            (distance − threshold) / radius at each step, the least over limbs and links.
        """
        columns = [np.interp(times, HORIZONS, column) for column in self.coefficients.T]
        at_steps = ContactAlarm(np.stack(columns, axis=-1))
        so_far = [np.minimum.accumulate(z, axis=-1) for z in (network, velocity)]
        return at_steps.probability(*so_far)


def urgency(gaps: Array, radius: Array, step: float, threshold: float = THRESHOLD) -> Array:
    """z up to each of `HORIZONS`, shape (..., 5).

    Parameters
    ----------
    gaps : NDArray, shape (..., H, N, M)
        Distances of limbs and links at each step [m].
    radius : NDArray, shape (..., H, N)
        Of the limbs' forecasts [m].
    step : float
        Time between steps [s].
    threshold : float
        Distance that is a contact [m].
    """
    z = ((gaps - threshold) / np.maximum(radius, 1e-6)[..., None]).min(axis=(-2, -1))
    least = np.minimum.accumulate(z, axis=-1)
    last = np.clip(np.round(np.array(HORIZONS) / step).astype(int), 1, z.shape[-1]) - 1
    so_far: Array = least[..., last]
    return so_far


def fit(network: Array, velocity: Array, contact: NDArray[np.bool_]) -> ContactAlarm:
    """Logistic regression by Newton's method with a small ridge.

    Parameters
    ----------
    network, velocity : NDArray, shape (W, 5)
        z of windows in which there is no contact yet.
    contact : NDArray, shape (W, 5)
        Whether one has begun by each horizon.
    """
    coefficients = np.zeros((len(HORIZONS), 3))
    inputs = _inputs(network, velocity)
    for k in range(len(HORIZONS)):
        x, y = inputs[:, k], contact[:, k].astype(float)
        for _ in range(_SWEEPS):
            p = 1 / (1 + np.exp(-x @ coefficients[k]))
            slope = x.T @ (y - p) - _RIDGE * coefficients[k]
            bend = (x * (p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(3)
            step = np.linalg.solve(bend, slope)
            coefficients[k] += step / max(1.0, float(np.abs(step).max()))
    return ContactAlarm(coefficients)


def _inputs(network: Array, velocity: Array) -> Array:
    network, velocity = (np.asarray(z, float) for z in (network, velocity))
    network, velocity = (
        np.where(np.isnan(network), velocity, network),
        np.where(np.isnan(velocity), network, velocity),
    )
    z = np.nan_to_num(np.stack([network, velocity], axis=-1), nan=_CLIPPED, posinf=_CLIPPED)
    z = np.clip(z, -_CLIPPED, _CLIPPED)
    return np.concatenate([np.ones_like(z[..., :1]), z], axis=-1)


@dataclass(frozen=True)
class Bin:
    """Windows that were given a similar probability: how many, which, and how many had contact."""

    windows: int
    said: float
    happened: float


def reliability(
    probability: Array, contact: NDArray[np.bool_], bins: int = 10
) -> tuple[list[Bin], float, float]:
    """What was said beside what happened, at one horizon.

    Parameters
    ----------
    probability, contact : NDArray, shape (W,)
        Said, and whether it came.
    bins : int
        Of equal width.

    Returns
    -------
    bins : list of Bin
        Those that are not empty.
    error : float
        Mean distance of what was said from what happened, by windows (expected calibration error).
    brier : float
        Mean square of probability minus outcome.
    """
    place = np.minimum((probability * bins).astype(int), bins - 1)
    found = [
        Bin(int(chosen.sum()), float(probability[chosen].mean()), float(contact[chosen].mean()))
        for chosen in (place == b for b in range(bins))
        if chosen.any()
    ]
    error = sum(b.windows * abs(b.said - b.happened) for b in found) / len(probability)
    return found, float(error), float(np.mean((probability - contact) ** 2))


# `ses-gcn alarm handover_dev.npz --fit cmu.npz --subjects 02,05,07,10,13 --count 6000 --json`, whom
# the weights that ship were not trained on; a row for each of HORIZONS.
SHIPPED = ContactAlarm(
    np.array(
        [
            [0.1834, -6.0333, -1.7965],
            [0.0205, -6.3668, -1.52],
            [0.1722, -7.1281, -1.1715],
            [0.2819, -7.1377, -1.2025],
            [0.3634, -7.3719, -1.3348],
        ]
    )
)
