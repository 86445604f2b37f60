"""How a transform acts on the messages of geometry_msgs.

All functions take coordinates in the child frame of the transform to the frame of its header, whose
frame id and stamp the result gets. The inputs are left as they are.
"""

from geometry_msgs.msg import PointStamped, Pose, PoseStamped, TransformStamped, Vector3Stamped
from tf2_py.messages import rigid_from_msg
from tf2_py.rigid import IDENTITY, Rigid, compose, normalize
from tf2_ros import TransformRegistration


def do_transform_point(point: PointStamped, transform: TransformStamped) -> PointStamped:
    """Rotate and shift a point."""
    p = point.point
    result = PointStamped(header=transform.header)
    x, y, z = _translation(compose(_rigid(transform), (p.x, p.y, p.z, *IDENTITY[3:])))
    result.point.x, result.point.y, result.point.z = x, y, z
    return result


def do_transform_vector3(vector3: Vector3Stamped, transform: TransformStamped) -> Vector3Stamped:
    """Rotate a vector; being free, it does not shift."""
    v = vector3.vector
    rotation = (0.0, 0.0, 0.0, *_rigid(transform)[3:])
    result = Vector3Stamped(header=transform.header)
    x, y, z = _translation(compose(rotation, (v.x, v.y, v.z, *IDENTITY[3:])))
    result.vector.x, result.vector.y, result.vector.z = x, y, z
    return result


def do_transform_pose(pose: Pose, transform: TransformStamped) -> Pose:
    """Rotate and shift a pose; an orientation of length zero counts as none."""
    p, o = pose.position, pose.orientation
    orientation = normalize((0.0, 0.0, 0.0, o.x, o.y, o.z, o.w)) or IDENTITY
    x, y, z, i, j, k, w = compose(_rigid(transform), (p.x, p.y, p.z, *orientation[3:]))
    result = Pose()
    result.position.x, result.position.y, result.position.z = x, y, z
    q = result.orientation
    q.x, q.y, q.z, q.w = (i, j, k, w) if w >= 0.0 else (-i, -j, -k, -w)
    return result


def do_transform_pose_stamped(pose: PoseStamped, transform: TransformStamped) -> PoseStamped:
    """Rotate and shift a stamped pose."""
    return PoseStamped(header=transform.header, pose=do_transform_pose(pose.pose, transform))


def _rigid(transform: TransformStamped) -> Rigid:
    return normalize(rigid_from_msg(transform.transform)) or IDENTITY


def _translation(rigid: Rigid) -> tuple[float, float, float]:
    return rigid[0], rigid[1], rigid[2]


_REGISTRATION = TransformRegistration()
_REGISTRATION.add(PointStamped, do_transform_point)
_REGISTRATION.add(Vector3Stamped, do_transform_vector3)
_REGISTRATION.add(PoseStamped, do_transform_pose_stamped)
