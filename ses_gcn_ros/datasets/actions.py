"""Recordings with the action that each shows: how sets are split, tables of segments, readers."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.weights import UNKNOWN
from ses_gcn_ros.actions.windows import (
    NTU_NAMES,
    NTU_PARENTS,
    Joints,
    Motion,
    WindowConfig,
    prepared,
    up_axis,
)
from ses_gcn_ros.bags.rosbag2 import is_storage
from ses_gcn_ros.datasets.sources import bag_people
from ses_gcn_ros.errors import MISSHAPEN, InputError, SesGcnError
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.resources import csv_text, parse_json, parse_yaml, write_atomically

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
            self, recordings=reduced(self.recordings), strange=reduced(self.strange), joints=joints
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
    data: ActionSet, config: WindowConfig, labels: Sequences[str], lead: float = 0.0
) -> Windows:
    """Windows of all recordings; those without anybody are left out.

    With a `lead` windows may begin so much [s] before their recording, in what came before it.

    Raises InputError if a recording's label is not among `labels`, or nothing is left.
    """
    motions: list[Motion] = []
    classes, source = [], []
    index = {label: number for number, label in enumerate(labels)}
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
    if positions.ndim != 3 or lengths.sum() != len(positions) or lengths.min(initial=0) < 0:
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
        if len(part)
    )
    skipped = tuple(
        f"recording {i} of '{path}' has no frames" for i in np.flatnonzero(lengths == 0)
    )
    return checked(ActionSet(recordings, labels, joints, layout, skipped), str(path))


def checked(data: ActionSet, where: str) -> ActionSet:
    """The set itself.

    Raises InputError if it is empty, a position is infinite or a class has but one sequence.
    """
    if not data.recordings:
        raise InputError(f"'{where}' holds no recordings")
    for recording in data.recordings:
        if np.isinf(recording.positions).any():
            raise InputError(
                f"recording '{recording.name}' of '{where}' has positions that are infinite or too "
                "large for float32; unseen joints are NaN"
            )
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


SEGMENTS = "actions.csv"  # of a bag's folder, or NAME.actions.csv beside a bag's file
_SEGMENT_COLUMNS = ("person_id", "start", "end", "label")


def segment_table(bag: Path) -> Path:
    """Where the segments of a bag are."""
    return bag / SEGMENTS if bag.is_dir() else bag.with_name(f"{bag.stem}.{SEGMENTS}")


def read_segments(path: Path) -> list[tuple[str, float, float, str]]:
    """Segments of a bag: person, start and end [s since the epoch], label; others are left out.

    Raises InputError if there is no such table, or a column or time in it is wrong.
    """
    if not path.is_file():
        raise InputError(
            f"there is no table of segments at '{path}'; draw one with 'ses-gcn actions label BAG'"
        )
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            columns, rows = table.fieldnames or (), list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path}' is no table of segments: {error}") from error
    missing = [c for c in _SEGMENT_COLUMNS if c not in columns]
    if missing:
        raise InputError(
            f"'{path}' lacks the column '{missing[0]}'; it takes {', '.join(_SEGMENT_COLUMNS)}"
        )
    segments = []
    for number, row in enumerate(rows, start=2):
        try:
            start, end = float(row["start"]), float(row["end"])
        except (TypeError, ValueError):
            raise InputError(f"line {number} of '{path}' has no times") from None
        if not start < end:
            raise InputError(f"line {number} of '{path}' ends at {end:g}, before {start:g}")
        if row["label"]:
            segments.append((row["person_id"], start, end, row["label"]))
    return segments


def write_segments(path: Path, segments: Iterable[tuple[str, float, float, str]]) -> None:
    """Write a table of segments, as `read_segments` reads it, in one piece."""
    rows = ([who, f"{start:.3f}", f"{end:.3f}", what] for who, start, end, what in segments)
    write_atomically(path, csv_text(_SEGMENT_COLUMNS, rows))


_BAG_LAYOUT = "chico15"
# What numbers, words and arrays raise that are not as they should be.
_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


def _words(text: str) -> list[str]:
    return text.split()


# UTKinect-Action3D (Xia et al., CVPRW 2012): Kinect 1's joints in the SDK's order.
_SDK_NAMES = _words(
    """
    hip_center spine shoulder_center head l_shoulder l_elbow l_wrist l_hand r_shoulder r_elbow
    r_wrist r_hand l_hip l_knee l_ankle l_foot r_hip r_knee r_ankle r_foot"""
)
_SDK_PARENTS = (-1, 0, 1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18)
# Florence 3D Actions (Seidenari et al., CVPRW 2013).
_FLORENCE_NAMES = _words(
    """
    head neck spine l_shoulder l_elbow l_wrist r_shoulder r_elbow r_wrist l_hip l_knee l_ankle
    r_hip r_knee r_ankle"""
)
_FLORENCE_PARENTS = (1, 2, -1, 1, 3, 4, 1, 6, 7, 2, 9, 10, 2, 12, 13)

_NTU_FILE = re.compile(r"S\d{3}C\d{3}P0*(?P<subject>\d+)R\d{3}A0*(?P<action>\d+)")
_MSR_FILE = re.compile(r"^a0*(?P<action>\d+)_s0*(?P<subject>\d+)_e\d+_skeleton")
_KTH_FOLDER = re.compile(r"person(?P<subject>\d+)_(?P<action>[a-z]+)")


def read_actions(path: Path, root: Path | None = None) -> ActionSet:
    """Labelled recordings of a file or folder; a list's sources lie below `root`.

    An npz file, a list of sources (.yaml), a bag with its table of segments or a folder of such
    bags, NTU RGB+D ``.skeleton`` files, MSR Action3D, UTKinect or Florence 3D text files, or
    OpenPose JSON folders named as KTH's videos. Raises InputError if it looks like none of them, or
    nothing in it can be read.
    """
    try:
        return _read(path, root)
    except SesGcnError:
        raise
    except _DAMAGE as error:
        raise InputError(f"'{path}' is damaged: {error!r}") from error


def _read(path: Path, root: Path | None) -> ActionSet:
    if path.suffix == ".npz":
        return read_action_npz(path)
    if path.suffix in (".yaml", ".yml"):
        return read_sources(path, root)
    if not path.exists():
        raise InputError(f"there are no recordings at '{path}'")
    if path.is_file() and path.name.startswith("Florence"):
        return read_florence(path)
    for pattern, reader in _READERS:
        if path.is_dir() and next(path.rglob(pattern), None) is not None:
            return reader(path)
    if is_storage(path) or segment_table(path).is_file():
        return read_bags([path])
    raise InputError(
        f"'{path}' holds no labelled recordings that are known: npz, a .yaml list of sources, bags "
        f"with '{SEGMENTS}', NTU .skeleton, MSR Action3D, UTKinect, Florence or OpenPose JSON"
    )


def _whole(
    parts: Iterable[tuple[str, Callable[[], LabelledMotion]]],
    joints: Joints,
    where: Path,
    layout: str = "",
) -> ActionSet:
    """Set of what can be read; what can't is named in it, unless that is everything."""
    recordings, skipped = [], []
    for name, read in parts:
        try:
            recordings.append(read())
        except (SesGcnError, *_DAMAGE) as error:
            reason = str(error) if isinstance(error, SesGcnError) else f"damaged ({error})"
            skipped.append(f"{name}: {reason}")
    if not recordings:
        first = f"; first, {skipped[0]}" if skipped else ""
        raise InputError(f"nothing in '{where}' can be read{first}"[:400])
    labels = tuple(sorted({r.label for r in recordings}, key=lambda n: n.zfill(8)))
    data = ActionSet(tuple(recordings), labels, joints, layout, tuple(skipped))
    return checked(data, str(where))


def _numbers(path: Path, columns: int | None = None) -> NDArray[np.float64]:
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    table = np.array(rows, np.float64)
    if columns is not None and (table.ndim != 2 or table.shape[1] != columns):
        raise InputError(f"'{path.name}' has a shape of {table.shape}, not {columns} columns")
    return table


def _named(
    files: Iterable[Path], pattern: re.Pattern[str], read: Callable[[Path], Motion], fps: float
) -> Iterator[tuple[str, Callable[[], LabelledMotion]]]:
    """Recordings whose action and subject the names of their files say."""

    def recording(path: Path) -> LabelledMotion:
        match = pattern.search(path.name)
        if match is None:
            raise InputError(f"is not named as its set names files ({pattern.pattern})")
        return LabelledMotion(read(path), match["action"], match["subject"], fps, path.stem)

    return ((path.name, partial(recording, path)) for path in files)


# NTU RGB+D --------------------------------------------------------------------------------------


def read_ntu(folder: Path) -> ActionSet:
    """NTU RGB+D ``.skeleton`` files: actions by number, subjects of their names [m]."""
    files = sorted(folder.rglob("*.skeleton"))
    joints = Joints.of_parents(NTU_NAMES, NTU_PARENTS)
    return _whole(_named(files, _NTU_FILE, read_ntu_file, 30.0), joints, folder)


def read_ntu_file(path: Path) -> Motion:
    """Bodies of one file, shape (T, 25, 3) [m]; a frame of two gives one of each, as SGN reads it.

    Raises InputError if the file is cut off, has no frames or nobody in them.
    """
    values = iter(path.read_text(encoding="utf-8").split())
    frames: list[Motion] = []
    try:
        count = int(next(values, "0"))
        if count < 1:
            raise InputError(f"'{path.name}' has 0 frames")
        for _ in range(count):
            for _ in range(int(next(values))):
                for _ in range(10):  # what the body's tracker says of itself
                    next(values)
                joints = int(next(values))
                if joints != len(NTU_NAMES):
                    raise InputError(f"'{path.name}' has a body of {joints} joints, not 25")
                body = np.array([next(values) for _ in range(joints * 12)], np.float32)
                frames.append(body.reshape(joints, 12)[:, :3])
    except StopIteration:
        raise InputError(f"'{path.name}' ends within its {count} frames") from None
    except ValueError as error:
        raise InputError(f"'{path.name}' is no .skeleton file: {error}") from None
    if not frames:
        raise InputError(f"'{path.name}' shows nobody in {count} frames")
    return np.stack(frames)


# Kinect 1 ---------------------------------------------------------------------------------------


def read_msr(folder: Path) -> ActionSet:
    """MSR Action3D text files ``aAA_sSS_eEE_skeleton….txt``: 20 lines a frame, x y z confidence."""

    def read(path: Path) -> Motion:
        return _numbers(path, 4)[:, :3].reshape(-1, 20, 3).astype(np.float32)

    files = sorted(folder.rglob("a*_skeleton*.txt"))
    joints = Joints.of_layout("kinect20")
    return _whole(_named(files, _MSR_FILE, read, 30.0), joints, folder, "kinect20")


def read_utkinect(folder: Path) -> ActionSet:
    """UTKinect: ``joints_sSS_eEE.txt``, ``actionLabel.txt`` with their first and last frames."""
    table = next(folder.rglob("actionLabel.txt"))
    files = {path.stem.removeprefix("joints_"): path for path in folder.rglob("joints_*.txt")}

    def parts() -> Iterator[tuple[str, Callable[[], LabelledMotion]]]:
        recording = ""
        for line in table.read_text(encoding="utf-8").splitlines():
            words = line.replace(":", " ").split()
            if len(words) == 1:
                recording = words[0]
            elif len(words) == 3:
                yield f"{recording} {words[0]}", partial(read, recording, *words)

    def read(recording: str, action: str, first: str, last: str) -> LabelledMotion:
        rows = _numbers(files[recording], 61)
        chosen = rows[(rows[:, 0] >= float(first)) & (rows[:, 0] <= float(last)), 1:]
        if not len(chosen):
            raise InputError(f"has no frames from {first} to {last}")
        motion = chosen.reshape(-1, 20, 3).astype(np.float32)
        subject = str(int(recording[1:3]))
        return LabelledMotion(motion, action, subject, 15.0, f"{recording}_{action}")

    return _whole(parts(), Joints.of_parents(_SDK_NAMES, _SDK_PARENTS), folder)


def read_florence(path: Path) -> ActionSet:
    """Florence 3D's table: video, actor, category and 15 joints a line [mm]."""
    videos: dict[tuple[str, str, str], list[NDArray[np.float64]]] = defaultdict(list)
    for row in _numbers(path, 48):
        video, actor, category = (str(int(value)) for value in row[:3])
        videos[video, actor, category].append(row[3:] / 1000)

    def read(video: str, actor: str, category: str) -> LabelledMotion:
        motion = np.array(videos[video, actor, category], np.float32).reshape(-1, 15, 3)
        return LabelledMotion(motion, category, actor, 30.0, video)

    joints = Joints.of_parents(_FLORENCE_NAMES, _FLORENCE_PARENTS)
    return _whole(((key[0], partial(read, *key)) for key in videos), joints, path)


# OpenPose ---------------------------------------------------------------------------------------


def read_openpose(folder: Path) -> ActionSet:
    """Folders of OpenPose's JSON files, one per video, named ``personNN_action…`` as KTH's.

    The first person of every frame in pixels, frames in the order of their names; frames without a
    person are left out.
    """

    def read(video: Path) -> Motion:
        frames = []
        for path in sorted(video.glob("*.json")):
            people = parse_json(path.read_text(encoding="utf-8")).get("people", [])
            if people:
                points = np.array(people[0]["pose_keypoints_2d"], np.float32).reshape(-1, 3)
                if len(points) != 25:
                    raise InputError(f"'{path.name}' has {len(points)} joints, not BODY_25's")
                frames.append(np.where(points[:, 2:] > 0, points[:, :2], np.nan))
        if not frames:
            raise InputError("shows nobody in any frame")
        return np.stack(frames)

    videos = sorted({path.parent for path in folder.rglob("*.json")})
    joints = Joints.of_layout("openpose25")
    return _whole(_named(videos, _KTH_FOLDER, read, 25.0), joints, folder, "openpose25")


# Bags -------------------------------------------------------------------------------------------


def read_bags(paths: Iterable[Path]) -> ActionSet:
    """Bags, each with a table of segments; people of bags of another name are other people."""
    parts = []
    paths = list(paths)
    for path in paths:
        table = read_segments(segment_table(path))
        people = bag_people(path) if table else {}
        parts += [(f"{path.name} {row[0]}", partial(_segment, path, people, *row)) for row in table]
    joints = Joints.of_layout(_BAG_LAYOUT)
    return _whole(parts, joints, paths[0].parent, _BAG_LAYOUT)


def read_bag_folder(folder: Path) -> ActionSet:
    """All bags below a folder that have a table of segments."""
    found = sorted(folder.rglob(f"*{SEGMENTS}"))
    return read_bags(_bag_of(table) for table in found)


def _bag_of(table: Path) -> Path:
    if table.name == SEGMENTS:
        return table.parent
    return table.with_name(table.name.removesuffix(f".{SEGMENTS}") + ".mcap")


def _segment(
    bag: Path, people: Any, person: str, start: float, end: float, label: str
) -> LabelledMotion:
    if person not in people:
        raise InputError(f"person '{person}' is not in the bag; people are {', '.join(people)}")
    stamps, positions = people[person]
    within = (stamps >= start) & (stamps <= end)
    if within.sum() < 2:
        raise InputError(f"person '{person}' has no frames from {start:g} to {end:g} s")
    fps = float((within.sum() - 1) / np.ptp(stamps[within]))
    subject = f"{bag.stem}/{person}"
    begin = float(stamps[within][0])
    return LabelledMotion(positions[within], label, subject, fps, subject, begin)


# Lists of sources -------------------------------------------------------------------------------


_UNLABELLED = "unlabelled"


def read_sources(path: Path, root: Path | None = None) -> ActionSet:
    """Recordings of motion from several files, with one name for each class.

    The list is YAML: ``layout`` and ``joints``, those to keep; ``classes``, the sources' labels by
    class; ``sources``, each with a ``file``, ``subject`` (the array that says who moves, or
    ``id:N`` for the N-th word of the identifier) and perhaps ``frame_labels``; ``held_out``,
    patterns of SOURCE/SUBJECT; ``open`` and ``novel``, labels of no class that are never trained on
    and should not be taken for any, nor should recordings of held-out people in the class
    ``unknown``; the novel ones set the threshold for answers, the others only test it. Files lie
    below `root`, the list's folder without it. Other labels are left out. A sequence of which no
    frame has a label is ``unlabelled``. Raises InputError if the list or a source is damaged.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
        classes = {str(s): str(name) for name, all_ in content["classes"].items() for s in all_}
        order, kept = tuple(content["classes"]), [str(name) for name in content["joints"]]
        layout, sources = str(content["layout"]), list(content["sources"])
        novel = tuple(str(label) for label in content.get("novel", []))
        strange = {*novel, *(str(label) for label in content.get("open", []))}
        held_out = tuple(str(pattern) for pattern in content.get("held_out", []))
    except (*MISSHAPEN, OSError) as error:
        raise InputError(f"'{path}' is no list of sources: {error}") from error
    joints, columns = Joints.of_layout(layout).only(kept)
    recordings, others = [], []
    for source in sources:
        for found in _source(root or path.parent, source):
            found = of_joints(found, columns)
            label = classes.get(found.label)
            unseen = any(fnmatch(found.subject, pattern) for pattern in held_out)
            if found.label in strange or (label == UNKNOWN and unseen):
                others.append(found)
            elif label is not None:
                recordings.append(replace(found, label=label))
    data = ActionSet(
        tuple(recordings),
        order,
        joints,
        layout,
        held_out=held_out,
        strange=tuple(others),
        novel=novel,
    )
    return checked(data, str(path))


def _source(root: Path, source: dict[str, Any]) -> Iterator[LabelledMotion]:
    file = root / source["file"]
    arrays = load_arrays(file)
    key = next((k for k in arrays if k.startswith("positions")), "positions")
    if key not in arrays or "lengths" not in arrays:
        raise InputError(f"'{file}' holds no positions with lengths")
    scale = np.float32(0.001 if key.endswith("_mm") else 1.0)
    fps = float(arrays["fps"])
    bounds = np.cumsum([0, *arrays["lengths"]])
    frame_labels = names = None
    if "frame_labels" in source:
        table = load_arrays(root / source["frame_labels"])
        frame_labels, names = table["frame_label"], table["class_names"]
    who = str(source.get("subject", "subject"))
    for index, (start, end) in enumerate(pairwise(bounds)):
        identifier = str(arrays["ids"][index])
        person = (
            identifier.split("_")[int(who[3:])]
            if who.startswith("id:")
            else str(arrays[who][index])
        )
        subject = f"{file.stem}/{person}"
        positions = arrays[key][start:end].astype(np.float32) * scale
        if frame_labels is None or names is None:
            yield LabelledMotion(positions, str(arrays["label"][index]), subject, fps, identifier)
            continue
        labels = frame_labels[start:end]
        if (labels < 0).all():
            yield LabelledMotion(positions, _UNLABELLED, subject, fps, identifier)
            continue
        edges = np.flatnonzero(np.diff(labels)) + 1
        for first, last in zip([0, *edges], [*edges, len(labels)], strict=True):
            if labels[first] >= 0:
                label = str(names[labels[first]])
                yield LabelledMotion(
                    positions[first:last],
                    *(label, subject, fps, identifier, first / fps),
                    before=positions[:first],
                )


_READERS: tuple[tuple[str, Callable[[Path], ActionSet]], ...] = (
    ("*.skeleton", read_ntu),
    ("a*_s*_e*_skeleton*.txt", read_msr),
    ("actionLabel.txt", read_utkinect),
    ("*_keypoints.json", read_openpose),
    (f"*{SEGMENTS}", read_bag_folder),
)
