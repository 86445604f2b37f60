"""SGN, semantics-guided neural networks for skeleton action recognition, and the enhanced one.

Zhang, Lan, Zeng, Xing, Xue, Zheng: Semantics-Guided Neural Networks for Efficient Skeleton-Based
Human Action Recognition, CVPR 2020. https://arxiv.org/abs/1904.01189

Chen, Jing: Light-Weight Enhanced Semantics-Guided Neural Networks for Skeleton-Based Human Action
Recognition, MCSoC 2021: four streams, semantic pooling and a multi-scale temporal convolution. Only
the parts' names and sizes are published, so each is an option here; docs/actions.md says what each
is worth.

Inside, tensors are (N, T, V, C): features last, so that a 1×1 convolution is a matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import ConfigError

WIDTH = 64  # of an embedding; the published one


class FeatureNorm(nn.Module):
    """Batch normalisation of the last axis over all others."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., features) → the same."""
        return self.norm(x.reshape(-1, x.shape[-1])).view(x.shape)


def two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two linear layers, each with ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs), nn.ReLU()
    )


class Embedding(nn.Module):
    """One stream of coordinates, normalised per joint and coordinate, to features."""

    def __init__(self, joints: int, channels: int, width: int) -> None:
        super().__init__()
        self.norm = FeatureNorm(joints * channels)
        self.layers = two_layers(channels, width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, T, V, channels) → (N, T, V, width)."""
        return self.layers(self.norm(x.flatten(2)).view(x.shape))


class GraphLayer(nn.Module):
    """Graph convolution with a skip: ReLU(BN(W G x + W₁ x + b))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.neighbours = nn.Linear(inputs, outputs, bias=False)
        self.own = nn.Linear(inputs, outputs)
        self.norm = FeatureNorm(outputs)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Shape (N, T, V, inputs), graph (N, T, V, V) → (N, T, V, outputs)."""
        return torch.relu(self.norm(self.neighbours(graph @ x) + self.own(x)))


class Sgn(nn.Module):
    """SGN: motion in, one logit per class out.

    `joints`, `frames`, `classes`: v, T and the number of classes.
    `channels`: coordinates per joint.
    `width`: features of an embedding; all other widths are multiples of it. 64 is the published
    one.
    """

    def __init__(
        self, joints: int, frames: int, classes: int, channels: int = 3, width: int = WIDTH
    ) -> None:
        super().__init__()
        self.frames = frames
        self.position = Embedding(joints, channels, width)
        self.velocity = Embedding(joints, channels, width)
        self.joint_type = two_layers(joints, width, width)
        self.frame_index = two_layers(frames, width, 4 * width)
        self.query = nn.Linear(2 * width, 4 * width)
        self.key = nn.Linear(2 * width, 4 * width)
        self.graph = nn.ModuleList(
            [
                GraphLayer(2 * width, 2 * width),
                GraphLayer(2 * width, 4 * width),
                GraphLayer(4 * width, 4 * width),
            ]
        )
        self.temporal = self.temporal_convolution(4 * width)
        self.temporal_norm = nn.BatchNorm1d(4 * width)
        self.widen = nn.Conv1d(4 * width, 8 * width, 1)
        self.widen_norm = nn.BatchNorm1d(8 * width)
        self.classifier = nn.Linear(8 * width, classes)
        self._initialise()

    def temporal_convolution(self, width: int) -> nn.Module:
        """Convolution over neighbouring frames: (N, width, T) → the same."""
        return nn.Conv1d(width, width, 3, padding=1)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv1d)) and module is not self.classifier:
                fan_out = module.weight.shape[0] * math.prod(module.weight.shape[2:])
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
        for module in self.modules():
            if isinstance(module, GraphLayer):
                nn.init.zeros_(module.neighbours.weight)

    def embed(self, x: Tensor) -> Tensor:
        """What is seen of every joint: (N, T, V, C) → (N, T, V, width)."""
        return self.position(x) + self.velocity(_differences(x))

    def pool(self, x: Tensor, graph: Tensor) -> Tensor:
        """All joints of a frame in one: (N, T, V, C) → (N, T, C)."""
        return x.amax(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, M, T, V, C) → logits (N, classes), the mean over the people."""
        batch, people, frames, joints, channels = x.shape
        x = x.reshape(batch * people, frames, joints, channels)
        names = self.joint_type(torch.eye(joints, dtype=x.dtype, device=x.device))
        seen = self.embed(x)
        x = torch.cat([seen, names.expand(*seen.shape[:2], -1, -1)], dim=-1)
        graph = torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2), dim=-1).to(x.dtype)
        for layer in self.graph:
            x = layer(x, graph)
        times = self.frame_index(torch.eye(frames, dtype=x.dtype, device=x.device))
        x = self.pool(x + times[:, None], graph).transpose(1, 2)
        x = torch.relu(self.temporal_norm(self.temporal(x)))
        x = F.dropout1d(x, 0.2, self.training)
        x = torch.relu(self.widen_norm(self.widen(x))).amax(dim=-1)
        return self.classifier(x).view(batch, people, -1).mean(dim=1)


def _differences(x: Tensor) -> Tensor:
    """Change since the frame before, zero in the first: (N, T, ...) → the same."""
    return F.pad(x.diff(dim=1), (0, 0) * (x.ndim - 2) + (1, 0))


# The enhanced one ---------------------------------------------------------------------------------

STREAMS = ("joint", "velocity", "bone", "bone_velocity")


@dataclass(frozen=True)
class EsgnConfig:
    """Options of an enhanced SGN besides its joints, frames and classes."""

    streams: tuple[str, ...] = option(STREAMS, "what is embedded of every joint", choices=STREAMS)
    fusion: str = option("sum", "how streams are joined", choices=("sum", "concat"))
    pooling: str = option(
        "attention",
        "importance of joints beside their maximum: by a bottleneck, by the attention each gets",
        choices=("attention", "received", "none"),
    )
    kernels: tuple[int, ...] = option((3, 5, 7), "frames under each scale", minimum=1, maximum=31)
    dilated: bool = option(False, "reach the scales by dilating a kernel of 3 instead")
    width: int = option(WIDTH, "features of an embedding", minimum=4, maximum=256)
    members: int = option(
        1, "networks trained side by side whose probabilities are averaged", minimum=1, maximum=16
    )
    without_bones: int = option(
        0, "so many of the members see joints and velocities alone", minimum=0, maximum=16
    )

    def of_members(self) -> list[EsgnConfig]:
        """Options of each member, those without bones first."""
        if self.without_bones > self.members:
            raise ConfigError(
                f"without_bones is {self.without_bones}; there are only {self.members} members"
            )
        lean = replace(self, streams=tuple(s for s in self.streams if not s.startswith("bone")))
        return [lean if m < self.without_bones else self for m in range(self.members)]


class MultiScale(nn.Module):
    """Convolutions over short and long stretches of frames side by side, of the width of one."""

    def __init__(self, width: int, kernels: tuple[int, ...], dilated: bool) -> None:
        super().__init__()
        shares = [len(range(scale, width, len(kernels))) for scale in range(len(kernels))]
        self.scales = nn.ModuleList()
        for share, kernel in zip(shares, kernels, strict=True):
            taps, dilation = (3, kernel // 2) if dilated else (kernel, 1)
            reach = dilation * (taps // 2)
            self.scales.append(nn.Conv1d(width, share, taps, padding=reach, dilation=dilation))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, width, T) → the same."""
        return torch.cat([scale(x) for scale in self.scales], dim=1)


class Esgn(Sgn):
    """Enhanced SGN: motion in, one logit per class out.

    `joints`, `frames`, `classes`: v, T and the number of classes.
    `parents`: parent of each joint, -1 for the root.
    `channels`: coordinates per joint.

    Attributes:
    - `importance` (N, T, V), or None: share of each joint in the semantic pooling of the last
      forward pass.
    """

    parents: Tensor

    def __init__(
        self,
        joints: int,
        frames: int,
        classes: int,
        parents: tuple[int, ...],
        channels: int = 3,
        config: EsgnConfig | None = None,
    ) -> None:
        self._options = config = config or EsgnConfig()
        even = [kernel for kernel in config.kernels if not kernel % 2]
        if even:
            raise ConfigError(f"kernels hold {even[0]}; a temporal convolution takes odd ones")
        super().__init__(joints, frames, classes, channels, config.width)
        del self.position, self.velocity
        width = config.width
        own = [joint if parent < 0 else parent for joint, parent in enumerate(parents)]
        self.register_buffer("parents", torch.tensor(own), persistent=False)
        self.streams = nn.ModuleDict(
            {name: Embedding(joints, channels, width) for name in config.streams}
        )
        if config.fusion == "concat":
            self.fuse = nn.Linear(len(config.streams) * width, width)
        if config.pooling == "attention":
            self.score = nn.Sequential(nn.Linear(4 * width, width), nn.ReLU(), nn.Linear(width, 1))
        self.importance: Tensor | None = None
        self.attention: Tensor | None = None  # the same for a term of the loss
        self._initialise()

    def temporal_convolution(self, width: int) -> nn.Module:
        """Convolutions over neighbouring frames at several scales: (N, width, T) → the same."""
        return MultiScale(width, self._options.kernels, self._options.dilated)

    def embed(self, x: Tensor) -> Tensor:
        """What is seen of every joint: (N, T, V, C) → (N, T, V, width)."""
        bone = x - x[:, :, self.parents]
        sources = {
            "joint": lambda: x,
            "velocity": lambda: _differences(x),
            "bone": lambda: bone,
            "bone_velocity": lambda: _differences(bone),
        }
        parts = [stream(sources[name]()) for name, stream in self.streams.items()]
        if self._options.fusion == "concat":
            return torch.relu(self.fuse(torch.cat(parts, dim=-1)))
        return torch.stack(parts).sum(dim=0)

    def pool(self, x: Tensor, graph: Tensor) -> Tensor:
        """Strongest joint and mean weighted by importance: (N, T, V, C) → (N, T, C)."""
        strongest = x.amax(dim=2)
        if self._options.pooling == "none":
            return strongest
        if self._options.pooling == "attention":
            importance = torch.softmax(self.score(x).squeeze(-1), dim=-1)
        else:
            importance = graph.mean(dim=2)  # what each joint gives to all others
        self.importance, self.attention = importance.detach(), importance
        return strongest + (importance.unsqueeze(2).to(x.dtype) @ x).squeeze(2)


class Ensemble(nn.Module):
    """Enhanced SGNs on the same motion, each taught by itself; their probabilities are averaged.

    `members`: of the same form, drawn one after the other.

    Attributes:
    - `importance`, `attention` (N, T, V), or None: means over the members of what `Esgn` says of
      its last forward pass.
    """

    def __init__(self, members: list[Esgn]) -> None:
        super().__init__()
        self._esgns = members  # the same, by their own type
        self.members = nn.ModuleList(members)

    def heads(self, x: Tensor) -> list[Tensor]:
        """Logits of each member: (N, classes) each."""
        return [member(x) for member in self._esgns]

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, M, T, V, C) → log of the mean probabilities (N, classes)."""
        chances = F.log_softmax(torch.stack(self.heads(x)).float(), dim=-1)
        return chances.logsumexp(dim=0) - math.log(len(self.members))

    @property
    def attention(self) -> Tensor | None:
        shares = [member.attention for member in self._esgns if member.attention is not None]
        return torch.stack(shares).mean(dim=0) if shares else None

    @property
    def importance(self) -> Tensor | None:
        return None if self.attention is None else self.attention.detach()
