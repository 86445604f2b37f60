"""How the field evaluates on public data sets: whose motion, which windows, which mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Sequences
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets import chico, cmu_expmap, h36m
from ses_gcn_ros.datasets.sequences import Sequence, window_starts
from ses_gcn_ros.errors import InputError

_SEED = 1234567890  # of the first to draw windows at random (Jain et al., CVPR 2016)
_SEEN = 50  # frames before the forecast in that draw, however few a method looks at
_H36M_EDGES = (16, 150)  # frames at the beginning and the end where no window begins
_CMU_WINDOW = 75
PARTS = ("test", "validate", "train")

Starts = dict[str, NDArray[np.int64]]  # first frames of windows by name of the sequence
Choice = Callable[[Sequences[Sequence], int, int], Starts]


@dataclass(frozen=True, eq=False)
class Protocol:
    """One way of evaluating that papers share."""

    name: str  # as on the command line; also the kind of data set
    fps: float  # frame rate of its windows [Hz]
    # part that a sequence belongs to, one of `PARTS`, or none of them
    part_of: Callable[[Sequence], str]
    windows: dict[str, Choice]  # ways of choosing windows, the usual one first
    # (J,): share of each joint in the mean; the same for all if None
    weights: NDArray[np.float64] | None
    mean: str  # what the mean is over, in words

    def sequences(self, sequences: Sequences[Sequence], part: str) -> list[Sequence]:
        """The sequences of a part. Raises InputError for an unknown part or if there are none."""
        if part not in PARTS:
            raise InputError(f"part is '{part}'; protocol {self.name} has {', '.join(PARTS)}")
        chosen = [
            # What a benchmark calls 25 Hz is taken at its word.
            dataclasses.replace(sequence, fps=self.fps)
            for sequence in sequences
            if self.part_of(sequence) == part
        ]
        if not chosen:
            raise InputError(
                f"none of {len(sequences)} sequences belongs to the {part} part of protocol "
                f"{self.name}"
            )
        return chosen

    def choose(
        self, sequences: Sequences[Sequence], windows: str, observed: int, horizon: int
    ) -> Iterator[tuple[Sequence, NDArray[np.float32]]]:
        """Windows of the sequences of a part.

        Raises InputError if there is no such choice, or a sequence is too short for it.
        """
        if windows not in self.windows:
            raise InputError(
                f"windows is '{windows}'; protocol {self.name} has {', '.join(self.windows)}"
            )
        starts = self.windows[windows](sequences, observed, horizon)
        frames = np.arange(observed + horizon)
        for sequence in sequences:
            if len(starts[sequence.name]):
                yield sequence, sequence.positions[starts[sequence.name][:, None] + frames]


def _every(sequences: Sequences[Sequence], observed: int, horizon: int) -> Starts:
    """Every window, one frame after the other."""
    length = observed + horizon
    starts = {s.name: window_starts(len(s), length, 1) for s in sequences}
    if not any(len(first) for first in starts.values()):
        raise InputError(
            f"none of {len(sequences)} sequences is as long as a window of {length} frames"
        )
    return starts


def _pairs(draws: int) -> Choice:
    """Windows drawn from both recordings of an action in turn, as for Human3.6M."""

    def choose(sequences: Sequences[Sequence], observed: int, horizon: int) -> Starts:
        first, last = _H36M_EDGES
        shortest = first + last + 1
        starts: Starts = {}
        for sequence in sequences:
            if len(sequence) < max(shortest, last + horizon - _SEEN):
                raise InputError(
                    f"sequence '{sequence.name}' has {len(sequence)} frames; drawing windows as "
                    f"the field does takes {shortest}"
                )
        by_action: dict[str, list[Sequence]] = {}
        for sequence in sorted(sequences, key=lambda s: s.name):
            by_action.setdefault(sequence.name.rpartition("_")[0], []).append(sequence)
        for action, pair in by_action.items():
            if len(pair) != 2:
                raise InputError(
                    f"'{action}' has {len(pair)} recording; drawing windows as the field does "
                    "takes two, …_1 and …_2"
                )
            rng = np.random.RandomState(_SEED)
            highest = [len(sequence) - last for sequence in pair]
            drawn = np.array([[rng.randint(first, h) for h in highest] for _ in range(draws)])
            for sequence, column in zip(pair, drawn.T, strict=True):
                starts[sequence.name] = column + _SEEN - observed
        return starts

    return choose


def _eight_of_each(sequences: Sequences[Sequence], observed: int, horizon: int) -> Starts:
    """Eight windows drawn from every recording, as for CMU."""
    starts: Starts = {}
    for sequence in sequences:
        if len(sequence) <= _CMU_WINDOW or horizon > _CMU_WINDOW - _SEEN:
            raise InputError(
                f"sequence '{sequence.name}' has {len(sequence)} frames; drawing windows of "
                f"{_SEEN} and {horizon} as the field does takes more than {_CMU_WINDOW}"
            )
        rng = np.random.RandomState(_SEED)
        drawn = [rng.randint(0, len(sequence) - _CMU_WINDOW) for _ in range(8)]
        starts[sequence.name] = np.array(drawn) + _SEEN - observed
    return starts


def _by_subject(validate: tuple[str, ...], test: tuple[str, ...]) -> Callable[[Sequence], str]:
    def part_of(sequence: Sequence) -> str:
        if chico.CRASH in sequence.tags:
            return ""
        parts = {**dict.fromkeys(validate, "validate"), **dict.fromkeys(test, "test")}
        return parts.get(sequence.subject, "train")

    return part_of


PROTOCOLS = {
    "h36m": Protocol(
        name="h36m",
        fps=h36m.FPS,
        part_of=_by_subject(h36m.VALIDATE, h36m.TEST),
        windows={"256": _pairs(128), "8": _pairs(4), "all": _every},
        weights=h36m.BENCHMARK.joint_weights(),
        mean="32 joints: 22 forecast, 6 copies of them, 4 that stand still",
    ),
    "chico": Protocol(
        name="chico",
        fps=chico.FPS,
        part_of=_by_subject(chico.VALIDATE, chico.TEST),
        windows={"all": _every},
        weights=None,
        mean="15 joints",
    ),
    "cmu": Protocol(
        name="cmu",
        fps=cmu_expmap.BENCHMARK_FPS,
        part_of=lambda sequence: sequence.name.partition("/")[0],
        windows={"8": _eight_of_each, "all": _every},
        weights=cmu_expmap.BENCHMARK.joint_weights(),
        mean="38 joints: 25 forecast, 6 copies of them, 7 that stand still",
    ),
}
