"""SeS-GCN: separable-sparse graph convolutional network for 3D human motion.

Sampieri, di Melendugno, Avogaro, Cunico, Setti, Skenderi, Cristani, Galasso: Pose Forecasting in
Industrial Human-Robot Collaboration, ECCV 2022. https://arxiv.org/abs/2208.07308

Tensors inside this file are laid out (J, T, N, C): joints, frames, batch, features. Mixing
frames, mixing joints and mixing features are then plain matrix products without a copy.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig


class SpaceTimeGraph(nn.Module):
    """Separable graph convolution: frames are mixed per joint, then joints per frame.

    The adjacencies are learnt. A teacher's masks are ones; a student keeps the entries where its
    masks M_t, M_s are one (equation 4 of the paper).

    Parameters
    ----------
    joints, frames : int
        J and T.
    """

    mask_time: Tensor
    mask_space: Tensor

    def __init__(self, joints: int, frames: int) -> None:
        super().__init__()
        self.time = nn.Parameter(torch.empty(joints, frames, frames))
        self.space = nn.Parameter(torch.empty(frames, joints, joints))
        nn.init.uniform_(self.time, -1 / math.sqrt(frames), 1 / math.sqrt(frames))
        nn.init.uniform_(self.space, -1 / math.sqrt(joints), 1 / math.sqrt(joints))
        self.register_buffer("mask_time", torch.ones(joints, frames, frames))
        self.register_buffer("mask_space", torch.ones(frames, joints, joints))

    def forward(self, x: Tensor) -> Tensor:
        """Mix frames, then joints; shape (J, T, N, C) in and out."""
        joints, frames, batch, features = x.shape
        time = (self.mask_time * self.time).transpose(1, 2)  # to, from
        space = (self.mask_space * self.space).transpose(1, 2)
        x = torch.bmm(time, x.reshape(joints, frames, batch * features))
        x = torch.bmm(space, x.transpose(0, 1)).transpose(0, 1)
        return x.reshape(joints, frames, batch, features)


class PReLU(nn.PReLU):
    """PReLU that learns faster: its gradient as a sum takes half the time of torch's on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        if not self.training:
            return super().forward(x)
        return self.weight * x + (1 - self.weight) * F.relu(x)


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
        self.graph = SpaceTimeGraph(joints, frames)
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


class TemporalDecoder(nn.Module):
    """The published decoder: 3×3 convolutions over (coordinate, joint), frames as channels.

    Parameters
    ----------
    observed, horizon : int
        T and H.
    layers : int
        Number of convolutions; all but the first have a skip connection.
    """

    def __init__(self, observed: int, horizon: int, layers: int = 4) -> None:
        super().__init__()
        channels = [observed] + [horizon] * layers
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, horizon, 3, padding=1) for inputs in channels[:-1]
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(horizon) for _ in range(layers))
        self.activations = nn.ModuleList(PReLU() for _ in range(layers))

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

    Parameters
    ----------
    observed, horizon, features : int
        T, H and the features per joint and frame.
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


class SeSGCN(nn.Module):
    """SeS-GCN, teacher and student: features of observed motion in, path of every joint out.

    Parameters
    ----------
    config : ModelConfig
        Sizes and decoder.
    dropout : float
        Share of features that a window goes without in each layer, in training.
    """

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__()
        config.check()
        widths = (config.features, *config.widths)
        self.layers = nn.ModuleList(
            SpaceTimeLayer(config.joints, config.observed, inputs, outputs, dropout)
            for inputs, outputs in pairwise(widths)
        )
        self.decoder: nn.Module
        if config.head == "temporal":
            self.decoder = TemporalDecoder(config.observed, config.horizon)
        else:
            self.decoder = LinearDecoder(config.observed, config.horizon, widths[-1])

    def forward(self, features: Tensor) -> Tensor:
        """Forecast.

        Parameters
        ----------
        features : Tensor, shape (N, T, J, C)
            What `framing.frame` makes of a history, oldest frame first.

        Returns
        -------
        Tensor, shape (N, H, J, 3)
            In the units and frame of the input.
        """
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
        graphs = [module for module in self.modules() if isinstance(module, SpaceTimeGraph)]
        for graph, space, time in zip(graphs, mask_space, mask_time, strict=True):
            graph.mask_space.copy_(space)
            graph.mask_time.copy_(time)
