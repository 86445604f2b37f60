"""How likely a person and a robot will touch: a probability from how many radii lie between them.

The z of a path is the least over all limbs, links and steps so far of

    (distance − threshold) / radius.

People do as the network expects, go on as they do now, or stay: the urgency is the mean of z over
these three paths, in `SHARES`, with the radius of the forecast for all. None counts as more than
1.5 radii farther than the nearest, so that what one alone is sure of is heard. No path by itself
tells contacts as well, each errs in another way: the network's is short of where a hand gets within
a second, constant velocity goes beyond it, and who stays touches by what the robot does. A logistic
regression on the urgency, one for each horizon, turns it into the probability that a contact begins
by then (Platt, *Probabilistic outputs for support vector machines*, 1999). Judged by how often what
it says comes true: reliability, Brier score (Brier 1950).

The shares, in quarters, are those that rank best on nine tenths of the handovers; the tenth that
judges had no part in it. The coefficients that ship were fitted with `ses-gcn alarm --fit` on
recordings that are free to use: people of cmu.npz, put near one another at random. People who know
of each other touch less often than that, so what it says is more than what comes
(docs/uncertainty.md has the figures).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

THRESHOLD = 0.13  # m between the axes of limb and link: CHICO's contact
HORIZONS = (0.2, 0.4, 0.6, 0.8, 1.0)  # s
SHARES = (0.25, 0.5, 0.25)  # of the forecast, the velocity kept and the last pose in the urgency
_FARTHER = 1.5  # radii that a path counts as farther than the nearest one, at most
CLIPPED = 5.0  # |z| beyond which nothing more is learnt
_SWEEPS, _RIDGE = 50, 1e-3


@dataclass(frozen=True, eq=False)
class ContactAlarm:
    """Probability of contact by each horizon."""

    coefficients: Array  # (5, 2): of one and of the urgency, for each of `HORIZONS`

    def probability(self, urgent: Array, steps: slice = slice(None)) -> Array:
        """Probability that a contact has begun by each horizon, (..., 5), from the `urgency` then.

        It never falls from one horizon to the next. `steps`: those that are asked for.
        """
        bias, slope = self.coefficients[steps].T
        logit = bias + slope * urgent
        rising: Array = np.maximum.accumulate(1 / (1 + np.exp(-logit)), axis=-1)
        return rising

    def at(self, times: Array) -> ContactAlarm:
        """The alarm at other horizons: `times` (H,) since the last observation [s], rising.

        Between two horizons their coefficients are interpolated; before the first and after the
        last they are its own.
        """
        columns = [np.interp(times, HORIZONS, column) for column in self.coefficients.T]
        return ContactAlarm(np.array(columns).T)


def urgency(
    forecast: NDArray[np.floating], velocity: NDArray[np.floating], rest: NDArray[np.floating]
) -> Array:
    """How urgent it has become by each step, (..., H): below 0 where contact is expected.

    `forecast`, `velocity`, `rest` (..., H): (distance − threshold) / radius at each step, the least
    over limbs and links, on the network's path, at constant velocity and where people are now;
    infinite where nothing is near. Where one is NaN, the others stand for it.
    """
    paths = np.array([forecast, velocity, rest], float).T  # (H, ..., 3)
    shares = np.where(np.isnan(paths), 0.0, SHARES)
    z = np.fmax(np.fmin(paths, CLIPPED), -CLIPPED)
    least = np.minimum.accumulate(z, axis=0)
    least = np.minimum(least, least.min(axis=-1, keepdims=True) + _FARTHER)
    total = shares.sum(axis=-1)
    mean = (shares * least).sum(axis=-1) / np.where(total > 0, total, 1.0)
    urgent: Array = np.where(total > 0, mean, CLIPPED).T
    return urgent


def fit(urgent: Array, contact: NDArray[np.bool_]) -> ContactAlarm:
    """Logistic regression by Newton's method with a small ridge.

    `urgent` (W, 5): `urgency` of windows in which there is no contact yet, up to each of
    `HORIZONS`.
    `contact` (W, 5): whether one has begun by each horizon.
    """
    coefficients = np.zeros((len(HORIZONS), 2))
    for k in range(len(HORIZONS)):
        x = np.stack([np.ones(len(urgent)), urgent[:, k]], axis=-1)
        y = contact[:, k].astype(float)
        for _ in range(_SWEEPS):
            p = 1 / (1 + np.exp(-x @ coefficients[k]))
            slope = x.T @ (y - p) - _RIDGE * coefficients[k]
            bend = (x * (p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(2)
            step = np.linalg.solve(bend, slope)
            coefficients[k] += step / max(1.0, float(np.abs(step).max()))
    return ContactAlarm(coefficients)


@dataclass(frozen=True)
class Bin:
    """Windows that were given a similar probability: how many, which, and how many had contact."""

    windows: int
    said: float
    happened: float


def reliability(probability: Array, contact: NDArray[np.bool_]) -> tuple[list[Bin], float, float]:
    """What was said beside what happened, at one horizon.

    `probability`, `contact` (W,): said, and whether it came.

    Returns those of ten bins of equal width that are not empty; `error`: mean distance of what was
    said from what happened, by windows (expected calibration error); `brier`: mean square of
    probability minus outcome.
    """
    place = np.minimum((probability * 10).astype(int), 9)
    found = [
        Bin(int(chosen.sum()), float(probability[chosen].mean()), float(contact[chosen].mean()))
        for chosen in (place == b for b in range(10))
        if chosen.any()
    ]
    error = sum(b.windows * abs(b.said - b.happened) for b in found) / len(probability)
    return found, float(error), float(np.mean((probability - contact) ** 2))


# `ses-gcn alarm handover_dev.npz --fit cmu.npz --subjects 02,05,07,10,13 --count 6000 --json`, whom
# the weights that ship were not trained on; a row for each of HORIZONS.
SHIPPED = ContactAlarm(
    np.array(
        [
            [0.0894, -7.2604],
            [-0.1887, -7.3678],
            [-0.0703, -7.4247],
            [0.0329, -7.3389],
            [0.1315, -7.4001],
        ]
    )
)
