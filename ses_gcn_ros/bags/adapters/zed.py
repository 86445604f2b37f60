"""ZED cameras: ``ObjectsStamped`` of the body tracking of Stereolabs' ROS 2 wrapper."""

from __future__ import annotations

from typing import Any

from ses_gcn_ros.bags.adapters.joints import seen_skeleton
from ses_gcn_ros.bags.bag_messages import Observation, to_seconds
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import Skeleton, get_layout

# sl::BODY_FORMAT: BODY_18 is OpenPose's order.
LAYOUTS = {0: "openpose18", 1: "zed34", 2: "zed38"}
_OFF = 0  # tracking_state of an object that is not valid
_FULL_CONFIDENCE = 100.0  # of the SDK, per person


def people_from_objects(content: Any) -> Observation:
    """People among the objects that a ZED camera tracks; others, and lost ones, are left out.

    The wrapper gives metres in a frame with z up (or in the camera's, as its header says), a place
    for seventy joints of which the first few are used, and one confidence a person.

    Raises
    ------
    InputError
        For a body format that is not 18, 34 or 38 joints.
    """
    people = [
        _person(item)
        for item in content.objects
        if item.skeleton_available and item.tracking_state != _OFF
    ]
    return Observation(to_seconds(content.header.stamp), content.header.frame_id, people)


def _person(item: Any) -> Skeleton:
    layout = LAYOUTS.get(item.body_format)
    if layout is None:
        raise InputError(
            f"ZED object {item.label_id} has body_format {item.body_format}; "
            f"known are {', '.join(f'{key} ({name})' for key, name in LAYOUTS.items())}"
        )
    joints = len(get_layout(layout).joints)
    points = [point.kp for point in item.skeleton_3d.keypoints[:joints]]
    trust = min(max(float(item.confidence) / _FULL_CONFIDENCE, 0.0), 1.0)
    return seen_skeleton(str(item.label_id), layout, points, trust)
