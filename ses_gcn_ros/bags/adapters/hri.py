"""ROS4HRI (REP-155): a list of bodies, each a tree of TF frames named after it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bags.adapters.joints import seen_skeleton
from ses_gcn_ros.bags.bag_messages import Observation, to_seconds
from ses_gcn_ros.skeleton import Skeleton, get_layout

LAYOUT = "hri15"
LONGEST_AGE = 0.2  # s between a list of bodies and a transform that may still place them


class _Pose(NamedTuple):
    parent: str
    stamp: float  # s; inf for a static transform
    matrix: NDArray[np.float64]


class HriBodies:
    """Read ``hri_msgs/IdsList`` (topic ``/humans/bodies/tracked``) with the transforms.

    Joints are where the latest transforms put the frames ``head_<id>``, ``l_elbow_<id>`` …; a frame
    that is missing, not connected or old makes its joint unseen.

    Parameters
    ----------
    frame_id : str
        Frame to give the people in.
    """

    topics = ("/tf", "/tf_static")

    def __init__(self, frame_id: str = "world") -> None:
        self.frame_id = frame_id
        self._poses: dict[str, _Pose] = {}

    def observe_transforms(self, content: Any, *, static: bool) -> None:
        """Take one ``tf2_msgs/TFMessage``; only the latest transform of a frame is kept."""
        from scipy.spatial.transform import (
            Rotation,  # takes its time, and few bags have such people
        )

        for item in content.transforms:
            t, q = item.transform.translation, item.transform.rotation
            matrix = np.eye(4)
            matrix[:3, :3] = Rotation.from_quat((q.x, q.y, q.z, q.w)).as_matrix()
            matrix[:3, 3] = t.x, t.y, t.z
            stamp = float("inf") if static else to_seconds(item.header.stamp)
            self._poses[item.child_frame_id] = _Pose(item.header.frame_id, stamp, matrix)

    def __call__(self, content: Any) -> Observation:
        """Everybody on the list; a body without any frame is left out."""
        stamp = to_seconds(content.header.stamp)
        target = self._to_root(self.frame_id, stamp)
        people = [] if target is None else [self._person(i, stamp, *target) for i in content.ids]
        seen = [person for person in people if np.isfinite(person.positions).any()]
        return Observation(stamp, self.frame_id, seen)

    def _person(
        self, body: str, stamp: float, root: str, root_from_frame: NDArray[np.float64]
    ) -> Skeleton:
        joints = get_layout(LAYOUT).joints
        positions = np.full((len(joints), 3), np.nan)
        for index, joint in enumerate(joints):
            found = self._to_root(f"{joint}_{body}", stamp)
            if found is not None and found[0] == root:
                positions[index] = found[1][:3, 3]
        local = (positions - root_from_frame[:3, 3]) @ root_from_frame[:3, :3]
        return seen_skeleton(body, LAYOUT, local)

    def _to_root(self, frame: str, stamp: float) -> tuple[str, NDArray[np.float64]] | None:
        matrix = np.eye(4)
        for _ in range(len(self._poses) + 1):  # more steps than frames would be a circle
            pose = self._poses.get(frame)
            if pose is None:
                return frame, matrix
            if stamp - pose.stamp > LONGEST_AGE:
                return None
            matrix = pose.matrix @ matrix
            frame = pose.parent
        return None
