"""Sequences of human motion, read from npz files of the form of this project's recordings.

A file holds ``ids``, ``lengths``, ``fps`` and one or more arrays ``…_mm`` (ΣT, J, 3), int16
[mm], all sequences one after the other; a JSON of the same name may say more about each.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import get_layout

_LAYOUT = "chico15"


@dataclass(frozen=True, eq=False)
class Sequence:
    """One person's motion, recorded without a break.

    Attributes
    ----------
    name : str
        Unique within its file.
    index : int
        Number of the recording within its file; people recorded together share it.
    subject : str
        Who moved; empty if unknown.
    tags : frozenset of str
        Category and the like.
    fps : float
        Frame rate [Hz].
    layout : str
        Joint layout.
    stored : NDArray, shape (T, J, 3), int16
        Positions [mm], z up.
    """

    name: str
    index: int
    subject: str
    tags: frozenset[str]
    fps: float
    layout: str
    stored: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def positions(self) -> NDArray[np.float32]:
        """Positions [m], shape (T, J, 3), converted when asked for."""
        return self.stored.astype(np.float32) / np.float32(1000)


@dataclass(frozen=True, eq=False)
class Recording:
    """A file of sequences and what has to be said about it.

    Attributes
    ----------
    name : str
        Name of the file.
    sequences : list of Sequence
    about : dict of str to str
        Licence and acknowledgement, where the file's JSON gives them.
    """

    name: str
    sequences: list[Sequence]
    about: dict[str, str] = field(default_factory=dict)


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Read a file of motion sequences.

    Raises
    ------
    InputError
        If the file is missing, of another form, or its arrays don't fit one another.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no recording at '{path}'")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"'{path}' is no npz file of arrays: {error}") from error
    motions = {name: array for name, array in arrays.items() if name.endswith("_mm")}
    if not motions or not {"ids", "lengths", "fps"} <= set(arrays):
        raise InputError(
            f"'{path}' holds {', '.join(arrays) or 'nothing'}; a recording holds ids, lengths, "
            "fps and positions in arrays named …_mm"
        )
    lengths = arrays["lengths"].astype(int)
    joints = len(get_layout(_LAYOUT).joints)
    for name, motion in motions.items():
        if motion.shape != (lengths.sum(), joints, 3):
            raise InputError(
                f"'{name}' of '{path}' has shape {motion.shape}; lengths and layout {_LAYOUT} ask "
                f"for ({lengths.sum()}, {joints}, 3)"
            )
    details, about = _details(path.with_suffix(".json"))
    ends = np.cumsum(lengths)
    sequences = []
    for index, (identity, start, end) in enumerate(
        zip(arrays["ids"].tolist(), ends - lengths, ends, strict=True)
    ):
        detail = details.get(identity, {})
        for name, motion in motions.items():
            role = name.removesuffix("_mm")
            sequences.append(
                Sequence(
                    name=identity if len(motions) == 1 else f"{identity}/{role}",
                    index=index,
                    subject=str(detail.get("cmu_subject") or ""),
                    tags=frozenset(
                        [str(detail.get("category", role))] + ["core"] * bool(detail.get("core"))
                    ),
                    fps=float(arrays["fps"]),
                    layout=_LAYOUT,
                    stored=motion[start:end],
                )
            )
    return Recording(path.name, sequences, about)


def _details(path: Path) -> tuple[dict[str, dict[str, object]], dict[str, str]]:
    """What the JSON beside a recording says: of each sequence, and of the whole."""
    if not path.is_file():
        return {}, {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        details = {entry["id"]: entry for entry in content["sequences"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{path}' does not describe a recording: {error!r}") from error
    about = {key: str(content[key]) for key in ("licence", "acknowledgement") if key in content}
    return details, about
