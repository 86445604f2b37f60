"""Networks for actions as files, safetensors with a JSON header, and as torch runs them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.windows import Joints, WindowConfig
from ses_gcn_ros.config import build
from ses_gcn_ros.errors import MISSHAPEN, ConfigError, ModelError
from ses_gcn_ros.models.config import read_weights_file, write_weights_file

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1
NETWORKS = ("stgcn", "sgn", "esgn", "sparse_stgcn", "linear")
UNKNOWN = "unknown"
DEFAULT_WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "actions_workcell.safetensors"
_KEY = "ses_gcn_ros.actions"


@dataclass(frozen=True, eq=False)
class ActionWeights:
    """A trained network for actions."""

    network: str  # one of `NETWORKS`
    # its options by name: those of StgcnConfig, EsgnConfig and SparseConfig
    options: Mapping[str, Any]
    joints: Joints  # what it sees
    labels: tuple[str, ...]  # classes
    channels: int  # channels per joint
    window: WindowConfig  # what its input is made of
    tensors: dict[str, NDArray[Any]]  # its state; half precision is read as single
    # short name, and the joint layout of the package ("" for one that it does not know)
    name: str = ""
    layout: str = ""
    temperature: float = 1.0  # divisor of the logits that calibrates probabilities
    threshold: float = 0.0  # least probability of an answer; below it the action is unknown
    about: dict[str, str] = field(default_factory=dict)  # data, licence, command


def read_action_weights(path: str | os.PathLike[str] | None = None) -> ActionWeights:
    """Read a weights file; those that ship without a path.

    Raises ModelError if there is no such file, it is damaged, or was not written by this package.
    """
    path = Path(path) if path else DEFAULT_WEIGHTS
    foreign = "does not say what actions it knows; make it with 'ses-gcn actions train'"
    header, tensors = read_weights_file(path, _KEY, foreign)
    try:
        if header.pop("format") != FORMAT:
            raise ValueError("written by another version")
        header["joints"] = Joints(**{k: tuple(v) for k, v in header["joints"].items()})
        header["window"] = build(WindowConfig, header["window"])
        header["labels"] = tuple(header["labels"])
        for name, shape in header.pop("cut", {}).items():
            _unpack(tensors, name, shape)
        return ActionWeights(tensors=tensors, **header)
    except (*MISSHAPEN, ConfigError) as error:
        raise ModelError(f"the header of '{path}' is damaged: {error}") from error


def write_action_weights(
    path: str | os.PathLike[str], weights: ActionWeights, half: bool = False
) -> None:
    """Write a weights file in one piece, tensors in half precision if asked for."""
    header = asdict(weights)
    header["format"] = FORMAT
    tensors = {
        name: np.asarray(t, np.float16 if half and t.dtype == np.float32 else t.dtype)
        for name, t in header.pop("tensors").items()
    }
    scores = [name for name in tensors if name.endswith(_SCORE)]
    header["cut"] = {name: _pack(tensors, name) for name in scores}
    header["options"] = dict(weights.options)
    write_weights_file(Path(path), _KEY, header, tensors)


# A sparse convolution takes the room of what it keeps, and a bit for each weight it might have.
_SCORE = ".score"


def _pack(tensors: dict[str, NDArray[Any]], name: str) -> list[list[int]]:
    """Replace a weight and its scores by what is kept; the shapes of both."""
    score, place = tensors.pop(name), name.replace(_SCORE, ".weight")
    weight = tensors[place]
    tensors[name.replace(_SCORE, ".kept")] = np.packbits(score > 0)
    tensors[place] = weight[np.broadcast_to(score > 0, weight.shape)]
    return [list(score.shape), list(weight.shape)]


def _unpack(tensors: dict[str, NDArray[Any]], name: str, shapes: list[list[int]]) -> None:
    own, shape = shapes
    place = name.replace(_SCORE, ".weight")
    bits = np.unpackbits(tensors.pop(name.replace(_SCORE, ".kept")), count=int(np.prod(own)))
    kept = bits.astype(bool).reshape(own)
    weight = np.zeros(shape, tensors[place].dtype)
    weight[np.broadcast_to(kept, shape)] = tensors[place]
    tensors[place], tensors[name] = weight, np.where(kept, 1, -1).astype(weight.dtype)


def probabilities(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Calibrated probabilities of logits (..., classes)."""
    scaled = np.asarray(logits, np.float64) / temperature
    chances = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(chances / chances.sum(axis=-1, keepdims=True))


def build_network(weights: ActionWeights) -> nn.Module:
    """Torch network of a weights file: motion (N, M, T, V, C) to logits (N, classes).

    It holds the file's tensors, or is untrained where there are none. Raises ConfigError if an
    option is unknown or does not fit; ModelError if tensors don't fit the network.
    """
    # Here, because nodes whose engine needs no torch import this file.
    import torch

    from ses_gcn_ros.models.peers import LinearStatistics
    from ses_gcn_ros.models.sgn import WIDTH, Ensemble, Esgn, EsgnConfig, Sgn
    from ses_gcn_ros.models.sparse_stgcn import SparseConv2d

    joints, classes, channels = weights.joints, len(weights.labels), weights.channels
    frames, options = weights.window.frames, dict(weights.options)
    if weights.network == "sgn":
        width = options.pop("width", WIDTH)
        if options:
            raise ConfigError(f"unknown option '{min(options)}'; an SGN takes 'width'")
        network: nn.Module = Sgn(len(joints.names), frames, classes, channels, width)
    elif weights.network == "esgn":
        config = build(EsgnConfig, options)
        form = len(joints.names), frames, classes, joints.parents, channels
        members = [Esgn(*form, one) for one in config.of_members()]
        network = members[0] if len(members) == 1 else Ensemble(members)
    elif weights.network == "linear":
        if options:
            raise ConfigError(f"unknown option '{min(options)}'; the linear baseline takes none")
        network = LinearStatistics(len(joints.names), classes, channels)
    elif weights.network in ("stgcn", "sparse_stgcn"):
        network = _graph_network(weights, options)
    else:
        raise ConfigError(f"unknown network '{weights.network}'; known are {', '.join(NETWORKS)}")
    if weights.tensors:
        state = {n: torch.from_numpy(np.array(t)) for n, t in weights.tensors.items()}
        state = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()[:200]
            raise ModelError(
                f"weights '{weights.name}' don't fit their network: {reason}"
            ) from None
        for part in network.modules():
            if isinstance(part, SparseConv2d):
                part.threshold.zero_()  # a file's scores are above it where a weight is kept
    return network.eval()


def _graph_network(weights: ActionWeights, options: dict[str, Any]) -> nn.Module:
    from ses_gcn_ros.models.sparse_stgcn import Assembly, SparseConfig, SparseStgcn
    from ses_gcn_ros.models.stgcn import (
        Stgcn,
        StgcnConfig,
        adjacency_subsets,
        hop_distances,
        normalised,
    )

    names = {
        name
        for name in SparseConfig.__dataclass_fields__
        if name in options and weights.network == "sparse_stgcn"
    }
    sparse = build(SparseConfig, {name: options.pop(name) for name in names})
    distances = options.pop("distances", None)
    config = build(StgcnConfig, options)
    joints = weights.joints
    subsets = adjacency_subsets(
        hop_distances(len(joints.names), joints.bones),
        config.partition,
        config.hops,
        joints.root,
        joints.mirror,
        None if distances is None else np.asarray(distances),
    )
    adjacency = normalised(subsets, config.normalisation)
    classes, channels = len(weights.labels), weights.channels
    if weights.network == "stgcn":
        return Stgcn(config, adjacency, classes, channels)
    levels = sparse.sparsities
    if not levels:
        raise ConfigError("parameter 'sparsities' is empty; give a share of weights to cut")
    networks = [SparseStgcn(config, adjacency, classes, channels, sparse, s) for s in levels]
    return networks[0] if len(networks) == 1 else Assembly(networks, classes)
