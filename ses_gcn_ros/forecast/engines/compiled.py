"""The folded network compiled for this processor: the fastest on a CPU, and it needs no torch."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engines.folding import fold
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import UNITS_PER_METRE, ModelConfig
from ses_gcn_ros.models.framing import (
    DAMPING,
    body_line,
    by_frequency,
    input_scales,
    offset_scale,
    reach,
)
from ses_gcn_ros.skeleton import get_layout


class CompiledRunner:
    """Run a folded network on the CPU, framing included.

    Parameters
    ----------
    weights : Weights
        Checked weights.
    device : str
        'auto' or 'cpu'.
    threads : int
        That many people are shared between, at most.

    Raises
    ------
    ModelError
        If numba is missing, the network can't be folded, or another device is asked for.
    """

    kind = "compiled"
    device = "cpu"
    whole = True

    def __init__(self, weights: Weights, device: str, threads: int = 1) -> None:
        if device == "cuda":
            raise ModelError("engine 'compiled' runs on the CPU; take engine cuda for device cuda")
        # Imported where used: it asks LLVM about the processor.
        from ses_gcn_ros.forecast.engines.crew import Crew
        from ses_gcn_ros.forecast.engines.packing import ROWS, pack

        config = weights.config
        if min(config.joints, config.observed) < ROWS:
            raise ModelError(
                f"engine 'compiled' takes {ROWS} joints and frames or more; '{weights.name}' has "
                f"{config.joints} joints and {config.observed} frames"
            )
        self._config = config
        self._answered = config.horizon, config.joints, 3
        network, self._framing = _compiled()
        self._crew = Crew(
            *(network, pack(fold(weights), config)),
            *((config.observed, config.joints, config.features), self._answered),
            threads,
        )
        self._scale = UNITS_PER_METRE[config.unit]
        self._entering = _entering(config)
        self._leaving = _leaving(config)

    def __call__(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """Positions [m] from histories [m], (N, T, J, 3) → (N, H, J, 3)."""
        config, people = self._config, len(history)
        features = np.empty((*history.shape[:3], config.features), np.float32)
        latest = np.empty((people, 2, config.joints, 3), np.float32)
        poses = np.empty((people, self._framing.POSE), np.float32)
        seen = np.empty((people, config.joints), np.bool_)
        framed = latest, poses, seen
        history = np.ascontiguousarray(history)
        self._framing.enter(history, self._scale, *self._entering, features, *framed)
        if config.frequency:
            features = by_frequency(features)
        path = self.answer(features)
        self._framing.leave(*framed, self._scale, *self._leaving, path)
        return path

    def answer(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network itself makes of features, (N, T, J, C) → (N, H, J, 3)."""
        answer = np.empty((len(features), *self._answered), np.float32)
        self._crew(np.ascontiguousarray(features), answer)
        return answer


def _entering(config: ModelConfig) -> tuple[Any, ...]:
    """What `framing_kernel.enter` is told of a network."""
    position, motion = input_scales(config)
    right, left, weight = body_line(config.layout) if config.heading else ([], [], [])
    return (
        get_layout(config.layout).root if config.origin else -1,
        config.heading,
        position,
        motion if config.motion else 0.0,
        config.visibility,
        np.array(right, np.int64),
        np.array(left, np.int64),
        np.array(weight, np.float32),
    )


def _leaving(config: ModelConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What `framing_kernel.leave` is told of a network's answer."""
    if not config.offset:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    scale = offset_scale(config.horizon, config.fps)
    return reach(config.horizon, DAMPING), scale.reshape(-1)


@functools.cache
def _compiled() -> Any:
    try:
        from ses_gcn_ros.forecast.engines import framing_kernel
        from ses_gcn_ros.forecast.engines.kernel import compile_network
    except ImportError as error:
        raise ModelError(f"engine 'compiled' needs numba: {error}") from None
    return compile_network(), framing_kernel
