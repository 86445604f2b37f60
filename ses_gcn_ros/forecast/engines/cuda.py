"""The folded network as a CUDA graph of a few kernels of our own, framing included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engines.fused import FusedForecast
from ses_gcn_ros.forecast.engines.recording import Recordings, require_gpu
from ses_gcn_ros.forecast.weights import Weights


class CudaRunner:
    """Replay a whole forecast on a GPU.

    Parameters
    ----------
    weights : Weights
        Checked weights.
    device : str
        'auto' or 'cuda'.

    Attributes
    ----------
    launches : int
        Kernels of a forecast, for however many people.

    Raises
    ------
    ModelError
        If torch, Triton or a GPU is missing, the network can't be folded or the GPU can't run it,
        or another device is asked for.
    """

    kind = "cuda"
    device = "cuda"
    whole = True

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cpu":
            raise ModelError("engine 'cuda' runs on a GPU; take engine auto for device cpu")
        require_gpu()
        forecast = FusedForecast(weights)
        self.launches = forecast.launches
        self._recordings = Recordings(forecast.prepare)

    def __call__(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """Positions [m] from histories [m], (N, T, J, 3) → (N, H, J, 3)."""
        return self._recordings(history)
