"""The network as CUDA graphs: one launch for all its kernels and both copies.

On a GPU this network's kernels take less time than launching them one by one. So for each of a few
batch sizes the copy to the device, the network and the copy back are recorded once and replayed;
a batch runs in the smallest recorded size that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engines.eager import EagerRunner
from ses_gcn_ros.forecast.weights import Weights

BATCHES = (1, 2, 4, 8, 16, 32, 64)
_WARM_UP = 3  # runs before recording, in which libraries choose their algorithms


@dataclass(frozen=True, eq=False)
class _Recording:
    """A graph, the array that it holds on to, the page-locked ones that it reads and writes."""

    graph: Any
    on_device: Any
    features: NDArray[np.float32]
    answer: NDArray[np.float32]


class CudaRunner:
    """Replay a network on a GPU, in full float32.

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

    kind = "cuda"
    device = "cuda"

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cpu":
            raise ModelError("engine 'cuda' runs on a GPU; take engine auto for device cpu")
        try:
            import torch
        except ImportError as error:
            raise ModelError(f"engine 'cuda' needs torch: {error}") from None
        if not torch.cuda.is_available():
            raise ModelError("engine is 'cuda' but torch finds no GPU; set engine to auto")
        eager = EagerRunner(weights, "cuda")
        self._torch = torch
        config = weights.config
        shape = (config.observed, config.joints, config.features)
        self._stream = torch.cuda.Stream()
        # Convolutions would take TF32, which costs a millimetre, unless told otherwise.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), torch.cuda.stream(self._stream), exact:
            self._recordings = {
                batch: self._record(eager.network, (batch, *shape)) for batch in BATCHES
            }

    def _record(self, network: Any, shape: tuple[int, ...]) -> _Recording:
        torch = self._torch
        features = torch.zeros(shape, pin_memory=True)
        on_device = features.cuda()
        for _ in range(_WARM_UP):
            path = network(on_device)
        answer = torch.empty(path.shape, pin_memory=True)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            on_device.copy_(features, non_blocking=True)
            answer.copy_(network(on_device), non_blocking=True)
        return _Recording(graph, on_device, features.numpy(), answer.numpy())

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer of the network, (N, T, J, C) → (N, H, J, 3)."""
        starts = range(0, len(features), BATCHES[-1])
        parts = [self._replay(features[start : start + BATCHES[-1]]) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _replay(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        people = len(features)
        recording = self._recordings[next(batch for batch in BATCHES if batch >= people)]
        recording.features[:people] = features  # what lies behind them is computed and left alone
        with self._torch.cuda.stream(self._stream):
            recording.graph.replay()
        self._stream.synchronize()
        return recording.answer[:people].copy()
