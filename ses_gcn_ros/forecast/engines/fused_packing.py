"""A folded network laid out for `fused_kernels`: arrays with padding, and sizes to compile for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.engines.folding import FoldedLayer, FoldedNetwork
from ses_gcn_ros.models import framing
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.skeleton import get_layout

TILE = 16  # the least that a product of Triton takes, each way
_BLOCK = 16  # features that a layer works on at a time
_DEEPEST = 32  # of a block of the sums on the way to positions
_EXACT = "ieee"  # float32 throughout; the tensor cores' own precision costs a millimetre

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stage:
    """One launch.

    Attributes
    ----------
    constants : list of NDArray
        In the order that the kernel takes them.
    slope : float
        Of the activation below zero.
    sizes : dict
        What the kernel is compiled for.
    """

    constants: list[Array]
    slope: float
    sizes: dict[str, Any]


@dataclass(frozen=True, eq=False)
class PackedForecast:
    """Everything from history to positions.

    Attributes
    ----------
    framing : Stage
        For `frame_history`.
    layers, head : list of Stage
        For `layer` and `convolve`.
    unframing : list of NDArray, shape (H',)
        Reach and scale of each step.
    joints, steps : int
        J' and H'.
    widths : list of int
        Features in front of each layer, C'.
    depth : int
        Values per joint that the head takes.
    """

    framing: Stage
    layers: list[Stage]
    head: list[Stage]
    unframing: list[Array]
    joints: int
    steps: int
    widths: list[int]
    depth: int


def pack(network: FoldedNetwork, config: ModelConfig) -> PackedForecast:
    """Lay a network out."""
    joints, steps = _wide(config.joints), _whole(config.horizon)
    widths = [_whole(width) for width in (config.features, *config.widths)]
    depth = _whole(config.widths[-1] * config.observed)
    layers = [
        _pack_layer(layer, config, joints, inputs, outputs)
        for layer, inputs, outputs in zip(network.layers, widths, widths[1:], strict=False)
    ]
    # The last layer's features go to the head, the frames of each beside one another.
    layers[-1].sizes.update(
        OUTPUTS=config.widths[-1], TO_JOINT=depth, TO_FRAME=1, TO_FEATURE=config.observed
    )
    reach = framing.reach(config.horizon, framing.DAMPING)
    scale = framing.offset_scale(config.horizon, config.fps).ravel()
    return PackedForecast(
        framing=_pack_framing(config, joints, widths[0]),
        layers=layers,
        head=_pack_head(network, config, joints, steps, depth),
        unframing=[_filled(values, steps) for values in (reach, scale)],
        joints=joints,
        steps=steps,
        widths=widths[:-1],
        depth=depth,
    )


def _pack_framing(config: ModelConfig, joints: int, width: int) -> Stage:
    frames = _wide(config.observed)
    rights, lefts, weights = framing.body_line(config.layout)
    pairs = np.zeros((_power(max(len(rights), 1)), joints))
    rows = np.arange(len(rights))
    pairs[rows, rights], pairs[rows, lefts] = -weights, weights
    cosines = _filled(framing.cosines(config.observed).T, frames, frames)
    sizes = {
        "JOINTS": config.joints,
        "FRAMES": config.observed,
        "WIDE_JOINTS": joints,
        "WIDE_FRAMES": frames,
        "WIDTH": width,
        "PAIRS": len(pairs),
        "ROOT": get_layout(config.layout).root,
        "ORIGIN": config.origin,
        "HEADING": config.heading,
        "MOTION": config.motion,
        "FREQUENCY": config.frequency,
        "VISIBILITY": config.visibility,
    }
    return Stage([pairs, cosines], 1.0, sizes)


def _pack_layer(
    layer: FoldedLayer, config: ModelConfig, joints: int, inputs: int, outputs: int
) -> Stage:
    frames = config.observed
    wide = 1 << (outputs.bit_length() - 1)  # tiles are as wide as powers of two: two side by side
    rest = _power(outputs - wide) if outputs > wide else 0
    columns = wide + rest
    residual = np.zeros((0, 0)) if layer.residual is None else layer.residual
    bias = np.zeros(0) if layer.bias is None else layer.bias
    constants = [
        _filled(layer.time.transpose(1, 2, 0), frames, frames, joints),
        _filled(layer.space, frames, joints, joints),
        *(_filled(limit, inputs) for limit in (layer.low, layer.high)),
        _filled(layer.weight, inputs, columns),
        _filled(residual, inputs, columns),
        _filled(bias, columns),
    ]
    sizes = {
        "FRAMES": frames,
        "WIDE_JOINTS": joints,
        "INPUTS": inputs,
        "OUTPUTS": outputs,
        "TO_JOINT": frames * outputs,
        "TO_FRAME": outputs,
        "TO_FEATURE": 1,
        "WIDE": wide,
        "REST": rest,
        "MAPPED": layer.residual is not None,
        "BLOCK": _BLOCK,
        "PRECISION": _EXACT,
    }
    return Stage(constants, layer.slope, sizes)


def _pack_head(
    network: FoldedNetwork, config: ModelConfig, joints: int, steps: int, depth: int
) -> list[Stage]:
    """Convolutions over joints; a linear head is one that looks at no neighbour."""
    frames, horizon = config.observed, config.horizon
    stages: list[tuple[Array, Array, float]] = []  # weight (taps, inputs, 3, H'), bias (3, H')
    if network.linear is not None:
        weight, bias = network.linear
        weight = weight.reshape(frames, -1, horizon, 3).transpose(1, 0, 3, 2)
        stages.append((weight.reshape(1, -1, 3, horizon), bias.reshape(horizon, 3).T, 1.0))
    for convolution in network.convolutions:
        weight = convolution.weight.transpose(2, 1, 0)
        if stages:
            weight = _filled(weight.reshape(3, 3, horizon, -1), 3, 3, steps, 3 * horizon)
        weight = weight.reshape(3, -1, 3, horizon)
        stages.append((weight, convolution.bias.reshape(3, horizon), convolution.slope))
    packed = []
    for index, (weight, bias, slope) in enumerate(stages):
        inputs = 3 * steps if index else depth
        sizes = {
            "JOINTS": config.joints,
            "WIDE_JOINTS": joints,
            "INPUTS": inputs,
            "HORIZON": horizon,
            "WIDE_HORIZON": steps,
            "TAPS": len(weight),
            "SKIP": index > 0,
            "LAST": index == len(stages) - 1,
            "OFFSET": config.offset,
            "BLOCK": math.gcd(inputs, _DEEPEST),
            "STEPS": TILE,
            "PRECISION": _EXACT,
        }
        constants = [_filled(weight, len(weight), inputs, 3, steps), _filled(bias, 3, steps)]
        packed.append(Stage(constants, slope, sizes))
    return packed


def _filled(values: NDArray[Any], *shape: int) -> Array:
    """Values with zeros behind them along every axis."""
    padding = [(0, size - there) for size, there in zip(shape, values.shape, strict=True)]
    return np.pad(values, padding)


def _whole(size: int) -> int:
    """Size rounded up to whole tiles."""
    return -(-size // TILE) * TILE


def _power(size: int) -> int:
    """The power of two that is no less."""
    return 1 << (size - 1).bit_length()


def _wide(size: int) -> int:
    """The power of two that is no less, and no less than a tile."""
    return max(_power(size), TILE)
