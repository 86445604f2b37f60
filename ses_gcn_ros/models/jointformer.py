"""A small transformer whose tokens are joints: a peer of SeS-GCN's size, after none in particular.

Attention between joints: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017, with the
normalisation before each part (Xiong et al., ICML 2020). A token holds all observed frames of its
joint; it answers that joint's path, and the mean token one path for the whole body.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.network import ForecastNetwork

HEADS = 4


class JointBlock(nn.Module):
    """Attention between joints, then a layer of twice the width for each."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, J, width) in and out."""
        parts = self.attend(self.before(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        x = x + F.dropout(self.mix(mixed.transpose(1, 2).flatten(2)), self.dropout, self.training)
        wide = F.gelu(self.widen(self.between(x)))
        return x + F.dropout(self.narrow(wide), self.dropout, self.training)


class Jointformer(ForecastNetwork):
    """Joint-token transformer; all of `widths` are the same, one per block; `head` is not used."""

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__(config)
        width, self.horizon = config.widths[0], config.horizon
        self.inputs = nn.Linear(config.observed * config.features, width)
        self.joints = nn.Parameter(torch.randn(config.joints, width) * 0.02)
        self.blocks = nn.ModuleList(JointBlock(width, dropout) for _ in config.widths)
        self.norm = nn.LayerNorm(width)
        self.outputs, self.body = (nn.Linear(width, config.horizon * 3) for _ in range(2))
        for layer in (self.outputs, self.body):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def path(self, features: Tensor) -> Tensor:
        """See `ForecastNetwork.path`."""
        x = self.inputs(features.transpose(1, 2).flatten(2)) + self.joints
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        path = self.outputs(x) + self.body(x.mean(dim=1, keepdim=True))
        return path.unflatten(2, (self.horizon, 3)).transpose(1, 2)
