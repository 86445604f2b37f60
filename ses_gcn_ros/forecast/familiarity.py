"""Is this motion like any that the network knows? If not, it is believed less.

How motion looks is told by ten measures of the last frames, averaged over the body: how far joints
went, how jerkily and how straight, and by how much bones changed their length. Their Mahalanobis
distance from the motion that trained (Lee et al., *A simple unified framework for detecting
out-of-distribution samples*, NeurIPS 2018) is held against the distances of recordings that were
held out. From `LIMITS` of those on, the forecast moves over to one that needs no training,
`baselines.cautious`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIMITS = (0.985, 0.996)  # share of held-out windows that are believed in full, and in part
_RIDGE = 1e-3
_BONES = 4  # of the ten measures
SHAPES = {"mean": (10,), "precision": (10, 10), "limits": (2,)}  # of `Familiarity`


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What known motion looks like."""

    mean: NDArray[np.float32]  # (10,): of the measures
    precision: NDArray[np.float32]  # (10, 10): inverse of their covariance
    # (2,): distance up to which motion is known, and from which it is unlike any
    limits: NDArray[np.float32]

    def doubt(self, looks: NDArray[np.float32]) -> NDArray[np.float32]:
        """How unlike known motion is what looks so (N, 10), from 0 to 1, shape (N,).

        Bones that keep their length better than those of known motion are not a camera's guess:
        what is only smoother, as people in a simulation are, is not doubted.
        """
        away = _distance(looks, self.mean, self.precision)
        known, unlike = self.limits
        doubt = np.minimum(np.maximum((away - known) / (unlike - known), 0), 1)
        return np.where(looks[:, _BONES] > self.mean[_BONES], doubt, 0).astype(np.float32)


def familiarise(
    known: NDArray[np.float32], weight: NDArray[np.float64], held_out: NDArray[np.float32]
) -> Familiarity:
    """Learn what motion looks like.

    Parameters
    ----------
    known : NDArray, shape (N, 10)
        Of motion that trained, by `learnt_base.looks`.
    weight : NDArray, shape (N,)
        What each counts.
    held_out : NDArray, shape (M, 10)
        Of motion that did not.
    """
    weight = weight / weight.sum()
    mean = weight @ known
    apart = known - mean
    covariance = (apart * weight[:, None]).T @ apart + _RIDGE * np.eye(len(mean))
    precision = np.linalg.inv(covariance)
    limits = np.quantile(_distance(held_out, mean, precision), LIMITS)
    return Familiarity(*(part.astype(np.float32) for part in (mean, precision, limits)))


def _distance(
    measures: NDArray[Any], mean: NDArray[Any], precision: NDArray[Any]
) -> NDArray[np.float64]:
    apart = measures - mean
    return np.sqrt(np.maximum((apart @ precision * apart).sum(axis=1), 0))
