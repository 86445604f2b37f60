"""STS-GCN: space-time-separable graph convolutional network, which SeS-GCN was made lighter from.

Sofianos, Sampieri, Franco, Galasso: Space-Time-Separable Graph Convolutional Network for Pose
Forecasting, ICCV 2021. https://arxiv.org/abs/2110.04573

The same separable graphs as SeS-GCN, without masks, and a dense map over features where that has
a depthwise-separable one. Tensors inside are laid out (J, T, N, C).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.layers import PReLU, SpaceTimeGraph, SpaceTimeNetwork, skip


class DenseSpaceTimeLayer(nn.Module):
    """Space-time graph, dense 1×1 convolution with normalisation and dropout, residual, PReLU."""

    def __init__(self, joints: int, frames: int, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.graph = SpaceTimeGraph(joints, frames)
        self.pointwise = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)
        self.dropout = dropout
        self.residual = skip(inputs, outputs)
        self.activation = PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Shape (J, T, N, inputs) → (J, T, N, outputs)."""
        joints, frames, batch, features = x.shape
        mixed = self.norm(self.pointwise(self.graph(x).reshape(-1, features)))
        mixed = F.dropout(mixed, self.dropout, self.training)
        x = self.activation(mixed + self.residual(x.reshape(-1, features)))
        return x.view(joints, frames, batch, -1)


class STSGCN(SpaceTimeNetwork):
    """STS-GCN: published are `widths` 64, 32, 64, 3 and the temporal decoder."""

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__(config, DenseSpaceTimeLayer, dropout)
