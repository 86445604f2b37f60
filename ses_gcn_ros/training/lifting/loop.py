"""The training loop of lifting networks: seeded, averaged, picked up where it was killed."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ses_gcn_ros.datasets.sequences import Recording
from ses_gcn_ros.datasets.windows import RandomWindows
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.weights import write_atomically
from ses_gcn_ros.models.lifting_weights import (
    LiftingWeights,
    as_weights,
    make_network,
    serialise,
)
from ses_gcn_ros.training import augment
from ses_gcn_ros.training.checkpoint import read_checkpoint, write_checkpoint, write_log
from ses_gcn_ros.training.lifting.recipe import LiftingRecipe, values
from ses_gcn_ros.training.lifting.views import as_training, see
from ses_gcn_ros.training.optimisation import Schedule, make_optimiser
from ses_gcn_ros.training.split import split

_SHARED_VIEW = 8  # windows that a virtual camera sees; one each takes as long as the network
Progress = Callable[[int, float], None]  # step, mean loss since the last call [m]


def train_lifter(
    recipe: LiftingRecipe,
    recording: Recording,
    out: Path,
    progress: Progress = lambda step, loss: None,
) -> LiftingWeights:
    """Train a recipe and write the weights.

    A run that was killed goes on where its last checkpoint, ``OUT.checkpoint``, was made. The
    checkpoint goes when the weights are written; the log, ``OUT.csv``, stays.

    Raises
    ------
    InputError
        If the recipe's split leaves a part empty, or sequences are shorter than a window.
    ConfigError
        If there is a checkpoint of another run.
    ModelError
        If the loss is no longer a number; the last checkpoint stays.
    """
    plan, views = recipe.training, recipe.views
    sequences = split(recording.sequences, recipe.data).train
    source = RandomWindows(
        sequences, recipe.model.frames, views.fps, {"core": recipe.data.core_weight}
    )
    data = hashlib.sha256()
    for sequence in sequences:
        data.update(np.ascontiguousarray(sequence.stored).data)
    identity = {**values(recipe), "data": data.hexdigest()[:16]}

    torch.manual_seed(plan.seed)
    network = make_network(recipe.model)
    average = copy.deepcopy(network).requires_grad_(False).eval()
    optimiser, schedule = make_optimiser(plan, network), Schedule(plan, 0)
    rng = np.random.default_rng(plan.seed)
    checkpoint, log, step = out.with_suffix(".checkpoint"), [], 0
    if checkpoint.is_file():
        state = read_checkpoint(checkpoint, identity, "cpu")
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        rng.bit_generator.state = json.loads(state["numpy"])
        torch.set_rng_state(state["torch"])
        step, log = state["step"], [tuple(row) for row in state["log"]]

    network.train()
    total, since = 0.0, step
    while step < plan.steps:
        windows = source.sample(rng, plan.batch)
        if views.mirror:
            windows = augment.mirror(windows, rng, recipe.model.layout)
        windows = augment.resize(windows, rng, recipe.model.layout, views.size, views.proportions)
        low, high = views.noise
        features, joints = as_training(
            see(windows, rng, (low, high), views.outliers, views.missing, group=_SHARED_VIEW)
        )
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate(step)
        answer = network(torch.from_numpy(features))
        loss = torch.linalg.vector_norm(answer - torch.from_numpy(joints), dim=-1).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
        optimiser.step()
        _follow(average, network, min(plan.average, (step + 1) / (step + 10)))
        step, total = step + 1, total + float(loss.detach())
        if step % plan.checkpoint_every == 0 or step == plan.steps:
            mean = total / (step - since)
            if not math.isfinite(mean):
                raise ModelError(
                    f"the loss is {mean} between steps {since} and {step}; lower "
                    f"training.learning_rate ({plan.learning_rate:g})"
                )
            log.append((step, mean, None, schedule.learning_rate(step - 1)))
            state = {
                "identity": identity,
                "step": step,
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "numpy": json.dumps(rng.bit_generator.state),
                "torch": torch.get_rng_state(),
                "log": log,
            }
            write_checkpoint(checkpoint, state)
            write_log(out.with_suffix(".csv"), log)
            progress(step, mean)
            total, since = 0.0, step
    about = {
        "data": f"{recording.name}, without subjects {', '.join(recipe.data.held_out_subjects)}",
        "recipe": recipe.name,
        "seed": str(plan.seed),
        "steps": str(plan.steps),
        **recording.about,
    }
    weights = dataclasses.replace(as_weights(average, recipe.model, recipe.name), about=about)
    write_atomically(out, serialise(weights))
    checkpoint.unlink()
    return weights


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged network towards the trained one, running statistics included."""
    ours, theirs = average.state_dict(), network.state_dict()
    kept = [name for name, tensor in ours.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([ours[n] for n in kept], [theirs[n] for n in kept], 1 - decay)
