"""What a network's offset is added to: how far each joint's own last motion will carry it.

A velocity that a camera measured is part motion, part noise, and how much of each differs by joint,
person, camera and moment. Bones that change their length tell noise most plainly: over ten frames
by 0.5 mm in motion capture, by 5 mm where one camera guesses depth. A small network, the same for
all joints, judges it from ten frames: it mixes velocities of several lengths of time, the body's
own, and the way back to the mean position, each continued in several ways. As only lengths and
angles tell it what to mix, a path turns with the body and does not depend on where the body is. It
also says how much the offset of the network beside it can be trusted, and how far off the forecast
will be.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.framing import bone_parents, input_scales, offset_scale, reach
from ses_gcn_ros.models.shapes import ANSWERS, BODY_SPANS, DAMPINGS, MEASURES, SPANS, VECTORS

_TRUST, _SCALE = 3.0, -2.3  # where training starts: sigmoid(3) of the offset, exp(-2.3) m
_STILL = 0.002  # m; motion below it is told apart on a linear scale, above it on a logarithmic one


class LearntBase(nn.Module):
    """Turn a network's offsets into displacements from the last pose, with a scale of their error.

    Untrained, it continues the last velocity damped by 0.9 per frame.

    Parameters
    ----------
    config : ModelConfig
        Its `gate` is the width of both hidden layers.
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

        Parameters
        ----------
        features : Tensor, shape (N, T, J, C)
            What the network saw; the first three are positions, the last one visibility.
        offset : Tensor, shape (N, H, J, 3)
            What it answered.

        Returns
        -------
        Tensor, shape (N, H, J, 4)
            Displacement from the last pose [m] in the person's frame, and the distance that the
            forecast is expected to be off by [m].
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

    Parameters
    ----------
    history : Tensor, shape (N, T, J, 3)
        Positions [m], T at least 10; where joints are unseen, anything finite.
    seen : Tensor, shape (N, J)
        Joints that count for the body.
    parents : Tensor, shape (J,)
        See `framing.bone_parents`.

    Returns
    -------
    measures : Tensor, shape (N, J, 3·MEASURES)
        Lengths and cosines, then their mean over the body's joints, then their largest.
    vectors : Tensor, shape (N, J, VECTORS, 3)
        Velocities [m per frame] and ways to mean positions [m] that a path can be mixed from.
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
