"""From teacher to student: which entries of the adjacencies a student keeps, and what that costs.

The paper thresholds the teacher's adjacencies. In the masks that the authors released with their
weights an entry is kept exactly where its magnitude exceeds one number, the same for all layers of
a network; that is `threshold` here. Layers whose adjacencies have shrunk as a whole are emptied by
it, as the first one of theirs is. `keep` compares magnitudes within one matrix instead, whatever
its scale, so that every layer keeps the same share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Sequences
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.engine import build_engine
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.training.evaluation import measure

_KINDS = ("space", "time")


def prune(
    teacher: Weights, *, keep: float | None = None, threshold: float | None = None
) -> Weights:
    """Mask a teacher's adjacencies, to be trained on as a student.

    Raises InputError if not one of `keep` and `threshold` is given, it leaves nothing at all or is
    out of range, or the network has no masks.

    `teacher`: trained SeS-GCN; entries that are masked already stay so.
    `keep`: share of the entries of each adjacency that a student keeps: those of largest magnitude.
    `threshold`: instead of `keep`, the magnitude above which entries are kept, in all layers.

    Returns the same tensors with other masks, without the radius, which no longer holds.
    """
    if (keep is None) == (threshold is None):
        raise InputError("give either the share of entries to keep or a threshold, not both")
    if keep is not None and not 0 < keep <= 1:
        raise InputError(f"the share to keep is {keep}; it lies in (0, 1]")
    if threshold is not None and not threshold >= 0:
        raise InputError(f"the threshold is {threshold}; it must not be negative")
    tensors, strengths = dict(teacher.tensors), _strengths(teacher)
    for (layer, kind), strength in strengths.items():
        mask = largest(strength, keep or 1.0) if threshold is None else strength > threshold
        tensors[f"layers.{layer}.graph.mask_{kind}"] = mask.astype(np.float32)
    student = dataclasses.replace(teacher, tensors=tensors, radius=None, coverage=0.0)
    if share_kept(student) == 0:
        most = max(float(strength.max()) for strength in strengths.values())
        raise InputError(
            f"a threshold of {threshold:g} leaves no entry; the largest has magnitude {most:g}"
            if keep is None
            else f"keeping {keep:g} of its entries leaves none: all are zero"
        )
    return student


def global_threshold(teacher: Weights, share: float) -> float:
    """Threshold that keeps about a share of the entries of all layers taken together."""
    strengths = [strength.ravel() for strength in _strengths(teacher).values()]
    return float(np.quantile(np.concatenate(strengths), 1 - share))


def largest(strength: NDArray[np.float32], keep: float) -> NDArray[np.bool_]:
    """Mask of the largest entries, about the share `keep` of all; entries of zero never."""
    threshold = np.quantile(strength, 1 - keep)
    chosen: NDArray[np.bool_] = (strength >= threshold) & (strength > 0)
    return chosen


def density(weights: Weights) -> dict[str, list[float]]:
    """Share of adjacency entries kept, per layer, of both kinds."""
    _check_masked(weights)
    return {
        kind: [
            float(np.mean(np.asarray(weights.tensors[f"layers.{layer}.graph.mask_{kind}"], float)))
            for layer in range(len(weights.config.widths))
        ]
        for kind in _KINDS
    }


def share_kept(weights: Weights) -> float:
    """Share of the entries of all adjacencies together that the masks keep."""
    shares, config = density(weights), weights.config
    # Per layer, J·T·T entries over time and T·J·J over joints.
    entries = {"space": config.joints, "time": config.observed}
    kept = sum(entries[kind] * sum(shares[kind]) for kind in _KINDS)
    return float(kept / (sum(entries.values()) * len(config.widths)))


def emptied(weights: Weights) -> list[str]:
    """Adjacencies that the masks leave nothing of, such as 'layer 0 space'.

    Such a layer passes on what its residual connection gives it, and nothing more.
    """
    shares = density(weights)
    return [
        f"layer {layer} {kind}"
        for layer in range(len(weights.config.widths))
        for kind in _KINDS
        if shares[kind][layer] == 0
    ]


def _strengths(weights: Weights) -> dict[tuple[int, str], NDArray[np.float32]]:
    """Magnitudes of what is not masked, by layer and kind of adjacency."""
    _check_masked(weights)

    def tensor(layer: int, name: str) -> NDArray[np.float32]:
        return np.asarray(weights.tensors[f"layers.{layer}.graph.{name}"], np.float32)

    return {
        (layer, kind): np.abs(tensor(layer, kind) * tensor(layer, f"mask_{kind}"))
        for layer in range(len(weights.config.widths))
        for kind in _KINDS
    }


def _check_masked(weights: Weights) -> None:
    if weights.config.network != "sesgcn":
        raise InputError(
            f"'{weights.name}' is a {weights.config.network}; only SeS-GCN has masks to prune"
        )


Trained = Callable[[Weights], Weights]  # a pruned teacher, trained on


@dataclass(frozen=True)
class CurvePoint:
    """One student."""

    way: str  # 'keep' (a share of each adjacency) or 'threshold' (one magnitude for all layers)
    value: float  # the share or the magnitude
    kept: float  # share of all adjacency entries that are kept
    # MPJPE over all frames and at the last
    mean_mm: float
    last_mm: float
    emptied: tuple[str, ...]  # adjacencies that nothing is left of


def mask_curve(
    teacher: Weights,
    sequences: Sequences[Sequence],
    stride: int,
    shares: Sequences[float],
    trained: Trained = lambda pruned: pruned,
) -> Iterator[CurvePoint]:
    """Measure the teacher and students of several densities, masked in both ways.

    `shares`: shares of entries to keep; a threshold is chosen that keeps as many of all.
    `trained`: what is done to a pruned teacher before it is measured.

    Yields the teacher, then a point per way and share.
    """
    yield _point("teacher", 1.0, teacher, sequences, stride)
    for share in shares:
        student = trained(prune(teacher, keep=share))
        yield _point("keep", share, student, sequences, stride)
    for share in shares:
        threshold = global_threshold(teacher, share)
        student = trained(prune(teacher, threshold=threshold))
        yield _point("threshold", threshold, student, sequences, stride)


def _point(
    way: str, value: float, weights: Weights, sequences: Sequences[Sequence], stride: int
) -> CurvePoint:
    errors = measure(build_engine(weights, "eager", "cpu"), sequences, stride)
    per_step = 1000 * errors.per_step(weights.name)
    return CurvePoint(
        way=way,
        value=round(value, 5),
        kept=round(share_kept(weights), 4),
        mean_mm=round(float(per_step.mean()), 1),
        last_mm=round(float(per_step[-1]), 1),
        emptied=tuple(emptied(weights)),
    )
