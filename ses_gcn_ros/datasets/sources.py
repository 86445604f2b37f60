"""Data sets by kind, from a path to sequences, and how the field evaluates on them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.rosbag2 import is_storage
from ses_gcn_ros.datasets import expmap, mocap
from ses_gcn_ros.datasets.expmap import read_h36m
from ses_gcn_ros.datasets.mocap import read_amass, read_chico
from ses_gcn_ros.datasets.sequences import Recording, Sequence, read_recording, window_starts
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.skeleton import convert

FPS = 25.0
LAYOUT = "chico15"
_GAP = 0.2  # s between two observations of a joint that is interpolated


def bag_people(bag: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float32]]]:
    """Stamps (T,) [s] and positions (T, 15, 3) [m] of everybody in a bag, in layout chico15."""
    from ses_gcn_ros.bags.rosbag2 import read_skeletons

    seen: dict[str, list[tuple[float, NDArray[np.float32]]]] = defaultdict(list)
    for observation in read_skeletons(bag):
        for person in observation.people:
            positions, _ = convert(person.positions, person.confidence, person.layout, LAYOUT)
            seen[person.person_id].append((observation.stamp, positions))
    return {
        person: (np.array([stamp for stamp, _ in rows]), np.stack([p for _, p in rows]))
        for person, rows in seen.items()
    }


def read_bag(path: Path) -> list[Sequence]:
    """Everybody in a bag at 25 Hz in layout chico15, each stretch in sight a sequence.

    A joint that is unseen for longer than a gap is NaN meanwhile: legs behind a table hide nobody.
    Sequences are named by person and number of the stretch. Raises InputError if nobody was seen
    for two frames; BagError if there is no such bag or it has no skeletons.
    """
    sequences = []
    for index, (name, (stamps, positions)) in enumerate(bag_people(path).items()):
        for part, stretch in enumerate(_stretches(stamps, positions)):
            sequences.append(
                Sequence(f"{name}/{part}", index, name, frozenset(["bag"]), FPS, LAYOUT, stretch)
            )
    if not sequences:
        raise InputError(f"nobody in '{path}' was seen for two frames in a row")
    return sequences


def _stretches(
    stamps: NDArray[np.float64], positions: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Stretches on a grid of 25 Hz in which something is seen all the time."""
    something = np.isfinite(positions).any(axis=(1, 2))
    stamps, positions = stamps[something], positions[something]
    # A clock that was set back ends a stretch as a gap does.
    steps = np.diff(stamps)
    cuts = np.flatnonzero((steps > _GAP) | (steps <= 0)) + 1
    stretches = []
    for times, points in zip(np.split(stamps, cuts), np.split(positions, cuts), strict=True):
        if len(times) < 2 or times[-1] - times[0] < 1 / FPS:
            continue
        grid = np.arange(times[0], times[-1] + 1e-6, 1 / FPS)
        joints = [_on_grid(times, path, grid) for path in points.swapaxes(0, 1)]
        stretches.append(np.stack(joints, axis=1))
    return stretches


def _on_grid(
    times: NDArray[np.float64], path: NDArray[np.float32], grid: NDArray[np.float64]
) -> NDArray[np.float32]:
    """One joint (T, 3) at the times of a grid, straight between sightings; NaN in longer gaps."""
    seen = np.isfinite(path).all(axis=1)
    times, path = times[seen], path[seen]
    if len(times) < 2:
        return np.full((len(grid), 3), np.nan, np.float32)
    low = np.clip(np.searchsorted(times, grid, side="right") - 1, 0, len(times) - 2)
    gap = times[low + 1] - times[low]
    share = ((grid - times[low]) / gap).astype(np.float32)[:, None]
    between = (gap <= _GAP)[:, None] & (share >= 0) & (share <= 1 + 1e-4)
    return np.where(between, path[low] + share * (path[low + 1] - path[low]), np.float32(np.nan))


@dataclass(frozen=True)
class _Kind:
    """One kind of data set: what its folder holds, what reads it, what is said of it."""

    pattern: str
    read: Callable[[Path], list[Sequence]]
    from_cmu: bool = False


# In order of trial.
_KINDS = {
    "chico": _Kind("S[0-9]*/*.pkl", read_chico),
    "h36m": _Kind("S[0-9]*/*_[12].txt", read_h36m),
    "cmu": _Kind(expmap.CMU_PATTERN, expmap.read_cmu, from_cmu=True),
    "cmu_repaired": _Kind(expmap.CMU_PATTERN, expmap.read_cmu_repaired, from_cmu=True),
    "cmu_trials": _Kind("**/*.amc", mocap.read_training_trials, from_cmu=True),
    "asf_amc": _Kind("**/*.amc", mocap.read_asf_amc, from_cmu=True),
    "bag": _Kind("*.mcap", read_bag),
    "amass": _Kind("**/*.npz", read_amass),
}
KINDS = ("auto", "recording", *_KINDS)


def read_dataset(path: Path, kind: str = "auto") -> Recording:
    """Read motion of any kind.

    Raises InputError if there is nothing, nothing of that kind, or it is damaged.

    `path`: a recording of this project (.npz), a bag, or the file or folder of a data set.
    `kind`: one of `KINDS`; 'auto' looks.
    """
    if kind not in KINDS:
        raise InputError(f"there is no kind of data '{kind}'; known are {', '.join(KINDS)}")
    if not path.exists():
        raise InputError(
            f"there is no recording at '{path}'; `ses-gcn dataset` writes one (docs/data.md)"
        )
    if kind == "auto":
        kind = _look(path)
    if kind == "recording":
        return read_recording(path)
    chosen = _KINDS[kind]
    return Recording(path.name, chosen.read(path), mocap.ABOUT if chosen.from_cmu else {})


def read_datasets(paths: Sequences[Path], kind: str = "auto") -> Recording:
    """Read several data sets as one recording; each sequence knows its file as its `group`.

    Raises InputError as `read_dataset`, and if two files are of one name.
    """
    recordings = [read_dataset(path, kind) for path in paths]
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise InputError(f"two of the data sets are named alike: {', '.join(names)}")
    sequences: list[Sequence] = []
    about: dict[str, str] = {}
    for name, recording in zip(names, recordings, strict=True):
        first = 1 + max((s.index for s in sequences), default=-1)
        sequences += [replace(s, index=s.index + first, group=name) for s in recording.sequences]
        about.update(
            recording.about
            if len(names) == 1
            else {f"{name}: {key}": text for key, text in recording.about.items()}
        )
    return Recording(" + ".join(recording.name for recording in recordings), sequences, about)


def _look(path: Path) -> str:
    if any(map(is_storage, path.iterdir() if path.is_dir() else [path])):
        return "bag"
    if path.is_file():
        amass = path.suffix == ".npz" and {"joints", "poses"} & set(load_arrays(path))
        return "amass" if amass else "recording"
    for kind, about in _KINDS.items():
        if any(path.glob(about.pattern)):
            return kind
    raise InputError(
        f"'{path}' holds no data set of a known kind; known are {', '.join(KINDS[1:])}"
    )


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
        if mocap.CRASH in sequence.tags:
            return ""
        parts = {**dict.fromkeys(validate, "validate"), **dict.fromkeys(test, "test")}
        return parts.get(sequence.subject, "train")

    return part_of


PROTOCOLS = {
    "h36m": Protocol(
        name="h36m",
        fps=expmap.H36M_FPS,
        part_of=_by_subject(expmap.H36M_VALIDATE, expmap.H36M_TEST),
        windows={"256": _pairs(128), "8": _pairs(4), "all": _every},
        weights=expmap.H36M_BENCHMARK.joint_weights(),
        mean="32 joints: 22 forecast, 6 copies of them, 4 that stand still",
    ),
    "chico": Protocol(
        name="chico",
        fps=mocap.FPS,
        part_of=_by_subject(mocap.CHICO_VALIDATE, mocap.CHICO_TEST),
        windows={"all": _every},
        weights=None,
        mean="15 joints",
    ),
    "cmu": Protocol(
        name="cmu",
        fps=expmap.CMU_FPS,
        part_of=lambda sequence: sequence.name.partition("/")[0],
        windows={"8": _eight_of_each, "all": _every},
        weights=expmap.CMU_BENCHMARK.joint_weights(),
        mean="38 joints: 25 forecast, 6 copies of them, 7 that stand still",
    ),
}
