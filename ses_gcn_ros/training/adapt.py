"""Weights that know the cell: trained on from those that ship, on minutes of the cell's own motion.

Half of each batch is the cell's. The other half is motion that ships with the weights, and there
the network is to answer what it answered before (learning without forgetting: Li and Hoiem, ECCV
2016), so that what it knew stays. A part of the cell's motion trains, a part calibrates the radius,
and a part is kept to see whether anything was gained; weights that are worse are not written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Sequence as Sequences
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import RandomWindows, Sequence, at_rate, read_recording
from ses_gcn_ros.datasets.sources import read_dataset
from ses_gcn_ros.errors import InputError, ModelError
from ses_gcn_ros.forecast.engine import EagerRunner, build_engine
from ses_gcn_ros.forecast.weights import Weights, members_of
from ses_gcn_ros.skeleton import upwards, wrong_axis
from ses_gcn_ros.training.evaluation import Errors, measure
from ses_gcn_ros.training.forecasting import Batch, ForecastTask, augmented_batch, calibrated
from ses_gcn_ros.training.recipe import (
    AugmentRecipe,
    CalibrationRecipe,
    DataRecipe,
    Recipe,
    TrainingRecipe,
)
from ses_gcn_ros.training.sources import Split
from ses_gcn_ros.training.trainer import Progress, Trainer

REHEARSAL = Path(__file__).resolve().parents[1] / "weights" / "rehearsal.npz"
HELD_OUT = "held_out"  # tag of the rehearsal's sequences that only measure

_NEEDED = 45.0  # s of people in motion
_MOVING = 0.1  # m/s of the fastest joint
_TRUNK = 2.0  # m from hips to neck that nobody measures
_FASTEST = 10.0  # m/s; a tracker that jumps is faster, people at work are not
_PIECE = 8.0  # s; motion is divided by these where there are few recordings
_PARTS = 6  # of which the fifth calibrates and the sixth tests
_KEEPING = 1.4  # what a metre away from the old answers counts beside one of error in the cell
_LOST = 0.05  # part of the accuracy on the rehearsal that may go
_STRIDE = 2
# Of the misses that are allowed: a cell's few recordings are more alike than those that come after.
_SPARED = 0.6
_SOBER = 0.8  # power of the scale that holds on motion that did not train

TRAINING = TrainingRecipe(
    seed=1,
    steps=1500,
    batch=64,
    learning_rate=2e-3,
    warm_up=50,
    dropout=0.05,
    average=0.99,
    checkpoint_every=50,
)
AUGMENT = AugmentRecipe(
    tempo=0.15, size=0.08, proportions=0.05, turn=0.4, camera_share=0.2, unseen_share=0.1
)


@dataclass(frozen=True)
class Adapted:
    """What adapting gave."""

    weights: Weights  # the new ones, calibrated on all that did not train
    seconds: dict[str, float]  # motion that trained, calibrated and tested [s]
    unusable: list[str]  # what was left out, and why
    # of the old and the new weights on the part that tests
    before: Errors
    after: Errors
    # of both on motion of the rehearsal that neither was trained on
    known_before: Errors
    known_after: Errors


class AdaptTask(ForecastTask):
    """Training on the cell's motion and the rehearsal's; see `ForecastTask`."""

    def __init__(
        self, recipe: Recipe, parts: Split, start: Weights, rehearsal: Sequences[Sequence]
    ) -> None:
        super().__init__(recipe, parts, start)
        config = recipe.model
        length = config.observed + config.horizon
        self._rehearsal = RandomWindows(rehearsal, length, config.fps)
        self._counts = torch.tensor([[1.0], [_KEEPING]]).expand(-1, config.horizon)
        self._before = [EagerRunner(one, "cpu") for one in members_of(start) or [start]]

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Windows of the cell, then as many of the rehearsal with the old network's answers.

        The target is that of each member, (M, N, H, J, 4), its scale included: how far a new answer
        is from an old one says nothing of how far off either is. Of a network that is no mean, M
        is 1.
        """
        recipe, half = self.recipe, self.plan.batch // 2
        windows, _ = self._source.draw(step, rng)
        known = self._rehearsal.sample(rng, half, recipe.augment.tempo)
        both = np.concatenate([windows[:half], known])
        batch = augmented_batch(both, rng, recipe.model, recipe.augment)
        # What a mean knows lies in how its members differ: each keeps its own answers.
        unknown = np.full((*batch.target.shape[:3], 1), np.nan, np.float32)
        target = np.array([np.concatenate([batch.target, unknown], axis=3)] * len(self._before))
        weight = batch.weight.copy()
        for own, before in zip(target, self._before, strict=True):
            own[half:] = before(batch.features[half:])
        weight[half:] = weight[half:].max(axis=1, keepdims=True)  # the future need not be known
        group = np.repeat([0, 1], [half, len(both) - half])
        return dataclasses.replace(batch, target=target, weight=weight, group=group)


def adapt(
    paths: Iterable[Path],
    start: Weights,
    *,
    training: TrainingRecipe = TRAINING,
    checkpoint: Path,
    progress: Progress = lambda step, steps, loss: None,
) -> Adapted:
    """Train weights on with the motion of a cell.

    Raises InputError if there is too little motion, none that is usable, or it is in another layout
    or unit, or in a frame without z up.
    Raises ModelError if the new weights are no better on motion that was held out, or forgot what
    they knew.

    `paths`: bags with skeletons, or recordings (.npz).
    `checkpoint`: file for the state of the run while it lasts; a killed run goes on from it.
    """
    pieces, unusable = usable_motion(paths, start)
    parts = _divided(pieces)
    config, coverage = start.config, start.coverage or 0.95
    recipe = Recipe(
        f"{start.name.removesuffix('_cell')}_cell",
        dataclasses.replace(config),
        DataRecipe(held_out_every=_PARTS, stride=1),
        training,
        AUGMENT,
        CalibrationRecipe(coverage, _SPARED * (1 - coverage)),
    )
    known = read_recording(REHEARSAL).sequences
    kept = [s for s in known if HELD_OUT in s.tags]
    rehearsed = [dataclasses.replace(s, group="rehearsal") for s in known if HELD_OUT not in s.tags]
    task = AdaptTask(recipe, parts, start, rehearsed)
    trainer = Trainer(task, checkpoint)
    trainer.run(progress)
    checkpoint.unlink(missing_ok=True)
    checkpoint.with_suffix(".csv").unlink(missing_ok=True)
    tensors = _sobered(trainer.tensors())
    weights = Weights(config, tensors, recipe.name, about=dict(start.about))
    weights = calibrated(
        weights, recipe, dataclasses.replace(parts, held_out=parts.calibrate), rehearsed
    )
    old, new = build_engine(start), build_engine(weights)
    found = Adapted(
        weights,
        {
            name: sum(len(s) / s.fps for s in getattr(parts, name))
            for name in ("train", "calibrate", "test")
        },
        unusable,
        *(measure(engine, parts.test, _STRIDE) for engine in (old, new)),
        *(measure(engine, kept, _STRIDE) for engine in (old, new)),
    )
    _check(found)
    # Passed, the part that tests calibrates as well: two recordings tell little of a cell.
    every = dataclasses.replace(parts, calibrate=parts.held_out)
    return dataclasses.replace(found, weights=calibrated(weights, recipe, every, rehearsed))


def _sobered(tensors: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Tensors whose scales differ less: minutes of motion teach a network to be too sure of them.

    The logarithm of a scale is linear in the last rows of the learnt base.
    """
    sober = dict(tensors)
    for name, tensor in tensors.items():
        if name.endswith(("base.outputs.weight", "base.outputs.bias")):
            rows = np.array(tensor, np.float32)
            rows[-3:] *= _SOBER
            sober[name] = rows
    return sober


def _check(found: Adapted) -> None:
    """Refuse what is no gain."""

    def mean(errors: Errors) -> float:
        return 1000 * float(errors.per_step(errors.model).mean())

    before, after = mean(found.before), mean(found.after)
    if not after < before:
        raise ModelError(
            f"the adapted weights err by {after:.1f} mm on the part held out, those before by "
            f"{before:.1f} mm; they are not written. Record more motion, or more kinds of it"
        )
    before, after = mean(found.known_before), mean(found.known_after)
    if after > (1 + _LOST) * before:
        raise ModelError(
            f"the adapted weights forgot: {after:.1f} mm on motion that they knew, {before:.1f} mm "
            "before; they are not written. Record more kinds of motion"
        )


def usable_motion(paths: Iterable[Path], start: Weights) -> tuple[list[Sequence], list[str]]:
    """Pieces of motion to learn from, and what was left out and why.

    Raises InputError as `adapt` does.
    """
    config = start.config
    length = (config.observed + config.horizon) / config.fps
    pieces: list[Sequence] = []
    unusable: list[str] = []
    index = 0
    # Each once, or what trains would be among what is held out.
    for path in {path.resolve(): path for path in paths}.values():
        for sequence in read_dataset(path).sequences:
            if sequence.layout != config.layout:
                raise InputError(
                    f"'{path}' holds layout {sequence.layout}; '{start.name}' takes {config.layout}"
                )
            name = f"{path.name}: {sequence.name}"
            positions = at_rate(sequence, config.fps)
            _check_bodies(path, sequence, positions)
            for part in _between_jumps(positions, config.fps):
                if len(part) < length * config.fps:
                    seconds = len(part) / config.fps
                    unusable.append(f"{name}: {seconds:.1f} s, shorter than {length:.1f} s")
                    continue
                tags = sequence.tags - {HELD_OUT}
                pieces += [
                    Sequence(name, index, sequence.subject, tags, config.fps, config.layout, cut)
                    for cut in _cut(part, config.fps)
                ]
            index += 1
    moving = sum(_seconds_in_motion(piece) for piece in pieces)
    if moving < _NEEDED or len(pieces) < _PARTS:
        raise InputError(
            f"there are {moving:.0f} s of people in motion in {len(pieces)} stretches; adapting "
            f"takes {_NEEDED:.0f} s in {_PARTS} or more, so record {max(_NEEDED - moving, 10):.0f} "
            "s more" + (f" (left out: {unusable[0]}, …)" if unusable else "")
        )
    return pieces, unusable


def _check_bodies(path: Path, sequence: Sequence, positions: NDArray[np.float32]) -> None:
    """Raise InputError where people are not in metres, or stand along another axis than z."""
    ways = upwards(sequence.layout, positions)
    lengths = np.linalg.norm(ways, axis=1)
    if len(lengths) and (trunk := float(np.median(lengths))) > _TRUNK:
        raise InputError(
            f"'{sequence.name}' of '{path}' shows somebody of {trunk:.0f} m from hips to neck; "
            "positions are in metres: are these millimetres?"
        )
    if axis := wrong_axis(ways.sum(axis=0), lengths.sum()):
        raise InputError(
            f"'{sequence.name}' of '{path}' stands along {axis}, not z; give recordings in a frame "
            "with z up"
        )


def _between_jumps(positions: NDArray[np.float32], fps: float) -> list[NDArray[np.float32]]:
    """Stretches in which no joint is faster than people are, and some joint is seen."""
    moved = np.linalg.norm(np.diff(positions, axis=0), axis=-1) * fps
    jumps = np.any(np.nan_to_num(moved) > _FASTEST, axis=1)
    seen = np.any(np.isfinite(positions), axis=(1, 2))
    stretches = np.split(positions, np.flatnonzero(jumps | (seen[1:] != seen[:-1])) + 1)
    return [stretch for stretch in stretches if np.isfinite(stretch).any()]


def _cut(positions: NDArray[np.float32], fps: float) -> list[NDArray[np.float32]]:
    """Pieces of even length, none much longer than `_PIECE`."""
    return np.array_split(positions, max(round(len(positions) / (_PIECE * fps)), 1))


def _seconds_in_motion(piece: Sequence) -> float:
    speed = np.linalg.norm(np.diff(piece.positions, axis=0), axis=-1) * piece.fps
    return float((np.nan_to_num(speed).max(axis=1) > _MOVING).sum() / piece.fps)


def _divided(pieces: list[Sequence]) -> Split:
    """By recording where there are enough, else by piece; pieces next to one another lie apart."""
    numbers = [piece.index for piece in pieces]
    if len(set(numbers)) < 2 * _PARTS:
        numbers = list(range(len(pieces)))
    else:
        order = {number: place for place, number in enumerate(dict.fromkeys(numbers))}
        numbers = [order[number] for number in numbers]
    place = [number % _PARTS for number in numbers]
    part: dict[str, list[Any]] = {"train": [], "calibrate": [], "test": []}
    for piece, which in zip(pieces, place, strict=True):
        name = {_PARTS - 2: "calibrate", _PARTS - 1: "test"}.get(which, "train")
        part[name].append(piece)
    return Split(held_out=[*part["calibrate"], *part["test"]], **part)
