"""Readers of labelled actions, chosen by how a file or folder looks."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ses_gcn_ros.actions.weights import UNKNOWN
from ses_gcn_ros.actions.windows import NTU_NAMES, NTU_PARENTS, Joints, Motion
from ses_gcn_ros.bags.segments import SEGMENTS, read_segments, segment_table
from ses_gcn_ros.datasets.actions import (
    ActionSet,
    LabelledMotion,
    checked,
    of_joints,
    read_action_npz,
)
from ses_gcn_ros.datasets.sources import bag_people
from ses_gcn_ros.errors import InputError, SesGcnError
from ses_gcn_ros.npz import load_arrays

_BAG_LAYOUT = "chico15"


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
    if path.suffix == ".mcap" or segment_table(path).is_file():
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
        except (SesGcnError, ValueError, IndexError, KeyError, OSError) as error:
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
        count = int(next(values))
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
            elif len(words) == 3 and "NaN" not in words:
                yield f"{recording} {words[0]}", partial(read, recording, *words)

    def read(recording: str, action: str, first: str, last: str) -> LabelledMotion:
        rows = _numbers(files[recording], 61)
        chosen = rows[(rows[:, 0] >= int(first)) & (rows[:, 0] <= int(last)), 1:]
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
            people = json.loads(path.read_text(encoding="utf-8")).get("people", [])
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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        classes = {str(s): str(name) for name, all_ in content["classes"].items() for s in all_}
        order, kept = tuple(content["classes"]), [str(name) for name in content["joints"]]
        layout, sources = str(content["layout"]), list(content["sources"])
        novel = tuple(str(label) for label in content.get("novel", []))
        strange = {*novel, *(str(label) for label in content.get("open", []))}
        held_out = tuple(str(pattern) for pattern in content.get("held_out", []))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
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
