"""Sequences of human motion, and the files that this project keeps them in.

A recording is an npz file of ``ids``, ``lengths``, ``fps`` and one or more arrays, all sequences
one after the other: ``…_mm`` (ΣT, J, 3), int16 [mm], or ``…_m``, float32 [m]. It may hold
``layout`` (chico15 without), ``subjects`` and ``tags`` (space between them) of each sequence and
``about``, a JSON object; a JSON file of the same name may hold the last three instead. Others write
``label`` and ``subject`` or ``rig`` (who or what was recorded). No pickles.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import MISSHAPEN, InputError
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.resources import parse_json, write_atomically
from ses_gcn_ros.skeleton import get_layout

_LAYOUT = "chico15"
_RATES = 0.1, 10_000.0  # Hz
_FARTHEST = np.iinfo(np.int16).max / 1000  # m


@dataclass(frozen=True, eq=False)
class Sequence:
    """One person's motion, recorded without a break."""

    name: str  # unique within its file
    index: int  # number of the recording within its file; people recorded together share it
    subject: str  # who moved; empty if unknown
    tags: frozenset[str]  # category and the like
    fps: float  # frame rate [Hz]
    layout: str  # joint layout
    # The positions as stored, or what reads them when they are first looked at. A joint that was
    # not seen in a frame is NaN.
    source: NDArray[Any] | Callable[[], NDArray[Any]]
    group: str = ""  # name of the file that it comes from, where several were read

    def __len__(self) -> int:
        return len(self.stored)

    @cached_property
    def stored(self) -> NDArray[Any]:
        """Positions as stored, shape (T, J, 3): int16 [mm] or float32 [m]."""
        stored = self.source() if callable(self.source) else self.source
        if stored.dtype.kind == "f":
            if not np.isfinite(stored).any():
                raise InputError(
                    f"sequence '{self.name}' is not finite at frame 0 nor at any other; nobody is "
                    "seen in it"
                )
            wrong = np.isinf(stored) | (np.isnan(stored) & ~np.isnan(stored).all(-1, keepdims=True))
            if wrong.any():
                frame, joint = np.argwhere(wrong)[0, :2]
                raise InputError(
                    f"sequence '{self.name}' is not finite at frame {frame}, joint "
                    f"{get_layout(self.layout).joints[joint]}; a joint that was not seen is NaN in "
                    "all coordinates"
                )
        return stored

    @property
    def per_metre(self) -> np.float32:
        """Stored units per metre."""
        return np.float32(1000 if self.stored.dtype.kind == "i" else 1)

    @property
    def positions(self) -> NDArray[np.float32]:
        """Positions [m], shape (T, J, 3), converted when asked for."""
        return self.stored.astype(np.float32) / self.per_metre


@dataclass(frozen=True, eq=False)
class Recording:
    """A file or folder of sequences and what has to be said about it."""

    name: str  # name of the file
    sequences: list[Sequence]
    # licence and acknowledgement, where they are known
    about: dict[str, str] = field(default_factory=dict)


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Read a file of motion sequences; arrays stored without compression stay on disk.

    Raises InputError if the file is missing, of another form, or its arrays don't fit one another.
    """
    path = Path(path)
    arrays = load_arrays(path)
    motions = {name: array for name, array in arrays.items() if name.endswith(("_mm", "_m"))}
    if not motions or not {"ids", "lengths", "fps"} <= set(arrays):
        raise InputError(
            f"'{path}' holds {', '.join(arrays) or 'nothing'}; a recording holds ids, lengths, "
            "fps and positions in arrays named …_mm or …_m"
        )
    layout = str(arrays.get("layout", _LAYOUT))
    joints = len(get_layout(layout).joints)
    lengths, fps = arrays["lengths"].astype(int), arrays["fps"]
    if fps.ndim or not _RATES[0] <= float(fps) <= _RATES[1]:
        raise InputError(
            f"fps of '{path}' is {fps.tolist()}; a recording has one rate between "
            f"{_RATES[0]:g} and {_RATES[1]:g} Hz, so resample its sequences to one"
        )
    for name, motion in motions.items():
        if motion.shape != (lengths.sum(), joints, 3):
            raise InputError(
                f"'{name}' of '{path}' has shape {motion.shape}; lengths and layout {layout} ask "
                f"for ({lengths.sum()}, {joints}, 3)"
            )
        wanted = np.int16 if name.endswith("_mm") else np.float32
        if motion.dtype != wanted:
            raise InputError(
                f"'{name}' of '{path}' holds {motion.dtype}; it takes {np.dtype(wanted)}"
            )
    ids = arrays["ids"].tolist()
    details, about = _details(path, ids, arrays)
    ends = np.cumsum(lengths)
    sequences = []
    for index, (identity, start, end) in enumerate(zip(ids, ends - lengths, ends, strict=True)):
        subject, tags = details.get(identity, ("", None))
        for name, motion in motions.items():
            role = name.rpartition("_")[0]
            sequences.append(
                Sequence(
                    name=identity if len(motions) == 1 else f"{identity}/{role}",
                    index=index,
                    subject=subject,
                    tags=frozenset([role] if tags is None else tags),
                    fps=float(fps),
                    layout=layout,
                    source=motion[start:end],
                )
            )
    return Recording(path.name, sequences, about)


def _details(
    path: Path, ids: list[str], arrays: dict[str, NDArray[Any]]
) -> tuple[dict[str, tuple[str, list[str]]], dict[str, str]]:
    """Subject and tags of each sequence, and what is said of the whole."""
    beside = path.with_suffix(".json")
    try:
        if "about" in arrays:
            tags = [text.split() for text in arrays["tags"].tolist()]
            subjects = arrays["subjects"].tolist()
            about = {str(key): str(text) for key, text in parse_json(str(arrays["about"])).items()}
            return dict(zip(ids, zip(subjects, tags, strict=True), strict=True)), about
        if "label" in arrays and not beside.is_file():
            nobody = np.full(len(ids), "")
            subjects = arrays.get("subject", arrays.get("rig", nobody)).tolist()
            labels = [[label.replace(" ", "_")] for label in arrays["label"].tolist()]
            return dict(zip(ids, zip(subjects, labels, strict=True), strict=True)), {}
        if not beside.is_file():
            return {}, {}
        content = parse_json(beside.read_text(encoding="utf-8"))
        details = {entry["id"]: _detail(entry) for entry in content["sequences"]}
    except MISSHAPEN as error:
        where = path if "about" in arrays else beside
        raise InputError(f"'{where}' does not describe a recording: {error!r}") from error
    about = {key: str(content[key]) for key in ("licence", "acknowledgement") if key in content}
    return details, about


def _detail(entry: dict[str, Any]) -> tuple[str, list[str]]:
    tags = [str(entry["category"])] if "category" in entry else []
    return str(entry.get("cmu_subject") or ""), tags + ["core"] * bool(entry.get("core"))


def write_recording(
    path: str | os.PathLike[str],
    sequences: Sequences[Sequence],
    about: dict[str, str],
    *,
    millimetres: bool = False,
) -> None:
    """Write sequences into one file, whole or not at all.

    Raises InputError if there are none, layouts or frame rates differ or a position is too far off
    for int16.

    `sequences`: all of one layout and one frame rate.
    `millimetres`: store whole millimetres, which takes half the space; else float32 metres.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"a recording is written as .npz; '{path}' is named otherwise")
    if not sequences:
        raise InputError(f"there are no sequences to write into '{path}'")
    for what, values in (
        ("layouts", {s.layout for s in sequences}),
        ("frame rates", {f"{s.fps:g}" for s in sequences}),
    ):
        if len(values) > 1:
            raise InputError(
                f"sequences have different {what}: {', '.join(sorted(values))}; a recording takes "
                "one"
            )
    positions = np.concatenate([s.positions for s in sequences])
    stored: NDArray[Any]
    if millimetres:
        farthest = float(np.abs(positions).max())
        if farthest > _FARTHEST:
            raise InputError(
                f"a joint is {farthest:.1f} m from the origin; whole millimetres reach "
                f"{_FARTHEST:.1f} m"
            )
        name, stored = "positions_mm", np.round(1000 * positions).astype(np.int16)
    else:
        name, stored = "positions_m", positions
    arrays: dict[str, Any] = {
        "ids": np.array([s.name for s in sequences]),
        "lengths": np.array([len(s) for s in sequences], np.int32),
        "fps": np.float32(sequences[0].fps),
        "layout": np.array(sequences[0].layout),
        "subjects": np.array([s.subject for s in sequences]),
        "tags": np.array([" ".join(sorted(s.tags)) for s in sequences]),
        "about": np.array(json.dumps(about)),
        name: stored,
    }
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, content.getvalue())


def at_rate(sequence: Sequence, fps: float) -> NDArray[np.float32]:
    """Positions [m] of a sequence on a grid of `fps` frames a second, shape (T', J, 3).

    Linear between the recorded frames; the sequence as it is if that is its own rate.
    """
    positions = sequence.positions
    if sequence.fps == fps or len(positions) < 2:
        return positions
    count = int((len(positions) - 1) * fps / sequence.fps + 1e-9) + 1
    return between_frames(positions, np.arange(count) * (sequence.fps / fps))


def between_frames(positions: NDArray[Any], place: ArrayLike) -> NDArray[Any]:
    """Positions (..., J, 3) at places (...) counted in frames of (T, J, 3), on straight lines."""
    at = np.asarray(place)
    low = np.minimum(at.astype(int), len(positions) - 2)
    share = np.asarray(at - low, positions.dtype)[..., None, None]
    return positions[low] + share * (positions[low + 1] - positions[low])


def check_layout(sequences: Sequences[Sequence], layout: str, who: str) -> None:
    """Raise InputError, naming the first sequence of another layout than the one `who` takes."""
    foreign = next((s for s in sequences if s.layout != layout), None)
    if foreign is not None:
        raise InputError(
            f"sequence '{foreign.name}' has layout {foreign.layout}; {who} takes {layout}"
        )


def no_window(count: int, length: int, fps: float) -> InputError:
    """What is raised where none of so many sequences is as long as a window."""
    return InputError(
        f"none of {count} sequences is as long as a window of {length} frames at {fps:g} Hz"
    )


def window_starts(frames: int, length: int, stride: int) -> NDArray[np.int64]:
    """First frames of the windows of `length` frames in a sequence of `frames`."""
    return np.arange(0, frames - length + 1, stride)


def windows(
    sequences: Sequences[Sequence], length: int, fps: float, stride: int
) -> Iterator[tuple[Sequence, NDArray[np.float32]]]:
    """Every window of every sequence, one sequence at a time.

    Raises InputError if no sequence is as long as a window.

    `sequences`: those shorter than a window are passed over.
    Yields a sequence and its windows (W, length, J, 3) [m], a view: the frames are not copied.
    """
    anything = False
    for sequence in sequences:
        positions = at_rate(sequence, fps)
        if len(positions) >= length:
            anything = True
            views = np.lib.stride_tricks.sliding_window_view(positions, length, axis=0)
            yield sequence, np.moveaxis(views[::stride], -1, 1)
    if not anything:
        raise no_window(len(sequences), length, fps)


class RandomWindows:
    """Windows that start anywhere, between recorded frames too, at a randomly changed tempo.

    Raises InputError if no sequence is as long as a window, or their layouts differ.

    `sequences`: what to draw from; a second of one is as likely as of another, but for `weights`.
    `weights`: how much likelier a second is in sequences with a tag than in others.
    `shares`: how likely each file (`Sequence.group`) is; files that it does not name are not drawn
    from.
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
            raise no_window(len(sequences), length, fps)
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

        `tempo`: the tempo is changed by a factor within exp(±tempo).
        Gives windows (N, length, J, 3) [m].
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
