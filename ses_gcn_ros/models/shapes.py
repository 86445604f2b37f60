"""Names and shapes of a network's tensors, known without building it."""

from __future__ import annotations

from itertools import pairwise

from ses_gcn_ros.models.config import ModelConfig

DECODER_LAYERS = 4

Shapes = dict[str, tuple[int, ...]]


def tensor_shapes(config: ModelConfig) -> Shapes:
    """Shape by name of every tensor of the network that `config` describes."""
    if config.network == "dctmlp":
        return _mlp_shapes(config)
    shapes = _Shapes()
    joints, frames = config.joints, config.observed
    masked = config.network == "sesgcn"
    widths = (config.features, *config.widths)
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        layer = f"layers.{index}"
        for part in ("time", "mask_time") if masked else ("time",):
            shapes[f"{layer}.graph.{part}"] = (joints, frames, frames)
        for part in ("space", "mask_space") if masked else ("space",):
            shapes[f"{layer}.graph.{part}"] = (frames, joints, joints)
        if masked:
            shapes[f"{layer}.depthwise.weight"] = shapes[f"{layer}.depthwise.bias"] = (inputs,)
        shapes.add_norm(f"{layer}.norm", inputs if masked else outputs)
        shapes.add_map(f"{layer}.pointwise", inputs, outputs)
        if inputs != outputs:
            shapes.add_map(f"{layer}.residual.0", inputs, outputs)
            shapes.add_norm(f"{layer}.residual.1", outputs)
        shapes[f"{layer}.activation.weight"] = (1,)
    if config.head == "linear":
        shapes.add_map("decoder.linear", frames * widths[-1], config.horizon * 3)
        return shapes
    horizon = config.horizon
    for index in range(DECODER_LAYERS):
        name = f"decoder.convolutions.{index}"
        shapes.add_map(name, horizon if index else frames, horizon, 3, 3)
        shapes.add_norm(f"decoder.norms.{index}", horizon)
        shapes[f"decoder.activations.{index}.weight"] = (1,)
    return shapes


def _mlp_shapes(config: ModelConfig) -> Shapes:
    shapes, width = _Shapes(), config.widths[0]
    length = config.observed + config.horizon
    shapes.add_map("inputs", config.joints * config.features, width)
    for index in range(len(config.widths)):
        shapes.add_map(f"blocks.{index}.linear", length, length)
        shapes[f"blocks.{index}.norm.weight"] = shapes[f"blocks.{index}.norm.bias"] = (width,)
    shapes.add_map("outputs", width, config.joints * 3)
    return shapes


class _Shapes(Shapes):
    def add_norm(self, name: str, features: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            self[f"{name}.{part}"] = (features,)

    def add_map(self, name: str, inputs: int, outputs: int, *kernel: int) -> None:
        self[f"{name}.weight"] = (outputs, inputs, *kernel)
        self[f"{name}.bias"] = (outputs,)


def parameter_count(config: ModelConfig) -> int:
    """Number of learnt values: everything but masks and running statistics."""
    total = 0
    for name, shape in tensor_shapes(config).items():
        if not name.rpartition(".")[2].startswith(("mask_", "running_")):
            size = 1
            for length in shape:
                size *= length
            total += size
    return total
