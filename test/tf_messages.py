"""Messages of transforms as the library makes them, object by object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ses_gcn_ros.bags.messages import header_message, message


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
