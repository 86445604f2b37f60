"""The training loop: seeded, averaged, and picked up where it was when it was killed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.forecast.engine import build_engine
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.build import build_network
from ses_gcn_ros.models.shapes import tensor_shapes
from ses_gcn_ros.training.batches import Batch, answer_scale, augmented_batch
from ses_gcn_ros.training.checkpoint import (
    identity_of,
    read_checkpoint,
    write_checkpoint,
    write_log,
)
from ses_gcn_ros.training.optimisation import Schedule, make_optimiser
from ses_gcn_ros.training.parallel import Processes
from ses_gcn_ros.training.recipe import Recipe
from ses_gcn_ros.training.scores import measure
from ses_gcn_ros.training.sources import make_source
from ses_gcn_ros.training.split import Split

Progress = Callable[[int, int, float], None]  # step, of how many, mean loss since the last [m]

_VALIDATION_STRIDE = 10  # frames: neighbouring windows say much the same


class Trainer:
    """A network in training.

    Everything drawn at random comes from the seed and the number of the step, so that a step is
    the same whether or not the run was interrupted before it.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    split : Split
        What to do it with.
    checkpoint : Path
        File that the state is kept in; a log in CSV is kept beside it.
    processes : Processes, optional
        Those that train together, and where; this one alone on the CPU if left out.
    start : Weights, optional
        Weights to go on from, masks included: a pruned teacher makes a student.

    Raises
    ------
    ConfigError
        If the checkpoint that is there was made by another recipe, from other data or another
        start, or `start` is another network than the recipe's.
    """

    def __init__(
        self,
        recipe: Recipe,
        split: Split,
        checkpoint: Path,
        processes: Processes | None = None,
        start: Weights | None = None,
    ) -> None:
        self.recipe, self.checkpoint = recipe, checkpoint
        self._processes = processes = processes or Processes()
        config, plan, device = recipe.model, recipe.training, processes.device
        processes.check(plan.batch)
        self._source = make_source(split.train, recipe)
        self._schedule = Schedule(plan, self._source.per_epoch)
        self._validation = split.calibrate
        self._identity = identity_of(recipe, split, start)
        torch.manual_seed(plan.seed)
        self.network = build_network(config, plan.dropout).to(device)
        if start is not None:
            if start.config != config:
                raise ConfigError(
                    f"weights '{start.name}' to start from are another network than recipe "
                    f"'{recipe.name}' describes"
                )
            tensors = {name: torch.from_numpy(tensor) for name, tensor in start.tensors.items()}
            self.network.load_state_dict(tensors, strict=False)  # they lack the batch counters
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self._shared = processes.share(self.network)
        self._optimiser = make_optimiser(plan, self.network)
        self._scale = torch.from_numpy(answer_scale(config)).to(device)
        steps = np.arange(1, config.horizon + 1) ** -plan.horizon_weight
        self._weights = torch.from_numpy((steps / steps.mean()).astype(np.float32)).to(device)
        self._units = 1000.0 if config.unit == "mm" else 1.0  # decay and loss are weighed in it
        self.step = 0
        self.log: list[tuple[int, float, float | None, float]] = []
        self._best: tuple[int, dict[str, Tensor]] | None = None  # step, state of the average
        if checkpoint.is_file():
            self._restore()

    def run(self, progress: Progress = lambda step, steps, loss: None) -> None:
        """Train up to the recipe's last step, or until validation no longer gets better.

        Raises
        ------
        ModelError
            If the loss is no longer a number; the last checkpoint stays as it is.
        """
        plan, steps = self.recipe.training, self._schedule.steps
        self.save()  # fails now rather than later where nothing can be written
        since, total = self.step, torch.zeros((), device=self._processes.device)
        self.network.train()
        while self.step < steps and not self._exhausted():
            total += self._advance()
            self.step += 1
            if self.step % plan.checkpoint_every == 0 or self.step == steps:
                loss = self._processes.total(total) / (self.step - since)
                if not math.isfinite(loss):
                    raise ModelError(
                        f"the loss is {loss} between steps {since} and {self.step}; lower "
                        f"training.learning_rate ({plan.learning_rate:g}). The state at step "
                        f"{since} is kept in '{self.checkpoint}'"
                    )
                validation = self._validate() if plan.patience else None
                rate = self._schedule.learning_rate(self.step - 1)
                self.log.append((self.step, loss, validation, rate))
                self.save()
                progress(self.step, steps, loss)
                since, total = self.step, torch.zeros_like(total)

    def _advance(self) -> Tensor:
        """One optimiser step; this process's part of its loss [m]."""
        recipe, plan, processes = self.recipe, self.recipe.training, self._processes
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.learning_rate(self.step)
        rng = np.random.default_rng([plan.seed, self.step])
        windows = self._source.draw(self.step, rng)
        batch = augmented_batch(windows, rng, recipe.model, recipe.augment)
        torch.manual_seed(int(rng.integers(2**62)) + processes.rank)
        loss = self._loss(batch.part(processes.rank, processes.count), float(batch.weight.sum()))
        self._optimiser.zero_grad(set_to_none=True)
        # Gradients are averaged over the processes; the loss is the sum of their parts.
        (loss * self._units * processes.count).backward()
        if plan.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), plan.clip)
        self._optimiser.step()
        self._follow(min(plan.average, (self.step + 1) / (self.step + 10)))
        return loss.detach()

    def _loss(self, batch: Batch, joints: float) -> Tensor:
        """Distance of the joints that were seen, over their number, steps weighted [m]."""
        device = self._processes.device
        features = torch.from_numpy(np.ascontiguousarray(batch.features)).to(device)
        target = torch.from_numpy(np.ascontiguousarray(batch.target)).to(device)
        weight = torch.from_numpy(np.ascontiguousarray(batch.weight)).to(device)
        half = self.recipe.training.precision == "bfloat16"
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=half):
            answer = self._shared(features)
        error = torch.linalg.vector_norm((answer.float() - target) * self._scale, dim=-1)
        per_step = (error * weight).sum(dim=(0, 2)) / joints
        return (per_step * self._weights).mean()

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        """Move the averaged network towards the trained one, running statistics included."""
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        kept = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[n] for n in kept], [theirs[n] for n in kept], 1 - decay)

    def _validate(self) -> float:
        """Mean error of the averaged network on held-out windows [m]; the best is kept."""
        weights = self._as_weights(self.average.state_dict())
        engine = build_engine(weights, "eager", "cpu")
        errors = measure(engine, self._validation, _VALIDATION_STRIDE)
        error = self._processes.agree(float(errors.distance[weights.name].mean()))
        if all(error < before for _, _, before, _ in self.log if before is not None):
            self._best = self.step, copy.deepcopy(self.average.state_dict())
        return error

    def _exhausted(self) -> bool:
        patience = self.recipe.training.patience
        if not patience or self._best is None:
            return False
        return sum(step > self._best[0] for step, *_ in self.log) >= patience

    def weights(self) -> Weights:
        """The averaged network, at its best if validated, without a calibrated radius yet."""
        state = self.average.state_dict() if self._best is None else self._best[1]
        return self._as_weights(state)

    def _as_weights(self, state: dict[str, Tensor]) -> Weights:
        config = self.recipe.model
        tensors = {name: state[name].cpu().numpy() for name in tensor_shapes(config)}
        return Weights(config=config, tensors=tensors, name=self.recipe.name)

    def save(self) -> None:
        """Write checkpoint and log, each in one piece."""
        if not self._processes.leads:
            return
        state = {
            "identity": self._identity,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "best": self._best,
            "log": self.log,
        }
        write_checkpoint(self.checkpoint, state)
        write_log(self.checkpoint.with_suffix(".csv"), self.log)

    def _restore(self) -> None:
        device = self._processes.device
        state: dict[str, Any] = read_checkpoint(self.checkpoint, self._identity, device)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self._best = state["step"], state["best"]
        self.log = [tuple(row) for row in state["log"]]
