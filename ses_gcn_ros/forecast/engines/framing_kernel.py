"""What `models.framing` does to histories and answers, person by person, compiled with numba.

Imported on first use, because numba takes half a second. Sums are float32, as NumPy's are there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ses_gcn_ros.compiling import array, compiled, single, whole

POSE = 5  # floats: origin of the person's frame in the world, cosine and sine of its heading
_STANDING = 1e-6  # of the line across a body, below which it faces along the frame's own x


@compiled(
    types.void(
        *(array(4, single), single, whole, types.boolean, single, single, types.boolean),
        *(array(1, whole), array(1, whole), array(1, single)),
        *(single[:, :, :, ::1], single[:, :, :, ::1], single[:, ::1], types.boolean[:, ::1]),
    )
)
def enter(
    history: Any,
    scale: Any,
    root: Any,
    heading: Any,
    position_scale: Any,
    motion_scale: Any,
    visibility: Any,
    right: Any,
    left: Any,
    weight: Any,
    features: Any,
    latest: Any,
    poses: Any,
    seen: Any,
) -> None:
    """Put histories to a network.

    Parameters
    ----------
    history : NDArray, shape (N, T, J, 3), float32
        Positions [m]; a joint that is NaN in any frame counts as unseen.
    scale : float
        The network's unit [1/m].
    root : int
        Joint whose last position is the origin; -1 leaves the world's.
    heading : bool
        Whether everybody is turned to face one way.
    position_scale, motion_scale : float
        Of the features that are positions, and displacements from the last frame; 0: there are no
        such features.
    visibility : bool
        Whether the last feature tells which joints are seen.
    right, left, weight : NDArray, shape (P,)
        Pairs of joints, and what their line says of where a body faces.
    features : NDArray, shape (N, T, J, C), float32
        Is filled.
    latest : NDArray, shape (N, 2, J, 3), float32
        Is filled with the last two frames in the person's frame.
    poses : NDArray, shape (N, POSE), float32
        Is filled with where that frame is.
    seen : NDArray, shape (N, J), bool
        Is filled.
    """
    people, frames, joints, _ = history.shape
    local = np.empty((frames, joints, 3), np.float32)
    for n in range(people):
        count = 0
        for j in range(joints):
            seen[n, j] = True
            for t in range(frames):
                for k in range(3):
                    value = history[n, t, j, k] * scale
                    local[t, j, k] = value
                    seen[n, j] &= np.isfinite(value)
            count += seen[n, j]
        if count < joints:  # the unseen are put at the centroid of the others
            for t in range(frames):
                for k in range(3):
                    total = np.float32(0)
                    for j in range(joints):
                        if seen[n, j]:
                            total += local[t, j, k]
                    centroid = total / np.float32(max(count, 1))
                    for j in range(joints):
                        if not seen[n, j]:
                            local[t, j, k] = centroid
        for k in range(3):
            poses[n, k] = local[frames - 1, root, k] if root >= 0 else np.float32(0)
        x, y = np.float32(0), np.float32(0)
        if heading:
            for p in range(len(weight)):
                a, b = right[p], left[p]
                if seen[n, a] and seen[n, b]:
                    x += weight[p] * (local[frames - 1, b, 0] - local[frames - 1, a, 0])
                    y += weight[p] * (local[frames - 1, b, 1] - local[frames - 1, a, 1])
        length = np.sqrt(x * x + y * y)
        cosine = x / length if length > _STANDING else np.float32(1)
        sine = y / length if length > _STANDING else np.float32(0)
        poses[n, 3], poses[n, 4] = cosine, sine
        for t in range(frames):
            for j in range(joints):
                x, y = local[t, j, 0] - poses[n, 0], local[t, j, 1] - poses[n, 1]
                local[t, j, 0] = x * cosine + y * sine
                local[t, j, 1] = y * cosine - x * sine
                local[t, j, 2] -= poses[n, 2]
        for t in range(frames):
            for j in range(joints):
                for k in range(3):
                    features[n, t, j, k] = local[t, j, k] * position_scale
                if motion_scale > 0:
                    for k in range(3):
                        moved = local[t, j, k] - local[frames - 1, j, k]
                        features[n, t, j, 3 + k] = moved * motion_scale
                if visibility:
                    features[n, t, j, features.shape[3] - 1] = np.float32(seen[n, j])
        latest[n] = local[frames - 2 :]


@compiled(
    types.void(
        *(array(4, single), array(2, single), array(2, types.boolean), single),
        *(array(1, single), array(1, single), single[:, :, :, ::1]),
    )
)
def leave(
    latest: Any, poses: Any, seen: Any, scale: Any, reach: Any, offset: Any, path: Any
) -> None:
    """Turn a network's answers into positions in the world.

    Parameters
    ----------
    latest, poses, seen : NDArray
        From `enter`.
    scale : float
        The network's unit [1/m].
    reach, offset : NDArray, shape (H,), float32
        Frames' worth of the last velocity that each step of the base covers, and what the answer
        there is multiplied by [m]. Empty where the answer is no offset.
    path : NDArray, shape (N, H, J, 3), float32
        The answer; becomes positions [m], NaN for unseen joints.
    """
    people, steps, joints, _ = path.shape
    for n in range(people):
        cosine, sine = poses[n, 3], poses[n, 4]
        turned = sine != 0 or cosine != 1
        for h in range(steps):
            for j in range(joints):
                if not seen[n, j]:
                    path[n, h, j] = np.nan
                    continue
                if len(offset):
                    for k in range(3):
                        last = latest[n, 1, j, k]
                        base = last + reach[h] * (last - latest[n, 0, j, k])
                        path[n, h, j, k] = base + path[n, h, j, k] * offset[h]
                if turned:
                    x, y = path[n, h, j, 0], path[n, h, j, 1]
                    path[n, h, j, 0] = x * cosine - y * sine
                    path[n, h, j, 1] = x * sine + y * cosine
                for k in range(3):
                    path[n, h, j, k] = (path[n, h, j, k] + poses[n, k]) / scale
