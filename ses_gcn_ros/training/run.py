"""From a recipe and a recording to a weights file: train, calibrate, write."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ses_gcn_ros.datasets.sequences import Recording
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.forecast.engine import build_engine
from ses_gcn_ros.forecast.weights import Weights, read_weights, write_weights
from ses_gcn_ros.training.loop import Progress, Trainer
from ses_gcn_ros.training.parallel import Processes
from ses_gcn_ros.training.recipe import Recipe, load_recipe
from ses_gcn_ros.training.scores import conformal_radius, measure
from ses_gcn_ros.training.split import Split, split


def train(
    recipe: Recipe,
    recording: Recording,
    out: Path,
    *,
    device: str = "cpu",
    start: Weights | None = None,
    masks_only: bool = False,
    progress: Progress = lambda step, steps, loss: None,
) -> Weights:
    """Train a recipe and write calibrated weights.

    A run that was killed goes on where its last checkpoint, ``OUT.checkpoint``, was made and gives
    the same weights as if it had never been interrupted. The checkpoint goes when the weights are
    written; the log, ``OUT.csv``, stays. With `start`, training goes on from those weights: from a
    pruned teacher's it gives a student. With `masks_only` it starts anew within their masks, as in
    the paper. A recipe that goes on after another trains that one first. Under ``torchrun`` all
    processes train together and the first one writes.

    Raises
    ------
    InputError
        If the recipe's split leaves a part empty, or sequences are shorter than a window.
    ConfigError
        If there is a checkpoint of another run.
    ModelError
        If the loss is no longer a number.
    """
    parts = split(recording.sequences, recipe.data)
    processes = Processes(device)
    if start is None and recipe.training.after:
        start = _first(recipe, recording, out, processes, progress)
    if start is not None and masks_only:
        masks = {name: t for name, t in start.tensors.items() if ".mask_" in name}
        start = dataclasses.replace(start, tensors=masks)
    trainer = Trainer(recipe, parts, out.with_suffix(".checkpoint"), processes, start)
    trainer.run(progress)
    weights = calibrated(trainer.weights(), recipe, parts)
    about = {
        "data": f"{recording.name}, without {_held_out(recipe)}",
        "recipe": recipe.name,
        "seed": str(recipe.training.seed),
        "steps": str(trainer.step),
        **({"after": recipe.training.after} if recipe.training.after else {}),
        **recording.about,
    }
    weights = dataclasses.replace(weights, about=about)
    if processes.leads:
        write_weights(out, weights)
        trainer.checkpoint.unlink()
    processes.wait()
    return weights


def _first(
    recipe: Recipe, recording: Recording, out: Path, processes: Processes, progress: Progress
) -> Weights:
    """Weights of the recipe that this one goes on from; kept beside its own until they are read."""
    before = load_recipe(recipe.training.after)
    path = out.with_name(f"{out.stem}.{before.name}{out.suffix}")
    if not path.is_file():
        train(before, recording, path, device=processes.kind, progress=progress)
    weights = read_weights(path)
    if weights.about.get("recipe") != before.name:
        raise ConfigError(f"'{path}' was not made by recipe '{before.name}'; remove it")
    return weights


def calibrated(weights: Weights, recipe: Recipe, parts: Split) -> Weights:
    """The same weights with a radius from the calibration sequences."""
    plan = recipe.calibration
    errors = measure(build_engine(weights), parts.calibrate, recipe.data.stride)
    radius = conformal_radius(errors.distance[weights.name], plan.coverage + plan.margin)
    return dataclasses.replace(weights, radius=radius, coverage=plan.coverage)


def _held_out(recipe: Recipe) -> str:
    if recipe.data.held_out_subjects:
        return f"subjects {', '.join(recipe.data.held_out_subjects)}"
    return f"every {recipe.data.held_out_every}th recording"
