"""Which network recognises which actions, and its weights file: safetensors with a JSON header."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import nn

from ses_gcn_ros.actions.windows import Joints, WindowConfig
from ses_gcn_ros.config import build
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.forecast.weights import write_atomically
from ses_gcn_ros.models.esgn import Esgn, EsgnConfig
from ses_gcn_ros.models.sgn import WIDTH, Sgn
from ses_gcn_ros.models.sparse_stgcn import Assembly, SparseConfig, SparseStgcn
from ses_gcn_ros.models.stgcn import (
    Stgcn,
    StgcnConfig,
    adjacency_subsets,
    hop_distances,
    normalised,
)

FORMAT = 1
NETWORKS = ("stgcn", "sgn", "esgn", "sparse_stgcn")
UNKNOWN = "unknown"
DEFAULT_WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "actions_workcell.safetensors"
_KEY = "ses_gcn_ros.actions"


@dataclass(frozen=True, eq=False)
class ActionWeights:
    """A trained network for actions.

    Attributes
    ----------
    network : str
        One of `NETWORKS`.
    options : mapping
        Its options by name: those of StgcnConfig, EsgnConfig and SparseConfig.
    joints : Joints
        What it sees.
    labels : tuple of str
        Classes.
    channels : int
        Channels per joint.
    window : WindowConfig
        What its input is made of.
    tensors : dict of str to NDArray
        Its state; half precision is read as single.
    name, layout : str
        Short name, and the joint layout of the package ("" for one that it does not know).
    temperature : float
        Divisor of the logits that calibrates probabilities.
    thresholds : tuple of float
        Least probability of an answer, per class; below it the action is unknown.
    about : dict of str to str
        Data, licence, command.
    """

    network: str
    options: Mapping[str, Any]
    joints: Joints
    labels: tuple[str, ...]
    channels: int
    window: WindowConfig
    tensors: dict[str, NDArray[Any]]
    name: str = ""
    layout: str = ""
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    about: dict[str, str] = field(default_factory=dict)


def build_network(weights: ActionWeights) -> nn.Module:
    """Network of a weights file: motion (N, M, T, V, C) to logits (N, classes).

    It holds the file's tensors, or is untrained where there are none.

    Raises
    ------
    ConfigError
        If an option is unknown or does not fit.
    ModelError
        If tensors don't fit the network.
    """
    joints, classes, channels = weights.joints, len(weights.labels), weights.channels
    frames, options = weights.window.frames, dict(weights.options)
    if weights.network == "sgn":
        width = options.pop("width", WIDTH)
        if options:
            raise ConfigError(f"unknown option '{min(options)}'; an SGN takes 'width'")
        network: nn.Module = Sgn(len(joints.names), frames, classes, channels, width)
    elif weights.network == "esgn":
        config = build(EsgnConfig, options)
        network = Esgn(len(joints.names), frames, classes, joints.parents, channels, config)
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
        if isinstance(network, (SparseStgcn, Assembly)):
            network.begin_epoch(1.0)  # a sparse network is cut as at the end of its training
    return network.eval()


def _graph_network(weights: ActionWeights, options: dict[str, Any]) -> nn.Module:
    names = {name for name in SparseConfig.__dataclass_fields__ if name in options}
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
    networks = [SparseStgcn(config, adjacency, classes, channels, sparse, s) for s in levels]
    return networks[0] if len(networks) == 1 else Assembly(networks, classes)


def read_action_weights(path: str | os.PathLike[str] | None = None) -> ActionWeights:
    """Read a weights file; those that ship without a path.

    Raises
    ------
    ModelError
        If there is no such file, it is damaged, or was not written by this package.
    """
    path = Path(path) if path else DEFAULT_WEIGHTS
    if not path.is_file():
        raise ModelError(f"there are no weights at '{path}'")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"'{path}' is no readable safetensors file: {error}") from error
    if _KEY not in metadata:
        raise ModelError(
            f"'{path}' does not say what actions it knows; make it with 'ses-gcn actions train'"
        )
    try:
        header = json.loads(metadata[_KEY])
        if header.pop("format") != FORMAT:
            raise ValueError("written by another version")
        header["joints"] = Joints(**{k: tuple(v) for k, v in header["joints"].items()})
        header["window"] = build(WindowConfig, header["window"])
        for name in ("labels", "thresholds"):
            header[name] = tuple(header[name])
        return ActionWeights(tensors=tensors, **header)
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ModelError(f"the header of '{path}' is damaged: {error}") from error


def write_action_weights(
    path: str | os.PathLike[str], weights: ActionWeights, half: bool = False
) -> None:
    """Write a weights file in one piece, tensors in half precision if asked for."""
    header = asdict(weights)
    header["format"] = FORMAT
    tensors = {
        name: np.ascontiguousarray(t, np.float16 if half and t.dtype == np.float32 else t.dtype)
        for name, t in header.pop("tensors").items()
    }
    header["options"] = dict(weights.options)
    write_atomically(Path(path), save(tensors, metadata={_KEY: json.dumps(header)}))
