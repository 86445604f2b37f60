"""The folded network compiled for this processor: the fastest on a CPU, and it needs no torch.

Read top to bottom: the inner loop of a matrix product in the processor's vectors (`_make_tile`),
products of any size from it, the network as products, how its weights are laid out in one array,
and the runner that puts these together. Measured at one person against the authors' model
(`ses-gcn bench --section engines`): 25 times as fast, where ONNX
Runtime is 7 times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from ses_gcn_ros.compiling import array, compiled, single
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.folding import FoldedLayer, FoldedNetwork, fold
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import ModelConfig

# ---- One tile of a matrix product, in vectors that stay in registers -----------------------------
# A compiler vectorises the innermost loop and goes to memory for every sum. Written in vectors, the
# sums stay in registers while the loop over the products' depth runs.

ROWS, VECTORS = 5, 2  # of a tile: 5 × 2 sums, two vectors of one factor, one of the other
LANES = 16 if binding.get_host_cpu_features().get("avx512f") else 8  # floats in a vector
_COLUMNS = VECTORS * LANES

_FLOAT, _INDEX = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)

Kind = Literal["mix", "clip", "leaky"]


def _make_tile(vectors: int, kind: Kind) -> Any:
    """Function for numba that computes one tile of a product, ROWS × (vectors · LANES).

    All matrices lie in one array of float32, the first argument; the others say where: the result
    y, the factors a and b and an addend, each by its beginning and the step from row to row; the
    beginnings of values per column, u and v; the depth of the product, and a slope.

    `vectors`: width of the tile.
    `kind`: 'mix': y = a·b. 'clip': y = clip(a·b, u, v). 'leaky': y = leaky(a·b + addend + u,
    slope).
    """
    places = [(row, vector) for row in range(ROWS) for vector in range(vectors)]

    @intrinsic
    def tile(
        _: Any,
        memory: Any,
        y: Any,
        y_step: Any,
        a: Any,
        a_step: Any,
        b: Any,
        b_step: Any,
        addend: Any,
        addend_step: Any,
        u: Any,
        v: Any,
        depth: Any,
        slope: Any,
    ) -> Any:
        signature = types.void(
            *(memory, y, y_step, a, a_step, b, b_step, addend, addend_step, u, v, depth, slope)
        )

        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            floats = context.make_array(signature.args[0])(context, builder, values[0]).data
            into, left, right, plus = (
                _Matrix(builder, builder.gep(floats, [values[k]]), values[k + 1])
                for k in (1, 3, 5, 7)
            )
            one_row = ir.Constant(_INDEX, 0)
            low, high = (
                _Matrix(builder, builder.gep(floats, [values[k]]), one_row) for k in (9, 10)
            )
            sums = _accumulate(builder, left, right, vectors, values[11])
            for (row, vector), total in zip(places, sums, strict=True):
                if kind == "clip":
                    total = _where(builder, ">", total, low.vector(0, vector))
                    total = _where(builder, "<", total, high.vector(0, vector))
                if kind == "leaky":  # added last: the small sum is not rounded to the large addend
                    addends = builder.fadd(plus.vector(row, vector), low.vector(0, vector))
                    total = builder.fadd(total, addends)
                    positive = builder.fcmp_ordered(">", total, _ZERO)
                    scaled = builder.fmul(total, _splat(builder, values[12]))
                    total = builder.select(positive, total, scaled)
                into.store(row, vector, total)
            return context.get_dummy_value()

        return signature, emit

    return tile


class _Matrix:
    """Where a matrix begins, and the step between its rows, while code is emitted."""

    def __init__(self, builder: Any, start: Any, step: Any) -> None:
        self._builder, self._start, self._step = builder, start, step

    def _place(self, row: Any, offset: int) -> Any:
        builder = self._builder
        index = row if isinstance(row, ir.Value) else ir.Constant(_INDEX, row)
        place = builder.mul(self._step, index)
        return builder.gep(self._start, [builder.add(place, ir.Constant(_INDEX, offset))])

    def scalar(self, row: int, column: Any) -> Any:
        builder = self._builder
        return builder.load(builder.gep(self._place(row, 0), [column]))

    def vector(self, row: Any, vector: int) -> Any:
        pointer = self._builder.bitcast(self._place(row, LANES * vector), _VECTOR.as_pointer())
        loaded = self._builder.load(pointer)
        loaded.align = 4
        return loaded

    def store(self, row: int, vector: int, value: Any) -> None:
        pointer = self._builder.bitcast(self._place(row, LANES * vector), _VECTOR.as_pointer())
        self._builder.store(value, pointer).align = 4


def _accumulate(builder: Any, left: _Matrix, right: _Matrix, vectors: int, depth: Any) -> list[Any]:
    """Sums after a loop over the depth, which is at least one."""
    multiply_add = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f32"
    )
    before = builder.block
    loop, after = builder.append_basic_block("depth"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(_INDEX)
    index.add_incoming(ir.Constant(_INDEX, 0), before)
    held = [builder.phi(_VECTOR) for _ in range(ROWS * vectors)]
    for phi in held:
        phi.add_incoming(_ZERO, before)
    across = [right.vector(index, vector) for vector in range(vectors)]
    added = []
    for row in range(ROWS):
        factor = _splat(builder, left.scalar(row, index))
        for vector in range(vectors):
            total = held[row * vectors + vector]
            added.append(builder.call(multiply_add, [factor, across[vector], total]))
    following = builder.add(index, ir.Constant(_INDEX, 1))
    index.add_incoming(following, loop)
    for phi, total in zip(held, added, strict=True):
        phi.add_incoming(total, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    return added


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, lanes)


def _where(builder: Any, comparison: str, value: Any, limit: Any) -> Any:
    return builder.select(builder.fcmp_ordered(comparison, value, limit), value, limit)


# ---- The network as products ---------------------------------------------------------------------
# Rows of a person are (joint, frame), features beside one another, so that mixing frames, mixing
# joints and mixing features are all products whose inner loop runs along features. One person after
# the other goes through the whole network: all that is in between stays in the processor's cache.

IDENTITY, NOTHING = -1, -2  # residuals that are no matrix


def _record(*whole: str, slope: bool = True) -> np.dtype[np.void]:
    fields: list[tuple[str, type]] = [(name, np.int64) for name in whole]
    return np.dtype([*fields, ("slope", np.float32)] if slope else fields, align=True)


# Sizes, and places in memory.
LAYER = _record(
    *("inputs", "outputs", "first", "columns", "depth", "time", "space", "low", "high"),
    *("weight", "bias", "residual"),
)
CONVOLUTION = _record("inputs", "outputs", "weight", "bias")
PLAN = _record(
    *("joints", "frames", "zeros", "x", "y", "mixed", "added"),
    *("linear_width", "linear_weight", "linear_bias", "hidden_width", "body_weight", "hidden"),
    slope=False,
)


def _make_product(kind: Kind) -> Any:
    """Product of any size from tiles; the last rows are computed twice rather than singly."""
    wide, narrow = _make_tile(VECTORS, kind), _make_tile(1, kind)

    def product(
        memory: Any,
        rows: Any,
        columns: Any,
        y: Any,
        y_step: Any,
        a: Any,
        a_step: Any,
        b: Any,
        b_step: Any,
        addend: Any,
        addend_step: Any,
        u: Any,
        v: Any,
        depth: Any,
        slope: Any,
    ) -> None:
        x = 0
        while x < columns:
            for first in range(0, rows, ROWS):
                r = min(first, rows - ROWS)
                place = (y + r * y_step + x, y_step, a + r * a_step, a_step, b + x, b_step)
                plus = (addend + r * addend_step + x, addend_step, u + x, v + x)
                if columns - x >= _COLUMNS:
                    wide(memory, *place, *plus, depth, slope)
                else:
                    narrow(memory, *place, *plus, depth, slope)
            x += _COLUMNS if columns - x >= _COLUMNS else LANES

    return numba.njit(product, error_model="numpy")


_mix, _mix_and_clip, _affine = (_make_product(kind) for kind in ("mix", "clip", "leaky"))


@numba.njit(error_model="numpy")
def _layer(memory: Any, layer: Any, plan: Any, x: Any, y: Any) -> None:
    """Features at y from those at x."""
    joints, frames, inputs, outputs = plan.joints, plan.frames, layer.inputs, layer.outputs
    rows, zeros, one = joints * frames, plan.zeros, numba.float32(1)
    first, columns, source = layer.first, layer.columns, x
    if columns > 0:
        source = plan.mixed
        for joint in range(joints):
            matrix, block = layer.time + joint * frames * frames, joint * frames * inputs + first
            _mix(
                *(memory, frames, columns, plan.added + block, inputs, matrix, frames),
                *(x + block, inputs, zeros, 0, zeros, zeros, frames, one),
            )
        step = frames * inputs
        for frame in range(frames):
            matrix, block = layer.space + frame * joints * joints, frame * inputs + first
            _mix_and_clip(
                *(memory, joints, columns, plan.mixed + block, step, matrix, joints),
                *(plan.added + block, step, zeros, 0, layer.low, layer.high, joints, one),
            )
    addend, addend_step, bias = x, inputs, layer.bias
    if layer.residual == NOTHING:
        addend, addend_step = zeros, 0
    elif layer.residual != IDENTITY:
        _affine(
            *(memory, rows, outputs, plan.added, outputs, x, inputs),
            *(layer.residual, outputs, zeros, 0, bias, zeros, inputs, one),
        )
        addend, addend_step, bias = plan.added, outputs, zeros
    _affine(
        *(memory, rows, outputs, y, outputs, source + first, inputs),
        *(layer.weight, outputs, addend, addend_step, bias, zeros, layer.depth, layer.slope),
    )


@numba.njit(error_model="numpy")
def _convolve(memory: Any, convolutions: Any, plan: Any, x: Any, y: Any, width: Any) -> Any:
    """Where the path of each joint is, from features at x: a row per joint, one before and after.

    A joint, the one before and the one after are one row of a product, three rows of x long.
    """
    joints, frames, zeros = plan.joints, plan.frames, plan.zeros
    here, there, spare = plan.mixed, plan.added, y
    inputs = convolutions[0].inputs
    memory[here : here + (joints + 2) * inputs] = 0
    for joint in range(joints):
        for frame in range(frames):
            row = x + (joint * frames + frame) * width
            for coordinate in range(3):
                place = here + (joint + 1) * inputs + coordinate * frames + frame
                memory[place] = memory[row + coordinate]
    for index in range(len(convolutions)):
        stage = convolutions[index]
        inputs, outputs = stage.inputs, stage.outputs
        memory[there : there + outputs] = 0
        memory[there + (joints + 1) * outputs : there + (joints + 2) * outputs] = 0
        _affine(
            *(memory, joints, outputs, there + outputs, outputs, here, inputs),
            *(stage.weight, outputs, zeros, 0, stage.bias, zeros, 3 * inputs, stage.slope),
        )
        if index > 0:
            for k in range((joints + 2) * outputs):
                memory[there + k] += memory[here + k]
        here, there, spare = there, spare, here
    return here + convolutions[0].outputs


@numba.njit(error_model="numpy")
def _map(memory: Any, plan: Any, x: Any, y: Any, width: Any) -> Any:
    """Where the path of each joint is, a row each, from features at x by the linear decoder.

    What all joints take from the body's mean is computed once and added to every row.
    """
    joints, zeros, one = plan.joints, plan.zeros, numba.float32(1)
    depth, row = plan.frames * width, plan.linear_width + plan.hidden_width
    addend = zeros
    if plan.hidden_width > 0:
        mean, addend = plan.mixed, plan.added
        memory[mean : mean + depth] = 0
        for joint in range(joints):
            for k in range(depth):
                memory[mean + k] += memory[x + joint * depth + k] / numba.float32(joints)
        _affine(
            *(memory, ROWS, row, addend, row, mean, 0, plan.body_weight, row),
            *(zeros, 0, zeros, zeros, depth, one),
        )
    _affine(
        *(memory, joints, row, y, row, x, depth, plan.linear_weight, row),
        *(addend, 0, plan.linear_bias, zeros, depth, one),
    )
    if plan.hidden_width == 0:
        return y
    inner = y + plan.linear_width
    for joint in range(joints):
        for k in range(inner + joint * row, inner + joint * row + plan.hidden_width):
            memory[k] = max(memory[k], numba.float32(0))
    _affine(
        *(memory, joints, plan.linear_width, plan.mixed, plan.linear_width, inner, row),
        *(plan.hidden, plan.linear_width, y, row, zeros, zeros, plan.hidden_width, one),
    )
    return plan.mixed


_FEATURES, _PATHS = array(4, single), single[:, :, :, ::1]
_RECORDS = [types.Array(numba.from_dtype(kind), 1, "C") for kind in (LAYER, CONVOLUTION, PLAN)]


@compiled(types.void(single[::1], *_RECORDS, _FEATURES, _PATHS))
def _network(
    memory: Any, layers: Any, convolutions: Any, plans: Any, features: Any, answer: Any
) -> None:
    """Answer (N, H, J, 3) to features (N, T, J, C), person by person."""
    people, frames, joints, inputs = features.shape
    horizon, plan = answer.shape[1], plans[0]
    for person in range(people):
        x, y = plan.x, plan.y
        width = layers[0].inputs
        for joint in range(joints):
            for frame in range(frames):
                row = x + (joint * frames + frame) * width
                memory[row : row + width] = 0
                for feature in range(inputs):
                    memory[row + feature] = features[person, frame, joint, feature]
        for index in range(len(layers)):
            _layer(memory, layers[index], plan, x, y)
            x, y = y, x
            width = layers[index].outputs
        if len(convolutions):  # values of a row are (coordinate, step)
            path = _convolve(memory, convolutions, plan, x, y, width)
            row, step, along = convolutions[0].outputs, 1, horizon
        else:  # (step, coordinate)
            path, row, step, along = _map(memory, plan, x, y, width), plan.linear_width, 3, 1
        for joint in range(joints):
            for h in range(horizon):
                for k in range(3):
                    place = path + joint * row + h * step + k * along
                    answer[person, h, joint, k] = memory[place]


# ---- Weights in one array ------------------------------------------------------------------------
# Feature rows are padded to whole vectors; what is padded has weights of zero.

_LINE = 16  # floats in a line of the cache


@dataclass(frozen=True, eq=False)
class PackedNetwork:
    """Arguments of `_network` that stay the same from call to call; `memory` is written to."""

    memory: NDArray[np.float32]
    layers: NDArray[np.void]
    convolutions: NDArray[np.void]
    plan: NDArray[np.void]


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

    def all(self) -> NDArray[np.float32]:
        """Everything, from a place on where whole vectors lie in one line of the cache."""
        room = np.empty(self._size + _LINE, np.float32)
        before = -room.ctypes.data // room.itemsize % _LINE
        return np.concatenate(self._parts, out=room[before : before + self._size])


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
    ends = [*convolutions["inputs"], *convolutions["outputs"]]
    if network.linear is not None:
        ends.append(_pack_linear(memory, network, plan, layers[-1]["outputs"]))
    widths = [*layers["inputs"], *layers["outputs"]]
    room = max(config.joints * config.observed * max(widths), (config.joints + 2) * max(ends))
    plan["zeros"] = memory.put(np.zeros(max(*widths, *ends)))
    for name in ("x", "y", "mixed", "added"):
        plan[name] = memory.put(np.zeros(room))
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


def _pack_linear(
    memory: _Memory, network: FoldedNetwork, plan: NDArray[np.void], width: int
) -> int:
    """Lay the linear decoder out, beside it what sees the body; the width of both."""
    assert network.linear is not None
    weight, bias = network.linear
    outputs, body = _whole(len(bias)), network.body
    frames = int(plan["frames"][0])

    def rows(matrix: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
        """Rows of the features with the rows of what they are padded by."""
        by_frame = matrix.reshape(frames, -1, matrix.shape[1])
        padding = (0, 0), (0, width - by_frame.shape[1]), (0, columns - by_frame.shape[2])
        return np.pad(by_frame, padding)

    own, own_bias, inner = rows(weight, outputs), _wide(bias), 0
    if body is not None:
        inner = _whole(len(body.own_bias))
        own = np.concatenate([own, rows(body.own, inner)], axis=2)
        own_bias = np.concatenate([own_bias, _wide(body.own_bias)])
        shared = np.concatenate([rows(body.direct, outputs), rows(body.context, inner)], axis=2)
        plan["body_weight"] = memory.put(shared)
        plan["hidden"] = memory.put(_padded(body.hidden, inner, outputs))
    plan["linear_width"], plan["hidden_width"] = outputs, inner
    plan["linear_weight"], plan["linear_bias"] = memory.put(own), memory.put(own_bias)
    return outputs + inner


def _whole(size: int) -> int:
    """Size rounded up to whole vectors."""
    return -(-size // LANES) * LANES


def _wide(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(values, (0, _whole(len(values)) - len(values)))


def _padded(matrix: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    height, width = matrix.shape
    return np.pad(matrix, ((0, rows - height), (0, columns - width)))


# ---- The engine ----------------------------------------------------------------------------------


class CompiledRunner:
    """Run a folded network on the CPU.

    Raises ModelError if the network can't be folded, or another device is asked for.

    `device`: 'auto' or 'cpu'.
    """

    kind = "compiled"
    device = "cpu"
    folded, whole = True, False

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cuda":
            raise ModelError("engine 'compiled' runs on the CPU; take engine cuda for device cuda")
        config = weights.config
        if min(config.joints, config.observed) < ROWS:
            raise ModelError(
                f"engine 'compiled' takes {ROWS} joints and frames or more; '{weights.name}' has "
                f"{config.joints} joints and {config.observed} frames"
            )
        self._packed = pack(fold(weights), config)
        self._answered = config.horizon, config.joints, 3

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer of the network, (N, T, J, C) → (N, H, J, 3)."""
        packed, answer = self._packed, np.empty((len(features), *self._answered), np.float32)
        _network(
            *(packed.memory, packed.layers, packed.convolutions, packed.plan),
            *(np.ascontiguousarray(features), answer),
        )
        return answer
