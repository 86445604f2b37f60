"""The baseline for actions: a linear map of how each joint lies and moves in a window."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LinearStatistics(nn.Module):
    """Mean, deviation and speed of every coordinate in, one logit per class out.

    Of few people a network learns their habits; 405 weights for 15 joints and three classes learn
    where hands are and whether they move.

    Parameters
    ----------
    joints, classes : int
        V and the number of classes.
    channels : int
        Coordinates per joint.
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
