"""Which adapter reads the people out of which message type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ses_gcn_ros.bags.adapters.hri import HriBodies
from ses_gcn_ros.bags.adapters.kinect import people_from_markers
from ses_gcn_ros.bags.adapters.poses import poses_reader
from ses_gcn_ros.bags.adapters.zed import people_from_objects
from ses_gcn_ros.bags.bag_messages import Observation, observation_from_message
from ses_gcn_ros.errors import BagError, InputError
from ses_gcn_ros.skeleton import check_skeletons

Adapter = Callable[[Any], Observation]

_ADAPTERS: dict[str, Callable[[str, str], Adapter]] = {
    "ses_gcn_ros/msg/SkeletonArray": lambda layout, frame_id: observation_from_message,
    "zed_msgs/msg/ObjectsStamped": lambda layout, frame_id: people_from_objects,
    "zed_interfaces/msg/ObjectsStamped": lambda layout, frame_id: people_from_objects,
    "visualization_msgs/msg/MarkerArray": lambda layout, frame_id: people_from_markers,
    "geometry_msgs/msg/PoseArray": lambda layout, frame_id: poses_reader(layout),
    "hri_msgs/msg/IdsList": lambda layout, frame_id: HriBodies(frame_id),
}
ADAPTED = tuple(_ADAPTERS)


def adapt(message_type: str, *, layout: str = "", frame_id: str = "world") -> Adapter:
    """Return what reads the people out of messages of a type.

    Parameters
    ----------
    message_type : str
        One of `ADAPTED`.
    layout : str
        Joint layout of messages that don't say theirs (PoseArray).
    frame_id : str
        Frame to give the people in where they come as frames of TF (ROS4HRI).

    Returns
    -------
    callable
        Takes a message and gives an `Observation`: stamp [s], frame, checked skeletons [m]. That
        for ROS4HRI is an `HriBodies`, whose `observe_transforms` wants every message of /tf and
        /tf_static first.

    Raises
    ------
    BagError
        If nobody knows how to read people out of this type.
    InputError
        If the layout is unknown; the callable raises it for skeletons that are unusable.
    """
    make = _ADAPTERS.get(message_type)
    if make is None:
        raise BagError(
            f"people can't be read from messages of type {message_type}; they can from "
            f"{', '.join(ADAPTED)}"
        )
    read = make(layout, frame_id)
    if isinstance(read, HriBodies):
        return read

    def checked(content: Any) -> Observation:
        observation = read(content)
        check_observation(observation)
        return observation

    return checked


def check_observation(observation: Observation) -> None:
    """Check what comes from outside.

    Raises
    ------
    InputError
        For a skeleton that `check_skeleton` refuses or the same person twice.
    """
    check_skeletons(observation.people)
    names = [person.person_id for person in observation.people]
    if len(set(names)) < len(names):
        raise InputError(
            f"a message of {observation.stamp:.3f} s shows person "
            f"'{max(names, key=names.count)}' more than once"
        )
