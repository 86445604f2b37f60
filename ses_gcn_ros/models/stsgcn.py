"""STS-GCN: space-time-separable graph convolutional network, which SeS-GCN was made lighter from.

Sofianos, Sampieri, Franco, Galasso: Space-Time-Separable Graph Convolutional Network for Pose
Forecasting, ICCV 2021. https://arxiv.org/abs/2110.04573

The same separable graphs as SeS-GCN, without masks, and a dense map over features where that has
a depthwise-separable one. Tensors inside are laid out (J, T, N, C).
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.layers import PReLU, SpaceTimeGraph, build_decoder
from ses_gcn_ros.models.network import ForecastNetwork


class DenseSpaceTimeLayer(nn.Module):
    """Space-time graph, dense 1×1 convolution with normalisation, residual, PReLU.

    Parameters
    ----------
    joints, frames : int
        J and T.
    inputs, outputs : int
        Features in and out.
    dropout : float
        Share of values left out in training, after the normalisation.
    """

    def __init__(
        self, joints: int, frames: int, inputs: int, outputs: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.graph = SpaceTimeGraph(joints, frames)
        self.pointwise = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)
        self.dropout = dropout
        self.residual: nn.Module = nn.Identity()
        if inputs != outputs:
            self.residual = nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs))
        self.activation = PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Shape (J, T, N, inputs) → (J, T, N, outputs)."""
        joints, frames, batch, features = x.shape
        mixed = self.norm(self.pointwise(self.graph(x).reshape(-1, features)))
        mixed = F.dropout(mixed, self.dropout, self.training)
        x = self.activation(mixed + self.residual(x.reshape(-1, features)))
        return x.view(joints, frames, batch, -1)


class STSGCN(ForecastNetwork):
    """STS-GCN: features of observed motion in, path of every joint out.

    Parameters
    ----------
    config : ModelConfig
        Sizes and decoder; published are `widths` 64, 32, 64, 3 and the temporal decoder.
    dropout : float
        Share of values left out in each layer, in training.
    """

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__(config)
        widths = (config.features, *config.widths)
        self.layers = nn.ModuleList(
            DenseSpaceTimeLayer(config.joints, config.observed, inputs, outputs, dropout)
            for inputs, outputs in pairwise(widths)
        )
        self.decoder = build_decoder(config)

    def path(self, features: Tensor) -> Tensor:
        """See `ForecastNetwork.path`."""
        x = features.permute(2, 1, 0, 3)
        for layer in self.layers:
            x = layer(x)
        return self.decoder(x)
