"""Between ROS messages and the plain numbers of the buffer."""

from typing import Any

from geometry_msgs.msg import Transform, TransformStamped
from rclpy.time import Time

from .rigid import Rigid, normalize

NANOSECONDS_PER_SECOND = 1_000_000_000


def nanoseconds(value: Any) -> int:
    """Read a time or duration, of rclpy or as a message, in nanoseconds.

    Raises:
        TypeError: it has neither `sec` and `nanosec` nor `nanoseconds`.

    """
    if isinstance(value, Time):
        return value.nanoseconds
    if hasattr(value, "sec") and hasattr(value, "nanosec"):
        return value.sec * NANOSECONDS_PER_SECOND + value.nanosec
    if hasattr(value, "nanoseconds"):
        return value.nanoseconds
    raise TypeError(
        f"time must have sec and nanosec, or nanoseconds; {type(value).__name__} has neither"
    )


def rigid_from_msg(transform: Transform) -> Rigid:
    """Read a Transform message as it is, its quaternion not yet of unit length."""
    t, r = transform.translation, transform.rotation
    return float(t.x), float(t.y), float(t.z), float(r.x), float(r.y), float(r.z), float(r.w)


def stamped_msg(
    target: str, source: str, stamp: int, target_from_source: Rigid
) -> TransformStamped:
    """Make the message for a transform at `stamp` [ns]; the quaternion is brought to unit length.

    The fields are set one by one, since keyword arguments double the time of building a message.
    """
    msg = TransformStamped()
    header, translation, rotation = msg.header, msg.transform.translation, msg.transform.rotation
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, NANOSECONDS_PER_SECOND)
    header.frame_id = target
    msg.child_frame_id = source
    x, y, z, i, j, k, w = normalize(target_from_source) or target_from_source
    translation.x, translation.y, translation.z = x, y, z
    rotation.x, rotation.y, rotation.z, rotation.w = i, j, k, w
    return msg
