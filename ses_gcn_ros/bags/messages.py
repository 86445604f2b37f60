"""People and transforms as messages of bags, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ses_gcn_ros.bags.reading import PathLike, read_messages
from ses_gcn_ros.bags.types import message
from ses_gcn_ros.bags.writing import BagWriter
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import Skeleton, check_skeletons, get_layout

NANO = 1_000_000_000


class Observation(NamedTuple):
    """Everybody seen at one instant: stamp [s], frame of the positions, people."""

    stamp: float
    frame_id: str
    people: list[Skeleton]


def to_seconds(stamp: Any) -> float:
    """Stamp or duration of a message in seconds."""
    return float(stamp.sec + stamp.nanosec * 1e-9)


def time_message(seconds: float, kind: str = "Time") -> Any:
    """Stamp, or Duration with `kind`, of seconds."""
    whole, rest = divmod(round(seconds * NANO), NANO)
    return message(f"builtin_interfaces/msg/{kind}", sec=whole, nanosec=rest)


def header_message(stamp: float, frame_id: str) -> Any:
    """``std_msgs/Header`` of a stamp [s] and a frame."""
    return message("std_msgs/msg/Header", stamp=time_message(stamp), frame_id=frame_id)


def observation_from_message(content: Any) -> Observation:
    """People of a SkeletonArray.

    Raises
    ------
    InputError
        For an unknown layout, arrays of the wrong length or infinite positions.
    """
    people = []
    for entry in content.skeletons:
        joints = len(get_layout(entry.layout).joints)
        if entry.positions.size != 3 * joints:
            raise InputError(
                f"skeleton of person '{entry.person_id}' has {entry.positions.size} position "
                f"values; layout {entry.layout} takes {3 * joints}"
            )
        covariance: Any = getattr(entry, "covariance", None)  # bags of before have none
        known = covariance is not None and covariance.size == 6 * joints
        person = Skeleton(
            entry.person_id,
            entry.layout,
            entry.positions.reshape(joints, 3),
            entry.confidence,
            covariance.reshape(joints, 6) if known else None,
            float(getattr(entry, "liveness", -1.0)),
        )
        people.append(person)
    check_skeletons(people)
    return Observation(to_seconds(content.header.stamp), content.header.frame_id, people)


def skeletons_message(observation: Observation) -> Any:
    """SkeletonArray of everybody seen at one instant."""
    entries = [
        message(
            "ses_gcn_ros/msg/Skeleton",
            person_id=person.person_id,
            layout=person.layout,
            positions=np.ascontiguousarray(person.positions, np.float32).ravel(),
            confidence=np.ascontiguousarray(person.confidence, np.float32),
            covariance=np.ascontiguousarray(
                np.empty(0) if person.covariance is None else person.covariance, np.float32
            ).ravel(),
            liveness=float(person.liveness),
        )
        for person in observation.people
    ]
    header = header_message(observation.stamp, observation.frame_id)
    return message("ses_gcn_ros/msg/SkeletonArray", header=header, skeletons=entries)


def write_skeletons(writer: BagWriter, topic: str, observations: Iterable[Observation]) -> None:
    """Append observations to a bag, each recorded at its own stamp."""
    for observation in observations:
        stamp = round(observation.stamp * NANO)
        writer.write_message(topic, stamp, skeletons_message(observation))


def read_skeletons(path: PathLike, topic: str = "skeletons") -> Iterator[Observation]:
    """Observations of a bag in the order of their recording, one at a time.

    Raises
    ------
    BagError
        If the bag can't be read or has no such topic.
    InputError
        If a skeleton is unusable.
    """
    return (observation_from_message(entry.content) for entry in read_messages(path, [topic]))


def transforms_message(transforms: Iterable[tuple[float, str, str, Any, Any]]) -> Any:
    """``tf2_msgs/TFMessage`` of (stamp [s], parent, child, translation, quaternion xyzw)."""
    entries = []
    for stamp, parent, child, translation, quaternion in transforms:
        x, y, z = map(float, translation)
        qx, qy, qz, qw = map(float, quaternion)
        transform = message(
            "geometry_msgs/msg/Transform",
            translation=message("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
            rotation=message("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
        )
        entries.append(
            message(
                "geometry_msgs/msg/TransformStamped",
                header=header_message(stamp, parent),
                child_frame_id=child,
                transform=transform,
            )
        )
    return message("tf2_msgs/msg/TFMessage", transforms=entries)
