"""Networks that lift the joints of an image to space: SemGCN, and a fully connected baseline.

In SemGCN features have shape (J, N, C): joints first, so that mixing joints and mixing channels are
both one product of matrices whatever the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ses_gcn_ros.models.lifting import LiftingConfig


class GraphConv(nn.Module):
    """Ordinary graph convolution (Kipf & Welling 2017; Eq. 1): one matrix, fixed edge weights.

    `adjacency` (J, J): 1 where two joints share a bone and on the diagonal.
    """

    edges: Tensor

    def __init__(self, inputs: int, outputs: int, adjacency: Tensor) -> None:
        super().__init__()
        degree = adjacency.sum(dim=1).rsqrt()
        self.register_buffer("edges", degree[:, None] * adjacency * degree, persistent=False)
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features (J, N, outputs) of features (J, N, inputs)."""
        transformed = self.linear(x)
        return (self.edges @ transformed.flatten(1)).view_as(transformed)


class SemGraphConv(nn.Module):
    """Semantic graph convolution (Eq. 2, channel-wise Eq. 3): the edges' weights are learned.

    A joint itself and its neighbours are transformed by two different matrices, and each joint
    weighs them by a softmax over its edges. As the weights belong to edges, joints that mean
    different things (a left and a right elbow) are told apart although the matrices are shared.

    `adjacency` (J, J): 1 where two joints share a bone and on the diagonal.
    """

    edges: Tensor
    own: Tensor

    def __init__(
        self, inputs: int, outputs: int, adjacency: Tensor, channelwise: bool = False
    ) -> None:
        super().__init__()
        joints = len(adjacency)
        self.register_buffer("edges", adjacency.nonzero(), persistent=False)
        self.register_buffer("own", torch.eye(joints), persistent=False)
        self.logits = nn.Parameter(torch.ones(outputs if channelwise else 1, len(self.edges)))
        self.own_weight = nn.Parameter(torch.empty(inputs, outputs))
        self.near_weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        bound = math.sqrt(6.0 / (inputs + outputs))  # Glorot & Bengio, as the paper
        for weight in (self.own_weight, self.near_weight):
            nn.init.uniform_(weight, -bound, bound)

    def attention(self) -> Tensor:
        """Weights of the edges, shape (C or 1, J, J); every row sums to one."""
        joints = len(self.own)
        dense = self.logits.new_full((len(self.logits), joints, joints), -torch.inf)
        dense[:, self.edges[:, 0], self.edges[:, 1]] = self.logits
        return dense.softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Features (J, N, outputs) of features (J, N, inputs)."""
        attention = self.attention()
        alone = torch.diagonal(attention, dim1=1, dim2=2).T[:, None]  # (J, 1, C or 1)
        between = attention * (1.0 - self.own)
        own, near = x @ self.own_weight, x @ self.near_weight
        if len(between) == 1:
            mixed = (between[0] @ near.flatten(1)).view_as(near)
        else:
            mixed = torch.einsum("cij,jnc->inc", between, near)
        return torch.addcmul(mixed + self.bias, alone, own)


class NonLocal(nn.Module):
    """Non-local block (Wang et al., CVPR 2018; Eq. 5) with concatenation as pairwise function."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(1, width // 2)
        self.theta = nn.Linear(width, inner)
        self.phi = nn.Linear(width, inner)
        self.g = nn.Linear(width, inner)
        self.pair = nn.Parameter(torch.empty(2, inner).uniform_(-(inner**-0.5), inner**-0.5))
        self.out = nn.Linear(inner, width)
        self.norm = JointNorm(width)
        # The block begins as the identity (Wang et al., section 4.1).
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Features (J, N, C), every joint related to every other."""
        mine, theirs = self.theta(x) @ self.pair[0], self.phi(x) @ self.pair[1]  # (J, N)
        relation = torch.relu(mine.T[:, :, None] + theirs.T[:, None, :]) / len(x)  # (N, J, J)
        related = torch.bmm(relation, self.g(x).transpose(0, 1)).transpose(0, 1)
        answer: Tensor = self.norm(self.out(related))
        return x + answer


class JointNorm(nn.BatchNorm1d):
    """Batch normalisation of features (J, N, C), over joints and windows together."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised features (J, N, C)."""
        return super().forward(x.flatten(0, 1)).view_as(x)


class _Layer(nn.Sequential):
    """Graph convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, config: LiftingConfig, adjacency: Tensor) -> None:
        super().__init__(
            _graph_conv(inputs, config.width, config, adjacency),
            JointNorm(config.width),
            nn.ReLU(),
        )


class _Block(nn.Module):
    """Two layers with a skip, then the joints' relations (Fig. 3)."""

    def __init__(self, config: LiftingConfig, adjacency: Tensor) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _Layer(config.width, config, adjacency), _Layer(config.width, config, adjacency)
        )
        self.relate = NonLocal(config.width) if config.nonlocal_blocks else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        related: Tensor = self.relate(x + self.layers(x))
        return related


class SemGCN(nn.Module):
    """The network: a layer in, residual blocks, a graph convolution out (Fig. 3).

    Zhao, Peng, Tian, Kapadia, Metaxas: Semantic Graph Convolutional Networks for 3D Human Pose
    Regression. CVPR 2019. https://arxiv.org/abs/1904.03345

    ResGCN and the ablations of the paper are settings of `LiftingConfig`: without `semantic` and
    `nonlocal_blocks` it is ResGCN. With `identity` it knows from the start which joint is which,
    where the paper's network learns it by and by from the edges.
    """

    def __init__(self, config: LiftingConfig, parents: Sequence[int]) -> None:
        super().__init__()
        adjacency = bone_adjacency(parents)
        self.config = config
        self.enter = _Layer(config.inputs, config, adjacency)
        self.identity = (
            nn.Parameter(torch.randn(len(parents), config.width) * 0.1) if config.identity else None
        )
        self.relate = NonLocal(config.width) if config.nonlocal_blocks else nn.Identity()
        self.blocks = nn.Sequential(*(_Block(config, adjacency) for _ in range(config.blocks)))
        self.leave = _graph_conv(config.width, 3, config, adjacency)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)  # the first answers are flat, not far away
        # Mean extent of a body in the picture [m]: what one unit of the input is worth.
        self.extent = nn.Parameter(torch.tensor([0.4])) if config.flat else None

    def forward(self, joints: Tensor) -> Tensor:
        """Joints in space, shape (N, J, 3), of joints in the image, shape (N, J, inputs)."""
        entered: Tensor = self.enter(joints.transpose(0, 1))
        if self.identity is not None:
            entered = entered + self.identity[:, None]
        answer: Tensor = self.leave(self.blocks(self.relate(entered))).transpose(0, 1)
        if self.extent is not None:
            answer = answer + nn.functional.pad(self.extent * last_seen(joints), (0, 1))
        return answer


def last_seen(joints: Tensor) -> Tensor:
    """Coordinates (N, J, 2) of joints where they were seen last, zero where never.

    Takes the input of the network, shape (N, J, 3 F + 1): per image two coordinates and 0 or 1.
    """
    images = joints[..., :-1].unflatten(-1, (-1, 3)).flip(-2)  # newest first
    seen = images[..., 2]
    unseen_since = torch.cumprod(1.0 - seen, dim=-1).roll(1, dims=-1)
    unseen_since[..., 0] = 1.0
    return (images[..., :2] * (seen * unseen_since)[..., None]).sum(dim=-2)


def bone_adjacency(parents: Sequence[int]) -> Tensor:
    """1 where two joints share a bone and on the diagonal, shape (J, J)."""
    adjacency = torch.eye(len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            adjacency[joint, parent] = adjacency[parent, joint] = 1.0
    return adjacency


def _graph_conv(
    inputs: int, outputs: int, config: LiftingConfig, adjacency: Tensor
) -> GraphConv | SemGraphConv:
    if config.semantic:
        return SemGraphConv(inputs, outputs, adjacency, config.channelwise)
    return GraphConv(inputs, outputs, adjacency)


class LinearLifter(nn.Module):
    """A layer in, residual blocks of two layers, a layer out; as published 1024 units, 2 blocks.

    Martinez, Hossain, Romero, Little: A simple yet effective baseline for 3d human pose estimation.
    ICCV 2017. https://arxiv.org/abs/1705.03098
    """

    def __init__(self, config: LiftingConfig, joints: int) -> None:
        super().__init__()
        self.joints = joints
        width, dropout = config.width, config.dropout
        self.enter = _layer(joints * config.inputs, width, dropout)
        self.blocks = nn.ModuleList(
            nn.Sequential(*_layer(width, width, dropout), *_layer(width, width, dropout))
            for _ in range(config.blocks)
        )
        self.leave = nn.Linear(width, 3 * joints)

    def forward(self, joints: Tensor) -> Tensor:
        """Joints in space, shape (N, J, 3), of joints in the image, shape (N, J, inputs)."""
        x: Tensor = self.enter(joints.flatten(1))
        for block in self.blocks:
            x = x + block(x)
        answer: Tensor = self.leave(x)
        return answer.view(-1, self.joints, 3)


def _layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)
    )
