"""Training of forecasters: batches as the network takes them, their loss, calibrated weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence as Sequences
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.datasets.sequences import Recording, Sequence, windows
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.forecast.baselines import BASELINES
from ses_gcn_ros.forecast.calibration import (
    Familiarity,
    calibrate,
    cell_of,
    familiarise,
    flat_norm,
    kind_of_motion,
)
from ses_gcn_ros.forecast.engine import EagerRunner, Engine, build_engine
from ses_gcn_ros.forecast.learnt_base import looks, wobble_of
from ses_gcn_ros.forecast.weights import Weights, mean_of, read_weights, write_weights
from ses_gcn_ros.models.config import ModelConfig, build_network, tensor_shapes
from ses_gcn_ros.models.framing import frame, offset_scale
from ses_gcn_ros.training import augment
from ses_gcn_ros.training.evaluation import conformal_radius, measure
from ses_gcn_ros.training.recipe import AugmentRecipe, Recipe, flat, in_order, load_recipe
from ses_gcn_ros.training.sources import (
    Split,
    fingerprint,
    fingerprint_of,
    held_out_rule,
    make_source,
    split,
)
from ses_gcn_ros.training.trainer import Processes, Progress, Trainer, tensors_of

_VALIDATION_STRIDE = 10  # frames: neighbouring windows say much the same
_SCALE_WEIGHT = 0.01  # of the likelihood of the scale, beside metres
_LITTLE = 0.005  # m of displacement that any window is taken to have at least
_REFERENCE_WINDOWS = 2048  # of each file, that its baselines are measured on


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows, framed.

    Attributes:
    - `features` (N, T, J, C): input of the network.
    - `target` (N, H, J, 3): what it should answer, such that the distance to its answer times
      `answer_scale` is metres. A fourth number, where it is not NaN, is the scale that it should
      answer [m].
    - `weight` (N, H, J): what joints count: zero where they are not seen, else one, or less where a
      camera's noise has added to what is to be forecast.
    - `group` (N,): number of the file that each window comes from.
    """

    features: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]
    group: NDArray[np.int64]


def answer_scale(config: ModelConfig) -> NDArray[np.float32]:
    """Metres per unit of the network's answer, shape (H, 1, 1)."""
    if config.offset and not config.gate:
        return offset_scale(config.horizon, config.fps)
    return np.full((config.horizon, 1, 1), 1e-3 if config.unit == "mm" else 1.0, np.float32)


def augmented_batch(
    windows: NDArray[np.float32],
    rng: np.random.Generator,
    config: ModelConfig,
    recipe: AugmentRecipe,
    group: NDArray[np.int64] | None = None,
) -> Batch:
    """Augment windows (N, T+H, J, 3) [m] as a recipe says, and frame them for the network."""
    if recipe.mirror:
        windows = augment.mirror(windows, rng, config.layout)
    if recipe.size or recipe.proportions:
        windows = augment.resize(windows, rng, config.layout, recipe.size, recipe.proportions)
    if recipe.slow_share:
        now = config.observed - 1
        windows = augment.slow_travel(windows, rng, config.layout, now, recipe.slow_share)
    if recipe.misplaced_share:
        windows = augment.misplace_joints(windows, rng, recipe.misplaced, recipe.misplaced_share)
    weight = np.ones(len(windows), np.float32)
    if recipe.camera_share:
        plain = _displacement(windows, config.observed)
        windows = augment.camera(windows, rng, config.layout, config.observed, recipe.camera_share)
        weight = (plain + _LITTLE) / (_displacement(windows, config.observed) + _LITTLE)
    history, future = windows[:, : config.observed], windows[:, config.observed :]
    if recipe.noise:
        history = augment.camera_noise(history, rng, recipe.noise, recipe.noise_share)
    if recipe.unseen_share:
        history = augment.drop_joints(history, rng, recipe.unseen_share)
    batch = framed_batch(history, future, config, group)
    # What a camera adds can't be forecast; without it a window would count as much as others do.
    batch = dataclasses.replace(batch, weight=batch.weight * weight[:, None, None])
    return turned(batch, rng, recipe.turn) if recipe.turn else batch


def _displacement(windows: NDArray[np.float32], observed: int) -> NDArray[np.float32]:
    """Mean distance of what follows from the last pose [m], shape (N,)."""
    away = np.linalg.norm(windows[:, observed:] - windows[:, observed - 1 : observed], axis=-1)
    known = np.isfinite(away)
    mean: NDArray[np.float32] = np.where(known, away, 0).sum((1, 2)) / np.maximum(
        known.sum((1, 2)), 1
    )
    return mean


def framed_batch(
    history: NDArray[np.float32],
    future: NDArray[np.float32],
    config: ModelConfig,
    group: NDArray[np.int64] | None = None,
) -> Batch:
    """Frame histories (N, T, J, 3) [m] and what followed (N, H, J, 3) [m]."""
    units = np.float32(1000.0 if config.unit == "mm" else 1.0)
    framed = frame(history * units, config)
    target = future * units - framed.origin
    if config.heading:
        target = target @ framed.world_from_person[:, None]
    if framed.base is not None:
        target = (target - framed.base) / answer_scale(config)
    known = np.isfinite(target).all(axis=-1) & framed.seen[:, None]
    if not known.all():
        target = np.where(known[..., None], target, 0)
    if group is None:
        group = np.zeros(len(history), np.int64)
    return Batch(framed.features, target.astype(np.float32), known.astype(np.float32), group)


def turned(batch: Batch, rng: np.random.Generator, angle: float) -> Batch:
    """Turn everything about the vertical, by up to ±angle [rad], each window its own."""
    rotation = augment.turns(rng.uniform(-angle, angle, len(batch.features)))
    features = batch.features.copy()
    vectors = 3 * (features.shape[-1] // 3)  # what is left over is the flag of visibility
    for start in range(0, vectors, 3):
        features[..., start : start + 3] = features[..., start : start + 3] @ rotation
    return dataclasses.replace(batch, features=features, target=batch.target @ rotation)


class ForecastTask:
    """A forecaster to be trained; see `trainer.Task`.

    Raises ConfigError if `start` is another network than the recipe's, or its teacher sees motion
    differently.
    Raises ModelError if there is no such teacher.

    `recipe`: what to do.
    `parts`: what to do it with.
    `start`: weights to go on from, masks included: a pruned teacher makes a student. Those of a
    network that lacks parts of the recipe's are taken as far as they go.
    """

    def __init__(self, recipe: Recipe, parts: Split, start: Weights | None = None) -> None:
        self.recipe, self.plan = recipe, recipe.training
        self._parts, self._start = parts, start
        self._source = make_source(parts.train, recipe)
        self.per_epoch = self._source.per_epoch
        self._scale = torch.from_numpy(answer_scale(recipe.model).copy())
        self._counts = torch.from_numpy(self._what_errors_count()).float()  # (groups, H)
        self._units = 1000.0 if recipe.model.unit == "mm" else 1.0  # decay and loss weigh in it
        if start is not None and not fits(start.config, recipe.model):
            raise ConfigError(
                f"weights '{start.name}' to start from are another network than recipe "
                f"'{recipe.name}' describes"
            )
        self._teacher, self._taught_by = None, ""
        if self.plan.teacher:
            teacher = read_weights(self.plan.teacher)
            if seen_alike(teacher.config) != seen_alike(recipe.model):
                raise ConfigError(
                    f"teacher '{self.plan.teacher}' of recipe '{recipe.name}' sees motion "
                    "differently; only model.network and model.widths may differ from the recipe's"
                )
            self._teacher, self._taught_by = EagerRunner(teacher, "auto"), digest(teacher)

    def network(self) -> nn.Module:
        """See `trainer.Task`."""
        network = build_network(self.recipe.model, self.plan.dropout)
        if self._start is not None:
            wanted = tensor_shapes(self.recipe.model)
            tensors = self._start.tensors.items()
            state = {n: torch.from_numpy(np.array(t)) for n, t in tensors if n in wanted}
            network.load_state_dict(state, strict=False)  # new parts stay as they were drawn
        for part in self.plan.freeze:
            network.get_submodule(part).requires_grad_(False)
        return network

    def identity(self) -> dict[str, str]:
        """See `trainer.Task`."""
        values = {name: str(value) for name, value in flat(self.recipe).items()}
        return {
            **values,
            "data": fingerprint_of(self._parts.train),
            "start": digest(self._start) if self._start else "",
            "teacher": self._taught_by,
        }

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """See `trainer.Task`."""
        windows, group = self._source.draw(step, rng)
        return augmented_batch(windows, rng, self.recipe.model, self.recipe.augment, group)

    def loss(self, network: nn.Module, batch: Batch, processes: Processes) -> tuple[Tensor, Tensor]:
        """Distance of the joints that were seen, over their number, steps weighted [m]."""

        def part(array: NDArray[np.generic]) -> Tensor:
            mine = np.ascontiguousarray(array[processes.rank :: processes.count])
            return torch.from_numpy(mine).to(processes.device)

        answer = network(part(batch.features)).float()  # of each member, where it is a mean
        # Each member may have a target of its own, (M, N, H, J, 3).
        target, weight = part(batch.target.swapaxes(0, -4)).swapaxes(0, -4), part(batch.weight)
        scale = self._scale.to(processes.device)
        error = (answer[..., :3] - target[..., :3]) * scale
        error = torch.linalg.vector_norm(error, dim=-1) * weight
        joints = float(batch.weight[:, 0].sum()) or 1.0
        joints *= len(answer) if answer.ndim == 5 else 1
        per_step = error.sum(dim=-1)  # (N, H)
        shown = per_step.mean(dim=-1).sum() / joints
        if self._teacher is not None:
            told = self._teacher(batch.features[processes.rank :: processes.count])[..., :3]
            off = (answer[..., :3] - torch.from_numpy(told).to(processes.device)) * scale
            off = torch.linalg.vector_norm(off, dim=-1) * weight
            per_step = torch.lerp(per_step, off.sum(dim=-1), self.plan.taught)
        counts = self._counts.to(processes.device)[part(batch.group)]
        if self.plan.caution:  # the answer is the displacement
            away = torch.linalg.vector_norm(answer[..., :3], dim=-1) * weight
            per_step = per_step + self.plan.caution * away.sum(dim=-1)
        loss = (per_step * counts).mean(dim=-1).sum() / joints
        if answer.shape[-1] == 4:  # Laplace's likelihood of the scale, errors as they are
            off = error.detach()
            if target.shape[-1] == 4:  # this is least where the scale is what it should be
                off = torch.where(target[..., 3].isnan(), off, target[..., 3])
            surprise = off / answer[..., 3] + answer[..., 3].log()
            loss = loss + _SCALE_WEIGHT * (surprise * weight).mean(dim=-2).sum() / joints
        return loss * self._units, shown

    def validate(self, network: nn.Module) -> float:
        """Mean error on the calibration part [m]."""
        tensors = tensors_of(network.state_dict())
        weights = Weights(self.recipe.model, tensors, self.recipe.name)
        engine = build_engine(weights, "eager", "cpu")
        errors = measure(engine, self._parts.calibrate, _VALIDATION_STRIDE)
        return float(np.nanmean(errors.distance[weights.name]))

    def _what_errors_count(self) -> NDArray[np.float64]:
        """What a metre of error counts, by file and step, shape (groups, H).

        Where errors are relative, half of it goes by the file's better baseline as a whole and half
        by that baseline at the step, so that neither large motion nor far steps are all that
        matters. The mean over the files' windows stays near one.
        """
        plan, config = self.plan, self.recipe.model
        steps = np.arange(1, config.horizon + 1) ** -plan.horizon_weight
        counts = np.tile(steps / steps.mean(), (len(self._source.groups), 1))
        if not plan.relative:
            return counts
        rng = np.random.default_rng(plan.seed)
        drawn = [self._source.draw(0, rng) for _ in range(_REFERENCE_WINDOWS // plan.batch + 1)]
        windows, group = (np.concatenate(column) for column in zip(*drawn, strict=True))
        history, future = windows[:, : config.observed], windows[:, config.observed :]
        better = np.full(counts.shape, np.inf)
        for name in ("last_pose", "damped_velocity"):
            answer = BASELINES[name](history, config.horizon)
            error = np.linalg.norm(answer - future, axis=-1)
            means = [
                np.nanmean(error[group == number], axis=(0, 2)) for number in range(len(counts))
            ]
            better = np.minimum(better, means)
        most = better.mean(axis=1).max()
        return counts * most * (0.5 / better.mean(axis=1, keepdims=True) + 0.5 / better)


class ForecastTrainer(Trainer):
    """Trainer of a recipe; see `Trainer` and `ForecastTask`."""

    def __init__(
        self,
        recipe: Recipe,
        parts: Split,
        checkpoint: Path,
        processes: Processes | None = None,
        start: Weights | None = None,
    ) -> None:
        super().__init__(ForecastTask(recipe, parts, start), checkpoint, processes)
        self._recipe = recipe

    def weights(self) -> Weights:
        """The averaged network, at its best if validated, without a calibrated radius yet."""
        return Weights(self._recipe.model, self.tensors(), self._recipe.name)


def digest(weights: Weights) -> str:
    """Short hash of a network's tensors."""
    return fingerprint(sorted(weights.tensors.items()))


def seen_alike(config: ModelConfig) -> ModelConfig:
    """What of a network decides how it sees motion and what its answer means."""
    return dataclasses.replace(config, network="mean", widths=(), head="", members=())


def fits(start: ModelConfig, config: ModelConfig) -> bool:
    """Whether a network holds all of another: the same, or with a base or a decoder added."""
    added: dict[str, Any] = {"gate": config.gate, "bones": config.bones}
    if start.head == "linear" and config.head == "body":
        added["head"] = config.head
    return dataclasses.replace(start, **added) == config


def train(
    recipe: Recipe,
    recording: Recording,
    out: Path,
    *,
    device: str = "cpu",
    start: Weights | None = None,
    masks_only: bool = False,
    calibrate_only: bool = False,
    steps: int = 0,
    seed: int | None = None,
    progress: Progress = lambda step, steps, loss: None,
) -> Weights:
    """Train a recipe and write calibrated weights.

    A run that was killed goes on where its last checkpoint, ``OUT.checkpoint``, was made and gives
    the same weights as if it had never been interrupted. The checkpoint goes when the weights are
    written; the log, ``OUT.csv``, stays. With `start`, training goes on from those weights: from a
    pruned teacher's it gives a student. With `masks_only` it starts anew within their masks, as in
    the paper; with `calibrate_only` nothing is trained. A recipe that goes on after another, or is
    the mean of others, trains those first, each for so many `steps` and with that `seed` if they
    are given. Under ``torchrun`` all processes train together and the first one writes.

    Raises InputError if the recipe's split leaves a part empty, or sequences are shorter than a
    window.
    Raises ConfigError if there is a checkpoint of another run, or what a recipe goes on from lies
    there and is another recipe's or of another seed.
    Raises ModelError if the loss is no longer a number.
    """
    given: dict[str, Any] = {"steps": steps, "epochs": 0, "milestones": ()} if steps else {}
    given |= {} if seed is None else {"seed": seed}
    recipe = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **given))
    parts = split(recording.sequences, recipe.data)
    processes = Processes(device)

    def first(name: str) -> Weights:
        return _first(name, recording, out, processes, steps, seed, progress)

    trainer, data = None, f"{recording.name}, without {held_out_rule(recipe.data)}"
    if start is not None and calibrate_only:
        if start.config != recipe.model:
            raise ConfigError(f"weights '{start.name}' are another network than '{recipe.name}'")
        other = {} if start.about.get("data") == data else {"calibrated_on": data}
        weights, made = start, {**start.about, **other}
    elif recipe.training.members and start is None:
        members = [first(name) for name in recipe.training.members]
        weights = mean_of(members, recipe.model, recipe.name)
        made = {"members": ", ".join(recipe.training.members)}
    else:
        if start is None and in_order(recipe, load_recipe)[1:]:
            start = first(recipe.training.after)
        if start is not None and masks_only:
            masks = {name: t for name, t in start.tensors.items() if ".mask_" in name}
            start = dataclasses.replace(start, tensors=masks)
        trainer = ForecastTrainer(recipe, parts, out.with_suffix(".checkpoint"), processes, start)
        trainer.run(progress)
        weights = trainer.weights()
        made = {"steps": str(trainer.step)}
        made |= {"after": recipe.training.after} if recipe.training.after else {}
    about = {
        "data": data,
        "recipe": recipe.name,
        "seed": str(recipe.training.seed),
        **recording.about,
        **made,
    }
    weights = calibrated(weights, recipe, parts)
    if weights.calibration is not None:
        about["coverage_of_halves_percent"] = halves(weights, recipe, parts)
    weights = dataclasses.replace(weights, about=about)
    if processes.leads:
        write_weights(out, weights)
        if trainer is not None:
            trainer.forget()
    processes.wait()
    return weights


def _first(
    name: str,
    recording: Recording,
    out: Path,
    processes: Processes,
    steps: int,
    seed: int | None,
    progress: Progress,
) -> Weights:
    """Weights of a recipe that another one takes; kept beside that one's."""
    before = load_recipe(name)
    path = out.with_name(f"{out.stem}.{before.name}{out.suffix}")
    if not path.is_file():
        train(
            before,
            recording,
            path,
            device=processes.kind,
            steps=steps,
            seed=seed,
            progress=progress,
        )
    weights = read_weights(path)
    if weights.about.get("recipe") != before.name:
        raise ConfigError(f"'{path}' was not made by recipe '{before.name}'; remove it")
    made, wanted = weights.about.get("seed"), before.training.seed if seed is None else seed
    if made != str(wanted):
        raise ConfigError(f"'{path}' was made with seed {made}, not {wanted}; remove it")
    return weights


def calibrated(
    weights: Weights, recipe: Recipe, parts: Split, rehearsed: Sequences[Sequence] = ()
) -> Weights:
    """The same weights with a radius from what was held out, and what is known motion.

    Of a network with a scale all that was held out calibrates it; one radius for all motion is that
    of the part that calibrates.
    Where something was `rehearsed`, that counts as known motion as well.
    """
    plan, coverage = recipe.calibration, recipe.calibration.coverage + recipe.calibration.margin
    if recipe.model.gate:
        known, held_out = [*parts.train, *rehearsed], [*parts.calibrate, *rehearsed]
        familiarity = known_motion(known, held_out, recipe.model)
        weights = dataclasses.replace(weights, familiarity=familiarity)
    engine, radii = build_engine(weights), []
    for group in sorted({sequence.group for sequence in parts.calibrate}):  # it holds in each
        chosen = [sequence for sequence in parts.calibrate if sequence.group == group]
        distance = measure(engine, chosen, recipe.data.stride).distance[weights.name]
        radii.append(conformal_radius(distance, coverage))
    # A joint that was never seen takes the step's largest.
    radius = np.nanmax(radii, axis=0)
    radius = np.where(np.isnan(radius), np.nanmax(radius, axis=1, keepdims=True), radius)
    weights = dataclasses.replace(weights, radius=radius, coverage=plan.coverage)
    if not recipe.model.gate:
        return weights
    scores = normalised(engine, parts.held_out, recipe)
    return dataclasses.replace(weights, calibration=calibrate(*scores, coverage))


def halves(weights: Weights, recipe: Recipe, parts: Split) -> str:
    """Coverage of each half of what is held out by a radius that the other half calibrated [%].

    Least and most over the steps, in words; none where a half is too small.
    """
    engine = build_engine(weights)
    coverage = recipe.calibration.coverage + recipe.calibration.margin
    within = []
    for some, others in ((parts.calibrate, parts.test), (parts.test, parts.calibrate)):
        try:
            found = calibrate(*normalised(engine, others, recipe), coverage)
        except ModelError:
            return ""
        difference, scale, cell = normalised(engine, some, recipe, plain=True)
        off = flat_norm(difference, found.flatness)
        within.append(np.where(np.isfinite(off), off <= found.radius(scale, cell), np.nan))
    steps = 100 * np.nanmean(np.concatenate(within), axis=(0, 2))
    return f"{steps.min():.1f} to {steps.max():.1f}"


def known_motion(
    known: Sequences[Sequence], held_out: Sequences[Sequence], config: ModelConfig
) -> Familiarity:
    """What motion looks like that trained, every file counting the same."""

    def looked(part: Sequences[Sequence]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        found: dict[str, list[NDArray[np.float32]]] = {}
        for sequence, views in windows(part, config.observed, config.fps, _VALIDATION_STRIDE):
            seen = np.any(np.all(np.isfinite(views), axis=(1, 3)), axis=1)
            found.setdefault(sequence.group, []).append(looks(views[seen], config.layout))
        files = [np.concatenate(pieces) for pieces in found.values()]
        weight = np.concatenate([np.full(len(file), 1 / max(len(file), 1)) for file in files])
        return np.concatenate(files), weight

    return familiarise(*looked(known), looked(held_out)[0])


def normalised(
    engine: Engine, sequences: Sequences[Sequence], recipe: Recipe, *, plain: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """What `forecast.calibration.calibrate` takes of every window of some sequences.

    Unless `plain`, a share of them comes once more as cameras would have seen it: of bones that a
    camera lets wobble there is little among what is recorded.

    Returns `difference` (W, H, J, 3): of joints from where they were forecast [m]; NaN where
    unseen; `scale` (W, H, J): what the network expected to be off by [m]; `cell` (W,): as
    `forecast.calibration.cell_of` gives it.
    """
    length = engine.observed + engine.horizon
    share = 0.0 if plain else recipe.calibration.camera_share
    rng = np.random.default_rng(recipe.training.seed)
    parts = []
    for _, views in windows(sequences, length, engine.fps, recipe.data.stride):
        window = np.array(views)
        again = window[rng.random(len(window)) < share]
        if len(again):
            seen_so = augment.camera(again, rng, engine.layout, engine.observed, 1.0)
            window = np.concatenate([window, seen_so])
        history, future = window[:, : engine.observed], window[:, engine.observed :]
        unseen = ~np.all(np.isfinite(history), axis=(1, 3))  # (W, J)
        some = ~np.all(unseen, axis=1)
        if not some.any():
            continue
        history = np.where(unseen[:, None, :, None], np.float32(np.nan), history)[some]
        path, scale = engine.predict_with_scale(history)
        assert scale is not None
        wobble = wobble_of(looks(history, engine.layout))
        cell = cell_of(kind_of_motion(history, engine.fps), wobble)
        parts.append((future[some] - path, scale, cell))
    differences, scales, cells = zip(*parts, strict=True)
    return np.concatenate(differences), np.concatenate(scales), np.concatenate(cells)
