"""Azure Kinect: the ``MarkerArray`` in which Microsoft's ROS driver gives bodies."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from ses_gcn_ros.bags.adapters.joints import seen_skeleton
from ses_gcn_ros.bags.bag_messages import Observation, to_seconds
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import Skeleton, get_layout

LAYOUT = "kinect32"
_IDS_PER_BODY = 100  # marker id: body * 100 + joint
_SPHERE, _ADD = 2, 0  # of visualization_msgs/Marker


def people_from_markers(content: Any) -> Observation:
    """People of a message on ``body_tracking_data``: one ball a joint.

    Joints without a ball are unseen. Nobody, in the driver, is an array without markers, whose
    stamp is unknown: NaN.

    Raises
    ------
    InputError
        If the balls' stamps or frames differ, or a number stands for no joint.
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
    joints = len(get_layout(LAYOUT).joints)
    bodies = defaultdict[int, dict[int, Any]](dict)
    for ball in balls:
        body, joint = divmod(ball.id, _IDS_PER_BODY)
        if not 0 <= joint < joints:
            raise InputError(
                f"marker {ball.id} stands for joint {joint}; an Azure Kinect's body has {joints}"
            )
        bodies[body][joint] = ball.pose.position
    return Observation(*headers.pop(), [_person(body, seen) for body, seen in bodies.items()])


def _person(body: int, seen: dict[int, Any]) -> Skeleton:
    joints = len(get_layout(LAYOUT).joints)
    positions = np.full((joints, 3), np.nan, np.float32)
    positions[list(seen)] = [(point.x, point.y, point.z) for point in seen.values()]
    return seen_skeleton(str(body), LAYOUT, positions)
