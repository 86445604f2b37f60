"""Transforms points, vectors and poses, with the import name and behaviour of tf2_geometry_msgs.

Importing this module makes `tf2_ros.Buffer.transform` take PointStamped, Vector3Stamped and
PoseStamped.
"""

from .tf2_geometry_msgs import (
    do_transform_point,
    do_transform_pose,
    do_transform_pose_stamped,
    do_transform_vector3,
)

__all__ = [
    "do_transform_point",
    "do_transform_pose",
    "do_transform_pose_stamped",
    "do_transform_vector3",
]
