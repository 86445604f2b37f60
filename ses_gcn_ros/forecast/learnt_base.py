"""The learnt base of `models.layers` without torch, for engines that run a folded network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from ses_gcn_ros.compiling import array, compiled, single, whole
from ses_gcn_ros.models.config import BODY_SPANS, DAMPINGS, MEASURES, SPANS, VECTORS, ModelConfig
from ses_gcn_ros.models.framing import bone_parents, input_scales, offset_scale, reach

_SHIFT = -2.3  # log of the scale [m] that training starts from, as in `models.layers`
_STILL = np.float32(0.002)  # m, likewise
_TINY, _SHORT = np.float32(1e-6), np.float32(1e-4)
_RECENT = 10  # frames that the base looks at
_SPANS, _BODY_SPANS = np.array(SPANS), np.array(BODY_SPANS)
_LOOKS = np.array(
    [5, 6, 7, 8, 15, 16, 17, 18, 19, 20]
)  # of the measures: path, jolts, bones, angles
_WOBBLE = 4  # of these


class CompiledBase:
    """`models.layers.LearntBase` without torch.

    `config`: of a network with a learnt base.
    `tensors`: its weights.
    """

    def __init__(self, config: ModelConfig, tensors: dict[str, NDArray[np.generic]]) -> None:
        def part(name: str) -> NDArray[np.float32]:
            return np.ascontiguousarray(np.asarray(tensors[f"base.{name}"], np.float32).T)

        horizon = config.horizon
        late = np.log(np.arange(1, horizon + 1) / horizon) / np.log(max(horizon, 2))
        self._arguments = (
            np.float32(1 / input_scales(config)[0]),
            config.visibility,
            bone_parents(config.layout),
            *(np.ascontiguousarray(part("joints").T), part("inputs.weight"), part("inputs.bias")),
            *(part("hidden.weight"), part("hidden.bias")),
            *(part("outputs.weight"), part("outputs.bias")),
            np.stack([reach(horizon, damping) for damping in DAMPINGS]),
            np.stack([np.ones(horizon), late, late**2]).astype(np.float32),
            offset_scale(horizon, config.fps).reshape(-1),
        )

    def __call__(
        self, features: NDArray[np.float32], offset: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Displacements from the last pose and scales [m], (N, H, J, 4); see the module there."""
        answer = np.empty((*offset.shape[:3], 4), np.float32)
        _add_base(np.ascontiguousarray(features), offset, *self._arguments, answer)
        return answer


@njit(error_model="numpy")
def _measure(local: Any, seen: Any, parents: Any, own: Any, vectors: Any) -> None:
    """Fill own (J, MEASURES) and vectors (J, VECTORS, 3) from the last frames (10, J, 3) [m]."""
    joints, last, spans = local.shape[1], _RECENT - 1, len(_SPANS)
    count = np.float32(max(seen.sum(), 1))
    steps = np.empty((last, 3), np.float32)
    length = np.empty(last, np.float32)
    bones = np.empty(_RECENT, np.float32)
    body = np.zeros((spans, 3), np.float32)
    for j in range(joints):
        for s in range(spans):
            for k in range(3):
                moved = local[last, j, k] - local[last - _SPANS[s], j, k]
                vectors[j, s, k] = moved / np.float32(_SPANS[s])
                if seen[j]:
                    body[s, k] += vectors[j, s, k] / count
    for j in range(joints):
        for b in range(len(_BODY_SPANS)):
            for k in range(3):
                vectors[j, spans + b, k] = body[_BODY_SPANS[b], k]
        for k in range(3):
            total, recent = np.float32(0), np.float32(0)
            for t in range(_RECENT):
                total += local[t, j, k]
                if t >= _RECENT - 5:
                    recent += local[t, j, k]
            vectors[j, VECTORS - 2, k] = total / np.float32(_RECENT) - local[last, j, k]
            vectors[j, VECTORS - 1, k] = recent / np.float32(5) - local[last, j, k]
        path = np.float32(0)
        for t in range(last):
            for k in range(3):
                steps[t, k] = local[t + 1, j, k] - local[t, j, k]
            length[t] = _norm(steps[t])
            path += length[t] / np.float32(last)
        jolts, recent, jolt = np.float32(0), np.float32(0), np.float32(0)
        for t in range(last - 1):
            jolt = _apart(steps[t + 1], steps[t])
            jolts += jolt / np.float32(last - 1)
            recent += jolt / np.float32(3) if t >= last - 4 else np.float32(0)
        place = 0
        for s in range(spans):
            own[j, place] = _norm(vectors[j, s])
            place += 1
        for value in (path, jolts, recent, jolt):
            own[j, place] = value
            place += 1
        for b in range(len(_BODY_SPANS)):
            own[j, place] = _apart(vectors[j, _BODY_SPANS[b]], body[_BODY_SPANS[b]])
            own[j, place + len(_BODY_SPANS)] = _norm(body[_BODY_SPANS[b]])
            place += 1
        place += len(_BODY_SPANS)
        own[j, place] = np.float32(0)
        if seen[parents[j]]:
            for t in range(_RECENT):
                bones[t] = _apart(local[t, j], local[t, parents[j]])
            own[j, place] = bones.std()
        place += 1
        speeds = own[j, 0], own[j, 1], own[j, 3], own[j, 4]
        for amount in range(place):
            own[j, amount] = np.log1p(own[j, amount] / _STILL) / np.float32(3) - np.float32(1)
        latest = last - 1
        for i in range(2):
            lengths = length[latest] * length[latest - 1 - i]
            own[j, place + i] = _cosine(steps[latest], steps[latest - 1 - i], lengths)
        own[j, place + 2] = _cosine(vectors[j, 0], vectors[j, 4], speeds[0] * speeds[3])
        own[j, place + 3] = _cosine(vectors[j, 1], vectors[j, 3], speeds[1] * speeds[2])
        own[j, place + 4] = speeds[3] / (path + _SHORT)


@njit(error_model="numpy")
def _norm(v: Any) -> Any:
    return np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])


@njit(error_model="numpy")
def _apart(a: Any, b: Any) -> Any:
    """Length of a − b; no array is made for it."""
    x, y, z = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return np.sqrt(x * x + y * y + z * z)


@njit(error_model="numpy")
def _cosine(a: Any, b: Any, lengths: Any) -> Any:
    return (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / (lengths + _TINY)


_MATRIX, _VECTOR = array(2, single), array(1, single)


@compiled(
    types.void(
        *(array(4, single), array(4, single), single, types.boolean, array(1, whole), _MATRIX),
        *(_MATRIX, _VECTOR, _MATRIX, _VECTOR, _MATRIX, _VECTOR),
        *(_MATRIX, _MATRIX, _VECTOR, single[:, :, :, ::1]),
    )
)
def _add_base(
    features: Any,
    offset: Any,
    unit: Any,
    visibility: Any,
    parents: Any,
    embedding: Any,
    inputs: Any,
    inputs_bias: Any,
    hidden: Any,
    hidden_bias: Any,
    outputs: Any,
    outputs_bias: Any,
    profiles: Any,
    times: Any,
    reached: Any,
    answer: Any,
) -> None:
    """Fill answer (N, H, J, 4) from features (N, T, J, C) and offsets (N, H, J, 3)."""
    people, steps, joints, _ = answer.shape
    frames, last_feature = features.shape[1], features.shape[3] - 1
    width, dampings = inputs.shape[1], profiles.shape[0]
    local = np.empty((_RECENT, joints, 3), np.float32)
    seen = np.ones(joints, np.bool_)
    measures = np.empty((joints, 3 * MEASURES), np.float32)
    vectors = np.empty((joints, VECTORS, 3), np.float32)
    x, y = np.empty((joints, width), np.float32), np.empty((joints, width), np.float32)
    answers = np.empty((joints, len(outputs_bias)), np.float32)
    step = np.empty((dampings, 3), np.float32)
    for n in range(people):
        for j in range(joints):
            if visibility:
                seen[j] = features[n, frames - 1, j, last_feature] > 0
            for t in range(_RECENT):
                for k in range(3):
                    local[t, j, k] = features[n, frames - _RECENT + t, j, k] * unit
        _measure(local, seen, parents, measures, vectors)
        count = np.float32(max(seen.sum(), 1))
        for m in range(MEASURES):
            mean, most = np.float32(0), np.float32(-9)
            for j in range(joints):
                if seen[j]:
                    mean += measures[j, m] / count
                    most = max(most, measures[j, m])
            for j in range(joints):
                measures[j, MEASURES + m] = mean
                measures[j, 2 * MEASURES + m] = most
        np.dot(measures, inputs, x)
        for j in range(joints):
            for o in range(width):
                x[j, o] = max(x[j, o] + inputs_bias[o] + embedding[j, o], np.float32(0))
        np.dot(x, hidden, y)
        for j in range(joints):
            for o in range(width):
                x[j, o] += max(y[j, o] + hidden_bias[o], np.float32(0))
        np.dot(x, outputs, answers)
        for j in range(joints):
            shares = answers[j]
            shares += outputs_bias
            step[:] = 0
            for v in range(VECTORS):
                for d in range(dampings):
                    for k in range(3):
                        step[d, k] += shares[v * dampings + d] * vectors[j, v, k]
            rest = VECTORS * dampings
            trust = np.float32(1) / (np.float32(1) + np.exp(-shares[rest]))
            for h in range(steps):
                for k in range(3):
                    path = trust * reached[h] * offset[n, h, j, k]
                    for d in range(dampings):
                        path += profiles[d, h] * step[d, k]
                    answer[n, h, j, k] = path
                log = np.float32(_SHIFT)
                for i in range(3):
                    log += shares[rest + 1 + i] * times[i, h]
                answer[n, h, j, 3] = np.exp(log)


def looks(history: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
    """How motion (N, T, J, 3) [m] looks: path, jolts, bones, angles of the mean joint, (N, 10).

    T is at least 10; joints that are NaN in any frame do not count.
    """
    measured = np.empty((len(history), len(_LOOKS)), np.float32)
    _look(np.ascontiguousarray(history, np.float32), bone_parents(layout), _LOOKS, measured)
    return measured


def wobble_of(looks: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much the bones of the mean joint change their length in what `looks` so (N, 10) [m]."""
    found: NDArray[np.float32] = np.expm1(3 * (looks[:, _WOBBLE] + 1)) * _STILL
    return found


@compiled(types.void(array(4, single), array(1, whole), array(1, whole), single[:, ::1]))
def _look(history: Any, parents: Any, chosen: Any, measured: Any) -> None:
    people, frames, joints, _ = history.shape
    local = np.empty((_RECENT, joints, 3), np.float32)
    seen = np.empty(joints, np.bool_)
    own = np.empty((joints, MEASURES), np.float32)
    vectors = np.empty((joints, VECTORS, 3), np.float32)
    for n in range(people):
        for j in range(joints):
            seen[j] = np.isfinite(history[n, :, j]).all()
            for t in range(_RECENT):
                for k in range(3):
                    value = history[n, frames - _RECENT + t, j, k]
                    local[t, j, k] = value if seen[j] else np.float32(0)
        _measure(local, seen, parents, own, vectors)
        count = np.float32(max(seen.sum(), 1))
        for m in range(len(chosen)):
            measured[n, m] = 0
            for j in range(joints):
                if seen[j]:
                    measured[n, m] += own[j, chosen[m]] / count
