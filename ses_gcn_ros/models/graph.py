"""Separable graph convolution over frames and joints, with and without masks.

Features come as (J, T, N, C): joints, frames, batch, features. Mixing frames and mixing joints are
then plain matrix products without a copy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SpaceTimeGraph(nn.Module):
    """Frames are mixed per joint, then joints per frame, by adjacencies that are learnt.

    Sofianos et al., Space-Time-Separable Graph Convolutional Network for Pose Forecasting, ICCV
    2021, equation 4. https://arxiv.org/abs/2110.04573

    Parameters
    ----------
    joints, frames : int
        J and T.
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

    Parameters
    ----------
    joints, frames : int
        J and T.
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
