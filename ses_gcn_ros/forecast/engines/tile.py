"""The inner loop of a matrix product, for numba, in the compiler's own vectors.

A compiler vectorises the innermost loop and goes to memory for every sum. Written here as vectors
that stay in registers while the loop over the products' depth runs, it reaches what the processor
can do, with what comes before and after the product (bias, limits, activation) done on the way.
How long they are is chosen for the processor; one with shorter ones takes each in two or four.
"""

from __future__ import annotations

from typing import Any, Literal

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ses_gcn_ros.forecast.engines.packing import LANES

_FLOAT, _INDEX = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)

Kind = Literal["mix", "clip", "leaky"]


def make_tile(rows: int, vectors: int, kind: Kind) -> Any:
    """Function for numba that computes one tile of a product, rows × (vectors · LANES).

    All matrices lie in one array of float32, the first argument; the others say where: the result
    y, the factors a and b and an addend, each by its beginning and the step from row to row; the
    beginnings of values per column, u and v; the depth of the product, and a slope.

    Parameters
    ----------
    rows, vectors : int
        Size of the tile: rows × vectors sums, and as many vectors again, should fit registers.
    kind : str
        'mix': y = a·b. 'clip': y = clip(a·b, u, v). 'leaky': y = leaky(a·b + addend + u, slope).
    """

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
            places = [(row, vector) for row in range(rows) for vector in range(vectors)]
            sums = _accumulate(builder, left, right, (rows, vectors), values[11])
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


def _accumulate(
    builder: Any,
    left: _Matrix,
    right: _Matrix,
    size: tuple[int, int],
    depth: Any,
) -> list[Any]:
    """Sums after a loop over the depth, which is at least one."""
    rows, vectors = size
    multiply_add = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f32"
    )
    before = builder.block
    loop, after = builder.append_basic_block("depth"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(_INDEX)
    index.add_incoming(ir.Constant(_INDEX, 0), before)
    held = [builder.phi(_VECTOR) for _ in range(rows * vectors)]
    for phi in held:
        phi.add_incoming(_ZERO, before)
    across = [right.vector(index, vector) for vector in range(vectors)]
    added = []
    for row in range(rows):
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
