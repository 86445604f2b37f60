"""Weights of lifting networks: safetensors whose header says what the network is. No pickles."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ses_gcn_ros.config import build
from ses_gcn_ros.errors import ConfigError, InputError, ModelError
from ses_gcn_ros.models.lifting_config import LiftingConfig
from ses_gcn_ros.skeleton import get_layout

if TYPE_CHECKING:
    from torch import nn

_KEY = "ses_gcn_ros.lifting"
_COUNTER = "num_batches_tracked"  # of batch normalisation, of no use once trained


@dataclass(frozen=True, eq=False)
class LiftingWeights:
    """A trained lifting network.

    Attributes
    ----------
    config : LiftingConfig
        What the network is.
    tensors : dict of str to NDArray
        Its parameters and running statistics.
    name : str
        Short name.
    about : dict of str to str
        Data, licence, acknowledgement, recipe: what a person wants to know of a file.
    """

    config: LiftingConfig
    tensors: dict[str, NDArray[np.generic]]
    name: str
    about: dict[str, str] = field(default_factory=dict)


def make_network(config: LiftingConfig) -> nn.Module:
    """An untrained network, from features (N, J, inputs) to joints (N, J, 3).

    Raises
    ------
    InputError
        If the layout is unknown.
    """
    from ses_gcn_ros.models.linear_lifter import LinearLifter
    from ses_gcn_ros.models.semgcn import SemGCN

    layout = get_layout(config.layout)
    if config.kind == "linear":
        return LinearLifter(config, len(layout.joints))
    return SemGCN(config, layout.parents)


def build_lifter(weights: LiftingWeights) -> nn.Module:
    """The trained network, ready to answer.

    Raises
    ------
    ModelError
        If the tensors are not those of the configuration.
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


def as_weights(network: nn.Module, config: LiftingConfig, name: str) -> LiftingWeights:
    """What has to be kept of a network."""
    state = network.state_dict().items()
    tensors = {k: v.cpu().numpy() for k, v in state if not k.endswith(_COUNTER)}
    return LiftingWeights(config, tensors, name)


def serialise(weights: LiftingWeights) -> bytes:
    """Content of a weights file."""
    header = {"name": weights.name, "config": asdict(weights.config), "about": weights.about}
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in weights.tensors.items()}
    return save(tensors, metadata={_KEY: json.dumps(header)})


def read_lifting_weights(path: str | os.PathLike[str]) -> LiftingWeights:
    """Read a weights file.

    Raises
    ------
    ModelError
        If there is no such file, it is damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there are no lifting weights at '{path}'")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise ModelError(f"'{path}' is no readable safetensors file: {error}") from error
    if _KEY not in metadata:
        raise ModelError(f"'{path}' holds no lifting network; make one with 'ses-gcn train-lifter'")
    try:
        header = json.loads(metadata[_KEY])
        config = build(LiftingConfig, header["config"])
        get_layout(config.layout)
        about = {str(key): str(value) for key, value in header["about"].items()}
        return LiftingWeights(config, tensors, str(header["name"]), about)
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError, InputError) as error:
        raise ModelError(f"the header of '{path}' is damaged: {error}") from error
