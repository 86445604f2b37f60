"""Networks to hold others against: STS-GCN, siMLPe, a transformer; for actions a linear map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import HEADS, ModelConfig
from ses_gcn_ros.models.framing import cosines
from ses_gcn_ros.models.layers import ForecastNetwork, PReLU, SpaceTimeGraph, SpaceTimeNetwork, skip


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
    """STS-GCN, which SeS-GCN was made lighter from.

    Sofianos, Sampieri, Franco, Galasso: Space-Time-Separable Graph Convolutional Network for Pose
    Forecasting, ICCV 2021. https://arxiv.org/abs/2110.04573

    The same separable graphs without masks, and a dense map over features where SeS-GCN has a
    depthwise-separable one. Published are `widths` 64, 32, 64, 3 and the temporal decoder.
    """

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__(config, DenseSpaceTimeLayer, dropout)


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


class SiMLPe(ForecastNetwork):
    """siMLPe: linear maps and normalisation alone, over the cosine transform of a motion.

    Guo, Du, Shen, Lepetit, Alameda-Pineda, Moreno-Noguer: Back to MLP: A Simple Baseline for Human
    Motion Prediction, WACV 2023. https://arxiv.org/abs/2207.01567

    Published are 48 blocks, each as wide as a pose has coordinates: one of `widths` per block, all
    the same. Theirs sees as many frames as it answers with and goes on from its own answers; here
    the history is continued by its last frame up to the end of the horizon, and the answer is read
    off the frames added. `head` is not used.
    """

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
    """A small transformer whose tokens are joints: of SeS-GCN's size, after none in particular.

    Attention between joints: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017, with the
    normalisation before each part (Xiong et al., ICML 2020). A token holds all observed frames of
    its joint; it answers that joint's path, and the mean token one path for the whole body. All of
    `widths` are the same, one per block, and `head` is not used.
    """

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


class LinearStatistics(nn.Module):
    """Mean, deviation and speed of every coordinate in, one logit per class out.

    Of few people a network learns their habits; 405 weights for 15 joints and three classes learn
    where hands are and whether they move.

    `joints`, `classes`: v and the number of classes.
    `channels`: coordinates per joint.
    """

    def __init__(self, joints: int, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3 * joints * channels, affine=False)
        self.classifier = nn.Linear(3 * joints * channels, classes)
        nn.init.zeros_(self.classifier.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, M, T, V, C) → logits (N, classes), the mean over the people."""
        x = x.flatten(3)
        speed = x.diff(dim=2).abs().mean(dim=2)
        seen = torch.cat([x.mean(dim=2), x.std(dim=2, correction=0), speed], dim=-1)
        return self.classifier(self.norm(seen.flatten(0, 1))).view(*seen.shape[:2], -1).mean(dim=1)
