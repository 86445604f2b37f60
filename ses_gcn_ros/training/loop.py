"""The training loop: seeded, averaged, and picked up where it was when it was killed."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ses_gcn_ros.datasets.windows import RandomWindows
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.forecast.weights import Weights, write_atomically
from ses_gcn_ros.models.build import build_network
from ses_gcn_ros.models.shapes import tensor_shapes
from ses_gcn_ros.training.batches import Batch, answer_scale, draw_batch
from ses_gcn_ros.training.recipe import Recipe, flat
from ses_gcn_ros.training.split import Split

Progress = Callable[[int, float], None]  # step, mean loss since the last call [m]


class Trainer:
    """A network in training.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    split : Split
        What to do it with.
    checkpoint : Path
        File that the state is kept in; a log in CSV is kept beside it.
    device : str
        'cpu' or 'cuda'.
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
        device: str = "cpu",
        start: Weights | None = None,
    ) -> None:
        self.recipe, self.checkpoint, self.device = recipe, checkpoint, device
        config, plan = recipe.model, recipe.training
        self._source = RandomWindows(
            split.train,
            config.observed + config.horizon,
            config.fps,
            {"core": recipe.data.core_weight},
        )
        self._identity = _identity(recipe, split, start)
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
        parameters = list(self.network.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(
            groups,
            lr=plan.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=plan.weight_decay,
        )
        self._rng = np.random.default_rng(plan.seed)
        self._scale = torch.from_numpy(answer_scale(config)).to(device)
        steps = np.arange(1, config.horizon + 1) ** -plan.horizon_weight
        self._weights = torch.from_numpy((steps / steps.mean()).astype(np.float32)).to(device)
        self.step = 0
        self.log: list[tuple[int, float, float]] = []  # step, loss [m], learning rate
        if checkpoint.is_file():
            self._restore()

    def run(self, progress: Progress = lambda step, loss: None) -> None:
        """Train up to the recipe's last step.

        Raises
        ------
        ModelError
            If the loss is no longer a number; the last checkpoint stays as it is.
        """
        plan = self.recipe.training
        self.save()  # fails now rather than later where nothing can be written
        since, total = self.step, torch.zeros((), device=self.device)
        self.network.train()
        while self.step < plan.steps:
            total += self._advance()
            self.step += 1
            if self.step % plan.checkpoint_every == 0 or self.step == plan.steps:
                loss = float(total) / (self.step - since)
                if not math.isfinite(loss):
                    raise ModelError(
                        f"the loss is {loss} between steps {since} and {self.step}; lower "
                        f"training.learning_rate ({plan.learning_rate:g}). The state at step "
                        f"{since} is kept in '{self.checkpoint}'"
                    )
                self.log.append((self.step, loss, self._learning_rate()))
                self.save()
                progress(self.step, loss)
                since, total = self.step, torch.zeros((), device=self.device)

    def _advance(self) -> Tensor:
        """One optimiser step; its loss [m]."""
        recipe = self.recipe
        plan = recipe.training
        for group in self._optimiser.param_groups:
            group["lr"] = self._learning_rate()
        batch = draw_batch(self._source, self._rng, plan.batch, recipe.model, recipe.augment)
        loss = self._loss(batch)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), plan.clip)
        self._optimiser.step()
        self._follow(min(plan.average, (self.step + 1) / (self.step + 10)))
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        """Mean distance of the joints that were seen, steps weighted [m]."""
        features = torch.from_numpy(batch.features).to(self.device)
        target = torch.from_numpy(batch.target).to(self.device)
        weight = torch.from_numpy(batch.weight).to(self.device)
        error = torch.linalg.vector_norm((self.network(features) - target) * self._scale, dim=-1)
        per_step = (error * weight).sum(dim=(0, 2)) / weight.sum()
        return (per_step * self._weights).mean()

    def _learning_rate(self) -> float:
        plan = self.recipe.training
        warm = min(1.0, (self.step + 1) / plan.warm_up)
        return plan.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * self.step / plan.steps))

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        """Move the averaged network towards the trained one, running statistics included."""
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        kept = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[n] for n in kept], [theirs[n] for n in kept], 1 - decay)

    def weights(self) -> Weights:
        """The averaged network, without a calibrated radius yet."""
        tensors = {k: v.cpu().numpy() for k, v in self.average.state_dict().items()}
        return Weights(
            config=self.recipe.model,
            tensors={name: tensors[name] for name in tensor_shapes(self.recipe.model)},
            name=self.recipe.name,
        )

    def save(self) -> None:
        """Write checkpoint and log, each in one piece."""
        state = {
            "identity": self._identity,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "numpy": json.dumps(self._rng.bit_generator.state),
            "torch": torch.get_rng_state(),
            "log": self.log,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.checkpoint, buffer.getvalue())
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("step", "loss_mm", "learning_rate"))
        writer.writerows(
            (step, f"{1000 * loss:.3f}", f"{rate:.3g}") for step, loss, rate in self.log
        )
        write_atomically(self.checkpoint.with_suffix(".csv"), table.getvalue().encode())

    def _restore(self) -> None:
        try:
            state: Any = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            theirs = state["identity"]
        except Exception as error:  # the unpickler of a damaged file may raise anything
            raise ConfigError(
                f"'{self.checkpoint}' is no checkpoint ({type(error).__name__}); remove it to "
                "start anew"
            ) from error
        differing = sorted(k for k in self._identity if theirs.get(k) != self._identity[k])
        if differing:
            name = differing[0]
            raise ConfigError(
                f"checkpoint '{self.checkpoint}' was made with {name} = {theirs.get(name)}, now it "
                f"is {self._identity[name]}; remove it or write elsewhere with -o"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._rng.bit_generator.state = json.loads(state["numpy"])
        torch.set_rng_state(state["torch"].cpu())
        self.step, self.log = state["step"], [tuple(row) for row in state["log"]]


def _identity(recipe: Recipe, split: Split, start: Weights | None) -> dict[str, str]:
    """What must be the same for a run to be continued: the recipe's values, the data, the start."""
    digest = hashlib.sha256()
    for sequence in split.train:
        digest.update(f"{sequence.name} {sequence.fps}".encode())
        digest.update(np.ascontiguousarray(sequence.stored).data)
    values = {name: str(value) for name, value in flat(recipe).items()}
    origin = hashlib.sha256()
    for name, tensor in sorted(start.tensors.items()) if start else ():
        origin.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
    return {**values, "data": digest.hexdigest()[:16], "start": origin.hexdigest()[:16]}
