"""What runs networks for actions: (E)SGN as folded matrix products, sparse ST-GCN as loops over the
weights that it keeps, others by torch.

Without torch a node starts in a fraction of the time and memory, and an answer for one person
takes about as long as torch takes to start its first operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.weights import ActionWeights, build_network
from ses_gcn_ros.compiling import array, compiled, single, types, whole

Array = NDArray[np.float32]
_EPSILON = 1e-5  # of torch's batch normalisation


class ActionEngine(Protocol):
    """Runs a network."""

    name: str

    def run(self, x: Array) -> tuple[Array, Array]:
        """Windows (N, T, V, C) → logits (N, classes), importance of joints (N, V) or (N, 0)."""


def load_engine(weights: ActionWeights) -> ActionEngine:
    """Engine for a weights file; raises ModelError if its tensors don't fit its network."""
    if weights.network in ("sgn", "esgn"):
        members = weights.options.get("members", 1)
        return FoldedSgn(weights) if members == 1 else FoldedEnsemble(weights, members)
    if weights.network == "sparse_stgcn" and weights.options.get("unit", "post") == "post":
        return SparseLoops(weights)
    return TorchEngine(weights)


class TorchEngine:
    """Any network, by torch."""

    name = "torch"

    def __init__(self, weights: ActionWeights) -> None:
        self._network: Any = build_network(weights)

    def run(self, x: Array) -> tuple[Array, Array]:
        """Windows (N, T, V, C) → logits (N, classes), importance of joints (N, V) or (N, 0)."""
        import torch

        with torch.inference_mode():
            logits = self._network(torch.from_numpy(np.ascontiguousarray(x))[:, None]).numpy()
        importance = getattr(self._network, "importance", None)
        if importance is None:
            return logits, np.zeros((len(x), 0), np.float32)
        return logits, importance.mean(dim=1).float().numpy()


class FoldedSgn:
    """SGN and enhanced SGN in numpy: normalisations folded, what is constant computed once.

    `weights`: of network ``sgn`` or ``esgn``.
    """

    name = "folded"

    def __init__(self, weights: ActionWeights) -> None:
        t = {name: np.asarray(tensor, np.float32) for name, tensor in weights.tensors.items()}
        joints, channels = len(weights.joints.names), weights.channels
        parents = enumerate(weights.joints.parents)
        self._parents = [joint if parent < 0 else parent for joint, parent in parents]
        if weights.network == "esgn":
            streams = [n.split(".")[1] for n in t if n.startswith("streams.")]
            self._streams = {n: _embedding(t, f"streams.{n}", joints, channels) for n in streams}
        else:
            self._streams = {
                "joint": _embedding(t, "position", joints, channels),
                "velocity": _embedding(t, "velocity", joints, channels),
            }
        self._fuse = _linear(t, "fuse") if "fuse.weight" in t else None
        self._names = _two_layers(t, "joint_type", np.eye(joints, dtype=np.float32))
        frames = t["frame_index.0.weight"].shape[1]
        self._times = _two_layers(t, "frame_index", np.eye(frames, dtype=np.float32))
        self._query, self._key = _linear(t, "query"), _linear(t, "key")
        self._layers = [_graph_layer(t, f"graph.{index}") for index in range(3)]
        self._score = None
        if "score.0.weight" in t:
            self._score = _linear(t, "score.0"), _linear(t, "score.2")
        self._received = weights.options.get("pooling") == "received"
        self._temporal = _temporal(t, weights)
        scale, shift = _norm(t, "widen_norm")
        self._widen = t["widen.weight"][:, :, 0].T * scale, t["widen.bias"] * scale + shift
        self._classifier = _linear(t, "classifier")

    def run(self, x: Array) -> tuple[Array, Array]:
        """Windows (N, T, V, C) → logits (N, classes), importance of joints (N, V) or (N, 0)."""
        seen = self._embed(x)
        names = np.broadcast_to(self._names, (*seen.shape[:3], self._names.shape[1]))
        y = np.concatenate([seen, names], axis=-1)
        graph = _apply(self._query, y) @ _apply(self._key, y).swapaxes(-1, -2)
        graph = _softmax(graph)
        for neighbours, own, bias in self._layers:
            y = _relu((graph @ y) @ neighbours + y @ own + bias)
        y = y + self._times[:, None]
        pooled = y.max(axis=2)
        importance = np.zeros((len(x), 0), np.float32)
        if self._score is not None or self._received:
            if self._score is not None:
                hidden = _relu(_apply(self._score[0], y))
                share = _softmax(_apply(self._score[1], hidden)[..., 0])
            else:
                share = graph.mean(axis=2)
            pooled = pooled + (share[:, :, None] @ y)[:, :, 0]
            importance = share.mean(axis=1)
        reach = max(gap * (len(weight) // 2) for weight, _, gap in self._temporal)
        padded = np.zeros((len(x), pooled.shape[1] + 2 * reach, pooled.shape[2]), np.float32)
        padded[:, reach : reach + pooled.shape[1]] = pooled
        parts = [_convolve(padded, reach, *layer) for layer in self._temporal]
        pooled = _relu(np.concatenate(parts, axis=-1))
        pooled = _relu(_apply(self._widen, pooled)).max(axis=1)
        return _apply(self._classifier, pooled), importance

    def _embed(self, x: Array) -> Array:
        parts = []
        for name, (scale, shift, first, second) in self._streams.items():
            part = x - x[:, :, self._parents] if name.startswith("bone") else x
            if name.endswith("velocity"):
                part = np.concatenate([np.zeros_like(part[:, :1]), np.diff(part, axis=1)], axis=1)
            parts.append(_relu(_apply(second, _relu(_apply(first, part * scale + shift)))))
        if self._fuse is not None:
            return _relu(_apply(self._fuse, np.concatenate(parts, axis=-1)))
        return np.asarray(sum(parts[1:], parts[0]))


class FoldedEnsemble:
    """Enhanced SGNs side by side; see `models.sgn.Ensemble`.

    `weights`: of network ``esgn`` with so many members.
    """

    name = "folded"

    def __init__(self, weights: ActionWeights, members: int) -> None:
        tensors = [
            {n.removeprefix(f"members.{m}."): t for n, t in weights.tensors.items()}
            for m in range(members)
        ]
        self._members = [FoldedSgn(replace(weights, tensors=own)) for own in tensors]

    def run(self, x: Array) -> tuple[Array, Array]:
        """Windows → log of mean probabilities (N, classes), importance of joints (N, V)."""
        logits, importance = zip(*(member.run(x) for member in self._members), strict=True)
        stacked = np.stack(logits)
        chances = stacked - np.logaddexp.reduce(stacked, axis=-1, keepdims=True)
        mean = np.logaddexp.reduce(chances, axis=0) - np.log(np.float32(len(chances)))
        return mean, np.mean(importance, axis=0)


class SparseLoops:
    """Sparse ST-GCN, or an assembly, where what is cut costs nothing.

    `weights`: of network ``sparse_stgcn`` with units ``post``.
    """

    name = "sparse"

    def __init__(self, weights: ActionWeights) -> None:
        t = {name: np.asarray(tensor, np.float32) for name, tensor in weights.tensors.items()}
        levels = sorted({n.split(".")[1] for n in t if n.startswith("networks.")}, key=int)
        prefixes = [f"networks.{level}." for level in levels] or [""]
        self._levels = [
            _Level({n.removeprefix(p): x for n, x in t.items() if n.startswith(p)})
            for p in prefixes
        ]
        self._classifier = _linear(t, "classifier")

    def run(self, x: Array) -> tuple[Array, Array]:
        """Windows (N, T, V, C) → logits (N, classes), importance of joints (N, 0)."""
        features = np.stack([[level.features(one) for level in self._levels] for one in x])
        return _apply(self._classifier, features.mean(axis=1)), np.zeros((len(x), 0), np.float32)


class _Level:
    """One sparse network up to its mean features."""

    def __init__(self, t: Tensors) -> None:
        count = 1 + max(int(name.split(".")[1]) for name in t if name.startswith("units."))
        self._input = _norm(t, "input_norm") if "input_norm.weight" in t else None
        self._units = [_SparseUnit(t, f"units.{index}", index) for index in range(count)]

    def features(self, x: Array) -> Array:
        """Window (T, V, C) → mean features."""
        if self._input is not None:
            scale, shift = (part.reshape(x.shape[1:]) for part in self._input)
            x = x * scale + shift
        x = np.ascontiguousarray(x.transpose(2, 0, 1))
        for unit in self._units:
            x = unit.run(x)
        return np.asarray(x.mean(axis=(1, 2)))


class _SparseUnit:
    """Graph convolution, then convolution over frames, on (C, T, V)."""

    def __init__(self, t: Tensors, name: str, index: int) -> None:
        graph = t.get(f"{name}.adjacency", t.get("adjacency"))
        assert graph is not None  # a file without it is refused when its tensors are checked
        graph = graph * t.get(f"{name}.importance", np.float32(1))
        subsets = len(graph)
        spatial, temporal = t[f"{name}.spatial.weight"], t[f"{name}.temporal.weight"]
        outputs = len(temporal)
        self._graph = np.ascontiguousarray(graph.transpose(1, 0, 2).reshape(graph.shape[1], -1))
        self._subsets, self._reach = subsets, temporal.shape[2] // 2
        scale, shift = _norm(t, f"{name}.norm_in")
        # (K C', C) → (C', C K): the graph comes first, so that all subsets are one convolution.
        mixed = spatial[:, :, 0, 0].reshape(subsets, outputs, -1).transpose(1, 2, 0)
        self._spatial = _kept_rows(mixed.reshape(outputs, -1, 1) * scale[:, None, None])
        bias = t[f"{name}.spatial.bias"].reshape(subsets, outputs).T @ graph.sum(axis=1)
        self._bias = bias * scale[:, None] + shift[:, None]  # (C', V)
        scale, shift = _norm(t, f"{name}.norm_out")
        self._temporal = _kept_rows(temporal[..., 0] * scale[:, None, None])
        self._shift = t[f"{name}.temporal.bias"] * scale + shift
        self._skip: Any = None
        self._stride, self._plain = 1, index > 0
        if f"{name}.skip.0.weight" in t:
            scale, shift = _norm(t, f"{name}.skip.1")
            weight = t[f"{name}.skip.0.weight"][..., 0]
            self._stride = 2 if len(weight) > weight.shape[1] else 1
            self._skip = _kept_rows(weight * scale[:, None, None])
            self._shift = self._shift + t[f"{name}.skip.0.bias"] * scale + shift

    def run(self, x: Array) -> Array:
        """Shape (C, T, V) → (C', T / stride, V)."""
        channels, frames, joints = x.shape
        mixed = (x.reshape(-1, joints) @ self._graph).reshape(channels, frames, -1, joints)
        mixed = np.ascontiguousarray(mixed.transpose(0, 2, 1, 3))  # (C, K, T, V)
        y = np.empty((len(self._bias), frames, joints), np.float32)
        y[:] = self._bias[:, None]
        _add_rows(*self._spatial, mixed.reshape(channels * self._subsets, -1), joints, 1, y)
        _relu(y)
        padded = np.zeros((len(y), frames + 2 * self._reach, joints), np.float32)
        padded[:, self._reach : self._reach + frames] = y
        if self._stride == 2:  # what lies two frames apart, side by side
            padded = _split(padded)
        z = np.empty((len(y), -(-frames // self._stride), joints), np.float32)
        z[:] = self._shift[:, None, None]
        _add_rows(*self._temporal, padded.reshape(len(y), -1), joints, self._stride, z)
        if self._skip is not None:
            even = np.ascontiguousarray(x[:, :: self._stride])
            _add_rows(*self._skip, even.reshape(channels, -1), joints, 1, z)
        elif self._plain:
            z += x
        return _relu(z)


def _split(x: Array) -> Array:
    """Even frames, then odd ones: (C, T, V) → the same, with a frame of zeros if T is odd."""
    if x.shape[1] % 2:
        x = np.concatenate([x, np.zeros_like(x[:, :1])], axis=1)
    return np.concatenate([x[:, ::2], x[:, 1::2]], axis=1)


Rows = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Array]


def _kept_rows(weight: Array) -> Rows:
    """What is kept of a weight (out, in, taps): where each row begins, inputs, taps and values.

    Rows are filled up with zeros to multiples of four, which the loop takes at a time.
    """
    starts, inputs, taps, values = [0], [], [], []
    for row in weight:
        channel, tap = np.nonzero(row)
        empty = np.zeros(-len(channel) % 4, np.int64)
        inputs += [channel, empty]
        taps += [tap, empty]
        values += [row[channel, tap], empty.astype(np.float32)]
        starts.append(starts[-1] + len(channel) + len(empty))
    return (
        np.array(starts),
        np.concatenate(inputs),
        np.concatenate(taps),
        np.concatenate(values).astype(np.float32),
    )


@compiled(
    types.void(
        *(array(1, whole), array(1, whole), array(1, whole), array(1, single), array(2, single)),
        *(whole, whole, types.Array(single, 3, "C")),
    )
)
def _add_rows(
    starts: Any, inputs: Any, taps: Any, values: Any, x: Any, joints: Any, stride: Any, y: Any
) -> None:
    """Add what a convolution keeps: x (in, frames · joints) → y (out, frames, joints)."""
    length = y.shape[1] * joints
    half = x.shape[1] // 2  # where odd frames begin, with stride 2
    flat, out = x.reshape(-1), y.reshape(-1)
    begin = np.empty(4, np.int64)
    for row in range(len(starts) - 1):
        to = out[row * length : (row + 1) * length]
        for first in range(starts[row], starts[row + 1], 4):
            for index in range(4):
                tap = taps[first + index]
                place = inputs[first + index] * x.shape[1]
                if stride == 2:
                    place += tap % 2 * half + tap // 2 * joints
                else:
                    place += tap * joints
                begin[index] = place
            a = flat[begin[0] : begin[0] + length]
            b = flat[begin[1] : begin[1] + length]
            c = flat[begin[2] : begin[2] + length]
            d = flat[begin[3] : begin[3] + length]
            u, v, w, z = values[first], values[first + 1], values[first + 2], values[first + 3]
            for place in range(length):
                to[place] += u * a[place] + v * b[place] + w * c[place] + z * d[place]


Tensors = Mapping[str, Array]
Linear = tuple[Array, Array]  # weight (in, out), bias (out)


def _linear(t: Tensors, name: str) -> Linear:
    return t[f"{name}.weight"].T.copy(), t[f"{name}.bias"]


def _apply(layer: Linear, x: Array) -> Array:
    return x @ layer[0] + layer[1]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x)


def _softmax(x: Array) -> Array:
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    x /= x.sum(axis=-1, keepdims=True)
    return x


def _two_layers(t: Tensors, name: str, x: Array) -> Array:
    return _relu(_apply(_linear(t, f"{name}.2"), _relu(_apply(_linear(t, f"{name}.0"), x))))


def _norm(t: Tensors, name: str) -> tuple[Array, Array]:
    """Scale and shift of a batch normalisation."""
    scale = t[f"{name}.weight"] / np.sqrt(t[f"{name}.running_var"] + _EPSILON)
    return scale, t[f"{name}.bias"] - t[f"{name}.running_mean"] * scale


def _embedding(
    t: Tensors, name: str, joints: int, channels: int
) -> tuple[Array, Array, Linear, Linear]:
    scale, shift = (part.reshape(joints, channels) for part in _norm(t, f"{name}.norm.norm"))
    return scale, shift, _linear(t, f"{name}.layers.0"), _linear(t, f"{name}.layers.2")


def _graph_layer(t: Tensors, name: str) -> tuple[Array, Array, Array]:
    scale, shift = _norm(t, f"{name}.norm.norm")
    neighbours, own = t[f"{name}.neighbours.weight"].T * scale, t[f"{name}.own.weight"].T * scale
    return neighbours, own, t[f"{name}.own.bias"] * scale + shift


def _temporal(t: Tensors, weights: ActionWeights) -> list[tuple[Array, Array, int]]:
    """Weights (taps, in, out), bias and dilation of each scale, with the normalisation behind."""
    scale, shift = _norm(t, "temporal_norm")
    prefixes = sorted({n.rpartition(".")[0] for n in t if n.startswith("temporal.")})
    kernels = weights.options.get("kernels", (3, 5, 7))
    dilated = weights.network == "esgn" and weights.options.get("dilated", False)
    parts, begin = [], 0
    for index, prefix in enumerate(prefixes):
        weight, bias = t[f"{prefix}.weight"], t[f"{prefix}.bias"]
        part = slice(begin, begin + len(bias))
        begin += len(bias)
        folded = weight.transpose(2, 1, 0) * scale[part]
        gap = kernels[index] // 2 if dilated else 1
        parts.append((folded, bias * scale[part] + shift[part], gap))
    return parts


def _convolve(padded: Array, reach: int, weight: Array, bias: Array, gap: int) -> Array:
    """Convolution over frames (N, T + 2 reach, in) → (N, T, out)."""
    taps, frames = len(weight), padded.shape[1] - 2 * reach
    first = reach - gap * (taps // 2)
    shifted = [padded[:, first + tap * gap :][:, :frames] for tap in range(taps)]
    return np.concatenate(shifted, axis=-1) @ weight.reshape(-1, weight.shape[2]) + bias
