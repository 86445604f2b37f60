"""From teacher to student: which entries of the adjacencies a student keeps.

The paper thresholds what a sigmoid makes of the teacher's adjacencies. A threshold on magnitudes
that are compared within one matrix keeps the same entries whatever their scale, so the threshold
is given as the share to keep and taken as a quantile of each layer's adjacency.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.weights import Weights

_KINDS = ("space", "time")


def prune(teacher: Weights, keep: float) -> Weights:
    """Mask a teacher's adjacencies, to be trained on as a student.

    Parameters
    ----------
    teacher : Weights
        Trained weights; entries that are masked already stay so.
    keep : float
        Share of the entries of each adjacency that a student keeps: those of largest magnitude.

    Returns
    -------
    Weights
        The same tensors with other masks, without the radius, which no longer holds.

    Raises
    ------
    InputError
        If `keep` leaves nothing or is more than all, or a layer would be left empty.
    """
    if not 0 < keep <= 1:
        raise InputError(f"the share to keep is {keep}; it lies in (0, 1]")
    tensors = dict(teacher.tensors)
    for layer in range(len(teacher.config.widths)):
        for kind in _KINDS:
            name = f"layers.{layer}.graph"
            adjacency = np.asarray(tensors[f"{name}.{kind}"], np.float32)
            strength = np.abs(adjacency * np.asarray(tensors[f"{name}.mask_{kind}"], np.float32))
            mask = largest(strength, keep)
            if not mask.any():
                raise InputError(
                    f"keeping {keep:g} of its entries empties the {kind} adjacency of layer {layer}"
                )
            tensors[f"{name}.mask_{kind}"] = mask
    return dataclasses.replace(teacher, tensors=tensors, radius=None, coverage=0.0)


def largest(strength: NDArray[np.float32], keep: float) -> NDArray[np.float32]:
    """Mask of the largest entries, about the share `keep` of all; entries of zero never."""
    threshold = np.quantile(strength, 1 - keep)
    return ((strength >= threshold) & (strength > 0)).astype(np.float32)


def density(weights: Weights) -> dict[str, list[float]]:
    """Share of adjacency entries kept, per layer, of both kinds."""
    return {
        kind: [
            float(np.mean(np.asarray(weights.tensors[f"layers.{layer}.graph.mask_{kind}"], float)))
            for layer in range(len(weights.config.widths))
        ]
        for kind in _KINDS
    }
