"""The torch modules as CUDA graphs, where the network can't be folded or Triton is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engines.eager import EagerRunner
from ses_gcn_ros.forecast.engines.recording import Recordings, require_gpu
from ses_gcn_ros.forecast.weights import Weights


class GraphRunner:
    """Replay a network on a GPU.

    Parameters
    ----------
    weights : Weights
        Checked weights.
    device : str
        'auto' or 'cuda'.

    Raises
    ------
    ModelError
        If torch or a GPU is missing, or another device is asked for.
    """

    kind = "graph"
    device = "cuda"
    whole = False

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cpu":
            raise ModelError("engine 'graph' runs on a GPU; take engine auto for device cpu")
        torch, config = require_gpu(), weights.config
        network = EagerRunner(weights, "cuda").network

        def prepare(people: int) -> tuple[Any, Callable[[], Any]]:
            shape = people, config.observed, config.joints, config.features
            features = torch.zeros(shape, device="cuda")
            return features, lambda: network(features)

        self._recordings = Recordings(prepare)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer of the network, (N, T, J, C) → (N, H, J, 3)."""
        return self._recordings(features)
