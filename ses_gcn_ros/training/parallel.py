"""Training with several processes that ``torchrun`` started; alone without it.

All processes draw the same batch and each takes its share of the windows. Normalisation goes over
the shares of all, so that several processes give what one gives with the same batch, up to the
order of summation (and dropout, which each process draws for itself).
"""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
import torch.distributed as distributed
import torch.distributed.nn.functional as shared
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from ses_gcn_ros.errors import ConfigError


class Processes:
    """The processes of this run.

    Attributes
    ----------
    rank, count : int
        Which of how many this one is.
    kind, device : str
        Where they compute, 'cpu' or 'cuda', and where this one does, such as 'cuda:1'.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.kind = self.device = device
        if self.count > 1:
            if device == "cuda":
                self.device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
                torch.cuda.set_device(self.device)
            if not distributed.is_initialized():
                distributed.init_process_group("nccl" if device == "cuda" else "gloo")
                atexit.register(distributed.destroy_process_group)

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Check that every process gets a window.

        Raises ConfigError if there are more processes than windows in a step.
        """
        if batch < self.count:
            raise ConfigError(
                f"{self.count} processes can't share a batch of {batch} windows; raise "
                "training.batch or start fewer"
            )

    def share(self, network: nn.Module) -> nn.Module:
        """Network whose gradients and normalisations are those of all processes together."""
        if self.count == 1:
            return network
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = SharedNorm
        return DistributedDataParallel(network, broadcast_buffers=False)

    def total(self, value: Tensor) -> float:
        """Sum of a number over all processes."""
        if self.count > 1:
            distributed.all_reduce(value)
        return float(value)

    def agree(self, value: float) -> float:
        """The leading process's number."""
        if self.count == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(tensor, 0)
        return float(tensor)

    def wait(self) -> None:
        """Until all have come here, and the leading one has written its files."""
        if self.count > 1:
            distributed.barrier()


class SharedNorm(_BatchNorm):
    """Batch normalisation over the batch of all processes, on the CPU too."""

    def _check_input_dim(self, input: Any) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out; channels are the second axis."""
        if not self.training:
            return super().forward(x)
        axes = [0, *range(2, x.ndim)]
        count = torch.tensor(float(x.numel() / x.shape[1]), device=x.device)
        distributed.all_reduce(count)
        mean = shared.all_reduce(x.float().sum(axes)) / count
        shape = [1, -1] + [1] * (x.ndim - 2)
        centred = x.float() - mean.view(shape)
        variance = shared.all_reduce(centred.square().sum(axes)) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
            self.running_var.lerp_(unbiased, self.momentum)  # type: ignore[union-attr, arg-type]
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)
