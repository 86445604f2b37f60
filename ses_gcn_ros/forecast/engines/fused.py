"""A folded network as a few Triton launches, from histories to positions on the GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engines.folding import fold
from ses_gcn_ros.forecast.engines.fused_packing import TILE, Stage, pack
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models import framing
from ses_gcn_ros.models.config import UNITS_PER_METRE

_PLANES = 6  # of `base`: last position and last velocity, three coordinates each
_POSE = 8  # values of `turn`
# Multiply and add in one step, which newer versions of Triton don't unless asked.
_OPTIONS = {"enable_fp_fusion": True}


@dataclass(frozen=True, eq=False)
class _Buffers:
    """What lies between launches, for so many people; its padding stays zero."""

    features: list[Any]  # in front of each layer, and behind the last
    paths: list[Any]  # behind each convolution but the last
    pose: tuple[Any, Any, Any]  # base, turn, seen
    positions: Any


class FusedForecast:
    """Framing, network and unframing of one set of weights on a GPU.

    Parameters
    ----------
    weights : Weights
        Checked weights.
    device : str
        Where everything lies; 'cpu' goes with Triton's interpreter.

    Attributes
    ----------
    launches : int
        Kernels from histories to positions.

    Raises
    ------
    ModelError
        If torch or Triton is missing, or the network can't be folded.
    """

    def __init__(self, weights: Weights, device: str = "cuda") -> None:
        try:
            import torch

            from ses_gcn_ros.forecast.engines import fused_kernels
        except ImportError as error:
            raise ModelError(f"fused kernels need torch and triton: {error}") from None
        self._torch, self._kernels, self._device = torch, fused_kernels, device
        self._config = config = weights.config
        self._packed = packed = pack(fold(weights), config)
        self._units = UNITS_PER_METRE[config.unit]
        self._framing = self._put(packed.framing)
        self._layers = [self._put(stage) for stage in packed.layers]
        self._head = [self._put(stage) for stage in packed.head]
        self._unframing = self._put(Stage(packed.unframing, 1.0, {}))
        self.launches = 1 + len(self._layers) + len(self._head)

    def prepare(self, people: int) -> tuple[Any, Callable[[], Any]]:
        """Room for so many people, and what turns histories in it into positions.

        Returns
        -------
        history : Tensor, shape (people, T, J, 3), float32
            To be filled with positions [m]; NaN throughout for unseen joints.
        forecast : callable
            Gives positions (people, H, J, 3) [m], always in the same tensor.
        """
        config, packed = self._config, self._packed
        history = self._room(people, config.observed, config.joints, 3)
        rows = people, packed.joints
        buffers = _Buffers(
            features=[
                *(self._room(*rows, config.observed, width) for width in packed.widths),
                self._room(*rows, packed.depth),
            ],
            paths=[self._room(*rows, 3, packed.steps) for _ in self._head[1:]],
            pose=(
                self._room(people, _PLANES, packed.joints),
                self._room(people, _POSE),
                self._room(*rows),
            ),
            positions=self._room(people, config.horizon, config.joints, 3),
        )
        return history, lambda: self._forecast(history, buffers)

    def _forecast(self, history: Any, buffers: _Buffers) -> Any:
        kernels, people, features = self._kernels, len(history), buffers.features
        scales = self._units, *framing.input_scales(self._config)
        kernels.frame_history[(people,)](
            *(history, features[0], *buffers.pose, *self._framing, *scales),
            **self._packed.framing.sizes,
            **_OPTIONS,
        )
        frames = self._config.observed
        for index, (stage, constants) in enumerate(
            zip(self._packed.layers, self._layers, strict=True)
        ):
            kernels.layer[(people, frames)](
                *(features[index], features[index + 1], *constants, stage.slope),
                **stage.sizes,
                **_OPTIONS,
            )
        stages = [features[-1], *buffers.paths, buffers.positions]
        blocks = self._packed.steps // TILE
        for index, (stage, constants) in enumerate(zip(self._packed.head, self._head, strict=True)):
            kernels.convolve[(people, blocks)](
                *(stages[index], stages[index + 1], *constants, stage.slope, *buffers.pose),
                *(*self._unframing, 1 / self._units),
                **stage.sizes,
                **_OPTIONS,
            )
        return buffers.positions

    def _put(self, stage: Stage) -> list[Any]:
        arrays = [np.ascontiguousarray(values, np.float32) for values in stage.constants]
        return [self._torch.from_numpy(array).to(self._device) for array in arrays]

    def _room(self, *shape: int) -> Any:
        return self._torch.zeros(shape, device=self._device)
