"""DCT-MLP: linear maps over the cosine transform of a motion, in the spirit of siMLPe.

Guo, Du, Shen, Lepetit, Alameda-Pineda, Moreno-Noguer: Back to MLP: A Simple Baseline for Human
Motion Prediction, WACV 2023. https://arxiv.org/abs/2207.01567

Theirs answers in pieces as long as it observes. Here the history is continued by its last frame up
to the end of the horizon, transformed whole, and the answer is read off the added frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.framing import cosines
from ses_gcn_ros.models.network import ForecastNetwork


class FrequencyBlock(nn.Module):
    """Linear map over frequencies, normalised over features, beside the identity."""

    def __init__(self, length: int, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(length, length)
        nn.init.xavier_uniform_(self.linear.weight, gain=1e-8)
        nn.init.zeros_(self.linear.bias)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, frequencies, width) in and out."""
        mixed = self.linear(x.transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.norm(mixed))


class DCTMLP(ForecastNetwork):
    """DCT-MLP; all of `widths` are the same, one per block, and `head` is not used."""

    basis: Tensor

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__(config)
        width = config.widths[0]
        self.observed, self.horizon, self.joints = config.observed, config.horizon, config.joints
        length = config.observed + config.horizon
        self.register_buffer("basis", torch.tensor(cosines(length)), persistent=False)
        self.inputs = nn.Linear(config.joints * config.features, width)
        self.blocks = nn.ModuleList(FrequencyBlock(length, width, dropout) for _ in config.widths)
        self.outputs = nn.Linear(width, config.joints * 3)
        nn.init.zeros_(self.outputs.weight)  # untrained, it answers what it is the offset from
        nn.init.zeros_(self.outputs.bias)

    def path(self, features: Tensor) -> Tensor:
        """See `ForecastNetwork.path`."""
        x = features.flatten(2)
        x = torch.cat([x, x[:, -1:].expand(-1, self.horizon, -1)], dim=1)
        x = self.inputs(self.basis @ x)
        for block in self.blocks:
            x = block(x)
        path = self.basis[:, self.observed :].T @ self.outputs(x)
        return path.unflatten(2, (self.joints, 3))
