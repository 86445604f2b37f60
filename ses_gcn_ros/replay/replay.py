"""A replayed run on disk: what was there at every moment, for reports, pictures and notebooks.

A folder holds ``replay.json`` and one npy file per array. The arrays are written as the replay
goes and mapped into memory when read, so neither side holds a long run in memory.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import BagError
from ses_gcn_ros.replay.array_files import GrowingArray, open_array

Floats = NDArray[np.float32]

FORMAT = 1
DESCRIPTION = "replay.json"


@dataclass(frozen=True)
class About:
    """What the arrays of a replay mean.

    Attributes
    ----------
    bag : str
        Name of the bag.
    source : str
        Where forecasts and states come from: "computed" here, or "recorded" in the bag.
    layout : str
        Joint layout of `Replay.positions` and `Replay.forecast`.
    frame_id : str
        Frame of all positions; z is up.
    start : float
        Stamp of the first observation [s]; times count from it.
    duration : float
        From the first to the last observation [s].
    steps : tuple of float
        How far ahead the S steps kept of each forecast are [s].
    links : tuple of str
        Robot frame of each of the M capsules; empty without a robot.
    link_radii : tuple of float
        Their radii [m].
    person_ids, limbs, reasons : tuple of str
        What the indices in the arrays stand for; reasons have their numbers left out ("…").
    frame_reasons : tuple of str
        Every reason in force at each frame, with its numbers; empty when CLEAR.
    partial : bool
        Whether the bag could not be replayed to its end.
    problems : tuple of str
        What was wrong with the bag, one sentence each.
    parameters : dict
        Parameters of the forecaster and of the safety monitor, by node.
    versions : dict
        Versions of what computed it.
    """

    bag: str
    source: str
    layout: str
    frame_id: str
    start: float
    duration: float
    steps: tuple[float, ...]
    links: tuple[str, ...]
    link_radii: tuple[float, ...]
    person_ids: tuple[str, ...]
    limbs: tuple[str, ...]
    reasons: tuple[str, ...]
    frame_reasons: tuple[str, ...]
    partial: bool
    problems: tuple[str, ...]
    parameters: dict[str, dict[str, Any]]
    versions: dict[str, str]


@dataclass(frozen=True, eq=False)
class States:
    """Every state of the safety monitor, N of them.

    Attributes
    ----------
    time : NDArray, shape (N,)
        Since the first observation [s].
    level : NDArray of uint8, shape (N,)
        0 CLEAR, 1 REDUCED, 2 STOP.
    factor : NDArray, shape (N,)
        Speed factor, 0 to 1.
    separation, protective, margin : NDArray, shape (N,)
        Of the pair with the least margin [m]; NaN where unknown, inf separation with nobody there.
    time_to_breach : NDArray, shape (N,)
        Until a forecast meets the robot [s]; inf if not within the horizon.
    skeleton_age, forecast_age, tf_age : NDArray, shape (N,)
        Ages of the inputs [s]; inf before the first.
    person, limb, link, reason : NDArray of int16, shape (N,)
        Index into `About.person_ids`, `limbs`, `links` and `reasons` (the worst one); -1 for none.
    human_point, robot_point : NDArray, shape (N, 3)
        Closest points on the surfaces of that pair [m]; NaN if unknown, and where states were
        recorded.
    """

    time: NDArray[np.float64]
    level: NDArray[np.uint8]
    factor: Floats
    separation: Floats
    protective: Floats
    margin: Floats
    time_to_breach: Floats
    skeleton_age: Floats
    forecast_age: Floats
    tf_age: Floats
    person: NDArray[np.int16]
    limb: NDArray[np.int16]
    link: NDArray[np.int16]
    reason: NDArray[np.int16]
    human_point: Floats
    robot_point: Floats


@dataclass(frozen=True, eq=False)
class Replay:
    """A run: F frames to draw, R people in them one after the other, and every state.

    Of a long bag only every n-th observation is a frame (see `ReplayWriter`); states are all there.

    Attributes
    ----------
    about : About
    states : States
    time : NDArray, shape (F,)
        Of each frame since the first observation [s].
    rows : NDArray of int64, shape (F + 1,)
        Frame i shows the people ``rows[i]`` to ``rows[i + 1]``.
    state : NDArray of int64, shape (F,)
        Index of the state in force; -1 before the first.
    robot : NDArray, shape (F, M, 2, 3)
        Ends of the robot's capsules [m]; NaN where unknown.
    person : NDArray of int16, shape (R,)
        Index into `About.person_ids`.
    positions : NDArray, shape (R, J, 3)
        Joints [m]; NaN where unseen.
    forecast : NDArray, shape (R, S, J, 3)
        Where they were expected at `About.steps` after the frame [m]; NaN without a forecast.
    radius : NDArray, shape (R, S, J)
        Radius around each of those [m].
    """

    about: About
    states: States
    time: NDArray[np.float64]
    rows: NDArray[np.int64]
    state: NDArray[np.int64]
    robot: Floats
    person: NDArray[np.int16]
    positions: Floats
    forecast: Floats
    radius: Floats

    def frame_at(self, time: float) -> int:
        """Index of the last frame not after `time` [s]; the first one before it."""
        return max(int(np.searchsorted(self.time, time + 1e-6, side="right")) - 1, 0)

    def people_of(self, frame: int) -> slice:
        """Rows of the people of a frame."""
        return slice(int(self.rows[frame]), int(self.rows[frame + 1]))


def open_replay(folder: str | Path) -> Replay:
    """Read a replay; its arrays stay on disk until they are looked at.

    Raises
    ------
    BagError
        If the folder holds no replay, or one of another format.
    """
    folder = Path(folder)
    try:
        text: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
        if text.pop("format") != FORMAT:
            raise BagError(f"'{folder}' holds a replay of another version; run evaluate again")
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in text.items()
        }
        about = About(**fields)
        arrays: dict[str, Any] = {
            name: open_array(folder / f"{name}.npy") for name in (*_FRAMES, *_PEOPLE)
        }
        states: dict[str, Any] = {
            name: open_array(folder / f"states_{name}.npy") for name in _STATES
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BagError(f"'{folder}' holds no replay, or only a part of one: {error}") from error
    return Replay(about=about, states=States(**states), **arrays)


_FRAMES: dict[str, Any] = {"time": "f8", "rows": "i8", "state": "i8", "robot": "f4"}
_PEOPLE: dict[str, Any] = {"person": "i2", "positions": "f4", "forecast": "f4", "radius": "f4"}
_STATES: dict[str, Any] = {
    "time": "f8",
    "level": "u1",
    **dict.fromkeys(
        (
            "factor",
            "separation",
            "protective",
            "margin",
            "time_to_breach",
            "skeleton_age",
            "forecast_age",
            "tf_age",
        ),
        "f4",
    ),
    **dict.fromkeys(("person", "limb", "link", "reason"), "i2"),
    **dict.fromkeys(("human_point", "robot_point"), "f4"),
}


class ReplayWriter:
    """Write a replay as it goes.

    Parameters
    ----------
    folder : Path
        Made if it is not there; files of an earlier replay are replaced.
    joints, steps, links : int
        J, S and M of `Replay`.
    """

    def __init__(self, folder: Path, joints: int, steps: int, links: int) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)  # until it is whole it is none
        items = {
            "robot": (links, 2, 3),
            "positions": (joints, 3),
            "forecast": (steps, joints, 3),
            "radius": (steps, joints),
            "states_human_point": (3,),
            "states_robot_point": (3,),
        }
        kinds = {**_FRAMES, **_PEOPLE, **{f"states_{name}": kind for name, kind in _STATES.items()}}
        self._files = {
            name: GrowingArray(folder / f"{name}.npy", kind, items.get(name, ()))
            for name, kind in kinds.items()
        }
        self._files["rows"].append([0])

    def add_frames(self, *, people: Sequence[int], **arrays: Any) -> None:
        """Append frames: `time`, `state`, `robot` by frame and how many `people` each has.

        Their people have been added before.
        """
        ends = np.cumsum(np.asarray(people, np.int64))
        self._files["rows"].append(self._files["person"].rows - ends[-1] + ends)
        self._add("", arrays)

    def add_people(self, **arrays: Any) -> None:
        """Append the people of the frames that are added next."""
        self._add("", arrays)

    def add_states(self, **arrays: Any) -> None:
        """Append states, as the fields of `States`."""
        self._add("states_", arrays)

    def _add(self, prefix: str, arrays: dict[str, Iterable[Any]]) -> None:
        for name, rows in arrays.items():
            self._files[prefix + name].append(rows)

    def close(self, about: About) -> None:
        """Finish the arrays and say what they mean; only then is it a replay."""
        for file in self._files.values():
            file.close()
        text = json.dumps({"format": FORMAT, **dataclasses.asdict(about)}, sort_keys=True)
        temporary = self._folder / f".{DESCRIPTION}.part"
        temporary.write_text(text)
        os.replace(temporary, self._folder / DESCRIPTION)
