"""Data sets by kind: from a path to sequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets import asf_amc, cmu_expmap
from ses_gcn_ros.datasets.amass import read_amass
from ses_gcn_ros.datasets.chico import read_chico
from ses_gcn_ros.datasets.h36m import read_h36m
from ses_gcn_ros.datasets.sequences import Recording, Sequence, read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.skeleton import convert

FPS = 25.0
LAYOUT = "chico15"
_GAP = 0.2  # s between two observations of a joint that is interpolated


def bag_people(bag: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float32]]]:
    """Stamps (T,) [s] and positions (T, 15, 3) [m] of everybody in a bag, in layout chico15."""
    from ses_gcn_ros.bags.reading import read_skeletons

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
    "cmu": _Kind(cmu_expmap.PATTERN, cmu_expmap.read_benchmark, from_cmu=True),
    "cmu_repaired": _Kind(cmu_expmap.PATTERN, cmu_expmap.read_repaired, from_cmu=True),
    "cmu_trials": _Kind("**/*.amc", asf_amc.read_training_trials, from_cmu=True),
    "asf_amc": _Kind("**/*.amc", asf_amc.read_asf_amc, from_cmu=True),
    "bag": _Kind("*.mcap", read_bag),
    "amass": _Kind("**/*.npz", read_amass),
}
KINDS = ("auto", "recording", *_KINDS)


def read_dataset(path: Path, kind: str = "auto") -> Recording:
    """Read motion of any kind.

    Raises InputError if there is nothing, nothing of that kind, or it is damaged.

    Parameters
    ----------
    path : Path
        A recording of this project (.npz), a bag, or the file or folder of a data set.
    kind : str
        One of `KINDS`; 'auto' looks.
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
    return Recording(path.name, chosen.read(path), asf_amc.ABOUT if chosen.from_cmu else {})


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
    if path.suffix in (".mcap", ".db3"):
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
