"""Networks through ONNX Runtime, where no loops are compiled for them; it needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.folding import FoldedLayer, FoldedNetwork, fold
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import HEADS
from ses_gcn_ros.models.framing import cosines

_BLOCK = 8  # people at once: their features fit the processor's cache
_OPSET = 17
_IR_VERSION = 9  # of ONNX files, known to every ONNX Runtime since 1.15
_EPSILON = 1e-5  # of torch's layer normalisation


class OnnxRunner:
    """Run a network without its learnt base on the CPU.

    Raises ModelError if onnx or onnxruntime is missing, or another device is asked for.

    `device`: 'auto' or 'cpu'.
    `threads`: that a product may be shared between.
    """

    kind = "onnx"
    device = "cpu"
    folded, whole = True, False

    def __init__(self, weights: Weights, device: str, threads: int = 1) -> None:
        if device == "cuda":
            raise ModelError("engine 'onnx' runs on the CPU; take engine cuda for device cuda")
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(f"engine 'onnx' needs onnxruntime: {error}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                build_graph(weights), options, providers=["CPUExecutionProvider"]
            )
            config = weights.config
            still = (1, config.observed, config.joints, config.features)
            self(np.zeros(still, np.float32))  # the first run is slow: it plans its memory
        except ModelError:
            raise
        except Exception as error:  # the library has no common base for its exceptions
            raise ModelError(f"ONNX Runtime can't run '{weights.name}': {error}") from error

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer of the network, (N, T, J, C) → (N, H, J, 3)."""
        blocks = [
            self._session.run(
                None, {"features": np.ascontiguousarray(features[start : start + _BLOCK])}
            )[0]
            for start in range(0, len(features), _BLOCK)
        ]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


class _Graph:
    """Nodes and constants of an ONNX graph, each value named after its place."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise ModelError(f"engine 'onnx' needs the package onnx: {error}") from None
        self.onnx = onnx
        self.nodes: list[object] = []
        self.constants: list[object] = []

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"constant_{len(self.constants)}"
        kind = np.int64 if value.dtype.kind == "i" else np.float32
        array = np.asarray(value, dtype=kind, order="C")  # scalars stay scalars
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        node = self.onnx.helper.make_node(operator, list(inputs), [name], **attributes)
        self.nodes.append(node)
        return name

    def reshape(self, value: str, *shape: int) -> str:
        return self.add("Reshape", value, self.constant(np.array(shape, np.int64)))

    def product(self, left: str | NDArray[np.generic], right: str | NDArray[np.generic]) -> str:
        both = (side if isinstance(side, str) else self.constant(side) for side in (left, right))
        return self.add("MatMul", *both)

    def plus(self, value: str, constant: NDArray[np.generic]) -> str:
        return self.add("Add", value, self.constant(constant))


def build_graph(weights: Weights) -> bytes:
    """ONNX model of a network: features (N, T, J, C) → answer (N, H, J, 3)."""
    config, graph = weights.config, _Graph()
    joints, frames = config.joints, config.observed
    graph.add("Identity", _WHOLE.get(config.network, _add_folded)(graph, weights))
    helper, kind = graph.onnx.helper, graph.onnx.TensorProto.FLOAT
    graph.nodes[-1].output[0] = "answer"  # type: ignore[attr-defined]
    features = [None, frames, joints, config.features]
    answer = [None, config.horizon, joints, 3]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            weights.name,
            [helper.make_tensor_value_info("features", kind, features)],
            [helper.make_tensor_value_info("answer", kind, answer)],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    serialised: bytes = model.SerializeToString()
    return serialised


def _add_folded(graph: _Graph, weights: Weights) -> str:
    config, network = weights.config, fold(weights)
    joints, frames = config.joints, config.observed
    # Rows are (joint, frame, person): mixing is then one product per joint or frame for everybody.
    x = graph.add("Transpose", "features", perm=[2, 1, 0, 3])
    x = graph.reshape(x, -1, config.features)
    for layer in network.layers:
        x = _add_layer(graph, layer, x)
    x = graph.reshape(x, joints, frames, -1, config.widths[-1])
    if network.linear is not None:
        return _add_linear(graph, network, x, joints, config.horizon)
    return _add_convolutions(graph, network, x, joints, frames)


def _add_layer(graph: _Graph, layer: FoldedLayer, x: str) -> str:
    """Rows x of shape (J·T·N, C) → (J·T·N, C')."""
    bias = "" if layer.bias is None else graph.constant(layer.bias)
    if layer.residual is not None:
        residual = graph.add("Gemm", x, graph.constant(layer.residual), bias)
    else:
        residual = graph.add("Add", x, bias) if bias else x
    if layer.constant:
        return graph.add("LeakyRelu", residual, alpha=layer.slope)
    x = graph.reshape(x, *layer.time.shape[:2], -1)
    x = graph.add("MatMul", graph.constant(layer.time), x)
    x = graph.add("Transpose", x, perm=[1, 0, 2])
    x = graph.add("MatMul", graph.constant(layer.space), x)
    x = graph.add("Transpose", x, perm=[1, 0, 2])
    x = graph.reshape(x, -1, len(layer.low))
    x = graph.add("Max", x, graph.constant(layer.low))
    x = graph.add("Min", x, graph.constant(layer.high))
    # One operation once ONNX Runtime has fused it.
    x = graph.add("Gemm", x, graph.constant(layer.weight), residual)
    return graph.add("LeakyRelu", x, alpha=layer.slope)


def _add_linear(graph: _Graph, network: FoldedNetwork, x: str, joints: int, horizon: int) -> str:
    """x of shape (J, T, N, C)."""
    assert network.linear is not None
    weight, bias = network.linear
    x = graph.add("Transpose", x, perm=[2, 0, 1, 3])
    x = graph.reshape(x, -1, len(weight))
    y = graph.add("Gemm", x, graph.constant(weight), graph.constant(bias))
    if network.body is not None:
        body = network.body
        own = graph.add("Gemm", x, graph.constant(body.own), graph.constant(body.own_bias))
        own = graph.reshape(own, -1, joints, len(body.own_bias))
        mean = graph.add("ReduceMean", graph.reshape(x, -1, joints, len(weight)), axes=[1])
        own = graph.add("Add", own, graph.add("MatMul", mean, graph.constant(body.context)))
        own = graph.add("MatMul", graph.add("Relu", own), graph.constant(body.hidden))
        own = graph.add("Add", own, graph.add("MatMul", mean, graph.constant(body.direct)))
        y = graph.add("Add", graph.reshape(y, -1, joints, len(bias)), own)
    x = graph.reshape(y, -1, joints, horizon, 3)
    return graph.add("Transpose", x, perm=[0, 2, 1, 3])


def _add_convolutions(
    graph: _Graph, network: FoldedNetwork, x: str, joints: int, frames: int
) -> str:
    """x of shape (J, T, N, 3)."""
    x = graph.add("Transpose", x, perm=[2, 0, 3, 1])
    x = graph.reshape(x, -1, joints, 3 * frames)
    before_and_after = graph.constant(np.array([0, 1, 0, 0, 1, 0]))
    neighbours = graph.constant(np.arange(joints)[:, None] + np.arange(3))
    for index, convolution in enumerate(network.convolutions):
        outputs, inputs, _ = convolution.weight.shape
        # Every joint between its neighbours as one row: a product with constant weights, which
        # ONNX Runtime lays out once and for all.
        y = graph.add("Pad", x, before_and_after)
        y = graph.add("Gather", y, neighbours, axis=1)
        y = graph.reshape(y, -1, 3 * inputs)
        weight = convolution.weight.transpose(2, 1, 0).reshape(3 * inputs, outputs)
        y = graph.add("Gemm", y, graph.constant(weight), graph.constant(convolution.bias))
        y = graph.add("LeakyRelu", y, alpha=convolution.slope)
        y = graph.reshape(y, -1, joints, outputs)
        x = y if index == 0 else graph.add("Add", y, x)
    x = graph.reshape(x, -1, joints, 3, len(network.convolutions[-1].bias) // 3)
    return graph.add("Transpose", x, perm=[0, 3, 1, 2])


class _Parts:
    """Maps and normalisations of a network, added to its graph by their names."""

    def __init__(self, graph: _Graph, weights: Weights) -> None:
        self.graph, self.tensors = graph, weights.tensors

    def map(self, name: str, x: str) -> str:
        x = self.graph.product(x, self.tensors[f"{name}.weight"].T)
        return self.graph.plus(x, self.tensors[f"{name}.bias"])

    def norm(self, name: str, x: str) -> str:
        scale, shift = (
            self.graph.constant(self.tensors[f"{name}.{n}"]) for n in ("weight", "bias")
        )
        return self.graph.add("LayerNormalization", x, scale, shift, epsilon=_EPSILON)


def _add_simlpe(graph: _Graph, weights: Weights) -> str:
    """See `models.peers.SiMLPe`."""
    config, part = weights.config, _Parts(graph, weights)
    basis = cosines(config.observed + config.horizon)
    first = basis[:, : config.observed].copy()
    first[:, -1] += basis[:, config.observed :].sum(axis=1)  # the last frame goes on
    x = graph.reshape("features", -1, config.observed, config.joints * config.features)
    x = part.map("inputs", graph.product(first, x))
    for index in range(len(config.widths)):
        block = f"blocks.{index}"
        mixed = graph.product(part.tensors[f"{block}.linear.weight"], x)
        mixed = graph.plus(mixed, part.tensors[f"{block}.linear.bias"][:, None])
        x = graph.add("Add", x, part.norm(f"{block}.norm", mixed))
    path = graph.product(basis[:, config.observed :].T, part.map("outputs", x))
    return graph.reshape(path, -1, config.horizon, config.joints, 3)


def _add_jointformer(graph: _Graph, weights: Weights) -> str:
    """See `models.peers.Jointformer`."""
    config, part = weights.config, _Parts(graph, weights)
    joints, width = config.joints, config.widths[0]
    each = width // HEADS
    x = graph.add("Transpose", "features", perm=[0, 2, 1, 3])
    x = graph.reshape(x, -1, joints, config.observed * config.features)
    x = graph.plus(part.map("inputs", x), part.tensors["joints"])
    for index in range(len(config.widths)):
        block = f"blocks.{index}"
        both = part.map(f"{block}.attend", part.norm(f"{block}.before", x))
        both = graph.reshape(both, -1, joints, 3, HEADS, each)
        both = graph.add("Transpose", both, perm=[2, 0, 3, 1, 4])
        query, key, value = (
            graph.add("Gather", both, graph.constant(np.array(n)), axis=0) for n in range(3)
        )
        query = graph.add("Mul", query, graph.constant(np.array(each**-0.5)))
        key = graph.add("Transpose", key, perm=[0, 1, 3, 2])
        share = graph.add("Softmax", graph.product(query, key), axis=-1)
        mixed = graph.add("Transpose", graph.product(share, value), perm=[0, 2, 1, 3])
        mixed = part.map(f"{block}.mix", graph.reshape(mixed, -1, joints, width))
        x = graph.add("Add", x, mixed)
        wide = part.map(f"{block}.widen", part.norm(f"{block}.between", x))
        # GELU is no operation of its own before opset 20.
        error = graph.add("Erf", graph.add("Mul", wide, graph.constant(np.array(0.5**0.5))))
        half = graph.add("Mul", wide, graph.constant(np.array(0.5)))
        wide = graph.add("Mul", half, graph.plus(error, np.array(1.0)))
        x = graph.add("Add", x, part.map(f"{block}.narrow", wide))
    x = part.norm("norm", x)
    body = part.map("body", graph.add("ReduceMean", x, axes=[1]))
    path = graph.add("Add", part.map("outputs", x), body)
    path = graph.reshape(path, -1, joints, config.horizon, 3)
    return graph.add("Transpose", path, perm=[0, 2, 1, 3])


_WHOLE = {"simlpe": _add_simlpe, "jointformer": _add_jointformer}  # others are folded
