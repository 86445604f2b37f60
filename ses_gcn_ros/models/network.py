"""What all forecasting networks share: offsets from a base, and the base where it is learnt."""

from __future__ import annotations

from torch import Tensor, nn

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.learnt_base import LearntBase


class ForecastNetwork(nn.Module):
    """Features of observed motion in, path of every joint out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        config.check()
        self.base = LearntBase(config) if config.gate else None

    def forward(self, features: Tensor) -> Tensor:
        """Forecast.

        Parameters
        ----------
        features : Tensor, shape (N, T, J, C)
            What `framing.frame` makes of a history, oldest frame first.

        Returns
        -------
        Tensor, shape (N, H, J, 3), or (N, H, J, 4) with a learnt base
            Paths or offsets in the units and frame of the input; see `LearntBase.forward`.
        """
        path = self.path(features)
        return path if self.base is None else self.base(features, path)

    def path(self, features: Tensor) -> Tensor:
        """What the network itself answers, (N, T, J, C) → (N, H, J, 3)."""
        raise NotImplementedError
