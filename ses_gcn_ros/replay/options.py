"""What a replay is told: parameters, names of topics and frames, the robot."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ses_gcn_ros.bags.messages import ADAPTED, Topics
from ses_gcn_ros.bags.rosbag2 import Bag, PathLike, open_bag
from ses_gcn_ros.config import build, read_parameter_file
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.forecast import ForecastConfig
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.safety import SafetyConfig

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
COLLISION_DISTANCE = 0.13  # m between the axes of limb and link, CHICO's

_AMBIGUOUS = ("visualization_msgs/msg/MarkerArray", "geometry_msgs/msg/PoseArray")
_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


@dataclass(frozen=True)
class Naming:
    """How the names of a bag become ours."""

    # our name of a topic ("skeletons", "image", "/tf", …) to the bag's
    topics: Mapping[str, str] = field(default_factory=dict)
    # a frame of the bag to the name that it is to have here
    frames: Mapping[str, str] = field(default_factory=dict)
    layout: str = ""  # joint layout of messages that don't say theirs (PoseArray)
    # our name of an optional topic to what it is usually called; empty: not to be read
    usual: Mapping[str, str] = field(default_factory=dict)


def find_topics(there: Topics, naming: Naming) -> dict[str, str]:
    """Topics of a bag that a replay takes: the bag's name to ours.

    People come from "skeletons", or from "image" where there are none or a name asks for it. Raises
    BagError if nothing in the bag holds people, or a topic that was named is not there; the message
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
    compressed the plain one is taken; depth images are none to find people in. Raises BagError if
    there are several cameras, or a topic that was named is not there or of another type.
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


def description_of(bag: Bag, topics: Mapping[str, str]) -> str:
    """URDF that was recorded in a bag; empty if none was."""
    names = {there: ours for there, ours in topics.items() if ours == "robot_description"}
    if not names:
        return ""
    return next((str(bag.decode(entry).data) for entry in bag.raw(names)), "")


T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How a bag is replayed."""

    forecaster: ForecastConfig = field(default_factory=ForecastConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    naming: Naming = field(default_factory=Naming)  # how the names of the bag become ours
    # how people are found in the images of a bag without skeletons
    pose: PoseConfig = field(default_factory=PoseConfig)
    # whether to simulate the demo cell's robot, which obeys, instead of the recorded one
    demo_robot: bool = False
    # whether to judge the forecasts and states that were recorded instead of computing them
    recorded: bool = False
    # distance that counts as a collision [m]: of axes where forecasts are judged, as in the task of
    # CHICO, and of surfaces where stops are
    threshold: float = COLLISION_DISTANCE
    # whether to write the replay that reports are drawn from, besides the numbers
    replay_data: bool = True

    def topics(self) -> Naming:
        """Names of the topics, those that the safety node takes from its parameters included."""
        told = {"joint_states": self.safety.joint_states, "trajectory": self.safety.trajectory}
        # a topic that a parameter names may be missing, one that was remapped may not
        return Naming(self.naming.topics, self.naming.frames, self.naming.layout, told)


def node_parameters(path: str | Path, node: str, kind: type[T], **more: Any) -> T:
    """Configuration of a node from a ROS parameter file, as the node itself would read it.

    Raises ConfigError if the file can't be read, or has a parameter that the node doesn't know.

    `path`: YAML file; an empty name stands for none.
    `**more`: parameters on top of those of the file.
    """
    found: dict[str, Any] = {}
    declared = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for section, given in read_parameter_file(path) if path else ():
        name = section.rsplit("/", 1)[-1]
        if name in (node, "**", "*"):  # of what is said to all nodes, each takes what it knows
            found |= {k: v for k, v in given.items() if name == node or k in declared}
    found.pop("use_sim_time", None)  # every node knows it
    return build(kind, {**found, **more})


def write_recorded_robot(bag: PathLike, path: Path) -> str:
    """Write the URDF that was recorded into a file; its path, or nothing if none was recorded.

    Raises BagError if the bag can't be read or shows nobody.
    """
    with open_bag(bag) as opened:
        description = description_of(opened, find_topics(opened.topics, Naming()))
    if not description:
        return ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(description, encoding="utf-8")
    return str(path)
