"""What a forecasting network is: configuration, tensors, their file, and how it is built."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import MISSHAPEN, ModelError
from ses_gcn_ros.resources import parse_json, write_atomically

if TYPE_CHECKING:
    from ses_gcn_ros.models.layers import ForecastNetwork, Mean

UNITS_PER_METRE = {"m": 1.0, "mm": 1000.0}
NETWORKS = ("sesgcn", "stsgcn", "simlpe", "jointformer", "mean")


@dataclass(frozen=True)
class ModelConfig:
    """Network and the way motion is put to it; stored in the header of a weights file.

    The defaults are SeS-GCN as published: absolute positions in, absolute positions out. `origin`,
    `heading`, `offset`, `motion`, `frequency` and `visibility` are this project's (see `framing`).
    """

    network: str = option("sesgcn", "which network", choices=NETWORKS)
    layout: str = option("chico15", "joint layout of input and output")
    joints: int = option(15, "number of joints J", minimum=1)
    observed: int = option(10, "frames in, T", minimum=2)
    horizon: int = option(25, "frames out, H", minimum=1)
    fps: float = option(25.0, "frame rate of both [Hz]", minimum=1)
    unit: str = option("m", "unit that the network was trained in", choices=tuple(UNITS_PER_METRE))
    widths: tuple[int, ...] = option((66, 66, 66, 66, 3), "features after each layer", minimum=1)
    members: tuple[str, ...] = option(
        (), "of network mean: name and widths of each, such as 'jointformer 48 48'; widths is empty"
    )
    head: str = option(
        "temporal",
        "decoder of the graph networks: the published temporal convolutions, one linear map per "
        "joint, or that beside maps that see the whole body",
        choices=("temporal", "linear", "body"),
    )
    origin: bool = option(False, "positions relative to the last root joint")
    heading: bool = option(False, "positions turned so that the person faces one way")
    offset: bool = option(False, "predict the offset from the damped constant-velocity path")
    gate: int = option(
        0, "width of the learnt base of the offset; 0: velocity damped by 0.9 per frame", minimum=0
    )
    bones: bool = option(False, "bones of a forecast keep the length they have in the history")
    motion: bool = option(False, "displacements from the last frame as further inputs")
    frequency: bool = option(False, "inputs by frequency (cosine transform), not by frame")
    visibility: bool = option(False, "a flag per joint as further input; unseen joints may be NaN")

    @property
    def features(self) -> int:
        """Number of input features per joint and frame."""
        return 3 + 3 * self.motion + self.visibility

    def check(self) -> None:
        """Check what ranges alone can't.

        Raises ModelError if the decoder can't take what the last layer gives, or options contradict
        each other.
        """
        if bool(self.members) != (self.network == "mean") or (self.members and self.widths):
            raise ModelError("network mean takes members and no widths, any other no members")
        if self.members:
            for member in member_configs(self):
                member.check()
            return
        if not self.widths:
            raise ModelError("a network needs at least one layer; widths is empty")
        if self.network in ("simlpe", "jointformer"):
            if len(set(self.widths)) > 1:
                raise ModelError(
                    f"the blocks of a {self.network} are of one width, not {self.widths}"
                )
            if self.network == "jointformer" and self.widths[0] % 4:
                raise ModelError(
                    f"the width of a jointformer is a multiple of 4, not {self.widths[0]}"
                )
        elif self.head == "temporal" and self.widths[-1] != 3:
            raise ModelError(
                f"the temporal decoder takes 3 features per joint, not {self.widths[-1]}; "
                "end widths with 3 or take head 'linear'"
            )
        if self.gate and (not self.offset or self.frequency or self.observed < 10):
            raise ModelError(
                "a learnt base (gate) takes offset: true, frequency: false and 10 observed frames "
                "or more"
            )
        if self.unit != "m" and (self.origin or self.offset or self.motion or self.bones):
            raise ModelError(f"framed motion is scaled in metres; unit is '{self.unit}'")


def member_configs(config: ModelConfig) -> list[ModelConfig]:
    """What each member of a mean is; all see motion in the same way. Empty for other networks.

    Raises ModelError if a member is not a network and its widths.
    """
    found = []
    for member in config.members:
        network, *widths = member.split() or [""]
        if network not in NETWORKS[:-1] or not all(w.isdecimal() and int(w) for w in widths):
            raise ModelError(
                f"a mean has '{member}' for a member; it takes one of {', '.join(NETWORKS[:-1])} "
                "and its widths, such as 'jointformer 48 48'"
            )
        own = tuple(map(int, widths))
        found.append(dataclasses.replace(config, network=network, widths=own, members=()))
    return found


DECODER_LAYERS, DECODER_HIDDEN = 4, 64
HEADS = 4  # of a jointformer's attention

# The learnt base (models/layers.py): frames over which velocities are taken; of those, the
# ones of which the body's mean is used; damping per frame in the ways that they are continued.
SPANS, BODY_SPANS, DAMPINGS = (1, 2, 3, 5, 9), (0, 2, 4), (0.5, 0.8, 0.9, 1.0)
VECTORS = len(SPANS) + len(BODY_SPANS) + 2  # and the way to the mean of all frames and of five
MEASURES = 21  # per joint; with their mean and their largest over the body three times as many
ANSWERS = VECTORS * len(DAMPINGS) + 1 + 3  # shares, trust in the offset, scale over time

Shapes = dict[str, tuple[int, ...]]


def tensor_shapes(config: ModelConfig) -> Shapes:
    """Shape by name of every tensor of the network that `config` describes."""
    shapes = _Shapes()
    for index, member in enumerate(member_configs(config)):
        own = tensor_shapes(member).items()
        shapes |= {f"members.{index}.{name}": shape for name, shape in own}
    if config.members:
        return shapes
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


def _simlpe_shapes(config: ModelConfig) -> Shapes:
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


_OTHERS = {"simlpe": _simlpe_shapes, "jointformer": _jointformer_shapes}


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


def read_weights_file(
    path: Path, key: str, foreign: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and tensors of a file.

    Raises ModelError if there is no such file, it can't be read, or holds nothing under the key,
    of which `foreign` says what that means and what to do.
    """
    if not path.is_file():
        raise ModelError(f"there are no weights at '{path}'")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"'{path}' is no readable safetensors file: {error}") from error
    except (TypeError, AttributeError) as error:  # a type that numpy hasn't, such as bfloat16
        raise ModelError(
            f"'{path}' holds numbers of a type that can't be read ({error}); convert it to float32"
        ) from error
    if key not in metadata:
        raise ModelError(f"'{path}' {foreign}")
    try:
        return dict(parse_json(metadata[key])), tensors
    except MISSHAPEN as error:
        raise ModelError(f"the header of '{path}' is damaged: {error}") from error


def write_weights_file(
    path: Path, key: str, header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]
) -> None:
    """Write a file in one piece: an interrupted write leaves the old one as it was."""
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, metadata={key: json.dumps(header)}))


def build_network(config: ModelConfig, dropout: float = 0.0) -> ForecastNetwork | Mean:
    """Untrained network: features (N, T, J, C) → path (N, H, J, 3).

    `dropout` is the share left out in each layer, in training.
    """
    from ses_gcn_ros.models.layers import Mean
    from ses_gcn_ros.models.peers import STSGCN, Jointformer, SiMLPe
    from ses_gcn_ros.models.sesgcn import SeSGCN

    networks: dict[str, Callable[[ModelConfig, float], ForecastNetwork]] = {
        "sesgcn": SeSGCN,
        "stsgcn": STSGCN,
        "simlpe": SiMLPe,
        "jointformer": Jointformer,
    }
    if config.members:
        config.check()
        members = [networks[m.network](m, dropout) for m in member_configs(config)]
        return Mean(members, config.visibility)
    return networks[config.network](config, dropout)
