"""Recorded motion of any kind that this project reads, by what its file or folder looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ses_gcn_ros.datasets import cmu_body, cmu_expmap
from ses_gcn_ros.datasets.chico import read_chico
from ses_gcn_ros.datasets.h36m import read_h36m
from ses_gcn_ros.datasets.sequences import Recording, Sequence, read_recording
from ses_gcn_ros.errors import InputError

# In order of trial: what a kind's folder holds, and what reads it.
_FOLDERS: dict[str, tuple[str, Callable[[Path], list[Sequence]]]] = {
    "chico": ("S[0-9]*/*.pkl", read_chico),
    "h36m": ("S[0-9]*/*_[12].txt", read_h36m),
    "cmu": (cmu_expmap.PATTERN, cmu_expmap.read_benchmark),
    "cmu_repaired": (cmu_expmap.PATTERN, cmu_expmap.read_repaired),
}
KINDS = ("auto", "recording", *_FOLDERS)


def read_dataset(path: Path, kind: str = "auto") -> Recording:
    """Read motion of any kind.

    Parameters
    ----------
    path : Path
        A recording of this project (.npz) or the folder of a data set.
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
    about = cmu_body.ABOUT if kind.startswith("cmu") else {}
    return Recording(path.name, _FOLDERS[kind][1](path), about)


def _look(path: Path) -> str:
    if path.is_file():
        return "recording"
    for kind, (pattern, _) in _FOLDERS.items():
        if any(path.glob(pattern)):
            return kind
    raise InputError(
        f"'{path}' holds no data set of a known kind; known are {', '.join(KINDS[1:])}"
    )
