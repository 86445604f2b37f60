"""Windows over sequences: in order on a regular grid to evaluate, at random to train."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Sequences
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError


def at_rate(sequence: Sequence, fps: float) -> NDArray[np.float32]:
    """Positions [m] of a sequence on a grid of `fps` frames a second, shape (T', J, 3).

    Linear between the recorded frames; the sequence as it is if that is its own rate.
    """
    positions = sequence.positions
    if sequence.fps == fps or len(positions) < 2:
        return positions
    count = int((len(positions) - 1) * fps / sequence.fps + 1e-9) + 1
    place = np.arange(count) * (sequence.fps / fps)
    low = np.minimum(place.astype(int), len(positions) - 2)
    share = (place - low).astype(np.float32)[:, None, None]
    return positions[low] + share * (positions[low + 1] - positions[low])


def window_starts(frames: int, length: int, stride: int) -> NDArray[np.int64]:
    """First frames of the windows of `length` frames in a sequence of `frames`."""
    return np.arange(0, frames - length + 1, stride)


def windows(
    sequences: Sequences[Sequence], length: int, fps: float, stride: int
) -> Iterator[tuple[Sequence, NDArray[np.float32]]]:
    """Every window of every sequence, one sequence at a time.

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

    Yields
    ------
    windows : NDArray, shape (W, length, J, 3), float32 [m]
        A view: the frames are not copied.

    Raises
    ------
    InputError
        If no sequence is as long as a window.
    """
    anything = False
    for sequence in sequences:
        positions = at_rate(sequence, fps)
        if len(positions) >= length:
            anything = True
            views = np.lib.stride_tricks.sliding_window_view(positions, length, axis=0)
            yield sequence, np.moveaxis(views[::stride], -1, 1)
    if not anything:
        raise InputError(
            f"none of {len(sequences)} sequences is as long as a window of {length} frames at "
            f"{fps:g} Hz"
        )


class RandomWindows:
    """Windows that start anywhere, between recorded frames too, at a randomly changed tempo.

    Parameters
    ----------
    sequences : sequence of Sequence
        What to draw from; a second of one is as likely as of another, but for `weights`.
    length : int
        Frames per window.
    fps : float
        Frame rate of the windows [Hz].
    weights : dict of str to float, optional
        How much likelier a second is in sequences with a tag than in others.
    shares : dict of str to float, optional
        How likely each file (`Sequence.group`) is; files that it does not name are not drawn from.

    Attributes
    ----------
    groups : list of str
        Files that windows are drawn from.

    Raises
    ------
    InputError
        If no sequence is as long as a window, or their layouts differ.
    """

    def __init__(
        self,
        sequences: Sequences[Sequence],
        length: int,
        fps: float,
        weights: Mapping[str, float] = MappingProxyType({}),
        shares: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        if shares:
            absent = sorted(set(shares) - {sequence.group for sequence in sequences})
            if absent:
                raise InputError(
                    f"there is no motion of '{absent[0]}' to train on; give a file of that name"
                )
            sequences = [sequence for sequence in sequences if sequence.group in shares]
        layouts = {sequence.layout for sequence in sequences}
        if len(layouts) > 1:
            raise InputError(f"sequences of different layouts: {', '.join(sorted(layouts))}")
        seconds = (length - 1) / fps
        usable = [s for s in sequences if (len(s) - 1) / s.fps >= seconds]
        if not usable:
            raise InputError(
                f"none of {len(sequences)} sequences is as long as a window of {length} frames at "
                f"{fps:g} Hz"
            )
        self._stored = [s.stored for s in usable]
        self._per_metre = np.array([s.per_metre for s in usable])[:, None, None, None]
        self._lengths = np.array([len(s) for s in usable])
        self._rates = np.array([s.fps for s in usable])
        self._window = seconds
        self._steps = np.linspace(0, 1, length)
        # Seconds of choice for the start, and a little for the windows that just fit.
        room = (self._lengths - 1) / self._rates - seconds + 1 / fps
        factors = [math.prod(weights.get(tag, 1.0) for tag in s.tags) for s in usable]
        likely = room * np.array(factors)
        self.groups = sorted({s.group for s in usable})
        self._group = np.array([self.groups.index(s.group) for s in usable])
        if shares:
            total = np.bincount(self._group, likely)[self._group]
            likely *= np.array([shares[s.group] for s in usable]) / total
        self._probability = likely / likely.sum()

    def sample(
        self, rng: np.random.Generator, count: int, tempo: float = 0.0
    ) -> NDArray[np.float32]:
        """Draw windows.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of chance.
        count : int
            Number N of windows.
        tempo : float
            The tempo is changed by a factor within exp(±tempo).

        Returns
        -------
        NDArray, shape (N, length, J, 3), float32 [m]
        """
        return self.sample_groups(rng, count, tempo)[0]

    def sample_groups(
        self, rng: np.random.Generator, count: int, tempo: float = 0.0
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw windows as `sample` does, and the number of each one's file in `groups`, (N,)."""
        chosen = rng.choice(len(self._lengths), size=count, p=self._probability)
        frames = self._lengths[chosen] - 1
        span = self._window * np.exp(rng.uniform(-tempo, tempo, count)) * self._rates[chosen]
        span = np.minimum(span, frames)
        start = rng.uniform(0, 1, count) * (frames - span)
        place = start[:, None] + span[:, None] * self._steps
        low = np.minimum(place.astype(np.int64), frames[:, None] - 1)
        share = (place - low).astype(np.float32)[..., None, None]
        rows = np.stack([low, low + 1], axis=1)  # (N, 2, length)
        stored = [self._stored[which] for which in chosen]
        frames_of = (positions[row] for positions, row in zip(stored, rows, strict=True))
        before, after = np.stack(list(frames_of)).astype(np.float32).swapaxes(0, 1)
        drawn: NDArray[np.float32] = before + share * (after - before)
        return drawn / self._per_metre[chosen], self._group[chosen]
