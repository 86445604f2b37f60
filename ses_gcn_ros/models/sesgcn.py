"""SeS-GCN: separable-sparse graph convolutional network for 3D human motion.

Sampieri, di Melendugno, Avogaro, Cunico, Setti, Skenderi, Cristani, Galasso: Pose Forecasting in
Industrial Human-Robot Collaboration, ECCV 2022. https://arxiv.org/abs/2208.07308

Tensors inside are laid out (J, T, N, C): joints, frames, batch, features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.layers import MaskedSpaceTimeGraph, PReLU, SpaceTimeNetwork, skip


class SpaceTimeLayer(nn.Module):
    """Space-time graph, depthwise-separable 1×1 convolution with ReLU6, residual, PReLU.

    `dropout` is the share of features that a window goes without in training, after the
    normalisation.
    """

    def __init__(self, joints: int, frames: int, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.graph = MaskedSpaceTimeGraph(joints, frames)
        self.depthwise = nn.ParameterDict(
            {"weight": torch.ones(inputs), "bias": torch.zeros(inputs)}
        )
        self.norm = nn.BatchNorm1d(inputs)
        self.dropout = dropout
        self.pointwise = nn.Linear(inputs, outputs)
        self.residual = skip(inputs, outputs)
        self.activation = PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Shape (J, T, N, inputs) → (J, T, N, outputs)."""
        joints, frames, batch, features = x.shape
        mixed = self.graph(x).reshape(-1, features)
        mixed = self.norm(mixed * self.depthwise["weight"] + self.depthwise["bias"])
        mixed = F.relu6(mixed)
        if self.dropout and self.training:
            # The same features for all joints and frames of a window: they repeat one another.
            kept = F.dropout(x.new_ones(batch, features), self.dropout)
            mixed = (mixed.view(-1, batch, features) * kept).view(-1, features)
        mixed = self.pointwise(mixed)
        x = self.activation(mixed + self.residual(x.reshape(-1, features)))
        return x.view(joints, frames, batch, -1)


class SeSGCN(SpaceTimeNetwork):
    """SeS-GCN, teacher and student: features of observed motion in, path of every joint out."""

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__(config, SpaceTimeLayer, dropout)
