"""Names and shapes of a network's tensors, known without building it."""

from __future__ import annotations

from itertools import pairwise

from ses_gcn_ros.models.config import ModelConfig

DECODER_LAYERS, DECODER_HIDDEN = 4, 64

# The learnt base (models/learnt_base.py): frames over which velocities are taken; of those, the
# ones of which the body's mean is used; damping per frame in the ways that they are continued.
SPANS, BODY_SPANS, DAMPINGS = (1, 2, 3, 5, 9), (0, 2, 4), (0.5, 0.8, 0.9, 1.0)
VECTORS = len(SPANS) + len(BODY_SPANS) + 2  # and the way to the mean of all frames and of five
MEASURES = 21  # per joint; with their mean and their largest over the body three times as many
ANSWERS = VECTORS * len(DAMPINGS) + 1 + 3  # shares, trust in the offset, scale over time

Shapes = dict[str, tuple[int, ...]]


def tensor_shapes(config: ModelConfig) -> Shapes:
    """Shape by name of every tensor of the network that `config` describes."""
    shapes = _Shapes()
    if config.gate:
        shapes["base.joints"] = (config.joints, config.gate)
        shapes.add_map("base.inputs", 3 * MEASURES, config.gate)
        shapes.add_map("base.hidden", config.gate, config.gate)
        shapes.add_map("base.outputs", config.gate, ANSWERS)
    if config.network in _OTHERS:
        return _Shapes(shapes | _OTHERS[config.network](config))
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
    if config.head != "temporal":
        inputs, outputs = frames * widths[-1], config.horizon * 3
        shapes.add_map("decoder.linear", inputs, outputs)
        if config.head == "body":
            shapes["decoder.body.weight"] = (outputs, inputs)
            shapes.add_map("decoder.own", inputs, DECODER_HIDDEN)
            shapes["decoder.context.weight"] = (DECODER_HIDDEN, inputs)
            shapes["decoder.hidden.weight"] = (outputs, DECODER_HIDDEN)
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


def _jointformer_shapes(config: ModelConfig) -> Shapes:
    shapes, width = _Shapes(), config.widths[0]
    shapes.add_map("inputs", config.observed * config.features, width)
    shapes["joints"] = (config.joints, width)
    for index in range(len(config.widths)):
        block = f"blocks.{index}"
        for norm in ("before", "between"):
            shapes[f"{block}.{norm}.weight"] = shapes[f"{block}.{norm}.bias"] = (width,)
        shapes.add_map(f"{block}.attend", width, 3 * width)
        shapes.add_map(f"{block}.mix", width, width)
        shapes.add_map(f"{block}.widen", width, 2 * width)
        shapes.add_map(f"{block}.narrow", 2 * width, width)
    shapes["norm.weight"] = shapes["norm.bias"] = (width,)
    shapes.add_map("outputs", width, config.horizon * 3)
    shapes.add_map("body", width, config.horizon * 3)
    return shapes


_OTHERS = {"dctmlp": _mlp_shapes, "jointformer": _jointformer_shapes}


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
