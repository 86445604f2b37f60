"""The network that a configuration describes."""

from __future__ import annotations

from collections.abc import Callable

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.dctmlp import DCTMLP
from ses_gcn_ros.models.jointformer import Jointformer
from ses_gcn_ros.models.network import ForecastNetwork
from ses_gcn_ros.models.sesgcn import SeSGCN
from ses_gcn_ros.models.stsgcn import STSGCN

_NETWORKS: dict[str, Callable[[ModelConfig, float], ForecastNetwork]] = {
    "sesgcn": SeSGCN,
    "stsgcn": STSGCN,
    "dctmlp": DCTMLP,
    "jointformer": Jointformer,
}


def build_network(config: ModelConfig, dropout: float = 0.0) -> ForecastNetwork:
    """Untrained network: features (N, T, J, C) → path (N, H, J, 3).

    `dropout` is the share left out in each layer, in training.
    """
    return _NETWORKS[config.network](config, dropout)
