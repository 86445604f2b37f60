"""A folded network as one compiled function; `packing` says what lies where in its memory.

Rows of a person are (joint, frame), features beside one another, so that mixing frames, mixing
joints and mixing features are all products whose inner loop runs along features. One person after
the other goes through the whole network: all that is in between stays in the processor's cache.
"""

from __future__ import annotations

from typing import Any

import numba

from ses_gcn_ros.forecast.engines.packing import (
    CONVOLUTION,
    IDENTITY,
    LANES,
    LAYER,
    NOTHING,
    PLAN,
    ROWS,
    VECTORS,
)
from ses_gcn_ros.forecast.engines.sharing import (
    ENDED,
    FINISHED,
    LEFT,
    add,
    let_others,
    replace,
    sleep,
    wake,
)
from ses_gcn_ros.forecast.engines.tile import make_tile

_COLUMNS = VECTORS * LANES  # of a tile
_HALF = _COLUMNS // 2


def _make_product(kind: Any) -> Any:
    """Product of any size from tiles; the last rows are computed twice rather than singly."""
    tile, half, narrow = (make_tile(ROWS, n, kind) for n in (VECTORS, VECTORS // 2, 1))

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
            left = columns - x
            for first in range(0, rows, ROWS):
                r = min(first, rows - ROWS)
                place = (y + r * y_step + x, y_step, a + r * a_step, a_step, b + x, b_step)
                plus = (addend + r * addend_step + x, addend_step, u + x, v + x)
                if left >= _COLUMNS:
                    tile(memory, *place, *plus, depth, slope)
                elif left >= _HALF:
                    half(memory, *place, *plus, depth, slope)
                else:
                    narrow(memory, *place, *plus, depth, slope)
            x += _COLUMNS if left >= _COLUMNS else _HALF if left >= _HALF else LANES

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
def _forecast(
    memory: Any, layers: Any, convolutions: Any, plan: Any, features: Any, answer: Any, person: Any
) -> None:
    """Answer (H, J, 3) to the features (T, J, C) of one person of many."""
    _, frames, joints, inputs = features.shape
    values = 3 * answer.shape[1]
    x, y = plan.x, plan.y
    width = layers[0].inputs
    for joint in range(joints):
        for frame in range(frames):
            row = x + (joint * frames + frame) * width
            for feature in range(width):
                inside = feature < inputs
                memory[row + feature] = (
                    features[person, frame, joint, feature] if inside else numba.float32(0)
                )
    for index in range(len(layers)):
        _layer(memory, layers[index], plan, x, y)
        x, y = y, x
        width = layers[index].outputs
    if len(convolutions):
        path = _convolve(memory, convolutions, plan, x, y, width)
        step, by_coordinate = convolutions[0].outputs, True
    else:
        path, step, by_coordinate = y, plan.linear_width, False
        _affine(
            *(memory, joints, step, y, step, x, frames * width, plan.linear_weight, step),
            *(plan.zeros, 0, plan.linear_bias, plan.zeros, frames * width, numba.float32(1)),
        )
    for joint in range(joints):
        row = path + joint * step
        for frame in range(values // 3):
            for coordinate in range(3):
                place = coordinate * (values // 3) + frame
                place = place if by_coordinate else 3 * frame + coordinate
                answer[person, frame, joint, coordinate] = memory[row + place]


def network(
    memory: Any,
    layers: Any,
    convolutions: Any,
    plans: Any,
    features: Any,
    answer: Any,
    shared: Any,
    people: Any,
    helpers: Any,
) -> None:
    """Answer (N, H, J, 3) to features (N, T, J, C); for numba.

    Parameters
    ----------
    memory : NDArray, float32
        Weights, then room to work in.
    layers, convolutions, plans : NDArray
        What lies where, as `packing` writes it; there is one plan.
    features, answer : NDArray, float32
        There may be room for more people.
    shared : NDArray, int64
        From `make_shared`: what this has in common with the threads that help.
    people : int
        N.
    helpers : int
        Threads that are to help; negative in a helper, which helps until `shared` says that all
        is ended.
    """
    helps = helpers < 0
    if not helps:
        replace(shared, LEFT, people)
        for _ in range(helpers):
            wake(shared)
    while True:
        if helps:
            sleep(shared)
            if shared[ENDED]:
                return
        while True:
            person = add(shared, LEFT, -1) - 1
            if person < 0:
                break
            _forecast(memory, layers, convolutions, plans[0], features, answer, person)
            add(shared, FINISHED, 1)
        if not helps:
            while add(shared, FINISHED, 0) < people:
                let_others()
            replace(shared, FINISHED, 0)
            return


def compile_network() -> Any:
    """Compile `network`, once per machine where a cache folder can be written."""
    signature = numba.void(
        numba.float32[::1],
        *(numba.types.Array(numba.from_dtype(kind), 1, "C") for kind in (LAYER, CONVOLUTION, PLAN)),
        numba.float32[:, :, :, ::1],
        numba.float32[:, :, :, ::1],
        numba.int64[::1],
        *(numba.int64, numba.int64),
    )
    try:
        return numba.njit(signature, error_model="numpy", nogil=True, cache=True)(network)
    except Exception:  # the cache can't be read or written, or is damaged
        return numba.njit(signature, error_model="numpy", nogil=True)(network)
