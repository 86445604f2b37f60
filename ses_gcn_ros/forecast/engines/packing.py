"""A folded network laid out in one array, as the compiled kernel reads it.

Feature rows are padded to whole vectors; what is padded has weights of zero.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.engines.folding import FoldedLayer, FoldedNetwork
from ses_gcn_ros.forecast.engines.processor import tile_shape
from ses_gcn_ros.models.config import ModelConfig

LANES, VECTORS = tile_shape()
ROWS = 5  # of a tile; joints and frames must be as many
_LINE = 16  # floats in a line of the cache
IDENTITY, NOTHING = -1, -2  # residuals that are no matrix

# Sizes, and places in memory.
LAYER = np.dtype(
    [
        *((name, np.int64) for name in ("inputs", "outputs", "first", "columns", "depth")),
        *((name, np.int64) for name in ("time", "space", "low", "high")),
        *((name, np.int64) for name in ("weight", "bias", "residual")),
        ("slope", np.float32),
    ],
    align=True,
)
CONVOLUTION = np.dtype(
    [
        *((name, np.int64) for name in ("inputs", "outputs", "weight", "bias")),
        ("slope", np.float32),
    ],
    align=True,
)
# Numba's cache sees changes to the file of the function that is compiled, and to the types of its
# arguments, but not to what the function calls: the name of a field stands for that.
_SOURCES = (
    Path(__file__).with_name(f"{name}.py") for name in ("kernel", "packing", "tile", "sharing")
)
_STAMP = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()[:16]
_STAMP += f"_{LANES}x{VECTORS}"
PLAN = np.dtype(
    [
        (f"sources_{_STAMP}", np.int64),
        *((name, np.int64) for name in ("joints", "frames", "zeros", "x", "y", "mixed", "added")),
        *((name, np.int64) for name in ("linear_width", "linear_weight", "linear_bias")),
    ],
    align=True,
)


@dataclass(frozen=True, eq=False)
class PackedNetwork:
    """Arguments of the kernel that stay the same from call to call; `memory` is written to."""

    memory: NDArray[np.float32]
    layers: NDArray[np.void]
    convolutions: NDArray[np.void]
    plan: NDArray[np.void]

    def copy(self) -> PackedNetwork:
        """The same in a memory of its own."""
        return replace(self, memory=_on_lines([self.memory], len(self.memory)))


class _Memory:
    def __init__(self) -> None:
        self._parts: list[NDArray[np.float32]] = []
        self._size = 0

    def put(self, values: NDArray[Any]) -> int:
        """Place of values that are added, which begins at a whole vector."""
        place = self._size
        flat = np.asarray(values, np.float32).ravel()
        # Weights decay below what float32 holds in full, and many processors take a hundred times
        # as long for a product of such a number, which adds nothing to any sum.
        flat = np.where(np.abs(flat) < np.finfo(np.float32).tiny, np.float32(0), flat)
        self._parts.append(np.pad(flat, (0, -len(flat) % LANES)))
        self._size += len(self._parts[-1])
        return place

    def room(self, size: int) -> int:
        return self.put(np.zeros(size))

    def all(self) -> NDArray[np.float32]:
        """Everything."""
        return _on_lines(self._parts, self._size)


def _on_lines(parts: list[NDArray[np.float32]], size: int) -> NDArray[np.float32]:
    """Parts of that size in all, from a place where whole vectors lie in one line of the cache."""
    room = np.empty(size + _LINE, np.float32)
    before = -room.ctypes.data // room.itemsize % _LINE
    return np.concatenate(parts, out=room[before : before + size])


def pack(network: FoldedNetwork, config: ModelConfig) -> PackedNetwork:
    """Lay a network out, with room to work in for one person."""
    memory = _Memory()
    layers = np.array([_pack_layer(memory, layer) for layer in network.layers], LAYER)
    convolutions = np.zeros(len(network.convolutions), CONVOLUTION)
    for row, convolution in zip(convolutions, network.convolutions, strict=True):
        outputs, inputs, _ = convolution.weight.shape
        kernel = np.zeros((3, _whole(inputs), _whole(outputs)))
        kernel[:, :inputs, :outputs] = convolution.weight.transpose(2, 1, 0)
        row["inputs"], row["outputs"] = kernel.shape[1:]
        row["weight"], row["slope"] = memory.put(kernel), convolution.slope
        row["bias"] = memory.put(_wide(convolution.bias))
    plan = np.zeros(1, PLAN)
    plan["joints"], plan["frames"] = config.joints, config.observed
    if network.linear is not None:
        weight, bias = network.linear
        width = layers[-1]["outputs"]
        padded = np.zeros((config.observed, width, _whole(len(bias))))
        padded[:, : config.widths[-1], : len(bias)] = weight.reshape(config.observed, -1, len(bias))
        plan["linear_width"], plan["linear_weight"] = padded.shape[-1], memory.put(padded)
        plan["linear_bias"] = memory.put(_wide(bias))
    widths = [*layers["inputs"], *layers["outputs"]]
    ends = [*convolutions["inputs"], *convolutions["outputs"], *plan["linear_width"]]
    room = max(config.joints * config.observed * max(widths), (config.joints + 2) * max(ends))
    plan["zeros"] = memory.room(max(*widths, *ends))
    for name in ("x", "y", "mixed", "added"):
        plan[name] = memory.room(room)
    return PackedNetwork(memory.all(), layers, convolutions, plan)


def _pack_layer(memory: _Memory, layer: FoldedLayer) -> tuple[float, ...]:
    channels, outputs = layer.weight.shape
    inputs, width = _whole(channels), _whole(outputs)
    bias = np.zeros(outputs) if layer.bias is None else layer.bias
    first, columns = 0, 0
    residual = IDENTITY if layer.residual is None else NOTHING
    if not layer.constant:
        used = np.flatnonzero(layer.weight.any(axis=1))
        first = int(used[0]) // LANES * LANES if len(used) else 0
        depth = int(used[-1]) + 1 - first if len(used) else 1
        columns = _whole(depth)
        weight = layer.weight[first : first + depth]
        if layer.residual is not None:
            residual = memory.put(_padded(layer.residual, inputs, width))
    elif layer.residual is not None:
        weight, depth = layer.residual, channels
    else:
        weight, depth = np.zeros((1, outputs)), 1
    limits = [_wide(limit)[first : first + columns] for limit in (layer.low, layer.high)]
    return (
        *(inputs, width, first, columns, depth),
        *(memory.put(layer.time), memory.put(layer.space), *map(memory.put, limits)),
        *(memory.put(_padded(weight, depth, width)), memory.put(_wide(bias)), residual),
        layer.slope,
    )


def _whole(size: int) -> int:
    """Size rounded up to whole vectors."""
    return -(-size // LANES) * LANES


def _wide(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(values, (0, _whole(len(values)) - len(values)))


def _padded(matrix: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    height, width = matrix.shape
    return np.pad(matrix, ((0, rows - height), (0, columns - width)))
