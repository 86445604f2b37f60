"""From the features of observed frames to the path of every joint, and the activation they share.

Features come as (J, T, N, C): joints, frames, batch, features.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.shapes import DECODER_HIDDEN


class PReLU(nn.PReLU):
    """PReLU that learns faster: its gradient as a sum takes half the time of torch's on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        if not self.training:
            return super().forward(x)
        return self.weight * x + (1 - self.weight) * F.relu(x)


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


class BodyDecoder(LinearDecoder):
    """The linear map beside two that see the body: one path for all joints, and a hidden layer.

    Legs tell where a walking person's hands will be; a graph layer passes that on with what 150
    numbers share, here it has maps of its own. All new maps end at zero.

    Parameters
    ----------
    observed, horizon, features : int
        T, H and the features per joint and frame.
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
