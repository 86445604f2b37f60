"""What runs a network for actions: (E)SGN folded to matrix products, the others by torch.

Without torch a node starts in a fraction of the time and memory, and an answer for one person
takes about as long as torch takes to start its first operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.weights import ActionWeights

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
        return FoldedSgn(weights)
    return TorchEngine(weights)


class TorchEngine:
    """Any network, by torch."""

    name = "torch"

    def __init__(self, weights: ActionWeights) -> None:
        from ses_gcn_ros.actions.torch_network import build_network

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

    Parameters
    ----------
    weights : ActionWeights
        Of network ``sgn`` or ``esgn``.
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
