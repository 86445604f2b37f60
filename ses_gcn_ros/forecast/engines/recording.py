"""Work on a GPU recorded as CUDA graphs: one launch for all its kernels and both copies.

Kernels of a forecast take less time than launching them one by one. So for each of a few batch
sizes the copy to the device, the kernels and the copy back are recorded once and replayed; a batch
runs in the smallest recorded size that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError

BATCHES = (1, 2, 4, 8, 16, 32, 64)
_WARM_UP = 3  # runs before recording, in which libraries choose their algorithms


@dataclass(frozen=True, eq=False)
class _Recording:
    """A graph, the page-locked arrays that it reads and writes, and what it holds on to."""

    graph: Any
    question: NDArray[np.float32]
    answer: NDArray[np.float32]
    kept: tuple[Any, ...]


class Recordings:
    """Replay what turns a batch into answers, in full float32.

    Parameters
    ----------
    prepare : callable
        Of a batch size gives a tensor on the GPU to be filled with a batch, and what then gives
        the answers as another: (B, …) → (B, …).

    Raises
    ------
    ModelError
        If the GPU can't do it.
    """

    def __init__(self, prepare: Callable[[int], tuple[Any, Callable[[], Any]]]) -> None:
        torch = require_gpu()
        self._torch, self._stream = torch, torch.cuda.Stream()
        # Convolutions would take TF32, which costs a millimetre, unless told otherwise.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        try:
            with torch.inference_mode(), torch.cuda.stream(self._stream), exact:
                self._recordings = {batch: self._record(*prepare(batch)) for batch in BATCHES}
        except Exception as error:  # torch and Triton have no common base for their exceptions
            raise ModelError(f"the GPU can't run this network: {error}") from error

    def _record(self, on_device: Any, run: Callable[[], Any]) -> _Recording:
        torch = self._torch
        self._stream.synchronize()  # what prepared it may have used another
        for _ in range(_WARM_UP):
            result = run()
        question = torch.zeros(on_device.shape, pin_memory=True)
        answer = torch.empty(result.shape, pin_memory=True)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            on_device.copy_(question, non_blocking=True)
            answer.copy_(run(), non_blocking=True)
        return _Recording(graph, question.numpy(), answer.numpy(), (on_device, run))

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers to a batch of any size."""
        starts = range(0, len(batch), BATCHES[-1])
        parts = [self._replay(batch[start : start + BATCHES[-1]]) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _replay(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(batch)
        recording = self._recordings[next(size for size in BATCHES if size >= count)]
        recording.question[:count] = batch  # what lies behind is computed and left alone
        with self._torch.cuda.stream(self._stream):
            recording.graph.replay()
        self._stream.synchronize()
        return recording.answer[:count].copy()


def require_gpu() -> Any:
    """Torch, if it finds a GPU.

    Raises
    ------
    ModelError
        If torch or a GPU is missing.
    """
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"an engine on a GPU needs torch: {error}") from None
    if not torch.cuda.is_available():
        raise ModelError("torch finds no GPU; set engine to auto and device to cpu")
    return torch
