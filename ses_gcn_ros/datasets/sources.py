"""Recorded motion of any kind that this project reads, by what its file or folder looks like."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace
from pathlib import Path

from ses_gcn_ros.datasets import asf_amc, cmu_body, cmu_expmap
from ses_gcn_ros.datasets.amass import read_amass
from ses_gcn_ros.datasets.bags import read_bag
from ses_gcn_ros.datasets.chico import read_chico
from ses_gcn_ros.datasets.h36m import read_h36m
from ses_gcn_ros.datasets.sequences import Recording, Sequence, read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.npz import load_arrays


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

    Parameters
    ----------
    path : Path
        A recording of this project (.npz), a bag, or the file or folder of a data set.
    kind : str
        One of `KINDS`; 'auto' looks.

    Raises
    ------
    InputError
        If there is nothing, nothing of that kind, or it is damaged.
    """
    if kind not in KINDS:
        raise InputError(f"there is no kind of data '{kind}'; known are {', '.join(KINDS)}")
    if not path.exists():
        raise InputError(f"there is no recording at '{path}'")
    if kind == "auto":
        kind = _look(path)
    if kind == "recording":
        return read_recording(path)
    chosen = _KINDS[kind]
    return Recording(path.name, chosen.read(path), cmu_body.ABOUT if chosen.from_cmu else {})


def read_datasets(paths: Sequences[Path], kind: str = "auto") -> Recording:
    """Read several data sets as one recording; each sequence knows its file as its `group`.

    Raises
    ------
    InputError
        See `read_dataset`; or two files are of one name.
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
