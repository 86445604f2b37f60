"""Lifting networks: configuration and weights."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.config import build, option
from ses_gcn_ros.errors import MISSHAPEN, ConfigError, InputError, ModelError
from ses_gcn_ros.models.config import read_weights_file, write_weights_file
from ses_gcn_ros.skeleton import get_layout

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LiftingConfig:
    """A lifting network. SemGCN's defaults are the paper's full model."""

    kind: str = option("semgcn", "network: SemGCN or fully connected", choices=("semgcn", "linear"))
    layout: str = option("chico15", "joints of the input and of the answer")
    frames: int = option(1, "images it looks at, the last one is answered", minimum=1, maximum=64)
    width: int = option(128, "features per joint, or units of a layer", minimum=4, maximum=4096)
    blocks: int = option(4, "residual blocks of two layers", minimum=1, maximum=16)
    semantic: bool = option(
        True, "learn the weight of every edge (SemGConv, Eq. 2); false: an ordinary GCN (Eq. 1)"
    )
    channelwise: bool = option(
        False, "an edge weight for every channel (Eq. 3) instead of one for all"
    )
    nonlocal_blocks: bool = option(True, "relate all joints to all, after the first and each block")
    identity: bool = option(
        False, "a learned feature that says which joint is which; not published"
    )
    flat: bool = option(
        False, "add to the joints as seen, flat at the root's distance; not published"
    )
    dropout: float = option(0.0, "share of units left out, linear only", minimum=0.0, maximum=0.9)

    @property
    def inputs(self) -> int:
        """Features per joint: two coordinates and whether it is seen per image, and the scale."""
        return 3 * self.frames + 1


_KEY = "ses_gcn_ros.lifting"
_COUNTER = "num_batches_tracked"  # of batch normalisation, of no use once trained


@dataclass(frozen=True, eq=False)
class LiftingWeights:
    """A trained lifting network."""

    config: LiftingConfig  # what the network is
    tensors: dict[str, NDArray[np.generic]]  # its parameters and running statistics
    name: str  # short name
    # data, licence, acknowledgement, recipe: what a person wants to know of a file
    about: dict[str, str] = field(default_factory=dict)


def make_network(config: LiftingConfig) -> nn.Module:
    """An untrained network, from features (N, J, inputs) to joints (N, J, 3).

    Raises InputError if the layout is unknown.
    """
    from ses_gcn_ros.models.lifters import LinearLifter, SemGCN

    layout = get_layout(config.layout)
    if config.kind == "linear":
        return LinearLifter(config, len(layout.joints))
    return SemGCN(config, layout.parents)


def build_lifter(weights: LiftingWeights) -> nn.Module:
    """The trained network, ready to answer.

    Raises ModelError if the tensors are not those of the configuration.
    """
    import torch

    network = make_network(weights.config)
    tensors = {name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}
    expected = {k: v for k, v in network.state_dict().items() if not k.endswith(_COUNTER)}
    for name in expected.keys() ^ tensors.keys():
        raise ModelError(f"weights '{weights.name}' do not match their configuration at '{name}'")
    for name, tensor in expected.items():
        if tensor.shape != tensors[name].shape or not torch.isfinite(tensors[name]).all():
            raise ModelError(
                f"tensor '{name}' of weights '{weights.name}' has shape "
                f"{tuple(tensors[name].shape)} or values that are not finite; "
                f"{tuple(tensor.shape)} finite ones are needed"
            )
    network.load_state_dict(tensors, strict=False)  # without the batch counters
    return network.eval()


def write_lifting_weights(path: str | os.PathLike[str], weights: LiftingWeights) -> None:
    """Write a weights file in one piece."""
    header = {"name": weights.name, "config": asdict(weights.config), "about": weights.about}
    write_weights_file(Path(path), _KEY, header, weights.tensors)


def read_lifting_weights(path: str | os.PathLike[str]) -> LiftingWeights:
    """Read a weights file.

    Raises ModelError if there is no such file, it is damaged, or holds something else.
    """
    foreign = "holds no lifting network; make one with 'ses-gcn train-lifter'"
    header, tensors = read_weights_file(Path(path), _KEY, foreign)
    try:
        config = build(LiftingConfig, header["config"])
        get_layout(config.layout)
        about = {str(key): str(value) for key, value in header["about"].items()}
        return LiftingWeights(config, tensors, str(header["name"]), about)
    except (*MISSHAPEN, ConfigError, InputError) as error:
        raise ModelError(f"the header of '{path}' is damaged: {error}") from error
