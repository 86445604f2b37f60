"""A trained network as the few matrices that inference needs.

Exact, not approximate: masks go into the adjacencies, the depthwise convolution and its
normalisation move through the ReLU6 into the pointwise map, and other normalisations into the
convolutions before them. For a channel with scale a and shift b,

    clip(a·z + b, 0, 6) = a·clip(z, lo, hi) + b,   lo, hi = sorted(-b/a, (6 - b)/a),

so that a and b are absorbed by the map that follows. Channels whose a is zero are constant and end
up in its bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.shapes import DECODER_LAYERS

_EPSILON = 1e-5  # of torch's batch normalisation
_DEAD = 1e-30  # a channel's scale below which lo and hi would overflow

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldedLayer:
    """x → leaky(clip(mixed x, low, high) @ weight + residual(x) + bias).

    Attributes
    ----------
    time : NDArray, shape (J, T, T)
        Per joint, what each frame (row) takes from the frames (columns).
    space : NDArray, shape (T, J, J)
        Then per frame, what each joint (row) takes from the joints (columns).
    low, high : NDArray, shape (K,)
        Limits of the channels that live.
    living : NDArray, shape (K,), int
        Which channels those are; none where the masks leave nothing to mix.
    dead : int
        Number of the others.
    weight : NDArray, shape (K, C')
    bias : NDArray, shape (C',)
    residual : NDArray, shape (C, C'), or None
        None for the identity.
    slope : float
        Of the activation below zero.
    """

    time: Array
    space: Array
    low: Array
    high: Array
    living: NDArray[np.intp]
    dead: int
    weight: Array
    bias: Array
    residual: Array | None
    slope: float


@dataclass(frozen=True, eq=False)
class FoldedConvolution:
    """3×3 convolution with its normalisation in it, weight (H, T or H, 3, 3), then leaky ReLU."""

    weight: Array
    bias: Array
    slope: float


@dataclass(frozen=True, eq=False)
class FoldedNetwork:
    """Layers, then either convolutions or one linear map (weight (T·C, H·3), bias)."""

    layers: list[FoldedLayer]
    convolutions: list[FoldedConvolution]
    linear: tuple[Array, Array] | None


def fold(weights: Weights) -> FoldedNetwork:
    """Fold a network; everything is computed in double precision."""
    tensors = {name: np.asarray(t, np.float64) for name, t in weights.tensors.items()}
    layers = [_fold_layer(tensors, f"layers.{i}") for i in range(len(weights.config.widths))]
    if weights.config.head == "linear":
        linear = tensors["decoder.linear.weight"].T, tensors["decoder.linear.bias"]
        return FoldedNetwork(layers, [], linear)
    convolutions = []
    for index in range(DECODER_LAYERS):
        scale, shift = _normalisation(tensors, f"decoder.norms.{index}")
        name = f"decoder.convolutions.{index}"
        convolutions.append(
            FoldedConvolution(
                weight=tensors[f"{name}.weight"] * scale[:, None, None, None],
                bias=tensors[f"{name}.bias"] * scale + shift,
                slope=float(tensors[f"decoder.activations.{index}.weight"][0]),
            )
        )
    return FoldedNetwork(layers, convolutions, None)


def _fold_layer(tensors: dict[str, Array], name: str) -> FoldedLayer:
    scale, shift = _normalisation(tensors, f"{name}.norm")
    shift = tensors[f"{name}.depthwise.bias"] * scale + shift
    scale = tensors[f"{name}.depthwise.weight"] * scale
    pointwise = tensors[f"{name}.pointwise.weight"].T
    graph = f"{name}.graph"
    time, space = (
        np.swapaxes(tensors[f"{graph}.mask_{kind}"] * tensors[f"{graph}.{kind}"], 1, 2)
        for kind in ("time", "space")
    )

    alive = np.abs(scale) > _DEAD
    if not (time.any() and space.any()):
        alive[:] = False
    bias = tensors[f"{name}.pointwise.bias"] + np.clip(shift, 0, 6) @ (pointwise * ~alive[:, None])
    living = np.flatnonzero(alive)
    a, b = scale[living], shift[living]
    limits = np.sort(np.stack([-b / a, (6 - b) / a]), axis=0)
    # Limits beyond float32 never bind, but would become infinite times zero.
    limits = np.clip(limits, -1e30, 1e30)
    bias = bias + b @ pointwise[living]

    residual = None
    if f"{name}.residual.0.weight" in tensors:
        gain, offset = _normalisation(tensors, f"{name}.residual.1")
        residual = tensors[f"{name}.residual.0.weight"].T * gain
        bias = bias + tensors[f"{name}.residual.0.bias"] * gain + offset
    return FoldedLayer(
        time=time,
        space=space,
        low=limits[0],
        high=limits[1],
        living=living,
        dead=int(np.sum(~alive)),
        weight=a[:, None] * pointwise[living],
        bias=bias,
        residual=residual,
        slope=float(tensors[f"{name}.activation.weight"][0]),
    )


def _normalisation(tensors: dict[str, Array], name: str) -> tuple[Array, Array]:
    """Scale and shift that a batch normalisation comes to."""
    scale = tensors[f"{name}.weight"] / np.sqrt(tensors[f"{name}.running_var"] + _EPSILON)
    return scale, tensors[f"{name}.bias"] - tensors[f"{name}.running_mean"] * scale
