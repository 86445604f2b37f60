"""SeS-GCN, operation for operation as its authors released it: the benchmark's yardstick.

Every engine is timed and checked against this, so it stays as published: tensors (N, C, T, J),
masks applied in each forward pass, two `einsum` per layer, a grouped 1×1 convolution, batch
normalisation as a module of its own. https://github.com/AlessioSam/CHICO-PoseForecasting
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import DECODER_LAYERS, ModelConfig
from ses_gcn_ros.models.layers import LearntBase, build_decoder


class _Graph(nn.Module):
    mask_time: Tensor
    mask_space: Tensor

    def __init__(self, joints: int, frames: int) -> None:
        super().__init__()
        self.time = nn.Parameter(torch.empty(joints, frames, frames))
        self.space = nn.Parameter(torch.empty(frames, joints, joints))
        self.register_buffer("mask_time", torch.empty(joints, frames, frames))
        self.register_buffer("mask_space", torch.empty(frames, joints, joints))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.einsum("nctv,vtq->ncqv", x, self.mask_time * self.time)
        x = torch.einsum("nctv,tvw->nctw", x, self.mask_space * self.space)
        return x.contiguous()


class _Layer(nn.Module):
    def __init__(self, joints: int, frames: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.graph = _Graph(joints, frames)
        self.depthwise = nn.Conv2d(inputs, inputs, 1, groups=inputs)
        self.norm = nn.BatchNorm2d(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.residual: nn.Module = nn.Identity()
        if inputs != outputs:
            self.residual = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        mixed = nn.functional.relu6(self.norm(self.depthwise(self.graph(x))))
        return self.activation(self.pointwise(mixed) + self.residual(x))


class _Decoder(nn.Module):
    def __init__(self, observed: int, horizon: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(horizon if index else observed, horizon, 3, padding=1)
            for index in range(DECODER_LAYERS)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(horizon) for _ in self.convolutions)
        self.activations = nn.ModuleList(nn.PReLU() for _ in self.convolutions)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 1, 3)
        stages = zip(self.convolutions, self.norms, self.activations, strict=True)
        for index, (convolution, norm, activation) in enumerate(stages):
            y = activation(norm(convolution(x)))
            x = y if index == 0 else y + x
        return x.transpose(2, 3)


class ReferenceModel(nn.Module):
    """The unfolded network of a configuration; fill it with `reference_model`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = (config.features, *config.widths)
        self.layers = nn.ModuleList(
            _Layer(config.joints, config.observed, inputs, outputs)
            for inputs, outputs in pairwise(widths)
        )
        self.published = config.head == "temporal"
        self.decoder: nn.Module
        if self.published:
            self.decoder = _Decoder(config.observed, config.horizon)
        else:  # our own decoder: there is no other way to write it
            self.decoder = build_decoder(config)
        self.base = LearntBase(config) if config.gate else None

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, T, J, C) → answer (N, H, J, 3), or 4 with a learnt base."""
        x = features.permute(0, 3, 1, 2)
        for layer in self.layers:
            x = layer(x)
        answer: Tensor = self.decoder(x if self.published else x.permute(3, 2, 0, 1))
        return answer if self.base is None else self.base(features, answer)


def reference_model(weights: Weights) -> ReferenceModel:
    """The network of `weights` as its authors would run it, in evaluation mode."""
    model = ReferenceModel(weights.config)
    own = model.state_dict()  # its convolutions have two axes of length one that our maps lack
    tensors = {
        name: torch.from_numpy(tensor).reshape(own[name].shape)
        for name, tensor in weights.tensors.items()
    }
    model.load_state_dict(tensors, strict=False)  # batch counters only matter in training
    return model.eval()
