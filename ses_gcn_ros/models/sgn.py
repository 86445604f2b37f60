"""SGN: semantics-guided neural networks for skeleton action recognition.

Zhang, Lan, Zeng, Xing, Xue, Zheng: Semantics-Guided Neural Networks for Efficient Skeleton-Based
Human Action Recognition, CVPR 2020. https://arxiv.org/abs/1904.01189

Inside, tensors are (N, T, V, C): features last, so that a 1×1 convolution is a matrix product.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 64  # of an embedding; the published one


class FeatureNorm(nn.Module):
    """Batch normalisation of the last axis over all others."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., features) → the same."""
        return self.norm(x.reshape(-1, x.shape[-1])).view(x.shape)


def two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two linear layers, each with ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs), nn.ReLU()
    )


class Embedding(nn.Module):
    """One stream of coordinates, normalised per joint and coordinate, to features."""

    def __init__(self, joints: int, channels: int, width: int) -> None:
        super().__init__()
        self.norm = FeatureNorm(joints * channels)
        self.layers = two_layers(channels, width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, T, V, channels) → (N, T, V, width)."""
        return self.layers(self.norm(x.flatten(2)).view(x.shape))


class GraphLayer(nn.Module):
    """Graph convolution with a skip: ReLU(BN(W G x + W₁ x + b))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.neighbours = nn.Linear(inputs, outputs, bias=False)
        self.own = nn.Linear(inputs, outputs)
        self.norm = FeatureNorm(outputs)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Shape (N, T, V, inputs), graph (N, T, V, V) → (N, T, V, outputs)."""
        return torch.relu(self.norm(self.neighbours(graph @ x) + self.own(x)))


class Sgn(nn.Module):
    """SGN: motion in, one logit per class out.

    Parameters
    ----------
    joints, frames, classes : int
        V, T and the number of classes.
    channels : int
        Coordinates per joint.
    width : int
        Features of an embedding; all other widths are multiples of it. 64 is the published one.
    """

    def __init__(
        self, joints: int, frames: int, classes: int, channels: int = 3, width: int = WIDTH
    ) -> None:
        super().__init__()
        self.frames = frames
        self.position = Embedding(joints, channels, width)
        self.velocity = Embedding(joints, channels, width)
        self.joint_type = two_layers(joints, width, width)
        self.frame_index = two_layers(frames, width, 4 * width)
        self.query = nn.Linear(2 * width, 4 * width)
        self.key = nn.Linear(2 * width, 4 * width)
        self.graph = nn.ModuleList(
            [
                GraphLayer(2 * width, 2 * width),
                GraphLayer(2 * width, 4 * width),
                GraphLayer(4 * width, 4 * width),
            ]
        )
        self.temporal = self.temporal_convolution(4 * width)
        self.temporal_norm = nn.BatchNorm1d(4 * width)
        self.widen = nn.Conv1d(4 * width, 8 * width, 1)
        self.widen_norm = nn.BatchNorm1d(8 * width)
        self.classifier = nn.Linear(8 * width, classes)
        self._initialise()

    def temporal_convolution(self, width: int) -> nn.Module:
        """Convolution over neighbouring frames: (N, width, T) → the same."""
        return nn.Conv1d(width, width, 3, padding=1)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv1d)) and module is not self.classifier:
                fan_out = module.weight.shape[0] * math.prod(module.weight.shape[2:])
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
        for module in self.modules():
            if isinstance(module, GraphLayer):
                nn.init.zeros_(module.neighbours.weight)

    def embed(self, x: Tensor) -> Tensor:
        """What is seen of every joint: (N, T, V, C) → (N, T, V, width)."""
        return self.position(x) + self.velocity(_differences(x))

    def pool(self, x: Tensor, graph: Tensor) -> Tensor:
        """All joints of a frame in one: (N, T, V, C) → (N, T, C)."""
        return x.amax(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, M, T, V, C) → logits (N, classes), the mean over the people."""
        batch, people, frames, joints, channels = x.shape
        x = x.reshape(batch * people, frames, joints, channels)
        names = self.joint_type(torch.eye(joints, dtype=x.dtype, device=x.device))
        seen = self.embed(x)
        x = torch.cat([seen, names.expand(*seen.shape[:2], -1, -1)], dim=-1)
        graph = torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2), dim=-1).to(x.dtype)
        for layer in self.graph:
            x = layer(x, graph)
        times = self.frame_index(torch.eye(frames, dtype=x.dtype, device=x.device))
        x = self.pool(x + times[:, None], graph).transpose(1, 2)
        x = torch.relu(self.temporal_norm(self.temporal(x)))
        x = F.dropout1d(x, 0.2, self.training)
        x = torch.relu(self.widen_norm(self.widen(x))).amax(dim=-1)
        return self.classifier(x).view(batch, people, -1).mean(dim=1)


def _differences(x: Tensor) -> Tensor:
    """Change since the frame before, zero in the first: (N, T, ...) → the same."""
    return F.pad(x.diff(dim=1), (0, 0) * (x.ndim - 2) + (1, 0))
