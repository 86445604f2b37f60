"""Which topics of a bag a replay takes, and what it calls them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ses_gcn_ros.bags.adapters import ADAPTED
from ses_gcn_ros.bags.bag_reader import AnyBag
from ses_gcn_ros.bags.bag_types import Topics
from ses_gcn_ros.errors import BagError

OPTIONAL = (
    "forecasts",
    "safety_state",
    "robot_description",
    "joint_states",
    "trajectory",
    "/tf",
    "/tf_static",
    "/diagnostics",
)
_AMBIGUOUS = ("visualization_msgs/msg/MarkerArray", "geometry_msgs/msg/PoseArray")
_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


@dataclass(frozen=True)
class Naming:
    """How the names of a bag become ours.

    Attributes
    ----------
    topics : mapping
        Our name of a topic ("skeletons", "image", "/tf", …) to the bag's.
    frames : mapping
        A frame of the bag to the name that it is to have here.
    layout : str
        Joint layout of messages that don't say theirs (PoseArray).
    usual : mapping
        Our name of an optional topic to what it is usually called; empty: not to be read.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    frames: Mapping[str, str] = field(default_factory=dict)
    layout: str = ""
    usual: Mapping[str, str] = field(default_factory=dict)


def find_topics(there: Topics, naming: Naming) -> dict[str, str]:
    """Topics of a bag that a replay takes: the bag's name to ours.

    People come from "skeletons", or from "image" where there are none or a name asks for it.

    Raises
    ------
    BagError
        If nothing in the bag holds people, or a topic that was named is not there; the message
        lists those there are.
    """
    found: dict[str, str] = {}
    for ours in OPTIONAL:
        named = naming.topics.get(ours)
        name = named or naming.usual.get(ours, ours)
        try:
            if name:
                found[there.resolve(name)] = ours
        except BagError:
            if named:
                raise
    return found | _people_among(there, naming.topics)


def _people_among(there: Topics, named: Mapping[str, str]) -> dict[str, str]:
    if "skeletons" in named:
        if "image" in named:
            raise BagError("both 'skeletons' and 'image' were named; people come from one of them")
        return {there.resolve(named["skeletons"]): "skeletons"}
    if "image" in named:
        return _images_among(there, named)
    with contextlib.suppress(BagError):
        return {there.resolve("skeletons"): "skeletons"}
    people = [t for t, k in there.items() if k in ADAPTED and k not in _AMBIGUOUS]
    images = {} if people else _images_among(there, named)
    if len(people) != 1 and not images:
        there.resolve("skeletons")  # says what is there instead
    return images or {people[0]: "skeletons"}


def _images_among(there: Topics, named: Mapping[str, str]) -> dict[str, str]:
    """Topics of the camera that shows the people: the bag's name to ours; empty without images.

    The calibration is that beside the images. Of an image that was recorded both plain and
    compressed the plain one is taken; depth images are none to find people in.

    Raises
    ------
    BagError
        If there are several cameras, or a topic that was named is not there or of another type.
    """
    if "image" in named:
        image = there.resolve(named["image"])
        if there[image] not in _IMAGES:
            raise BagError(f"topic '{image}' has the type {there[image]}; it is no image")
    else:
        found = {
            topic.removesuffix("/compressed"): topic
            for topic, kind in sorted(there.items(), reverse=True)  # plain ones come last
            if kind in _IMAGES and "depth" not in topic.lower()
        }
        if not found:
            return {}
        if len(found) > 1:
            raise BagError(
                f"the bag has no skeletons but several topics of images, {', '.join(sorted(found))}"
                "; choose one with --remap image:=TOPIC"
            )
        (image,) = found.values()
    beside = f"{image.removesuffix('/compressed').rpartition('/')[0]}/camera_info"
    info = there.resolve(named["camera_info"]) if "camera_info" in named else beside
    if there.get(info) == _CAMERA_INFO:
        return {image: "image", info: "camera_info"}
    if info != beside:
        raise BagError(f"topic '{info}' has the type {there[info]}; it is no camera_info")
    return {image: "image"}


def source_of(topics: Mapping[str, str]) -> tuple[str, str]:
    """The topic that people come from, the bag's name and ours ("skeletons" or "image")."""
    return next((there, o) for there, o in topics.items() if o in ("skeletons", "image"))


def description_of(bag: AnyBag, topics: Mapping[str, str]) -> str:
    """URDF that was recorded in a bag; empty if none was."""
    names = {there: ours for there, ours in topics.items() if ours == "robot_description"}
    if not names:
        return ""
    return next((str(bag.decode(entry).data) for entry in bag.raw(names)), "")
