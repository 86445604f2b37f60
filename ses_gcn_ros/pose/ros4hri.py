"""Skeletons as ROS4HRI (REP-155) names them: frames of bodies and key points of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.pose.camera import rigid
from ses_gcn_ros.skeleton import Skeleton, get_layout, mapping

# hri_msgs/Skeleton2D's order.
KEY_POINTS = (
    "nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist",
    "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "l_eye", "r_eye", "l_ear", "r_ear",
)  # fmt: skip


def body_frame(person_id: str) -> str:
    """Frame of a body: at the hips, x where the body faces, z up along the trunk."""
    return f"body_{person_id}"


def joint_frame(person_id: str, joint: str) -> str:
    """Frame of a joint: at the joint, axes as the frame of the skeletons."""
    return f"{joint}_{person_id}"


def body_pose(person: Skeleton) -> NDArray[np.float64] | None:
    """Pose (4, 4) of a body in the frame of its skeleton; None where the trunk is not seen."""
    names = get_layout(person.layout).canonical
    hips, shoulders = (
        person.positions[[names.index(f"l_{part}"), names.index(f"r_{part}")]].astype(np.float64)
        for part in ("hip", "shoulder")
    )
    if not (np.isfinite(hips).all() and np.isfinite(shoulders).all()):
        return None
    z = shoulders.mean(0) - hips.mean(0)
    left = hips[0] - hips[1] + shoulders[0] - shoulders[1]
    x = np.cross(left, z)
    if min(np.linalg.norm(z), np.linalg.norm(x)) < 1e-6:
        return None
    z, x = z / np.linalg.norm(z), x / np.linalg.norm(x)
    return rigid(np.stack((x, np.cross(z, x), z), axis=1), hips.mean(0))


def frames_of(people: Sequence[Skeleton], joints: bool) -> tuple[list[str], NDArray[np.float64]]:
    """Names (F) and poses (F, 4, 4) of everybody's body and, if asked for, of the joints seen."""
    names, poses = [], []
    for person in people:
        pose = body_pose(person)
        if pose is not None:
            names.append(body_frame(person.person_id))
            poses.append(pose)
        if not joints:
            continue
        for joint, position in zip(get_layout(person.layout).joints, person.positions, strict=True):
            if np.isfinite(position).all():
                names.append(joint_frame(person.person_id, joint))
                poses.append(rigid(np.eye(3), position))
    return names, np.array(poses).reshape(-1, 4, 4)


def key_points(
    pixels: NDArray[np.float64],
    confidence: NDArray[np.float64],
    layout: str,
    size: tuple[int, int],
) -> NDArray[np.float64]:
    """Key points (18, 3) of one person: x and y from 0 to 1 across the picture, confidence.

    A joint that the layout lacks, that is not found or outside of the picture has confidence 0
    and lies at 0, as REP-155 leaves no other way to say so.
    """
    weights = mapping(layout, "openpose25")
    goal = get_layout("openpose25").canonical
    rows = weights[[goal.index(name) for name in KEY_POINTS]]
    needed = rows != 0.0
    known: NDArray[np.bool_] = np.asarray(np.isfinite(pixels).all(-1))
    points = rows @ np.where(known[:, None], pixels, 0.0) / size
    trust = np.where(needed, np.where(known, confidence, 0.0), np.inf).min(-1)
    good = needed.any(-1) & (trust > 0.0) & np.all((points >= 0.0) & (points <= 1.0), axis=-1)
    return np.where(good[:, None], np.column_stack((points, trust)), 0.0)
