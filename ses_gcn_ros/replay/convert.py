"""Recorded motion as bags: data sets', so that their evaluation is a replay, and the sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.messages import (
    NANO,
    Observation,
    message,
    skeletons_message,
)
from ses_gcn_ros.bags.rosbag2 import BagWriter, write_skeletons
from ses_gcn_ros.datasets.mocap import read_chico, read_collaboration
from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.datasets.sources import read_dataset
from ses_gcn_ros.errors import MISSHAPEN, BagError, ConfigError, InputError
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.resources import parse_json
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.transforms import StampedTransform

Floats = NDArray[np.float32]

KINDS = ("chico", "h36m", "npz")
START = 1_700_000_000.0  # s; the stamp of the first frame
PAUSE = 2.0  # s between two takes of one bag; no history and no forecast reaches across it
TAKES = "/dataset/take"  # topic that names each take as it begins

# Human3.6M's axes are y up, z towards the viewer; ours are z up.
_UPRIGHT = {"h36m": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)}


@dataclass(frozen=True, eq=False)
class Take:
    """People recorded together without a break, and perhaps a robot."""

    name: str
    people: list[Sequence]
    # gives the robot's points along the arm, shape (T, P, 3) [m]
    robot: Callable[[], Floats] | None = None


def read_takes(kind: str, source: Path) -> list[Take]:
    """Takes of a data set, each read when it is written.

    Raises ConfigError if the kind is unknown; InputError if there is nothing of that kind, or it is
    damaged.

    `kind`: ``chico``, ``h36m`` or ``npz``.
    `source`: folder of the data set, or npz file of this project.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no converter for '{kind}'; there are {', '.join(KINDS)}")
    if kind == "chico":
        return [
            Take(sequence.name, [sequence], partial(_robot, source / f"{sequence.name}.pkl"))
            for sequence in read_chico(source)
        ]
    sequences = read_dataset(source, "recording" if kind == "npz" else kind).sequences
    together = groupby(sequences, key=lambda sequence: sequence.index)
    return [_take(list(people)) for _, people in together]


def _take(people: list[Sequence]) -> Take:
    name = people[0].name
    return Take(name.rpartition("/")[0] if len(people) > 1 else name, people)


def _robot(path: Path) -> Floats:
    return read_collaboration(path).robot


def write_takes(kind: str, takes: Iterable[Take], path: Path, *, overwrite: bool = False) -> float:
    """Write takes into one bag, one after the other with a pause between them.

    Gives the length of the bag [s].

    The bag holds ``/skeletons`` (frame ``world``, z up; people are named by their sequence), the
    robot's points as frames ``r0``, ``r1`` … of ``/tf``, and ``/dataset/take`` with the name of
    each take as it begins. After its last frame a take says that nobody is there. Raises BagError
    if the bag exists or can't be made; InputError if a take is damaged.

    `kind`: as for `read_takes`.
    `path`: folder of the bag, or a file whose name ends in ``.mcap``; appears when it is whole.
    """
    start = START
    with BagWriter(path, overwrite=overwrite) as bag:
        bag.note("dataset", kind)
        for take in takes:
            note = message("std_msgs/msg/String", data=take.name)
            bag.write_message(TAKES, round(start * NANO), note)
            for stamp, people, robot in _frames(take, start, _UPRIGHT.get(kind)):
                at = round(stamp * NANO)
                if robot is not None:
                    bag.write_transforms("/tf", at, _as_frames(robot, at))
                observation = Observation(stamp, "world", people)
                bag.write_message("/skeletons", at, skeletons_message(observation))
            start = stamp + PAUSE
    return start - PAUSE - START


def _frames(
    take: Take, start: float, turn: Floats | None
) -> Iterator[tuple[float, list[Skeleton], Floats | None]]:
    """Stamp, people and robot's points (P, 3) of each frame, and an empty one at the end."""
    # People are named by their sequence: nobody is known to be the same person in two of them.
    named = [(sequence.name, sequence.layout) for sequence in take.people]
    motions = [sequence.positions for sequence in take.people]
    if turn is not None:
        motions = [motion @ turn.T for motion in motions]
    robot = take.robot() if take.robot else None
    certain = [np.ones(motion.shape[1], np.float32) for motion in motions]
    length, fps = min(map(len, motions)), take.people[0].fps
    for frame in range(length):
        people = [
            Skeleton(person_id, layout, motion[frame], trust)
            for (person_id, layout), motion, trust in zip(named, motions, certain, strict=True)
        ]
        yield start + frame / fps, people, None if robot is None else robot[frame]
    yield start + length / fps, [], None if robot is None else robot[length - 1]


def _as_frames(points: Floats, stamp: int) -> Iterator[StampedTransform]:
    """Points as frames of ``world``; a point has no direction, so none is turned."""
    for index, (x, y, z) in enumerate(points.tolist()):
        yield StampedTransform("world", f"r{index}", stamp, (x, y, z, 0.0, 0.0, 0.0, 1.0))


def convert_each(kind: str, takes: Iterable[Take], folder: Path, *, overwrite: bool = False) -> int:
    """Write one bag a take below `folder`; bags that are there already are left as they are.

    Gives how many were written.

    An interrupted run is so resumed by running it again. Raises BagError or InputError as for
    `write_takes`.

    `kind`, `takes`: as for `write_takes`.
    `folder`: ``S00/hammer`` becomes ``folder/S00/hammer``.
    `overwrite`: whether to write bags that are there again.
    """
    count = 0
    for take in takes:
        path = folder / take.name
        if folder.resolve() not in path.resolve().parents:
            raise InputError(f"take '{take.name}' would not lie below '{folder}'; rename it")
        if overwrite or not path.exists():
            write_takes(kind, [take], path, overwrite=overwrite)
            count += 1
    return count


@dataclass(frozen=True)
class Clip:
    """Part of a recorded motion and its place in the cell."""

    sequence: str  # identity in the motion data
    # frames cut out; `last` is left out
    first: int
    last: int
    heading: float  # rotation about the vertical [rad]
    offset: tuple[float, float]  # horizontal shift after the rotation [m]


# A person walks up to a climbing frame, reaches for its bars with the left and then the right hand,
# steps up on it, steps down, and walks on. Turned so that the bars are in front of the robot.
VISITOR = Clip("cmu_01_02", 262, 634, np.pi / 2, (-1.07, -0.65))

README = """# A visitor at the demo cell

A rosbag2 recording (mcap): `/skeletons`, one real person, {count} frames at 25 Hz, layout
`chico15`, frame `world` (z up, floor at 0, robot base at the origin). The person walks up from the
side, reaches in front of the robot with one hand, then with both, steps up and leans over, steps
down, and leaves.

| | |
|---|---|
| source | {source} |
| frames | {frames} |
| placement | {placement} |
| licence | {licence} |

{acknowledgement}

The bars that are held, and the step, belong to the climbing frame of the recording; the cell shows
neither. The last joint of an arm is the wrist; a hand reaches about 0.18 m further.

Made with `ses-gcn sample cmu.npz`.
"""


def cut(motion: Path, clip: Clip) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Cut a clip and put it in its place.

    Raises BagError if the data is missing or does not hold the clip.

    `motion`: motion data: ``<name>.npz`` (ids, lengths, positions_mm) with ``<name>.json`` beside
    it.
    Gives joints (T, 15, 3) of chico15 [m], z up, floor at 0, and what has to be said with the data:
    source, subject, acknowledgement, licence.
    """
    try:
        data = load_arrays(motion)
        about = parse_json(motion.with_suffix(".json").read_text("utf-8"))
        entry = {item["id"]: item for item in about["sequences"]}[clip.sequence]
        index = list(data["ids"]).index(clip.sequence)
        start = int(data["lengths"][:index].sum())
        if clip.last > data["lengths"][index]:
            raise BagError(
                f"'{clip.sequence}' has {data['lengths'][index]} frames, not {clip.last}"
            )
        positions = data["positions_mm"][start + clip.first : start + clip.last] / 1000
        cosine, sine = np.cos(clip.heading), np.sin(clip.heading)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        placed = positions @ turn.T + [*clip.offset, 0]
        facts = {
            "source": f"CMU Graphics Lab Motion Capture Database, trial {entry['cmu_trial']}, "
            f"subject {entry['cmu_subject']}: {entry['text']}",
            "frames": f"{clip.first} to {clip.last - 1} of {entry['frames']} at {about['fps']} Hz",
            "placement": f"turned by {np.degrees(clip.heading):.0f}° about the vertical, then "
            f"moved by ({clip.offset[0]:g}, {clip.offset[1]:g}) m; nothing else was changed",
            "acknowledgement": about["acknowledgement"],
            "licence": about["licence"],
        }
    except (*MISSHAPEN, OSError) as error:
        raise BagError(f"'{motion}' does not give the clip {clip.sequence}: {error}") from error
    return placed.astype(np.float32), facts


def write_sample(motion: Path, folder: Path, *, overwrite: bool = False) -> dict[str, str]:
    """Write the sample recording as a bag, its acknowledgement inside and in a README.

    Gives what has to be said with the data.
    Raises BagError if the data is missing or the bag exists.
    """
    positions, facts = cut(motion, VISITOR)
    certain = np.ones(positions.shape[1], np.float32)
    stamps = START + np.arange(len(positions)) / 25
    observations = (
        Observation(stamp, "world", [Skeleton("1", "chico15", joints, certain)])
        for stamp, joints in zip(stamps.tolist(), positions, strict=True)
    )
    with BagWriter(folder, overwrite=overwrite) as bag:
        for key, value in facts.items():
            bag.note(key, value)
        text = "\n".join(f"{key}: {value}" for key, value in facts.items())
        note = message("std_msgs/msg/String", data=text)
        bag.write_message("/sample/acknowledgement", round(START * NANO), note)
        write_skeletons(bag, "/skeletons", observations)
    (folder / "README.md").write_text(README.format(count=len(positions), **facts), "utf-8")
    return facts
