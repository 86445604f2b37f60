"""Which sequences train, calibrate and test, and the windows of each training step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from collections.abc import Sequence as Sequences
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import (
    RandomWindows,
    Sequence,
    at_rate,
    check_layout,
    no_window,
    window_starts,
)
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.training.recipe import DataRecipe, Recipe


@dataclass(frozen=True)
class Split:
    """Sequences by what they serve; nobody is in two of the parts."""

    train: list[Sequence]  # what the network learns from
    held_out: list[Sequence]  # what it is measured on: `calibrate` and `test` together
    # what the radius is taken from, and what its coverage is measured on
    calibrate: list[Sequence]
    test: list[Sequence]


def split(sequences: Sequences[Sequence], recipe: DataRecipe) -> Split:
    """Split recordings as a recipe says.

    Held-out recordings calibrate and test by subject where the recipe names subjects for it, else
    in turn, ordered by file, subject, kind and length, so that both parts hold much the same.
    Raises InputError if a part would be empty.
    """
    unwanted = set(recipe.left_out_tags)
    sequences = [
        s for s in sequences if not s.name.startswith(recipe.left_out) and not s.tags & unwanted
    ]
    if recipe.held_out_subjects:
        held = {s.index for s in sequences if s.subject in recipe.held_out_subjects}
        rule = f"subjects {', '.join(recipe.held_out_subjects)}"
    else:
        every = recipe.held_out_every
        held = {s.index for s in sequences if s.index % every == every - 1}
        rule = f"every {every}th recording"
    likeness = {
        s.index: (s.group, s.subject, sorted(s.tags), len(s)) for s in sequences if s.index in held
    }
    order = {index: place for place, index in enumerate(sorted(held, key=likeness.__getitem__))}
    if recipe.held_out_subjects and not any(s.subject for s in sequences):
        raise InputError(
            f"{rule} are to be held out, but none of {len(sequences)} sequences says whose it is; "
            "a recording says it itself, or in a .json of its name beside it (docs/data.md)"
        )
    train = [s for s in sequences if s.index not in held]
    held_out = [s for s in sequences if s.index in held]
    if recipe.calibrate_subjects:
        calibrate = [s for s in held_out if s.subject in recipe.calibrate_subjects]
        test = [s for s in held_out if s.subject not in recipe.calibrate_subjects]
    else:
        calibrate = [s for s in held_out if order[s.index] % 2 == 0]
        test = [s for s in held_out if order[s.index] % 2 == 1]
    for name, part in (("training", train), ("calibration", calibrate), ("test", test)):
        if not part:
            raise InputError(
                f"holding out {rule} of {len(sequences)} sequences leaves none for {name}"
            )
    return Split(train, held_out, calibrate, test)


def held_out_rule(recipe: DataRecipe) -> str:
    """What a recipe keeps from training, in words."""
    if recipe.held_out_subjects:
        return f"subjects {', '.join(recipe.held_out_subjects)}"
    return f"every {recipe.held_out_every}th recording"


def fingerprint(parts: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """Short hash of named arrays, to tell whether a run goes on with the same data and start."""
    found = hashlib.sha256()
    for name, values in parts:
        found.update(name.encode())
        found.update(np.ascontiguousarray(values).data)
    return found.hexdigest()[:16]


def fingerprint_of(sequences: Sequences[Sequence]) -> str:
    """The same of motion."""
    return fingerprint((f"{each.name} {each.fps}", each.stored) for each in sequences)


def make_source(sequences: Sequences[Sequence], recipe: Recipe) -> RandomSource | GridSource:
    """Source that a recipe asks for: on a grid where it counts epochs, else at random.

    Raises InputError if a sequence has another layout than the network, or none is as long as a
    window.
    """
    config, plan = recipe.model, recipe.training
    check_layout(sequences, config.layout, f"recipe '{recipe.name}'")
    length = config.observed + config.horizon
    if plan.epochs:
        return GridSource(sequences, length, config.fps, recipe.data.stride, plan.batch, plan.seed)
    likely = {"core": recipe.data.core_weight}
    shares = recipe.data.share_of()
    windows = RandomWindows(sequences, length, config.fps, likely, shares)
    return RandomSource(windows, plan.batch, recipe.augment.tempo)


class RandomSource:
    """Windows that start anywhere, from the files in `groups`."""

    per_epoch = 0  # steps in which every window is seen once; here there are none

    def __init__(self, windows: RandomWindows, batch: int, tempo: float) -> None:
        self._windows, self._batch, self._tempo = windows, batch, tempo
        self.groups = windows.groups

    def draw(
        self, step: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Windows of a step, (N, T+H, J, 3) [m], and the number of each one's group, (N,)."""
        return self._windows.sample_groups(rng, self._batch, self._tempo)


class GridSource:
    """Every window of a regular grid once per epoch, in an order drawn anew for each.

    Raises InputError if no sequence is as long as a window.

    `batch`: windows per step; the last step of an epoch takes what is left.
    """

    def __init__(
        self,
        sequences: Sequences[Sequence],
        length: int,
        fps: float,
        stride: int,
        batch: int,
        seed: int,
    ) -> None:
        self.groups = [""]
        self._positions = [at_rate(sequence, fps) for sequence in sequences]
        starts = [window_starts(len(p), length, stride) for p in self._positions]
        self._places = np.array([(i, s) for i, some in enumerate(starts) for s in some], np.int64)
        if not len(self._places):
            raise no_window(len(sequences), length, fps)
        self._length, self._batch, self._seed = length, batch, seed
        self.per_epoch = math.ceil(len(self._places) / batch)
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def draw(
        self, step: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See `RandomSource.draw`; chance decides the order of an epoch, not of a step."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._places))
            self._epoch, self._order = epoch, order
        chosen = self._places[self._order[place * self._batch : (place + 1) * self._batch]]
        windows = np.stack([self._positions[i][s : s + self._length] for i, s in chosen])
        return windows, np.zeros(len(chosen), np.int64)
