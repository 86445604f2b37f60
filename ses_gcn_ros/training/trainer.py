"""The training loop of every network here: seeded, averaged, picked up where it was killed.

What is trained is a `Task`: it makes the network, draws the batch of a step and says how far off
the network is. Forecasters, lifting networks and classifiers of actions are tasks.
"""

from __future__ import annotations

import atexit
import copy
import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as distributed
import torch.distributed.nn.functional as shared
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from ses_gcn_ros.errors import MISSHAPEN, ConfigError, ModelError
from ses_gcn_ros.resources import csv_text, write_atomically
from ses_gcn_ros.training.recipe import TrainingRecipe


class Processes:
    """The processes of this run: those that ``torchrun`` started, or this one alone.

    All draw the same batch and each takes its share of the windows. Normalisation goes over the
    shares of all, so that several processes give what one gives with the same batch, up to the
    order of summation (and dropout, which each process draws for itself).

    Attributes:
    - `rank`, `count`: which of how many this one is.
    - `kind`, `device`: where they compute, 'cpu' or 'cuda', and where this one does, such as
      'cuda:1'.
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


Progress = Callable[[int, int, float], None]  # step, of how many, mean loss since the last

_COUNTER = "num_batches_tracked"  # of batch normalisation, of no use once trained


class Task(Protocol):
    """What is trained."""

    plan: TrainingRecipe  # how
    per_epoch: int  # steps in which every sample is seen once; 0 where they are drawn at random

    def network(self) -> nn.Module:
        """The network as training starts, drawn from torch's generator."""
        ...

    def identity(self) -> dict[str, str]:
        """What must be the same for a run to be continued: recipe, data, start."""
        ...

    def batch(self, step: int, rng: np.random.Generator) -> Any:
        """Samples of a step; the same ones whenever that step is taken."""
        ...

    def loss(self, network: nn.Module, batch: Any, processes: Processes) -> tuple[Tensor, Tensor]:
        """This process's part of a step's loss, to be minimised and to be shown."""
        ...

    def validate(self, network: nn.Module) -> float:
        """How far off the averaged network is on held-out data; less is better.

        Not asked for without ``patience``."""
        ...


def make_optimiser(plan: TrainingRecipe, network: nn.Module) -> torch.optim.Optimizer:
    """AdamW whose decay spares biases and scales, or Adam or SGD as the papers use them."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if plan.optimiser == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=plan.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=plan.weight_decay,
        )
    if plan.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay
    )


class Schedule:
    """How long a recipe trains, and how fast at each step.

    `per_epoch`: steps of an epoch; 0 where the recipe counts steps.

    Attributes:
    - `steps`: optimiser steps in all.
    """

    def __init__(self, plan: TrainingRecipe, per_epoch: int) -> None:
        self._plan, self._per_epoch = plan, per_epoch
        self.steps = plan.epochs * per_epoch or plan.steps

    def learning_rate(self, step: int) -> float:
        """Rate of a step, counted from 0."""
        plan = self._plan
        highest = plan.learning_rate * min(1.0, (step + 1) / plan.warm_up)
        if plan.milestones:
            epoch = step // self._per_epoch
            return float(highest * 0.1 ** sum(epoch >= stone for stone in plan.milestones))
        return highest * 0.5 * (1 + math.cos(math.pi * step / self.steps))


class Trainer:
    """A network in training.

    Everything drawn at random comes from the seed and the number of the step, so that a step is the
    same whether or not the run was interrupted before it. Raises ConfigError if the checkpoint that
    is there was made by another recipe, from other data or another start.

    `checkpoint`: file that the state is kept in; a log in CSV is kept beside it. Nothing is kept
    with None.
    `processes`: those that train together, and where; this one alone on the CPU if left out.
    """

    def __init__(
        self, task: Task, checkpoint: Path | None, processes: Processes | None = None
    ) -> None:
        self.task, self.checkpoint = task, checkpoint
        self._processes = processes = processes or Processes()
        processes.check(task.plan.batch)
        self._schedule = Schedule(task.plan, task.per_epoch)
        torch.manual_seed(task.plan.seed)
        self.network = task.network().to(processes.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self._shared = processes.share(self.network)
        self._optimiser = make_optimiser(task.plan, self.network)
        self.step = 0
        self.log: list[tuple[int, float, float | None, float]] = []
        self._best: tuple[int, dict[str, Tensor]] | None = None  # step, state of the average
        if checkpoint is not None and checkpoint.is_file():
            self._restore(checkpoint)

    def run(self, progress: Progress = lambda step, steps, loss: None) -> None:
        """Train up to the recipe's last step, or until validation no longer gets better.

        Raises ModelError if the loss is no longer a number; the last checkpoint stays as it is.
        """
        plan, steps = self.task.plan, self._schedule.steps
        self.save()  # fails now rather than later where nothing can be written
        since, total = self.step, torch.zeros((), device=self._processes.device)
        self.network.train()
        for part in self.network.children():  # what is frozen answers as it will when trained
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        while self.step < steps and not self._exhausted():
            total += self._advance()
            self.step += 1
            if self.step % plan.checkpoint_every == 0 or self.step == steps:
                loss = self._processes.total(total) / (self.step - since)
                if not math.isfinite(loss):
                    raise ModelError(
                        f"the loss is {loss} between steps {since} and {self.step}; lower "
                        f"training.learning_rate ({plan.learning_rate:g}). "
                        + (
                            f"The state at step {since} is kept in '{self.checkpoint}'"
                            if self.checkpoint is not None
                            else "Nothing was kept"
                        )
                    )
                validation = self._validate() if plan.patience else None
                rate = self._schedule.learning_rate(self.step - 1)
                self.log.append((self.step, loss, validation, rate))
                self.save()
                progress(self.step, steps, loss)
                since, total = self.step, torch.zeros_like(total)

    def _advance(self) -> Tensor:
        """One optimiser step; this process's part of the loss that is shown."""
        plan, processes = self.task.plan, self._processes
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.learning_rate(self.step)
        rng = np.random.default_rng([plan.seed, self.step])
        batch = self.task.batch(self.step, rng)
        torch.manual_seed(int(rng.integers(2**62)) + processes.rank)
        half = plan.precision == "bfloat16"
        with torch.autocast(processes.kind, torch.bfloat16, enabled=half):
            loss, shown = self.task.loss(self._shared, batch, processes)
        self._optimiser.zero_grad(set_to_none=True)
        # Gradients are averaged over the processes; the loss is the sum of their parts.
        (loss * processes.count).backward()
        if plan.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), plan.clip)
        self._optimiser.step()
        self._follow(min(plan.average, (self.step + 1) / (self.step + 10)))
        return shown.detach()

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        """Move the averaged network towards the trained one, running statistics included."""
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        kept = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[n] for n in kept], [theirs[n] for n in kept], 1 - decay)

    def _validate(self) -> float:
        """Error of the averaged network on held-out data; the best one is kept."""
        error = self._processes.agree(self.task.validate(self.average))
        if all(error < before for _, _, before, _ in self.log if before is not None):
            self._best = self.step, copy.deepcopy(self.average.state_dict())
        return error

    def _exhausted(self) -> bool:
        patience = self.task.plan.patience
        if not patience or self._best is None:
            return False
        return sum(step > self._best[0] for step, *_ in self.log) >= patience

    def tensors(self) -> dict[str, np.ndarray[Any, Any]]:
        """What the averaged network consists of, at its best if validated."""
        state = self.average.state_dict() if self._best is None else self._best[1]
        return tensors_of(state)

    def save(self) -> None:
        """Write checkpoint and log, each in one piece: an interrupted write leaves the old one."""
        if self.checkpoint is None or not self._processes.leads:
            return
        buffer = io.BytesIO()
        state = {
            "identity": self.task.identity(),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "best": self._best,
            "log": self.log,
        }
        torch.save(state, buffer)
        write_atomically(self.checkpoint, buffer.getvalue())
        rows = (
            (step, f"{loss:.6g}", None if valid is None else f"{valid:.6g}", f"{rate:.3g}")
            for step, loss, valid, rate in self.log
        )
        table = csv_text(("step", "loss", "validation", "learning_rate"), rows)
        write_atomically(self.checkpoint.with_suffix(".csv"), table)

    def forget(self) -> None:
        """Remove the checkpoint, once what was trained is written; the log stays."""
        if self.checkpoint is not None:
            self.checkpoint.unlink()

    def _restore(self, path: Path) -> None:
        identity = self.task.identity()
        try:
            device = self._processes.device
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            theirs = dict(state["identity"])
        except Exception as error:  # the unpickler of a damaged file may raise anything
            raise ConfigError(
                f"'{path}' is no checkpoint ({type(error).__name__}); remove it to start anew"
            ) from error
        differing = sorted(key for key in identity if theirs.get(key) != identity[key])
        if differing:
            name = differing[0]
            raise ConfigError(
                f"checkpoint '{path}' was made with {name} = {theirs.get(name)}, now it is "
                f"{identity[name]}; remove it or write elsewhere with -o"
            )
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.step, self._best = state["step"], state["best"]
            self.log = [tuple(row) for row in state["log"]]
        except (*MISSHAPEN, RuntimeError) as error:
            raise ConfigError(
                f"checkpoint '{path}' is damaged ({error!r}); remove it to start anew"
            ) from error


def tensors_of(state: dict[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of a network's state, without what counts batches."""
    return {name: t.cpu().numpy() for name, t in state.items() if not name.endswith(_COUNTER)}
