"""A recorded run as arrays: people, forecasts, states, transforms, what the nodes said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import BagError
from ses_gcn_ros.evaluation.bag_messages import (
    forecasts_from_message,
    observation_from_message,
    to_seconds,
)
from ses_gcn_ros.evaluation.bag_types import Topics
from ses_gcn_ros.evaluation.bags import Message, PathLike, read_messages, topics_of
from ses_gcn_ros.evaluation.transforms import TransformTree
from ses_gcn_ros.forecast import Forecast

Array = NDArray[np.float64]

LEVELS = ("CLEAR", "REDUCED", "STOP")
LONGEST_GAP = 0.2  # s between two observations that may be interpolated

_OPTIONAL = (
    "forecasts",
    "safety_state",
    "robot_description",
    "/tf",
    "/tf_static",
    "/diagnostics",
)


@dataclass
class Track:
    """One person over time: N stamps [s] and positions (N, J, 3) [m]."""

    layout: str
    stamps: list[float] = field(default_factory=list)
    positions: list[NDArray[np.float32]] = field(default_factory=list)

    def at(self, times: NDArray[np.floating]) -> NDArray[np.float32]:
        """Positions at times [s], shape (len(times), J, 3), interpolated.

        NaN outside of the track, across gaps and where a joint is unseen.
        """
        stamps, positions = np.array(self.stamps), np.stack(self.positions)
        before = np.clip(np.searchsorted(stamps, times, side="right") - 1, 0, len(stamps) - 1)
        after = np.minimum(before + 1, len(stamps) - 1)
        gap = stamps[after] - stamps[before]
        # Rounded, so that a stamp that is hit but for the clock's last digits is hit.
        share = np.round((times - stamps[before]) / np.where(gap > 0, gap, 1.0), 4)
        first, second, weight = positions[before], positions[after], share[:, None, None]
        between = np.where(weight == 0, first, (1 - weight) * first + weight * second)
        between = np.where(weight == 1, second, between)
        outside = (times < stamps[0] - 1e-6) | (times > stamps[-1] + 1e-6)
        outside |= (gap > LONGEST_GAP) & (share != 0) & (share != 1)
        between[outside] = np.nan
        return between.astype(np.float32)


@dataclass
class States:
    """What the safety node said, N times."""

    stamps: list[float] = field(default_factory=list)
    level: list[int] = field(default_factory=list)
    factor: list[float] = field(default_factory=list)
    separation: list[float] = field(default_factory=list)
    protective: list[float] = field(default_factory=list)
    skeleton_age: list[float] = field(default_factory=list)
    human_limb: list[str] = field(default_factory=list)
    robot_frame: list[str] = field(default_factory=list)
    reasons: list[tuple[str, ...]] = field(default_factory=list)


@dataclass
class Recording:
    """A recorded run.

    Attributes
    ----------
    name : str
        Name of the bag.
    frame_id : str
        Frame of the skeletons.
    stamps : list of float
        Stamp of every observation [s], of empty ones as well.
    tracks : dict
        Track of each person.
    forecasts : list of Forecast
    states : States
    transforms : TransformTree
    diagnostics : dict
        The last values of each node, by the node's name.
    robot_description : str
        URDF text; empty if none was recorded.
    """

    name: str
    frame_id: str = ""
    stamps: list[float] = field(default_factory=list)
    tracks: dict[str, Track] = field(default_factory=dict)
    forecasts: list[Forecast] = field(default_factory=list)
    states: States = field(default_factory=States)
    transforms: TransformTree = field(default_factory=TransformTree)
    diagnostics: dict[str, dict[str, str]] = field(default_factory=dict)
    robot_description: str = ""

    @property
    def start(self) -> float:
        """Stamp of the first observation [s]; reports count from it."""
        return self.stamps[0]

    @property
    def end(self) -> float:
        """Stamp of the last observation [s]."""
        return self.stamps[-1]


def load_recording(path: PathLike) -> Recording:
    """Read a recorded run; whatever is there besides `skeletons` is taken, nothing else is needed.

    Raises
    ------
    BagError
        If the bag can't be read or holds no skeletons.
    InputError
        If a skeleton or a forecast is unusable.
    """
    recording = Recording(str(path))
    for entry in _messages(path, topics_of(path)):
        _TAKE[entry.topic](recording, entry)
    if not recording.stamps:
        raise BagError(f"bag '{path}' has a topic for skeletons but no message on it")
    return recording


def _messages(path: PathLike, there: Topics) -> Iterator[Message]:
    wanted = ["skeletons"]
    there.resolve("skeletons")  # says what is there instead
    for topic in _OPTIONAL:
        try:
            there.resolve(topic)
        except BagError:
            continue
        wanted.append(topic)
    return read_messages(path, wanted)


def _take_skeletons(recording: Recording, entry: Message) -> None:
    observation = observation_from_message(entry.content)
    if recording.stamps and observation.stamp <= recording.stamps[-1]:
        return  # repeated or out of order: the nodes refuse it as well
    recording.frame_id = observation.frame_id
    recording.stamps.append(observation.stamp)
    for person in observation.people:
        track = recording.tracks.setdefault(person.person_id, Track(person.layout))
        if person.layout == track.layout:
            track.stamps.append(observation.stamp)
            track.positions.append(person.positions)


def _take_forecasts(recording: Recording, entry: Message) -> None:
    recording.forecasts += forecasts_from_message(entry.content)


def _take_state(recording: Recording, entry: Message) -> None:
    state, states = entry.content, recording.states
    states.stamps.append(to_seconds(state.header.stamp))
    states.level.append(state.level)
    states.factor.append(state.speed_factor)
    states.separation.append(state.separation)
    states.protective.append(state.protective_distance)
    states.skeleton_age.append(state.skeleton_age)
    states.human_limb.append(state.human_limb)
    states.robot_frame.append(state.robot_frame)
    states.reasons.append(tuple(state.reasons))


def _take_transforms(recording: Recording, entry: Message) -> None:
    for item in entry.content.transforms:
        t, q = item.transform.translation, item.transform.rotation
        recording.transforms.add(
            to_seconds(item.header.stamp),
            item.header.frame_id,
            item.child_frame_id,
            (t.x, t.y, t.z),
            (q.x, q.y, q.z, q.w),
            static=entry.topic == "/tf_static",
        )


def _take_diagnostics(recording: Recording, entry: Message) -> None:
    for status in entry.content.status:
        recording.diagnostics[status.name] = {item.key: item.value for item in status.values}


def _take_description(recording: Recording, entry: Message) -> None:
    recording.robot_description = entry.content.data


_TAKE: dict[str, Any] = {
    "skeletons": _take_skeletons,
    "forecasts": _take_forecasts,
    "safety_state": _take_state,
    "robot_description": _take_description,
    "/tf": _take_transforms,
    "/tf_static": _take_transforms,
    "/diagnostics": _take_diagnostics,
}
