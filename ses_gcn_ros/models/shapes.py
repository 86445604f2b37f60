"""Names and shapes of a network's tensors, known without building it."""

from __future__ import annotations

from itertools import pairwise

from ses_gcn_ros.models.config import ModelConfig

DECODER_LAYERS = 4


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape by name of every tensor of the SeS-GCN that `config` describes."""
    joints, frames, horizon = config.joints, config.observed, config.horizon
    shapes: dict[str, tuple[int, ...]] = {}

    def add_norm(name: str, features: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (features,)

    def add_map(name: str, inputs: int, outputs: int, *kernel: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, *kernel)
        shapes[f"{name}.bias"] = (outputs,)

    widths = (config.features, *config.widths)
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        layer = f"layers.{index}"
        for part in ("time", "mask_time"):
            shapes[f"{layer}.graph.{part}"] = (joints, frames, frames)
        for part in ("space", "mask_space"):
            shapes[f"{layer}.graph.{part}"] = (frames, joints, joints)
        shapes[f"{layer}.depthwise.weight"] = shapes[f"{layer}.depthwise.bias"] = (inputs,)
        add_norm(f"{layer}.norm", inputs)
        add_map(f"{layer}.pointwise", inputs, outputs)
        if inputs != outputs:
            add_map(f"{layer}.residual.0", inputs, outputs)
            add_norm(f"{layer}.residual.1", outputs)
        shapes[f"{layer}.activation.weight"] = (1,)
    if config.head == "linear":
        add_map("decoder.linear", frames * widths[-1], horizon * 3)
        return shapes
    for index in range(DECODER_LAYERS):
        add_map(f"decoder.convolutions.{index}", horizon if index else frames, horizon, 3, 3)
        add_norm(f"decoder.norms.{index}", horizon)
        shapes[f"decoder.activations.{index}.weight"] = (1,)
    return shapes


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
