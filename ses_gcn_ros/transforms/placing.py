"""Poses of frames in their parents, composed into poses in the world; compiled with numba.

Imported on first use, because numba takes half a second.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ses_gcn_ros.compiling import array, compiled, real, whole


@compiled(real[:, :, ::1](array(2), array(1, whole), array(1, whole), whole))
def place(poses: Any, parents: Any, wanted: Any, world: Any) -> Any:
    """world_from_frame (F, 4, 4) of the wanted frames.

    `poses` (E, 7): translation [m] and quaternion xyzw of any length, of each frame in its parent.
    `parents` (E,): row of each frame's parent, a row before its own; -1 for the topmost frame.
    `wanted` (F,): rows of the frames to place; -1 for the topmost frame.
    `world`: row of the world; -1 if it is the topmost frame.
    """
    top_from = np.zeros((len(poses) + 1, 3, 4))  # the topmost frame comes last, which -1 means
    for k in range(3):
        top_from[-1, k, k] = 1.0
    local = np.empty((3, 3))
    for row in range(len(poses)):
        x, y, z, w = poses[row, 3], poses[row, 4], poses[row, 5], poses[row, 6]
        norm = math.sqrt(x * x + y * y + z * z + w * w)
        x, y, z, w = x / norm, y / norm, z / norm, w / norm
        local[0, 0] = 1.0 - 2.0 * (y * y + z * z)
        local[0, 1] = 2.0 * (x * y - z * w)
        local[0, 2] = 2.0 * (x * z + y * w)
        local[1, 0] = 2.0 * (x * y + z * w)
        local[1, 1] = 1.0 - 2.0 * (x * x + z * z)
        local[1, 2] = 2.0 * (y * z - x * w)
        local[2, 0] = 2.0 * (x * z - y * w)
        local[2, 1] = 2.0 * (y * z + x * w)
        local[2, 2] = 1.0 - 2.0 * (x * x + y * y)
        parent = top_from[parents[row]]
        for i in range(3):
            a, b, c = parent[i, 0], parent[i, 1], parent[i, 2]
            for j in range(3):
                top_from[row, i, j] = a * local[0, j] + b * local[1, j] + c * local[2, j]
            top_from[row, i, 3] = (
                a * poses[row, 0] + b * poses[row, 1] + c * poses[row, 2] + parent[i, 3]
            )

    placed = np.zeros((len(wanted), 4, 4))
    turn, shift = top_from[world, :, :3], top_from[world, :, 3]
    for frame in range(len(wanted)):
        pose = top_from[wanted[frame]]
        placed[frame, 3, 3] = 1.0
        for i in range(3):  # the inverse of a rotation is its transpose
            for j in range(3):
                for k in range(3):
                    placed[frame, i, j] += turn[k, i] * pose[k, j]
            for k in range(3):
                placed[frame, i, 3] += turn[k, i] * (pose[k, 3] - shift[k])
    return placed
