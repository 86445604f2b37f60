"""Layers that forecasting networks share: graphs over frames and joints, decoders, activation.

Features come as (J, T, N, C): joints, frames, batch, features. Mixing frames and mixing joints are
then plain matrix products without a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.network import ForecastNetwork
from ses_gcn_ros.models.shapes import DECODER_HIDDEN, DECODER_LAYERS


class SpaceTimeGraph(nn.Module):
    """Frames are mixed per joint, then joints per frame, by adjacencies that are learnt.

    Sofianos et al., Space-Time-Separable Graph Convolutional Network for Pose Forecasting, ICCV
    2021, equation 4. https://arxiv.org/abs/2110.04573
    """

    def __init__(self, joints: int, frames: int) -> None:
        super().__init__()
        self.time = nn.Parameter(torch.empty(joints, frames, frames))
        self.space = nn.Parameter(torch.empty(frames, joints, joints))
        nn.init.uniform_(self.time, -1 / math.sqrt(frames), 1 / math.sqrt(frames))
        nn.init.uniform_(self.space, -1 / math.sqrt(joints), 1 / math.sqrt(joints))

    def adjacencies(self) -> tuple[Tensor, Tensor]:
        """What frames (J, T, T) and joints (T, J, J) take from one another: from, to."""
        return self.time, self.space

    def forward(self, x: Tensor) -> Tensor:
        """Mix frames, then joints; shape (J, T, N, C) in and out."""
        joints, frames, batch, features = x.shape
        time, space = (adjacency.transpose(1, 2) for adjacency in self.adjacencies())  # to, from
        x = torch.bmm(time, x.reshape(joints, frames, batch * features))
        x = torch.bmm(space, x.transpose(0, 1)).transpose(0, 1)
        return x.reshape(joints, frames, batch, features)


class MaskedSpaceTimeGraph(SpaceTimeGraph):
    """Graph whose masks M_t, M_s keep the entries where they are one (SeS-GCN, equation 4).

    A teacher's masks are ones.
    """

    mask_time: Tensor
    mask_space: Tensor

    def __init__(self, joints: int, frames: int) -> None:
        super().__init__(joints, frames)
        self.register_buffer("mask_time", torch.ones(joints, frames, frames))
        self.register_buffer("mask_space", torch.ones(frames, joints, joints))

    def adjacencies(self) -> tuple[Tensor, Tensor]:
        """Adjacencies with what is masked set to zero."""
        return self.mask_time * self.time, self.mask_space * self.space


class PReLU(nn.PReLU):
    """PReLU that learns faster: its gradient as a sum takes half the time of torch's on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        if not self.training:
            return super().forward(x)
        return self.weight * x + (1 - self.weight) * F.relu(x)


def skip(inputs: int, outputs: int) -> nn.Module:
    """What a layer's answer is added to: its input, mapped where the numbers of features differ."""
    if inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs))


class SpaceTimeNetwork(ForecastNetwork):
    """Layers over joints and frames, then a decoder; SeS-GCN and STS-GCN differ in their layers.

    Parameters
    ----------
    layer : callable
        Makes a layer, (J, T, N, inputs) → (J, T, N, outputs), of J, T, inputs, outputs and the
        share that it leaves out in training.
    """

    def __init__(
        self,
        config: ModelConfig,
        layer: Callable[[int, int, int, int, float], nn.Module],
        dropout: float,
    ) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(
            layer(config.joints, config.observed, inputs, outputs, dropout)
            for inputs, outputs in pairwise((config.features, *config.widths))
        )
        self.decoder = build_decoder(config)

    def path(self, features: Tensor) -> Tensor:
        """See `ForecastNetwork.path`."""
        x = features.permute(2, 1, 0, 3)
        for layer in self.layers:
            x = layer(x)
        return self.decoder(x)


class TemporalDecoder(nn.Module):
    """The published decoder: 3×3 convolutions over (coordinate, joint), frames as channels.

    All but the first have a skip connection.
    """

    def __init__(self, observed: int, horizon: int) -> None:
        super().__init__()
        channels = [observed] + [horizon] * DECODER_LAYERS
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, horizon, 3, padding=1) for inputs in channels[:-1]
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(horizon) for _ in self.convolutions)
        self.activations = nn.ModuleList(PReLU() for _ in self.convolutions)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (J, T, N, 3) → (N, H, J, 3)."""
        x = x.permute(2, 1, 3, 0)
        stages = zip(self.convolutions, self.norms, self.activations, strict=True)
        for index, (convolution, norm, activation) in enumerate(stages):
            y = activation(norm(convolution(x)))
            x = y if index == 0 else y + x
        return x.transpose(2, 3)


class LinearDecoder(nn.Module):
    """One linear map from all frames' features of a joint to its path, shared by the joints.

    It avoids the published decoder's bottleneck of three features. Starts at zero, so that an
    untrained network answers the path that it predicts the offset from.
    """

    def __init__(self, observed: int, horizon: int, features: int) -> None:
        super().__init__()
        self.horizon = horizon
        self.linear = nn.Linear(observed * features, horizon * 3)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (J, T, N, C) → (N, H, J, 3)."""
        joints, _, batch, _ = x.shape
        path = self.linear(x.permute(2, 0, 1, 3).reshape(batch, joints, -1))
        return path.view(batch, joints, self.horizon, 3).transpose(1, 2)


class BodyDecoder(LinearDecoder):
    """The linear map beside two that see the body: one path for all joints, and a hidden layer.

    Legs tell where a walking person's hands will be; a graph layer passes that on with what 150
    numbers share, here it has maps of its own. All new maps end at zero.
    """

    def __init__(self, observed: int, horizon: int, features: int) -> None:
        super().__init__(observed, horizon, features)
        self.body = nn.Linear(observed * features, horizon * 3, bias=False)
        self.own = nn.Linear(observed * features, DECODER_HIDDEN)
        self.context = nn.Linear(observed * features, DECODER_HIDDEN, bias=False)
        self.hidden = nn.Linear(DECODER_HIDDEN, horizon * 3, bias=False)
        nn.init.zeros_(self.body.weight)
        nn.init.zeros_(self.hidden.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (J, T, N, C) → (N, H, J, 3)."""
        joints, _, batch, _ = x.shape
        x = x.permute(2, 0, 1, 3).reshape(batch, joints, -1)
        body = x.mean(dim=1, keepdim=True)
        path = self.linear(x) + self.body(body)
        path = path + self.hidden(F.relu(self.own(x) + self.context(body)))
        return path.view(batch, joints, self.horizon, 3).transpose(1, 2)


def build_decoder(config: ModelConfig) -> nn.Module:
    """Decoder that a configuration asks for by `head`."""
    if config.head == "temporal":
        return TemporalDecoder(config.observed, config.horizon)
    kind = BodyDecoder if config.head == "body" else LinearDecoder
    return kind(config.observed, config.horizon, config.widths[-1])
