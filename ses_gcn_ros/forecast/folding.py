"""A trained network as the few matrices that inference needs.

Exact, not approximate: masks go into the adjacencies, normalisations into the maps before them,
and in SeS-GCN the depthwise convolution and its normalisation move through the ReLU6 into the
pointwise map. For a channel with scale a and shift b,

    clip(a·z + b, 0, 6) = a·clip(z, lo, hi) + b,   lo, hi = sorted(-b/a, (6 - b)/a),

so that a and b are absorbed by the map that follows. Channels whose a is zero are constant. They
stay where they are: picking the others out of every row would cost more than they do.

The published decoder's convolutions run over (coordinate, joint), frames as channels. With frames
and coordinates as channels they run over joints alone, for all people at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import DECODER_LAYERS

_EPSILON = 1e-5  # of torch's batch normalisation
_DEAD = 1e-30  # a channel's scale below which lo and hi would overflow
_FAR = 1e30

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldedLayer:
    """x → leaky(clip(mixed x, low, high) @ weight + residual(x) + bias)."""

    time: Array  # (J, T, T): per joint, what each frame (row) takes from the frames (columns)
    space: Array  # (T, J, J): then per frame, what each joint (row) takes from the joints (columns)
    constant: bool  # whether all channels are constant: then the first term is left out
    # (C,): limits; equal for channels that are constant
    low: Array
    high: Array
    weight: Array  # (C, C')
    bias: Array | None  # (C',): None where a constant channel carries it
    residual: Array | None  # (C, C'): None for the identity
    slope: float  # of the activation below zero


@dataclass(frozen=True, eq=False)
class FoldedConvolution:
    """Convolution over joints with its normalisation in it, then leaky ReLU."""

    # (3·H, 3·T or 3·H, 3): channels are (coordinate, frame); the last axis is the joint before,
    # itself, the one after
    weight: Array
    bias: Array  # (3·H,)
    slope: float


@dataclass(frozen=True, eq=False)
class FoldedBody:
    """What a path takes from the whole body: y += hidden(relu(own(x) + context(mean x)))."""

    direct: Array  # (T·C, H·3): and y += direct(mean x), the mean over the joints
    own: Array
    own_bias: Array
    context: Array
    hidden: Array  # (K, H·3)


@dataclass(frozen=True, eq=False)
class FoldedNetwork:
    """Layers, then either convolutions or one linear map (weight (T·C, H·3), bias) per joint."""

    layers: list[FoldedLayer]
    convolutions: list[FoldedConvolution]
    linear: tuple[Array, Array] | None
    body: FoldedBody | None = None


def fold(weights: Weights) -> FoldedNetwork:
    """Fold a network; everything is computed in double precision.

    Raises ModelError if the network is not one that can be folded.
    """
    if weights.config.network not in FOLDED:
        raise ModelError(f"a network '{weights.config.network}' can't be folded; take engine onnx")
    fold_layer = FOLDED[weights.config.network]
    tensors = {name: np.asarray(t, np.float64) for name, t in weights.tensors.items()}
    layers = [fold_layer(tensors, f"layers.{i}") for i in range(len(weights.config.widths))]
    if weights.config.head != "temporal":
        linear = tensors["decoder.linear.weight"].T, tensors["decoder.linear.bias"]
        if weights.config.head == "linear":
            return FoldedNetwork(layers, [], linear)
        direct, own, context, hidden = (
            tensors[f"decoder.{name}.weight"].T for name in ("body", "own", "context", "hidden")
        )
        body = FoldedBody(direct, own, tensors["decoder.own.bias"], context, hidden)
        return FoldedNetwork(layers, [], linear, body)
    convolutions = []
    for index in range(DECODER_LAYERS):
        scale, shift = _normalisation(tensors, f"decoder.norms.{index}")
        name = f"decoder.convolutions.{index}"
        convolutions.append(
            FoldedConvolution(
                weight=_along_joints(tensors[f"{name}.weight"] * scale[:, None, None, None]),
                bias=np.tile(tensors[f"{name}.bias"] * scale + shift, 3),
                slope=float(tensors[f"decoder.activations.{index}.weight"][0]),
            )
        )
    return FoldedNetwork(layers, convolutions, None)


def _fold_separable(tensors: dict[str, Array], name: str) -> FoldedLayer:
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
    held = np.where(alive, shift, np.clip(shift, 0, 6))
    bias: Array = tensors[f"{name}.pointwise.bias"] + held @ pointwise
    a = np.where(alive, scale, 1.0)
    # Limits beyond float32 never bind, but would become infinite times zero.
    limits = np.clip([-shift / a, (6 - shift) / a], -_FAR, _FAR)
    low, high = np.where(alive, np.sort(limits, axis=0), 0.0)
    weight = np.where(alive, scale, 0.0)[:, None] * pointwise

    residual, bias = _fold_residual(tensors, name, bias)
    carried = residual is None and alive.any() and not alive.all()
    if carried:
        carrier = int(np.argmin(alive))
        low[carrier] = high[carrier] = 1.0
        weight[carrier] = bias
    return FoldedLayer(
        time=time,
        space=space,
        constant=not alive.any(),
        low=low,
        high=high,
        weight=weight,
        bias=None if carried else bias,
        residual=residual,
        slope=float(tensors[f"{name}.activation.weight"][0]),
    )


def _fold_dense(tensors: dict[str, Array], name: str) -> FoldedLayer:
    """A layer of STS-GCN: its normalisation goes into the map before it, and nothing is clipped."""
    scale, shift = _normalisation(tensors, f"{name}.norm")
    weight = tensors[f"{name}.pointwise.weight"].T * scale
    residual, bias = _fold_residual(
        tensors, name, tensors[f"{name}.pointwise.bias"] * scale + shift
    )
    time, space = (np.swapaxes(tensors[f"{name}.graph.{kind}"], 1, 2) for kind in ("time", "space"))
    return FoldedLayer(
        time=time,
        space=space,
        constant=not (time.any() and space.any() and weight.any()),
        low=np.full(len(weight), -_FAR),
        high=np.full(len(weight), _FAR),
        weight=weight,
        bias=bias,
        residual=residual,
        slope=float(tensors[f"{name}.activation.weight"][0]),
    )


FOLDED = {"sesgcn": _fold_separable, "stsgcn": _fold_dense}


def _fold_residual(tensors: dict[str, Array], name: str, bias: Array) -> tuple[Array | None, Array]:
    """Map of a layer's residual, None for the identity, and the bias with the residual's in it."""
    if f"{name}.residual.0.weight" not in tensors:
        return None, bias
    gain, offset = _normalisation(tensors, f"{name}.residual.1")
    weight = tensors[f"{name}.residual.0.weight"].T * gain
    return weight, bias + tensors[f"{name}.residual.0.bias"] * gain + offset


def _along_joints(weight: Array) -> Array:
    """Kernel (H, T, coordinate, joint) as one over joints, between (coordinate, frame) channels."""
    outputs, inputs = weight.shape[:2]
    kernel = np.zeros((3, outputs, 3, inputs, 3))
    for coordinate in range(3):
        for other in range(max(coordinate - 1, 0), min(coordinate + 2, 3)):
            kernel[coordinate, :, other] = weight[:, :, other - coordinate + 1]
    return kernel.reshape(3 * outputs, 3 * inputs, 3)


def _normalisation(tensors: dict[str, Array], name: str) -> tuple[Array, Array]:
    """Scale and shift that a batch normalisation comes to."""
    scale = tensors[f"{name}.weight"] / np.sqrt(tensors[f"{name}.running_var"] + _EPSILON)
    return scale, tensors[f"{name}.bias"] - tensors[f"{name}.running_mean"] * scale
