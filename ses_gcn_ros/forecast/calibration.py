"""What held-out motion says of a network: how large its radius has to be, and what it knows.

How large the radius has to be is told by normalised split conformal prediction. A score is an error
in units of what the network expects (its scale), so that a radius is narrow where motion is plain:
Papadopoulos, Gammerman and Vovk, *Normalized nonconformity measures for regression conformal
prediction*, AIA 2008; Lei et al., *Distribution-free predictive inference for regression*, JASA
2018. Quantiles are taken apart for people who stand, work, step and walk, and for steady and shaky
bones, so that coverage holds for each (Mondrian: Vovk, Gammerman and Shafer 2005): the share of
what is expected that comes is the same for all noise of motion capture and depth cameras, and
another where one camera guesses depth. What is expected of one joint counts for the others, too.
Errors are flat: the radius is horizontal, and what it is vertically is measured.

Motion that is unlike any that the network knows is believed less. How motion looks is told by ten
measures of the last frames, averaged over the body: how far joints went, how jerkily and how
straight, and by how much bones changed their length. Their Mahalanobis distance from the motion
that trained (Lee et al., *A simple unified framework for detecting out-of-distribution samples*,
NeurIPS 2018) is held against the distances of recordings that were held out. From `LIMITS` of those
on, the forecast moves over to one that needs no training, `baselines.cautious`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float32]

SPEEDS = (0.05, 0.25, 0.7)  # m/s between people who stand, work, step and walk
KINDS = ("standing", "working", "stepping", "walking")
_NOISES = (0.004,)  # m that bones change by between steady and shaky
CELLS = len(KINDS) * (len(_NOISES) + 1)  # each kind of motion with each of these
_OWN = 0.7  # of what is expected of a joint; the rest is the body's mean
_LEAST = 100  # windows in all
_FEWEST = 300  # windows of a cell below which it takes its kind's quantiles, or those of all
_FLATNESS = (1.0, 0.75, 0.5, 0.35)  # of ellipsoids that are tried
_GROWTH = 1.03  # of the mean horizontal radius that a flatter one may cost
_SPAN = 5  # frames that a speed is taken over

LIMITS = (0.985, 0.996)  # share of held-out windows that are believed in full, and in part
_RIDGE = 1e-3
_BONES = 4  # of the ten measures
FAMILIARITY_SHAPES = {"mean": (10,), "precision": (10, 10), "limits": (2,)}

# What a body can do: the speeds that ISO 13855 assumes of arms and of walking, or the present one
# where that is higher, reached at what a_max of arm and trunk allow (as safety's reachable sets).
_ARMS = ("elbow", "wrist", "hand")
_REACH = {True: (2.0, 50.0), False: (1.6, 20.0)}  # of arms, of all else: m/s, m/s²


@dataclass(frozen=True, eq=False)
class Calibration:
    """What scales are multiplied by."""

    quantile: Array  # (CELLS, H, J): of the scores in each cell
    flatness: float  # vertical by horizontal axis of the ellipsoid around a forecast joint
    own: float = 1.0  # share of a joint's scale in what is multiplied; the rest is the body's mean

    def radius(self, scale: Array, cell: NDArray[np.int64]) -> Array:
        """Horizontal radius [m], (N, H, J), for scales (N, H, J) [m] and cells (N,)."""
        radius: Array = self.quantile[cell] * _evened(scale, self.own)
        return radius


def _evened(scale: Array, own: float) -> Array:
    share = np.float32(own)
    even: Array = share * scale + (1 - share) * scale.mean(axis=2, keepdims=True)
    return even


def kind_of_motion(history: Array, fps: float) -> NDArray[np.int64]:
    """Number in `KINDS` of what people do, shape (N,), by the mean speed of the joints seen."""
    moved = history[:, -1] - history[:, -1 - _SPAN]
    length = np.sqrt((moved * moved).sum(axis=-1))
    known = np.isfinite(length)
    speed = np.where(known, length, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1) * fps / _SPAN
    return np.searchsorted(SPEEDS, speed, side="right")


def cell_of(kind: NDArray[np.int64], wobble: NDArray[np.float32]) -> NDArray[np.int64]:
    """Cell that kinds of motion (N,) are calibrated in with bones that wobble (N,) [m]."""
    return kind + len(KINDS) * np.searchsorted(_NOISES, wobble)


def calibrate(
    difference: Array, scale: Array, cell: NDArray[np.int64], coverage: float
) -> Calibration:
    """Quantiles that hold a share of what was seen.

    Raises ModelError if there are too few windows.

    `difference` (N, H, J, 3): of joints from where they were forecast [m], on motion that nothing
    was trained on; NaN where unseen.
    `scale` (N, H, J): what the network expected to be off by [m].
    `cell` (N,): as `cell_of` gives it.
    `coverage`: share of joints that are to be within the radius.
    """
    if len(difference) < _LEAST:
        raise ModelError(
            f"{len(difference)} windows are too few to calibrate a radius; it takes {_LEAST}"
        )
    best: Calibration | None = None
    round_radius = 0.0
    even = _evened(scale, _OWN)
    for flatness in _FLATNESS:
        score = flat_norm(difference, flatness) / even
        quantile = np.empty((CELLS, *score.shape[1:]), np.float32)
        for k in range(CELLS):
            alike = cell == k, cell % len(KINDS) == k % len(KINDS), np.ones(len(cell), bool)
            chosen = next((some for some in alike if some.sum() >= _FEWEST), alike[-1])
            quantile[k] = _quantile(score[chosen], coverage)
        found = Calibration(quantile, flatness, _OWN)
        mean = float(found.radius(scale, cell).mean())
        if best is None:
            best, round_radius = found, mean
        elif mean <= _GROWTH * round_radius:
            best = found
    assert best is not None
    return best


def _quantile(score: Array, coverage: float) -> Array:
    """The ⌈(n + 1)·coverage⌉-th smallest score of each step and joint, shape (H, J)."""
    ordered = np.sort(np.where(np.isfinite(score), score, np.inf), axis=0)
    known = np.isfinite(score).sum(axis=0)
    rank = np.minimum(np.ceil((known + 1) * coverage).astype(np.int64), np.maximum(known, 1))
    quantile: Array = np.take_along_axis(ordered, rank[None] - 1, axis=0)[0]
    finite = np.isfinite(quantile)  # a joint that was never seen takes the step's largest
    return np.where(finite, quantile, np.where(finite, quantile, 0).max(axis=1, keepdims=True))


def flat_norm(difference: Array, flatness: float) -> Array:
    """Length of vectors (..., 3) whose vertical part counts 1/flatness times."""
    x, y, z = difference[..., 0], difference[..., 1], difference[..., 2] / np.float32(flatness)
    return np.sqrt(x * x + y * y + z * z)


def furthest(positions: Array, last: Array, velocity: Array, step: float, layout: str) -> Array:
    """Radius [m] around forecasts beyond which no body can be, shape (N, H, J).

    `positions` (N, H, J, 3): forecasts [m].
    `last`, `velocity` (N, J, 3): where joints are [m], and how they move [m/s].
    `step`: time between steps [s].
    """
    speed, acceleration = _limits(layout)
    seconds = step * np.arange(1, positions.shape[1] + 1, dtype=np.float32)[:, None]
    now = flat_norm(velocity, 1.0)[:, None]
    reach = np.minimum(
        now * seconds + acceleration / 2 * seconds**2, np.maximum(now, speed) * seconds
    )
    away = flat_norm(positions - last[:, None], 1.0)
    cap: Array = (reach + away).astype(np.float32)
    return cap


@cache
def _limits(layout: str) -> tuple[Array, Array]:
    """Speed [m/s] and acceleration [m/s²] of each joint of a layout, shapes (J,)."""
    names = get_layout(layout).canonical
    limits = [_REACH[any(part in name for part in _ARMS)] for name in names]
    speed, acceleration = np.array(limits, np.float32).T
    return speed, acceleration


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

    `known` (N, 10): of motion that trained, by `learnt_base.looks`.
    `weight` (N,): what each counts.
    `held_out` (M, 10): of motion that did not.
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
