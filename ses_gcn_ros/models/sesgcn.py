"""SeS-GCN: separable-sparse graph convolutional network for 3D human motion.

Sampieri, di Melendugno, Avogaro, Cunico, Setti, Skenderi, Cristani, Galasso: Pose Forecasting in
Industrial Human-Robot Collaboration, ECCV 2022. https://arxiv.org/abs/2208.07308

Tensors inside this file are laid out (J, T, N, C): joints, frames, batch, features. Mixing
features is then a plain matrix product without a copy.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.layers import MaskedSpaceTimeGraph, PReLU, build_decoder
from ses_gcn_ros.models.network import ForecastNetwork


class SpaceTimeLayer(nn.Module):
    """Space-time graph, depthwise-separable 1×1 convolution with ReLU6, residual, PReLU.

    Parameters
    ----------
    joints, frames : int
        J and T.
    inputs, outputs : int
        Features in and out.
    dropout : float
        Share of features that a window goes without in training, after the normalisation.
    """

    def __init__(
        self, joints: int, frames: int, inputs: int, outputs: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.graph = MaskedSpaceTimeGraph(joints, frames)
        self.depthwise = nn.ParameterDict(
            {"weight": torch.ones(inputs), "bias": torch.zeros(inputs)}
        )
        self.norm = nn.BatchNorm1d(inputs)
        self.dropout = dropout
        self.pointwise = nn.Linear(inputs, outputs)
        self.residual: nn.Module = nn.Identity()
        if inputs != outputs:
            self.residual = nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs))
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


class SeSGCN(ForecastNetwork):
    """SeS-GCN, teacher and student: features of observed motion in, path of every joint out.

    Parameters
    ----------
    dropout : float
        Share of features that a window goes without in each layer, in training.
    """

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__(config)
        widths = (config.features, *config.widths)
        self.layers = nn.ModuleList(
            SpaceTimeLayer(config.joints, config.observed, inputs, outputs, dropout)
            for inputs, outputs in pairwise(widths)
        )
        self.decoder = build_decoder(config)

    def path(self, features: Tensor) -> Tensor:
        """See `ForecastNetwork.path`."""
        x = features.permute(2, 1, 0, 3)
        for layer in self.layers:
            x = layer(x)
        return self.decoder(x)

    def set_masks(self, mask_space: Tensor, mask_time: Tensor) -> None:
        """Make a student: keep the adjacency entries where the masks are one.

        Parameters
        ----------
        mask_space : Tensor, shape (layers, T, J, J)
        mask_time : Tensor, shape (layers, J, T, T)
        """
        graphs = [module for module in self.modules() if isinstance(module, MaskedSpaceTimeGraph)]
        for graph, space, time in zip(graphs, mask_space, mask_time, strict=True):
            graph.mask_space.copy_(space)
            graph.mask_time.copy_(time)
