"""The torch network that a weights file for actions describes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ses_gcn_ros.actions.weights import NETWORKS, ActionWeights
from ses_gcn_ros.config import build
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.models.esgn import Ensemble, Esgn, EsgnConfig
from ses_gcn_ros.models.sgn import WIDTH, Sgn
from ses_gcn_ros.models.sparse_stgcn import Assembly, SparseConfig, SparseConv2d, SparseStgcn
from ses_gcn_ros.models.statistics import LinearStatistics
from ses_gcn_ros.models.stgcn import (
    Stgcn,
    StgcnConfig,
    adjacency_subsets,
    hop_distances,
    normalised,
)


def build_network(weights: ActionWeights) -> nn.Module:
    """Network of a weights file: motion (N, M, T, V, C) to logits (N, classes).

    It holds the file's tensors, or is untrained where there are none. Raises ConfigError if an
    option is unknown or does not fit; ModelError if tensors don't fit the network.
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
        form = len(joints.names), frames, classes, joints.parents, channels, config
        members = [Esgn(*form) for _ in range(config.members)]
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
    networks = [SparseStgcn(config, adjacency, classes, channels, sparse, s) for s in levels]
    return networks[0] if len(networks) == 1 else Assembly(networks, classes)
