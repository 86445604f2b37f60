"""What goes into a bag: message definitions, foreign ones included, and people as messages."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ses_gcn_ros.errors import BagError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.skeleton import Skeleton, skeletons_from_message

# Fields as they lie in the message; ZED_PACKAGE is zed_msgs, zed_interfaces before 2024.
_ZED = {
    "ObjectsStamped": "std_msgs/Header header\nZED_PACKAGE/Object[] objects",
    "Object": """
        string label
        int16 label_id
        string sublabel
        float32 confidence
        float32[3] position
        float32[6] position_covariance
        float32[3] velocity
        bool tracking_available
        int8 tracking_state
        int8 action_state
        ZED_PACKAGE/BoundingBox2Di bounding_box_2d
        ZED_PACKAGE/BoundingBox3D bounding_box_3d
        float32[3] dimensions_3d
        bool skeleton_available
        int8 body_format
        ZED_PACKAGE/BoundingBox2Df head_bounding_box_2d
        ZED_PACKAGE/BoundingBox3D head_bounding_box_3d
        float32[3] head_position
        ZED_PACKAGE/Skeleton2D skeleton_2d
        ZED_PACKAGE/Skeleton3D skeleton_3d""",
    "Skeleton2D": "ZED_PACKAGE/Keypoint2Df[70] keypoints",
    "Skeleton3D": "ZED_PACKAGE/Keypoint3D[70] keypoints",
    "Keypoint2Df": "float32[2] kp",
    "Keypoint2Di": "uint32[2] kp",
    "Keypoint3D": "float32[3] kp",
    "BoundingBox2Df": "ZED_PACKAGE/Keypoint2Df[4] corners",
    "BoundingBox2Di": "ZED_PACKAGE/Keypoint2Di[4] corners",
    "BoundingBox3D": "ZED_PACKAGE/Keypoint3D[8] corners",
}

DEFINITIONS: dict[str, str] = {
    f"{package}/msg/{name}": text.replace("ZED_PACKAGE", package)
    for package in ("zed_msgs", "zed_interfaces")
    for name, text in _ZED.items()
}
DEFINITIONS["hri_msgs/msg/IdsList"] = "std_msgs/Header header\nstring[] ids"

_ABSENT = {"liveness": -1.0}  # of fields that older messages lack, where it isn't zero or empty
_LISTED = 12  # topics that a sentence names


class RawMessage(NamedTuple):
    """One message as it went over the network: topic, type, time of recording [ns], CDR bytes."""

    topic: str
    type: str
    stamp: int
    data: bytes


class Topics(dict[str, str]):
    """Type of each topic of a bag; a relative name finds the one topic that ends in it."""

    def __missing__(self, name: str) -> str:
        return self[self.resolve(name)]

    def resolve(self, name: str) -> str:
        """Full name of a topic.

        Raises BagError if no topic or more than one has this name; the message lists those there
        are.
        """
        for exact in (name, f"/{name}"):
            if exact in self:
                return exact
        found = [topic for topic in self if topic.endswith(f"/{name.lstrip('/')}")]
        if len(found) == 1 and not name.startswith("/"):
            return found[0]
        if len(found) > 1:
            raise BagError(f"'{name}' may be any of {', '.join(found)}; give the full name")
        there = [f"{topic} ({kind})" for topic, kind in sorted(self.items())]
        more = [f"{len(there) - _LISTED} more"] if len(there) > _LISTED else []
        shown = ", ".join(there[:_LISTED] + more) or "no topic at all"
        raise BagError(f"the bag has no topic '{name}'; it has {shown}")


@cache
def typestore() -> Typestore:
    """Message definitions of ROS 2 Kilted, of this package and of those it reads skeletons from."""
    store = get_typestore(Stores.ROS2_KILTED)
    types = {}
    for name, text in DEFINITIONS.items():
        types.update(get_types_from_msg(text, name))
    for path in sorted(share_path("msg").glob("*.msg")):
        types.update(get_types_from_msg(path.read_text("utf-8"), f"ses_gcn_ros/msg/{path.stem}"))
    store.register(types)
    return store


def message(type_name: str, /, **fields: Any) -> Any:
    """Make a message object that `BagWriter.write_message` takes.

    Parameters
    ----------
    type_name : str
        Such as ``std_msgs/msg/Float64``.
    **fields
        Every field of the type: numbers, strings, arrays and message objects.
    """
    return typestore().types[type_name](**fields)


def same_definition(store: Typestore, kind: str) -> bool:
    """Whether a type is defined in a bag as it is here, or is not known here at all."""
    ours = typestore()
    return kind not in ours.fielddefs or store.hash_rihs01(kind) == ours.hash_rihs01(kind)


def as_ours(content: Any, kind: str) -> Any:
    """Message of another definition of its type as this package defines it.

    Fields are taken by their names; those that it lacks are zero or empty.
    """
    fields = {
        name: _field(getattr(content, name, None), node, about, _ABSENT.get(name))
        for name, (node, about) in typestore().fielddefs[kind][1]
    }
    return message(kind, **fields)


def _field(value: Any, node: Nodetype, about: Any, absent: Any = None) -> Any:
    if node == Nodetype.NAME:
        return as_ours(value, about)
    if node == Nodetype.BASE:
        kind, _ = about
        empty = "" if kind == "string" else False if kind == "bool" else 0
        return value if value is not None else empty if absent is None else absent
    (inner, what), length = about
    if inner == Nodetype.NAME:
        entries = [None] * length if value is None else value
        return [as_ours(entry, what) for entry in entries]
    if value is not None:
        return value
    return [""] * length if what[0] == "string" else np.zeros(length, what[0])


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
    """People of a SkeletonArray; raises InputError as `skeletons_from_message`."""
    header = content.header
    people = skeletons_from_message(content)
    return Observation(to_seconds(header.stamp), header.frame_id, people)


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
