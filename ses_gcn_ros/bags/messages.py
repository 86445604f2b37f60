"""What goes into a bag: message definitions, people as messages, and those of other projects."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ses_gcn_ros.errors import BagError, InputError, RobotError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.skeleton import (
    Skeleton,
    check_skeletons,
    get_layout,
    layout_names,
    skeletons_from_message,
    to_seconds,
)
from ses_gcn_ros.transforms import StampedTransform, TransformBuffer

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

    `type_name`: such as ``std_msgs/msg/Float64``.
    `**fields`: every field of the type: numbers, strings, arrays and message objects.
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


Adapter = Callable[[Any], Observation]


def adapt(message_type: str, *, layout: str = "", frame_id: str = "world") -> Adapter:
    """Return what reads the people out of messages of a type.

    Raises BagError if nobody knows how to read people out of this type; InputError if the layout is
    unknown; the callable raises it for skeletons that are unusable.

    `message_type`: one of `ADAPTED`.
    `layout`: joint layout of messages that don't say theirs (PoseArray).
    `frame_id`: frame to give the people in where they come as frames of TF (ROS4HRI).
    Gives a callable that takes a message and gives an `Observation`: stamp [s], frame, checked
    skeletons [m]. That for ROS4HRI is an `HriBodies`, whose `observe_transforms` wants every
    message of /tf and /tf_static first, decoded.
    """
    if message_type not in ADAPTED:
        raise BagError(
            f"people can't be read from messages of type {message_type}; they can from "
            f"{', '.join(ADAPTED)}"
        )
    read: Adapter
    if message_type == "hri_msgs/msg/IdsList":
        return HriBodies(frame_id)
    if message_type == "geometry_msgs/msg/PoseArray":
        read = poses_reader(layout)
    else:
        read = _READERS[message_type]
    if read is observation_from_message:  # which checks them itself
        return read

    def checked(content: Any) -> Observation:
        observation = read(content)
        check_skeletons(observation.people)
        names = [person.person_id for person in observation.people]
        if len(set(names)) < len(names):
            raise InputError(
                f"a message of {observation.stamp:.3f} s shows person "
                f"'{max(names, key=names.count)}' more than once"
            )
        return observation

    return checked


def seen_skeleton(
    person_id: str, layout: str, positions: ArrayLike, confidence: float = 1.0
) -> Skeleton:
    """Skeleton of positions (J, 3) [m]; a joint that is not finite is unseen, others are trusted.

    `positions` (J, 3): joint positions [m].
    `confidence`: confidence of the joints that are seen, 0 to 1.
    """
    points = np.array(positions, np.float32)
    seen = np.isfinite(points).all(axis=1)
    points[~seen] = np.nan
    trust = np.zeros(len(points), np.float32)
    trust[seen] = confidence
    return Skeleton(person_id, layout, points, trust)


# ZED cameras. sl::BODY_FORMAT: BODY_18 is OpenPose's order.
_ZED_LAYOUTS = {0: "openpose18", 1: "zed34", 2: "zed38"}
_OFF = 0  # tracking_state of an object that is not valid
_FULL_CONFIDENCE = 100.0  # of the SDK, per person


def people_from_objects(content: Any) -> Observation:
    """People among the objects that a ZED camera tracks; others, and lost ones, are left out.

    The wrapper gives metres in a frame with z up (or in the camera's, as its header says), a place
    for seventy joints of which the first few are used, and one confidence a person. Raises
    InputError for a body format that is not 18, 34 or 38 joints.
    """
    people = []
    for item in content.objects:
        if not item.skeleton_available or item.tracking_state == _OFF:
            continue
        layout = _ZED_LAYOUTS.get(item.body_format)
        if layout is None:
            known = ", ".join(f"{key} ({name})" for key, name in _ZED_LAYOUTS.items())
            raise InputError(
                f"ZED object {item.label_id} has body_format {item.body_format}; known are {known}"
            )
        joints = len(get_layout(layout).joints)
        points = [point.kp for point in item.skeleton_3d.keypoints[:joints]]
        trust = min(max(float(item.confidence) / _FULL_CONFIDENCE, 0.0), 1.0)
        people.append(seen_skeleton(str(item.label_id), layout, points, trust))
    return Observation(to_seconds(content.header.stamp), content.header.frame_id, people)


# Azure Kinect: one ball a joint, whose marker id is body * 100 + joint.
_KINECT_LAYOUT = "kinect32"
_IDS_PER_BODY = 100
_SPHERE, _ADD = 2, 0  # of visualization_msgs/Marker


def people_from_markers(content: Any) -> Observation:
    """People of Microsoft's driver on ``body_tracking_data``; joints without a ball are unseen.

    Nobody, in the driver, is an array without markers, whose stamp is unknown: NaN. Raises
    InputError if the balls' stamps or frames differ, or a number stands for no joint.
    """
    balls = [m for m in content.markers if m.type == _SPHERE and m.action == _ADD]
    if not balls:
        return Observation(float("nan"), "", [])
    headers = {(to_seconds(ball.header.stamp), ball.header.frame_id) for ball in balls}
    if len(headers) > 1:
        raise InputError(
            f"markers of one message have {len(headers)} different stamps or frames; "
            "those of an Azure Kinect's bodies have one"
        )
    joints = len(get_layout(_KINECT_LAYOUT).joints)
    bodies = defaultdict[int, NDArray[np.float32]](lambda: np.full((joints, 3), np.nan, np.float32))
    for ball in balls:
        body, joint = divmod(ball.id, _IDS_PER_BODY)
        if not 0 <= joint < joints:
            raise InputError(
                f"marker {ball.id} stands for joint {joint}; an Azure Kinect's body has {joints}"
            )
        place = ball.pose.position
        bodies[body][joint] = place.x, place.y, place.z
    people = [seen_skeleton(str(body), _KINECT_LAYOUT, seen) for body, seen in bodies.items()]
    return Observation(*headers.pop(), people)


def poses_reader(layout: str = "") -> Adapter:
    """Return a reader of a PoseArray: joints in the order of `layout`, person after person.

    Without a layout the number of poses has to tell it. An array carries no names: people are
    numbered in the order of the message, so a publisher of several has to keep that order. Raises
    InputError if the layout is unknown. The reader raises it where the number of poses fits no
    layout, several, or no whole number of people.
    """
    if layout:
        get_layout(layout)

    def read(content: Any) -> Observation:
        points = np.array(
            [(p.position.x, p.position.y, p.position.z) for p in content.poses], np.float32
        ).reshape(-1, 3)
        name = layout or _layout_of(len(points))
        joints = len(get_layout(name).joints)
        if len(points) % joints:
            raise InputError(
                f"a PoseArray of {len(points)} poses is no whole number of people; "
                f"layout {name} has {joints} joints"
            )
        people = [
            seen_skeleton(str(i), name, person)
            for i, person in enumerate(points.reshape(-1, joints, 3))
        ]
        return Observation(to_seconds(content.header.stamp), content.header.frame_id, people)

    return read


def _layout_of(count: int) -> str:
    if not count:
        return layout_names()[0]  # nobody has any layout
    fitting = [name for name in layout_names() if len(get_layout(name).joints) == count]
    if len(fitting) != 1:
        raise InputError(
            f"{count} poses may be the joints of {' or '.join(fitting) or 'no known layout'}; "
            f"say which with --layout (known: {', '.join(layout_names())})"
        )
    return fitting[0]


_HRI_LAYOUT = "hri15"
LONGEST_AGE = 0.2  # s between a list of bodies and a transform that may still place them


class HriBodies:
    """Read ``hri_msgs/IdsList`` (REP-155, ``/humans/bodies/tracked``) with the transforms.

    Joints are where the latest transforms put the frames ``head_<id>``, ``l_elbow_<id>`` …; a frame
    that is missing, not connected or old makes its joint unseen.

    `frame_id`: frame to give the people in.
    """

    def __init__(self, frame_id: str = "world") -> None:
        self.frame_id = frame_id
        self._transforms = TransformBuffer(frame_id)

    def observe_transforms(self, transforms: Iterable[StampedTransform], *, static: bool) -> None:
        """Take the transforms of one message of /tf or /tf_static."""
        self._transforms.add(transforms, static=static)

    def __call__(self, content: Any) -> Observation:
        """Everybody on the list; a body without any frame is left out."""
        stamp = to_seconds(content.header.stamp)
        people = [self._person(body, stamp) for body in content.ids]
        seen = [person for person in people if np.isfinite(person.positions).any()]
        return Observation(stamp, self.frame_id, seen)

    def _person(self, body: str, stamp: float) -> Skeleton:
        joints = get_layout(_HRI_LAYOUT).joints
        positions = np.full((len(joints), 3), np.nan)
        for index, joint in enumerate(joints):
            with contextlib.suppress(RobotError):  # which says that the frame leads nowhere
                known, (pose,) = self._transforms.poses((f"{joint}_{body}",), stamp)
                if stamp - known <= LONGEST_AGE:
                    positions[index] = pose[:3, 3]
        return seen_skeleton(body, _HRI_LAYOUT, positions)


_READERS: dict[str, Adapter] = {
    "ses_gcn_ros/msg/SkeletonArray": observation_from_message,
    "zed_msgs/msg/ObjectsStamped": people_from_objects,
    "zed_interfaces/msg/ObjectsStamped": people_from_objects,
    "visualization_msgs/msg/MarkerArray": people_from_markers,
}
ADAPTED = (*_READERS, "geometry_msgs/msg/PoseArray", "hri_msgs/msg/IdsList")
