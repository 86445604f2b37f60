"""What sparser masks cost: errors of a teacher's students over the share of entries kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Sequences
from dataclasses import dataclass

import numpy as np

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.forecast.engine import build_engine
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.training.scores import measure
from ses_gcn_ros.training.student import emptied, global_threshold, prune, share_kept

Trained = Callable[[Weights], Weights]  # a pruned teacher, trained on


@dataclass(frozen=True)
class CurvePoint:
    """One student.

    Attributes
    ----------
    way : str
        'keep' (a share of each adjacency) or 'threshold' (one magnitude for all layers).
    value : float
        The share or the magnitude.
    kept : float
        Share of all adjacency entries that are kept.
    mean_mm, last_mm : float
        MPJPE over all frames and at the last.
    emptied : tuple of str
        Adjacencies that nothing is left of.
    """

    way: str
    value: float
    kept: float
    mean_mm: float
    last_mm: float
    emptied: tuple[str, ...]


def mask_curve(
    teacher: Weights,
    sequences: Sequences[Sequence],
    stride: int,
    shares: Sequences[float],
    trained: Trained = lambda pruned: pruned,
) -> Iterator[CurvePoint]:
    """Measure the teacher and students of several densities, masked in both ways.

    Parameters
    ----------
    teacher : Weights
        Trained SeS-GCN.
    sequences : sequence of Sequence
        What to measure on.
    stride : int
        Frames from one window to the next.
    shares : sequence of float
        Shares of entries to keep; a threshold is chosen that keeps as many of all.
    trained : callable
        What is done to a pruned teacher before it is measured.

    Yields
    ------
    CurvePoint
        The teacher, then a point per way and share.
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
    per_step = 1000 * np.mean(errors.distance[weights.name], axis=(0, 2))
    return CurvePoint(
        way=way,
        value=round(value, 5),
        kept=round(share_kept(weights), 4),
        mean_mm=round(float(per_step.mean()), 1),
        last_mm=round(float(per_step[-1]), 1),
        emptied=tuple(emptied(weights)),
    )
