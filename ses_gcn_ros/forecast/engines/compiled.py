"""The folded network compiled for this processor: the fastest on a CPU, and it needs no torch."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engines.folding import fold
from ses_gcn_ros.forecast.weights import Weights


class CompiledRunner:
    """Run a folded network on one CPU thread.

    Parameters
    ----------
    weights : Weights
        Checked weights.
    device : str
        'auto' or 'cpu'.

    Raises
    ------
    ModelError
        If numba is missing, the network can't be folded, or another device is asked for.
    """

    kind = "compiled"
    device = "cpu"
    whole = False

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cuda":
            raise ModelError("engine 'compiled' runs on the CPU; take engine cuda for device cuda")
        # Imported where used: it asks LLVM about the processor.
        from ses_gcn_ros.forecast.engines.packing import ROWS, pack

        config = weights.config
        if min(config.joints, config.observed) < ROWS:
            raise ModelError(
                f"engine 'compiled' takes {ROWS} joints and frames or more; '{weights.name}' has "
                f"{config.joints} joints and {config.observed} frames"
            )
        packed = pack(fold(weights), config)
        self._horizon = config.horizon
        self._constant = packed.memory, packed.layers, packed.convolutions, packed.plan
        self._network = _compiled()

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer of the network, (N, T, J, C) → (N, H, J, 3)."""
        people, _, joints, _ = features.shape
        answer = np.empty((people, self._horizon, joints, 3), np.float32)
        self._network(*self._constant, np.ascontiguousarray(features), answer)
        return answer


@functools.cache
def _compiled() -> Any:
    try:
        from ses_gcn_ros.forecast.engines.kernel import compile_network
    except ImportError as error:
        raise ModelError(f"engine 'compiled' needs numba: {error}") from None
    return compile_network()
