"""ST-GCN: spatial temporal graph convolutional networks for skeleton action recognition.

Yan, Xiong, Lin: Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action
Recognition, AAAI 2018. https://arxiv.org/abs/1801.07455 The units ``plain`` and ``preactivation``,
the partition ``symmetrical`` and neighbourhoods beyond one hop follow the study of Nagy, Panesar
and Qian (KTH, 2020).

An adjacency here has the shape (K, V, V): entry [k, v, w] is what joint w takes from joint v in
subset k. Motion is (N, M, T, V, C): batch, people, frames, joints, coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import ConfigError

PARTITIONS = ("uni", "distance", "spatial", "spatial_legacy", "symmetrical", "centripetal")
NORMALISATIONS = ("column", "subset", "report", "authors")
UNITS = ("post", "post_unskipped", "plain", "preactivation")
EDGES = ("fixed", "importance", "free")
NINE_LAYERS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)  # behind the input unit
TWELVE_LAYERS = (64, 64, 64, 64, 64, 128, 128, 128, 128, 256, 256, 256, 256)
_EPSILON = 0.001  # of the report's degree matrix


@dataclass(frozen=True)
class StgcnConfig:
    """Options of an ST-GCN besides its joints and classes."""

    partition: str = option("spatial", "how neighbours are divided", choices=PARTITIONS)
    hops: int = option(1, "reach of a joint's neighbourhood [bones]", minimum=1, maximum=8)
    normalisation: str = option(
        "column",
        "column: mean over the neighbourhood; subset: over each part of it; report and authors: "
        "see docs/actions.md",
        choices=NORMALISATIONS,
    )
    unit: str = option(
        "post", "order of normalisation, activation and skip in a unit", choices=UNITS
    )
    edges: str = option(
        "importance",
        "fixed adjacency, fixed with a learned weight per edge, or all of it learned",
        choices=EDGES,
    )
    widths: tuple[int, ...] = option(
        NINE_LAYERS, "channels of each unit; frames are halved where they grow", minimum=1
    )
    kernel: int = option(9, "frames under the temporal convolution, odd", minimum=1, maximum=31)
    input_norm: bool = option(True, "normalise every coordinate of every joint over the batch")
    dropout: float = option(
        0.0,
        "share of features left out in training; after every sum in the study's units, where a "
        "little is too much",
        minimum=0,
        maximum=0.9,
    )


# Adjacency --------------------------------------------------------------------------------------


def hop_distances(joints: int, bones: Iterable[tuple[int, int]]) -> NDArray[np.float64]:
    """Number of bones between any two joints, shape (V, V); infinite where nothing joins them."""
    steps = np.full((joints, joints), np.inf)
    np.fill_diagonal(steps, 0)
    for a, b in bones:
        steps[a, b] = steps[b, a] = 1
    for via in range(joints):  # Floyd and Warshall
        steps = np.minimum(steps, steps[:, via, None] + steps[None, via])
    return steps


def adjacency_subsets(
    steps: NDArray[np.float64],
    partition: str,
    hops: int = 1,
    centre: int = 0,
    mirror: Iterable[int] | None = None,
    distances: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Neighbourhoods of all joints, divided into subsets.

    Raises ConfigError if the partition lacks what it divides by.

    `steps` (V, V): bones between joints, of `hop_distances`.
    `partition`: ``uni``: one subset. ``distance``: one per hop. ``spatial``: per hop those as far
    from the centre joint as w or farther, and those nearer. ``spatial_legacy``: the same with
    distances beyond `hops` taken for infinite, as in all published networks. ``symmetrical``: per
    hop, with the mirror joints of the neighbours; the last ring has the joint's own.
    ``centripetal``: as far from the body's centre of gravity, nearer, farther, by `distances`.
    `hops`: reach of the neighbourhood.
    `centre`: centre joint.
    `mirror`: counterpart of each joint on the other side.
    `distances` (V,): mean distance of each joint to the centre of gravity.

    Returns (K, V, V): zeros and ones.
    """
    joints = len(steps)
    rings = [(steps == ring).astype(float) for ring in range(hops + 1)]
    if partition == "uni":
        return np.sum(rings, axis=0)[None]
    if partition == "distance":
        return np.stack(rings)
    if partition in ("spatial", "spatial_legacy"):
        known = steps if partition == "spatial" else np.where(steps <= hops, steps, np.inf)
        to_centre = known[centre]
        outward = to_centre[:, None] >= to_centre[None]
        subsets = [rings[0]]
        for ring in rings[1:]:
            subsets += [ring * outward, ring * ~outward]
        return np.stack(subsets)
    if partition == "symmetrical":
        if mirror is None:
            raise ConfigError("partition 'symmetrical' needs the mirror joints of the layout")
        other = np.asarray(list(mirror))
        own = np.eye(joints)[other] * (other != np.arange(joints))
        subsets = [rings[0]] + [np.maximum(ring, ring[other]) for ring in rings[1:]]
        subsets[-1] = np.maximum(subsets[-1], own)
        return np.stack(subsets)
    if partition == "centripetal":
        if distances is None:
            raise ConfigError(
                "partition 'centripetal' needs the mean distances to the centre of gravity"
            )
        reached = np.sum(rings, axis=0)
        source, target = distances[:, None], distances[None]
        return np.stack(
            [reached * (source == target), reached * (source < target), reached * (source > target)]
        )
    raise ConfigError(f"unknown partition '{partition}'; known are {', '.join(PARTITIONS)}")


def normalised(subsets: NDArray[np.float64], normalisation: str) -> NDArray[np.float64]:
    """Adjacency (K, V, V) whose entries are weights.

    ``column`` makes the weights that a joint gives to its neighbourhood, over all subsets, sum to
    one, ``subset`` those within a subset. ``report`` is Λ^-½ A Λ^-½ per subset with Λ the degree
    and 0.001; a joint that is alone in a subset then weighs 31.6. ``authors`` adds the 0.001 to
    all of Λ before the power, as the study's code does, so that every joint is joined with every
    other; for parity alone.
    """
    degree = subsets.sum(axis=1)  # of the joint that takes
    if normalisation == "column":
        return subsets / np.maximum(degree.sum(axis=0), 1)
    if normalisation == "subset":
        return subsets / np.maximum(degree, 1)[:, None]
    if normalisation == "report":
        scale = (degree + _EPSILON) ** -0.5
        return subsets * scale[:, :, None] * scale[:, None, :]
    if normalisation == "authors":
        power = (np.eye(subsets.shape[1]) * degree[:, None] + _EPSILON) ** -0.5
        return power @ subsets @ power
    raise ConfigError(
        f"unknown normalisation '{normalisation}'; known are {', '.join(NORMALISATIONS)}"
    )


# Network ----------------------------------------------------------------------------------------


class Unit(nn.Module):
    """Graph convolution over joints, then convolution over frames.

    `inputs`, `outputs`, `stride`: channels in and out; each how many frames the temporal
    convolution looks.
    `adjacency` (K, V, V): where the unit starts from.
    `skip`: whether the unit has a skip connection, where its kind has any.
    `convolution`: makes a convolution as `nn.Conv2d` does.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        adjacency: Tensor,
        config: StgcnConfig,
        skip: bool,
        convolution: Callable[..., nn.Module] = nn.Conv2d,
    ) -> None:
        super().__init__()
        self.kind, self.edges, self.subsets = config.unit, config.edges, len(adjacency)
        if config.edges == "free":
            self.adjacency = nn.Parameter(adjacency.clone())
        elif config.edges == "importance":
            self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.spatial = convolution(inputs, self.subsets * outputs, 1)
        self.temporal = convolution(
            outputs, outputs, (config.kernel, 1), (stride, 1), (config.kernel // 2, 0)
        )
        before = config.unit in ("plain", "preactivation")
        self.norm_in = nn.BatchNorm2d(inputs if before else outputs)
        self.norm_out = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(config.dropout)
        self.has_skip = skip and config.unit in ("post", "preactivation")
        self.skip: nn.Module = nn.Identity()
        if self.has_skip and (inputs != outputs or stride != 1):
            self.skip = convolution(inputs, outputs, 1, (stride, 1))
            if config.unit == "post":
                self.skip = nn.Sequential(self.skip, nn.BatchNorm2d(outputs))

    def mix(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Features of every joint's neighbourhood: (N, inputs, T, V) → (N, outputs, T, V)."""
        if self.edges == "free":
            adjacency = self.adjacency
        elif self.edges == "importance":
            adjacency = adjacency * self.importance
        x = self.spatial(x)
        batch, channels, frames, joints = x.shape
        # Σ_k Σ_v as one product over (k, v)
        x = x.view(batch, self.subsets, channels // self.subsets, frames, joints)
        x = x.permute(0, 2, 3, 1, 4).reshape(-1, self.subsets * joints)
        x = x @ adjacency.reshape(self.subsets * joints, joints)
        return x.view(batch, channels // self.subsets, frames, joints)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Shape (N, inputs, T, V) → (N, outputs, T / stride, V)."""
        if self.kind == "plain":
            x = self.temporal(self.mix(self.norm_in(x), adjacency))
            return self.dropout(torch.relu(self.norm_out(x)))
        if self.kind == "preactivation":
            y = self.mix(torch.relu(self.norm_in(x)), adjacency)
            y = self.temporal(torch.relu(self.norm_out(y)))
            if self.has_skip:
                y = y + self.skip(x)
            return self.dropout(torch.relu(y))  # a true pre-activation unit would end at the sum
        y = self.temporal(torch.relu(self.norm_in(self.mix(x, adjacency))))
        # The original's input unit has no dropout either.
        y = self.norm_out(y)
        if self.has_skip:
            return torch.relu(self.dropout(y) + self.skip(x))
        return torch.relu(y)


class Stgcn(nn.Module):
    """ST-GCN: motion in, one logit per class out.

    `adjacency` (K, V, V): of `adjacency_subsets` and `normalised`.
    `channels`: coordinates per joint.
    `convolution`: makes a convolution as `nn.Conv2d` does.
    """

    adjacency: Tensor

    def __init__(
        self,
        config: StgcnConfig,
        adjacency: NDArray[Any],
        classes: int,
        channels: int = 3,
        convolution: Callable[..., nn.Module] = nn.Conv2d,
    ) -> None:
        super().__init__()
        self.config = config
        if not config.kernel % 2:
            raise ConfigError(f"kernel is {config.kernel}; a temporal convolution takes odd ones")
        graph = torch.as_tensor(np.asarray(adjacency), dtype=torch.float32)
        self.register_buffer("adjacency", graph)
        self.input_norm: nn.Module = nn.Identity()
        if config.input_norm:
            self.input_norm = nn.BatchNorm1d(graph.shape[1] * channels)
        widths = (channels, *config.widths)
        self.units = nn.ModuleList(
            Unit(
                inputs,
                outputs,
                1 if index == 0 or outputs <= inputs else 2,
                graph,
                config,
                skip=index > 0 or config.unit == "preactivation",
                convolution=convolution,
            )
            for index, (inputs, outputs) in enumerate(pairwise(widths))
        )
        self.classifier = nn.Linear(widths[-1], classes)

    def features(self, x: Tensor) -> Tensor:
        """Shape (N, M, T, V, C) → (N, M, C', T', V)."""
        batch, people, frames, joints, channels = x.shape
        x = x.permute(0, 1, 3, 4, 2).reshape(batch * people, joints * channels, frames)
        x = self.input_norm(x).view(batch * people, joints, channels, frames)
        x = x.permute(0, 2, 3, 1).contiguous()
        for unit in self.units:
            x = unit(x, self.adjacency)
        return x.view(batch, people, *x.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, M, T, V, C) → logits (N, classes)."""
        return self.classifier(self.features(x).mean(dim=(1, 3, 4)))
