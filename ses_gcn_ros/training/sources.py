"""Where the windows of each training step come from; the same ones whenever that step is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence as Sequences
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.datasets.windows import RandomWindows, at_rate, window_starts
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.training.recipe import Recipe


class Source(Protocol):
    """Windows by training step.

    Attributes
    ----------
    per_epoch : int
        Steps in which every window is seen once; 0 where windows are drawn at random.
    """

    per_epoch: int

    def draw(self, step: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Windows of a step, shape (N, T+H, J, 3) [m]."""
        ...


def make_source(sequences: Sequences[Sequence], recipe: Recipe) -> Source:
    """Source that a recipe asks for: on a grid where it counts epochs, else at random.

    Raises
    ------
    InputError
        If a sequence has another layout than the network, or none is as long as a window.
    """
    config, plan = recipe.model, recipe.training
    foreign = next((s for s in sequences if s.layout != config.layout), None)
    if foreign is not None:
        raise InputError(
            f"sequence '{foreign.name}' has layout {foreign.layout}; recipe '{recipe.name}' trains "
            f"on {config.layout}"
        )
    length = config.observed + config.horizon
    if plan.epochs:
        return GridSource(sequences, length, config.fps, recipe.data.stride, plan.batch, plan.seed)
    likely = {"core": recipe.data.core_weight}
    windows = RandomWindows(sequences, length, config.fps, likely)
    return RandomSource(windows, plan.batch, recipe.augment.tempo)


class RandomSource:
    """Windows that start anywhere.

    Parameters
    ----------
    windows : RandomWindows
        What to draw from.
    batch : int
        Windows per step.
    tempo : float
        The tempo is changed by a factor within exp(±tempo).
    """

    per_epoch = 0

    def __init__(self, windows: RandomWindows, batch: int, tempo: float) -> None:
        self._windows, self._batch, self._tempo = windows, batch, tempo

    def draw(self, step: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """See `Source.draw`."""
        return self._windows.sample(rng, self._batch, self._tempo)


class GridSource:
    """Every window of a regular grid once per epoch, in an order drawn anew for each.

    Parameters
    ----------
    sequences : sequence of Sequence
        Those shorter than a window are passed over.
    length : int
        Frames per window.
    fps : float
        Frame rate of the windows [Hz].
    stride : int
        Frames from one window to the next.
    batch : int
        Windows per step; the last step of an epoch takes what is left.
    seed : int
        Of the order.

    Raises
    ------
    InputError
        If no sequence is as long as a window.
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
        self._positions = [at_rate(sequence, fps) for sequence in sequences]
        starts = [window_starts(len(p), length, stride) for p in self._positions]
        self._places = np.array([(i, s) for i, some in enumerate(starts) for s in some], np.int64)
        if not len(self._places):
            raise InputError(
                f"none of {len(sequences)} sequences is as long as a window of {length} frames at "
                f"{fps:g} Hz"
            )
        self._length, self._batch, self._seed = length, batch, seed
        self.per_epoch = math.ceil(len(self._places) / batch)
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def draw(self, step: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """See `Source.draw`; chance decides the order of an epoch, not of a step."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._places))
            self._epoch, self._order = epoch, order
        chosen = self._places[self._order[place * self._batch : (place + 1) * self._batch]]
        return np.stack([self._positions[i][s : s + self._length] for i, s in chosen])
