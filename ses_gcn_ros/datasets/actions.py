"""Recordings with the action that each shows: what all readers give, and how it is split."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.windows import Joints, Motion, WindowConfig, prepared, up_axis
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.npz import load_arrays

_FPS = 30.0  # of sets that do not say
_LEAST = 0.75  # share of a window that a shorter recording must fill


@dataclass(frozen=True, eq=False)
class LabelledMotion:
    """One person doing one thing."""

    positions: Motion  # (T, V, C): [m] or pixels; NaN where unseen
    # what is done, and who does it
    label: str
    subject: str
    fps: float = _FPS  # frame rate [Hz]
    # name or number within its set, and when it begins in the stream of that name [s]
    name: str = ""
    start: float = 0.0
    before: Motion | None = None  # (T', V, C): the stream up to there


@dataclass(frozen=True, eq=False)
class ActionSet:
    """Recordings of the same joints."""

    recordings: tuple[LabelledMotion, ...]
    labels: tuple[str, ...]  # classes, in the set's own order
    joints: Joints
    layout: str = ""  # layout of the package; empty for one that it does not know
    skipped: tuple[str, ...] = ()  # what could not be read, a sentence each
    # patterns of the subjects that the set's own protocol never trains on
    held_out: tuple[str, ...] = ()
    # recordings of none of the classes, under their own labels, which should not be taken for any
    strange: tuple[LabelledMotion, ...] = ()
    # labels among these by which the threshold for an answer is set; the others only test it
    novel: tuple[str, ...] = ()

    def only(self, names: Sequences[str]) -> ActionSet:
        """Recordings of some joints, all if none are named.

        Raises InputError if there is no such joint, or they hang from nothing.
        """
        if not names:
            return self
        joints, columns = self.joints.only(names)

        def reduced(recordings: tuple[LabelledMotion, ...]) -> tuple[LabelledMotion, ...]:
            return tuple(of_joints(r, columns) for r in recordings)

        return replace(
            self,
            recordings=reduced(self.recordings),
            strange=reduced(self.strange),
            joints=joints,
        )

    def held_out_recordings(self) -> tuple[LabelledMotion, ...]:
        """Recordings of people that the set's own protocol never trains on."""
        return tuple(
            r for r in self.recordings if any(fnmatch(r.subject, p) for p in self.held_out)
        )

    def of_subjects(self, subjects: Iterable[str]) -> ActionSet:
        """Recordings of some people. Raises InputError if there are none of one of them."""
        wanted = set(subjects)
        known = {recording.subject for recording in self.recordings}
        for subject in sorted(wanted - known):
            raise InputError(
                f"nothing is recorded of subject '{subject}'; subjects are {listed(known)}"
            )
        return replace(self, recordings=tuple(r for r in self.recordings if r.subject in wanted))

    def without_subjects(self, subjects: Iterable[str]) -> ActionSet:
        """Recordings of all others; raises InputError if there are none."""
        out = set(subjects)
        rest = tuple(r for r in self.recordings if r.subject not in out)
        if not rest:
            raise InputError(
                f"subjects {listed(out)} are all there are; leave at least one to test on"
            )
        return replace(self, recordings=rest)


def of_joints(recording: LabelledMotion, columns: Sequences[int]) -> LabelledMotion:
    """A recording of some of its joints."""
    before = None if recording.before is None else recording.before[:, columns]
    return replace(recording, positions=recording.positions[:, columns], before=before)


def listed(names: Iterable[str]) -> str:
    """Names in order, numbers as numbers."""
    return ", ".join(sorted(names, key=lambda n: (not n.isdigit(), n.zfill(12))))


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of an action set, prepared for a network."""

    motions: list[Motion]  # (T, V, C) each, as `prepared` gives them
    labels: NDArray[np.int64]  # (N,): index of each one's class
    source: NDArray[np.int64]  # (N,): index of each one's recording
    up: int  # vertical coordinate


def cut(
    data: ActionSet,
    config: WindowConfig,
    labels: Sequences[str],
    up: int | None = None,
    lead: float = 0.0,
) -> Windows:
    """Windows of all recordings; those without anybody are left out.

    With a `lead` windows may begin so much [s] before their recording, in what came before it.

    Raises InputError if a recording's label is not among `labels`, or nothing is left.
    """
    motions: list[Motion] = []
    classes, source = [], []
    index = {label: number for number, label in enumerate(labels)}
    if up is None:
        up = int(np.bincount([up_axis(r.positions, data.joints) for r in data.recordings]).argmax())
    for number, recording in enumerate(data.recordings):
        if recording.label not in index:
            raise InputError(
                f"recording '{recording.name}' shows '{recording.label}', which the model lacks; "
                f"it knows {', '.join(labels)}"
            )
        positions, early = recording.positions, round(lead * recording.fps)
        if early and recording.before is not None:
            positions = np.concatenate([recording.before[-early:], positions])
        length = len(positions)
        starts, span = [0], length
        if config.duration:
            span = max(round(config.duration * recording.fps), 2)
            step = max(round(config.stride * recording.fps), 1)
            if length < _LEAST * span:
                continue  # stretched to a window it would be another motion
            starts = list(range(0, max(length - span, 0) + 1, step))
        for start in starts:
            try:
                part = positions[start : start + span]
                motions.append(prepared(part, data.joints, config, up))
            except InputError:
                continue  # nobody there: MSR Action3D has such a recording
            classes.append(index[recording.label])
            source.append(number)
    if not motions:
        raise InputError(
            f"none of {len(data.recordings)} recordings shows anybody for as long as a window of "
            f"{config.duration:g} s"
        )
    return Windows(motions, np.array(classes), np.array(source), up)


def read_action_npz(path: Path) -> ActionSet:
    """Recordings of an npz file.

    It holds ``positions`` [m] or ``positions_mm`` (ΣT, V, C), ``lengths``, ``action`` (numbers from
    1, or names), ``subject``, ``bones`` (V − 1, 2) and may hold ``joint_names``, ``action_names``
    and ``fps`` (one for all or one each). Raises InputError if something is missing, of another
    length, or a class has but one sequence.
    """
    arrays = load_arrays(path)
    key = "positions" if "positions" in arrays else "positions_mm"
    missing = [n for n in (key, "lengths", "action", "subject", "bones") if n not in arrays]
    if missing:
        raise InputError(
            f"'{path}' lacks '{missing[0]}'; a set of actions holds positions or "
            "positions_mm, lengths, action, subject and bones"
        )
    positions, lengths = arrays[key], arrays["lengths"]
    if positions.ndim != 3 or lengths.sum() != len(positions):
        raise InputError(
            f"'{path}' has {key} of shape {positions.shape} and lengths that sum to "
            f"{int(lengths.sum())}; they should be (ΣT, joints, 2 or 3)"
        )
    count, joint_count = len(lengths), positions.shape[1]
    for name in ("action", "subject"):
        if len(arrays[name]) != count:
            raise InputError(f"'{path}' has {len(arrays[name])} of '{name}' for {count} recordings")
    layout = ""
    if "joint_names" in arrays:
        names = [str(name) for name in arrays["joint_names"]]
        joints = Joints.of_bones(names, arrays["bones"].tolist())
    elif _same_tree(arrays["bones"], joint_count):
        layout, joints = "kinect20", Joints.of_layout("kinect20")
    else:
        joints = Joints.of_bones(map(str, range(joint_count)), arrays["bones"].tolist())
    action = arrays["action"]
    if "action_names" in arrays and action.dtype.kind in "iu":
        labels = tuple(str(name) for name in arrays["action_names"])
        if not 1 <= action.min() <= action.max() <= len(labels):
            raise InputError(
                f"'{path}' has actions {action.min()} to {action.max()} and "
                f"{len(labels)} action_names; they count from 1"
            )
        shown = [labels[number - 1] for number in action]
    else:
        labels = tuple(str(name) for name in np.unique(action))
        shown = [str(name) for name in action]
    scale = 0.001 if key.endswith("_mm") else 1.0
    fps = np.broadcast_to(arrays.get("fps", np.array(_FPS)), count)
    parts = np.split(positions, np.cumsum(lengths)[:-1])
    recordings = tuple(
        LabelledMotion(
            part.astype(np.float32) * np.float32(scale),
            shown[i],
            str(arrays["subject"][i]),
            float(fps[i]),
            str(i),
        )
        for i, part in enumerate(parts)
    )
    return checked(ActionSet(recordings, labels, joints, layout), str(path))


def checked(data: ActionSet, where: str) -> ActionSet:
    """The set itself; raises InputError if it is empty or a class has but one sequence."""
    if not data.recordings:
        raise InputError(f"'{where}' holds no recordings")
    counts = {label: 0 for label in data.labels}
    for recording in data.recordings:
        counts[recording.label] += 1
    lone = [label for label, count in counts.items() if count == 1]
    if lone:
        raise InputError(
            f"class '{lone[0]}' of '{where}' has one sequence; with nothing to test on it can't be "
            "learned: record more or leave it out"
        )
    return replace(data, labels=tuple(label for label in data.labels if counts[label]))


def of_classes(data: ActionSet, labels: Sequences[str]) -> ActionSet:
    """Recordings of some classes; raises InputError for one that the set lacks."""
    for label in labels:
        if label not in data.labels:
            raise InputError(f"there is no class '{label}'; classes are {', '.join(data.labels)}")
    kept = tuple(label for label in data.labels if label in labels)
    recordings = tuple(r for r in data.recordings if r.label in kept)
    return replace(data, recordings=recordings, labels=kept)


def _same_tree(bones: NDArray[np.integer], joints: int) -> bool:
    known = Joints.of_layout("kinect20")
    wanted = {frozenset(bone) for bone in known.bones}
    return joints == len(known.names) and {frozenset(b) for b in bones.tolist()} == wanted
