"""A fully connected network that lifts 2D joints to 3D: the baseline to compare with.

Martinez, Hossain, Romero, Little: A simple yet effective baseline for 3d human pose estimation.
ICCV 2017. https://arxiv.org/abs/1705.03098
"""

from __future__ import annotations

from torch import Tensor, nn

from ses_gcn_ros.models.lifting import LiftingConfig


class LinearLifter(nn.Module):
    """A layer in, residual blocks of two layers, a layer out; as published 1024 units, 2 blocks."""

    def __init__(self, config: LiftingConfig, joints: int) -> None:
        super().__init__()
        self.joints = joints
        width, dropout = config.width, config.dropout
        self.enter = _layer(joints * config.inputs, width, dropout)
        self.blocks = nn.ModuleList(
            nn.Sequential(*_layer(width, width, dropout), *_layer(width, width, dropout))
            for _ in range(config.blocks)
        )
        self.leave = nn.Linear(width, 3 * joints)

    def forward(self, joints: Tensor) -> Tensor:
        """Joints in space, shape (N, J, 3), of joints in the image, shape (N, J, inputs)."""
        x: Tensor = self.enter(joints.flatten(1))
        for block in self.blocks:
            x = x + block(x)
        answer: Tensor = self.leave(x)
        return answer.view(-1, self.joints, 3)


def _layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)
    )
