"""The sample recording: a person of the CMU database who visits the demo cell's robot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.messages import NANO, Observation, message
from ses_gcn_ros.bags.writing import BagWriter, write_skeletons
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.skeleton import Skeleton


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

START = 1_700_000_000.0  # s; the stamp of the first frame


def cut(motion: Path, clip: Clip) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Cut a clip and put it in its place.

    Raises BagError if the data is missing or does not hold the clip.

    `motion`: motion data: ``<name>.npz`` (ids, lengths, positions_mm) with ``<name>.json`` beside
    it.

    Returns
    -------
    positions : NDArray, shape (T, 15, 3), float32
        Joints of chico15 [m], z up, floor at 0.
    facts : dict
        What has to be said with the data: source, subject, acknowledgement, licence.
    """
    try:
        data = np.load(motion)
        about = json.loads(motion.with_suffix(".json").read_text("utf-8"))
        entry = {item["id"]: item for item in about["sequences"]}[clip.sequence]
        index = list(data["ids"]).index(clip.sequence)
        start = int(data["lengths"][:index].sum())
        if clip.last > data["lengths"][index]:
            raise BagError(
                f"'{clip.sequence}' has {data['lengths'][index]} frames, not {clip.last}"
            )
        positions = data["positions_mm"][start + clip.first : start + clip.last] / 1000
    except (OSError, KeyError, ValueError) as error:
        raise BagError(f"'{motion}' does not give the clip {clip.sequence}: {error}") from error
    cosine, sine = np.cos(clip.heading), np.sin(clip.heading)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    placed = positions @ turn.T + [*clip.offset, 0]
    facts = {
        "source": f"CMU Graphics Lab Motion Capture Database, trial {entry['cmu_trial']}, "
        f"subject {entry['cmu_subject']}: {entry['text']}",
        "frames": f"{clip.first} to {clip.last - 1} of {entry['frames']} at {about['fps']} Hz",
        "placement": f"turned by {np.degrees(clip.heading):.0f}° about the vertical, then moved by "
        f"({clip.offset[0]:g}, {clip.offset[1]:g}) m; nothing else was changed",
        "acknowledgement": about["acknowledgement"],
        "licence": about["licence"],
    }
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
