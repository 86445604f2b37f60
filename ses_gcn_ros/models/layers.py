"""What forecasting networks share: the learnt base, graphs over frames and joints, decoders.

In graphs and decoders features come as (J, T, N, C): joints, frames, batch, features. Mixing frames
and mixing joints are then plain matrix products without a copy.

The learnt base is what a network's offset is added to: how far each joint's own last motion will
carry it. A velocity that a camera measured is part motion, part noise, and how much of each differs
by joint, person, camera and moment. Bones that change their length tell noise most plainly: over
ten frames by 0.5 mm in motion capture, by 5 mm where one camera guesses depth. A small network, the
same for all joints, judges it from ten frames: it mixes velocities of several lengths of time, the
body's own, and the way back to the mean position, each continued in several ways. As only lengths
and angles tell it what to mix, a path turns with the body and does not depend on where the body is.
It also says how much the offset of the network beside it can be trusted, and how far off the
forecast will be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.models.config import (
    ANSWERS,
    BODY_SPANS,
    DAMPINGS,
    DECODER_HIDDEN,
    DECODER_LAYERS,
    MEASURES,
    SPANS,
    VECTORS,
    ModelConfig,
)
from ses_gcn_ros.models.framing import bone_parents, input_scales, offset_scale, reach

_TRUST, _SCALE = 3.0, -2.3  # where training starts: sigmoid(3) of the offset, exp(-2.3) m
_STILL = 0.002  # m; motion below it is told apart on a linear scale, above it on a logarithmic one


class LearntBase(nn.Module):
    """Turn a network's offsets into displacements from the last pose, with a scale of their error.

    Untrained, it continues the last velocity damped by 0.9 per frame.

    `config`: its `gate` is the width of both hidden layers.
    """

    parents: Tensor
    profiles: Tensor
    times: Tensor
    offset_scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.gate
        self.visibility = config.visibility
        self.position_scale, _ = input_scales(config)
        parents = torch.from_numpy(bone_parents(config.layout).copy())
        self.register_buffer("parents", parents, persistent=False)
        self.joints = nn.Parameter(torch.zeros(config.joints, width))
        self.inputs = nn.Linear(3 * MEASURES, width)
        self.hidden = nn.Linear(width, width)
        self.outputs = nn.Linear(width, ANSWERS)
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)
        with torch.no_grad():
            self.outputs.bias[DAMPINGS.index(0.9)] = 1.0
            self.outputs.bias[-4] = _TRUST
        horizon = config.horizon
        profiles = np.stack([reach(horizon, damping) for damping in DAMPINGS])
        self.register_buffer("profiles", torch.from_numpy(profiles), persistent=False)
        times = torch.from_numpy(scale_times(horizon))
        self.register_buffer("times", times, persistent=False)
        most = torch.from_numpy(offset_scale(horizon, config.fps).copy())
        self.register_buffer("offset_scale", most, persistent=False)

    def forward(self, features: Tensor, offset: Tensor) -> Tensor:
        """Displacements and scale of a forecast.

        `features` (N, T, J, C): what the network saw; the first three are positions, the last one
        visibility.
        `offset` (N, H, J, 3): what it answered.

        Returns (N, H, J, 4): displacement from the last pose [m] in the person's frame, and the
        distance that the forecast is expected to be off by [m].
        """
        history = features[..., :3] / self.position_scale
        seen = features[:, -1, :, -1] > 0 if self.visibility else features.new_ones(()) > 0
        measures, vectors = measure_motion(history, seen.expand(history.shape[0], -1), self.parents)
        x = F.relu(self.inputs(measures) + self.joints)
        x = x + F.relu(self.hidden(x))
        answers = self.outputs(x)
        shares = answers[..., :-4].unflatten(-1, (VECTORS, len(DAMPINGS)))
        steps = shares.transpose(-1, -2) @ vectors  # (N, J, dampings, 3)
        base = torch.einsum("ph,njpc->nhjc", self.profiles, steps)
        trust = torch.sigmoid(answers[:, None, :, -4, None])
        path = base + trust * self.offset_scale * offset
        scale = torch.exp((answers[..., -3:] @ self.times + _SCALE).transpose(1, 2))
        return torch.cat([path, scale[..., None]], dim=-1)


def scale_times(horizon: int) -> NDArray[np.float32]:
    """What the logarithm of the scale is a combination of at each step, shape (3, H)."""
    late = np.log(np.arange(1, horizon + 1) / horizon) / np.log(max(horizon, 2))
    return np.stack([np.ones(horizon), late, late**2]).astype(np.float32)


def measure_motion(history: Tensor, seen: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
    """What the last frames say of each joint's motion.

    `history` (N, T, J, 3): positions [m], T at least 10; where joints are unseen, anything finite.
    `seen` (N, J): joints that count for the body.
    `parents` (J,): see `framing.bone_parents`.

    Returns `measures` (N, J, 3·MEASURES): lengths and cosines, then their mean over the body's
    joints, then their largest; `vectors` (N, J, VECTORS, 3): velocities [m per frame] and ways to
    mean positions [m] that a path can be mixed from.
    """
    history = history[:, -10:]
    last = history[:, -1]
    velocity = torch.stack([(last - history[:, -1 - span]) / span for span in SPANS], dim=2)
    weight = seen[..., None].to(history.dtype)  # (N, J, 1)
    count = weight.sum(1, keepdim=True).clamp(min=1)
    body = (velocity * weight[..., None]).sum(1, keepdim=True) / count[..., None]  # (N, 1, S, 3)
    of_body = body[:, :, BODY_SPANS].expand(-1, history.shape[2], -1, -1)
    to_mean = torch.stack([history.mean(1) - last, history[:, -5:].mean(1) - last], dim=2)
    vectors = torch.cat([velocity, of_body, to_mean], dim=2)

    steps = history.diff(dim=1)
    lengths = steps.norm(dim=-1)  # (N, 9, J)
    jolts = steps.diff(dim=1).norm(dim=-1)
    path, speed = lengths.mean(1), velocity.norm(dim=-1)  # (N, J), (N, J, S)
    jolt = torch.stack([jolts.mean(1), jolts[:, -3:].mean(1), jolts[:, -1]], dim=-1)
    apart = (velocity - body)[:, :, BODY_SPANS].norm(dim=-1)
    bones = (history - history[:, :, parents]).norm(dim=-1)  # (N, 10, J)
    wobble = (bones - bones.mean(1, keepdim=True)).square().mean(1).sqrt() * seen[:, parents]
    amounts = [speed, path[..., None], jolt, apart, of_body.norm(dim=-1), wobble[..., None]]

    def cosine(a: Tensor, b: Tensor, lengths: Tensor) -> Tensor:
        return (a * b).sum(-1) / (lengths + 1e-6)

    angles = [
        cosine(steps[:, -1], steps[:, -2], lengths[:, -1] * lengths[:, -2]),
        cosine(steps[:, -1], steps[:, -3], lengths[:, -1] * lengths[:, -3]),
        cosine(velocity[:, :, 0], velocity[:, :, 4], speed[..., 0] * speed[..., 4]),
        cosine(velocity[:, :, 1], velocity[:, :, 3], speed[..., 1] * speed[..., 3]),
        speed[..., 4] / (path + 1e-4),  # 1 where the path is straight
    ]
    lengthy = torch.log1p(torch.cat(amounts, dim=-1) / _STILL) / 3 - 1
    own = torch.cat([lengthy, torch.stack(angles, dim=-1)], dim=-1)
    mean = (own * weight).sum(1, keepdim=True) / count
    most = own.masked_fill(~seen[..., None], -9.0).amax(1, keepdim=True)
    return torch.cat([own, mean.expand_as(own), most.expand_as(own)], dim=-1), vectors


class ForecastNetwork(nn.Module):
    """Features of observed motion in, path of every joint out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        config.check()
        self.base = LearntBase(config) if config.gate else None

    def forward(self, features: Tensor) -> Tensor:
        """Forecast.

        `features` (N, T, J, C): what `framing.frame` makes of a history, oldest frame first.

        Returns (N, H, J, 3): paths or offsets in the units and frame of the input; see
        `LearntBase.forward`.
        """
        path = self.path(features)
        return path if self.base is None else self.base(features, path)

    def path(self, features: Tensor) -> Tensor:
        """What the network itself answers, (N, T, J, C) → (N, H, J, 3)."""
        raise NotImplementedError


class Mean(nn.Module):
    """The mean of what several networks answer, each with a learnt base of its own.

    Where they disagree a forecast is less sure: its scale is the mean of theirs and how far their
    paths are from the mean path, on the mean joint of those that are seen (deep ensembles:
    Lakshminarayanan et al., NeurIPS 2017). That only holds of members that learn by themselves: in
    training the answer is theirs, one after the other, (M, N, H, J, ...).
    """

    def __init__(self, members: Iterable[ForecastNetwork], visibility: bool) -> None:
        super().__init__()
        self.members, self.visibility = nn.ModuleList(members), visibility

    def forward(self, features: Tensor) -> Tensor:
        """See `ForecastNetwork.forward`."""
        answers = torch.stack([member(features) for member in self.members])
        if self.training:
            return answers
        mean = answers.mean(dim=0)
        if mean.shape[-1] == 3:
            return mean
        apart = torch.linalg.vector_norm((answers - mean)[..., :3], dim=-1).mean(dim=0)
        seen = features[:, -1:, :, -1] > 0 if self.visibility else torch.ones_like(apart) > 0
        apart = (apart * seen).sum(dim=2, keepdim=True) / seen.sum(dim=2, keepdim=True).clamp(min=1)
        return torch.cat([mean[..., :3], mean[..., 3:] + apart[..., None]], dim=-1)


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

    `layer`: makes a layer, (J, T, N, inputs) → (J, T, N, outputs), of J, T, inputs, outputs and the
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
