"""How motion is put to a network, and how its answer becomes positions again.

Measured from another origin or heading, the published network, which takes absolute positions,
forecasts something else. Framed, it sees every person at the origin, facing the same way, and
answers the offset from where constant, slowly fading velocity would take each joint.

Compiled with numba: it runs for every forecast, and NumPy's calls for one person take as long as
the network (50 of 120 µs).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ses_gcn_ros.compiling import array, compiled, single, whole
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.skeleton import get_layout

DAMPING = 0.9  # of velocity per frame, of the path that the offset is predicted from

# Orders of magnitude [m] that bring the network's inputs and outputs near one.
_POSITION_SCALE = 0.5
_MOTION_SCALE = 0.2
_OFFSET_SCALE = 0.3

# Canonical joints whose line from right to left shows where the body faces. Legs swing to and fro:
# they count only where hips and shoulders are unseen.
_ACROSS = {"hip": 1.0, "shoulder": 1.0, "knee": 1e-3, "ankle": 1e-3}
STANDING = 1e-6  # of that line, below which a body faces along the frame's own x


@dataclass(frozen=True, eq=False)
class Framed:
    """Motion as a network takes it."""

    features: NDArray[np.float32]  # (N, T, J, C): input of the network
    # (N, H, J, 3): path that the network's answer is an offset from, in the person's frame
    base: NDArray[np.float32] | None
    origin: NDArray[np.float32]  # (N, 1, 1, 3): origin of the person's frame in the world
    world_from_person: NDArray[np.float32]  # (N, 3, 3): rotation
    seen: NDArray[np.bool_]  # (N, J): joints that the history holds


def frame(history: NDArray[np.float32], config: ModelConfig) -> Framed:
    """Put histories to a network.

    `history` (N, T, J, 3): positions in the network's unit, z up where `config.heading` is set. A
    joint that is NaN in any frame counts as unseen: it is put at the centroid of the others and
    flagged.
    """
    people, frames, joints, _ = history.shape
    position, motion = input_scales(config)
    right, left, weight = body_line(config.layout)
    features = np.empty((people, frames, joints, config.features), np.float32)
    base = np.empty((people if config.offset else 0, config.horizon, joints, 3), np.float32)
    origin, rotation = np.zeros((people, 1, 1, 3), np.float32), np.zeros((people, 3, 3), np.float32)
    seen = np.empty((people, joints), np.bool_)
    _enter(
        np.ascontiguousarray(history, np.float32),
        get_layout(config.layout).root if config.origin else -1,
        *(right, left, weight if config.heading else 0 * weight),
        *(position, motion if config.motion else 0.0, config.visibility),
        # A learnt base is in the network's answer, which starts from the last pose.
        reach(config.horizon, 0.0 if config.gate else DAMPING),
        *(features, base, origin, rotation, seen),
    )
    if config.frequency:
        transformed = cosines(frames) @ features.reshape(people, frames, -1)
        features = transformed.reshape(features.shape)
    return Framed(features, base if config.offset else None, origin, rotation, seen)


def unframe(
    answer: NDArray[np.float32], framed: Framed, config: ModelConfig
) -> NDArray[np.float32]:
    """Positions in the world from a network's answer, shape (N, H, J, 3); NaN for unseen joints."""
    path = np.array(answer[..., :3], np.float32, order="C")
    base = np.empty((0, *path.shape[1:]), np.float32) if framed.base is None else framed.base
    scale = offset_scale(config.horizon, config.fps).reshape(-1)
    if config.gate:
        scale = np.ones_like(scale)
    _leave(base, scale, framed.origin, framed.world_from_person, framed.seen, path)
    return path


def input_scales(config: ModelConfig) -> tuple[float, float]:
    """What positions, and displacements from the last frame, are multiplied by."""
    return 1 / _POSITION_SCALE if config.origin else 1.0, 1 / _MOTION_SCALE


@compiled(
    types.void(
        *(array(4, single), whole, array(1, whole), array(1, whole), array(1, single)),
        *(single, single, types.boolean, array(1, single)),
        *([single[:, :, :, ::1]] * 3 + [single[:, :, ::1], types.boolean[:, ::1]]),
    )
)
def _enter(
    history: Any,
    root: Any,
    right: Any,
    left: Any,
    weight: Any,
    position_scale: Any,
    motion_scale: Any,
    visibility: Any,
    reaches: Any,
    features: Any,
    bases: Any,
    origins: Any,
    rotations: Any,
    seen: Any,
) -> None:
    """Fill the last five; root -1: the world's origin, motion scale 0: no such features."""
    people, frames, joints, _ = history.shape
    local = np.empty((frames, joints, 3), np.float32)
    last = frames - 1
    for n in range(people):
        count = 0
        for j in range(joints):
            seen[n, j] = True
            for t in range(frames):
                for k in range(3):
                    local[t, j, k] = history[n, t, j, k]
                    seen[n, j] &= np.isfinite(local[t, j, k])
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
        origin = origins[n, 0, 0]
        if root >= 0:
            origin[:] = local[last, root]
        x, y = np.float32(0), np.float32(0)
        for p in range(len(weight)):
            a, b = right[p], left[p]
            if seen[n, a] and seen[n, b]:
                x += weight[p] * (local[last, b, 0] - local[last, a, 0])
                y += weight[p] * (local[last, b, 1] - local[last, a, 1])
        length = np.sqrt(x * x + y * y)
        cosine = x / length if length > STANDING else np.float32(1)
        sine = y / length if length > STANDING else np.float32(0)
        rotations[n, 0, 0] = rotations[n, 1, 1] = cosine
        rotations[n, 1, 0], rotations[n, 0, 1] = sine, -sine
        rotations[n, 2, 2] = 1
        for t in range(frames):
            for j in range(joints):
                x, y = local[t, j, 0] - origin[0], local[t, j, 1] - origin[1]
                local[t, j, 0] = x * cosine + y * sine
                local[t, j, 1] = y * cosine - x * sine
                local[t, j, 2] -= origin[2]
        for t in range(frames):
            for j in range(joints):
                for k in range(3):
                    features[n, t, j, k] = local[t, j, k] * position_scale
                    if motion_scale > 0:
                        moved = local[t, j, k] - local[last, j, k]
                        features[n, t, j, 3 + k] = moved * motion_scale
                if visibility:
                    features[n, t, j, features.shape[3] - 1] = np.float32(seen[n, j])
        if len(bases):
            for h in range(len(reaches)):
                for j in range(joints):
                    for k in range(3):
                        velocity = local[last, j, k] - local[last - 1, j, k]
                        bases[n, h, j, k] = local[last, j, k] + reaches[h] * velocity


@compiled(
    types.void(
        *(array(4, single), array(1, single), array(4, single), array(3, single)),
        *(array(2, types.boolean), single[:, :, :, ::1]),
    )
)
def _leave(base: Any, scale: Any, origin: Any, rotation: Any, seen: Any, path: Any) -> None:
    """Turn answers into positions in the world; without a base, they are no offsets."""
    people, steps, joints, _ = path.shape
    for n in range(people):
        cosine, sine = rotation[n, 0, 0], rotation[n, 1, 0]
        for h in range(steps):
            for j in range(joints):
                if not seen[n, j]:
                    path[n, h, j] = np.nan
                    continue
                if len(base):
                    for k in range(3):
                        path[n, h, j, k] = base[n, h, j, k] + path[n, h, j, k] * scale[h]
                x, y = path[n, h, j, 0], path[n, h, j, 1]
                path[n, h, j, 0] = x * cosine - y * sine + origin[n, 0, 0, 0]
                path[n, h, j, 1] = x * sine + y * cosine + origin[n, 0, 0, 1]
                path[n, h, j, 2] += origin[n, 0, 0, 2]


def damped_velocity(
    history: NDArray[np.float32], horizon: int, damping: float = DAMPING
) -> NDArray[np.float32]:
    """Path of joints whose last velocity fades by a factor per frame.

    `damping`: factor per frame; 1 keeps the velocity, 0 keeps the pose.

    Returns (..., H, J, 3) in the unit of the input.
    """
    last = history[..., -1:, :, :]
    velocity = last - history[..., -2:-1, :, :]
    return last + reach(horizon, damping)[:, None, None] * velocity


@cache
def reach(horizon: int, damping: float) -> NDArray[np.float32]:
    """Frames' worth of the last velocity that are covered by each step, shape (H,)."""
    covered: NDArray[np.float64] = np.cumsum(damping ** np.arange(1, horizon + 1))
    return covered.astype(np.float32)


@cache
def offset_scale(horizon: int, fps: float) -> NDArray[np.float32]:
    """How far the path may be from the base [m], per step, shape (H, 1, 1).

    It grows with time as the error of constant velocity does, so that the first steps stay close
    to that path whatever the network says. Not to be written to.
    """
    seconds = np.arange(1, horizon + 1) / fps
    return (_OFFSET_SCALE * seconds**1.2).astype(np.float32)[:, None, None]


@cache
def cosines(frames: int) -> NDArray[np.float32]:
    """Orthonormal cosine transform (DCT-II) of so many frames: rows are frequencies."""
    frame = np.arange(frames)
    basis = np.cos(np.pi / frames * (frame + 0.5) * frame[:, None])
    basis[0] /= np.sqrt(2)
    return (basis * np.sqrt(2 / frames)).astype(np.float32)


@cache
def bone_parents(layout: str) -> NDArray[np.int64]:
    """Joint at the other end of each joint's bone, shape (J,); the root's is the root."""
    return np.array([max(p, j * (p < 0)) for j, p in enumerate(get_layout(layout).parents)])


@cache
def body_line(
    layout: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Right joints, their left counterparts, and how much their line says of where a body faces."""
    canonical = get_layout(layout).canonical
    pairs = [
        (canonical.index(f"r_{joint}"), canonical.index(f"l_{joint}"), weight)
        for joint, weight in _ACROSS.items()
        if f"r_{joint}" in canonical and f"l_{joint}" in canonical
    ]
    right, left, weight = zip(*pairs, strict=True) if pairs else ((), (), ())
    return np.array(right, np.int64), np.array(left, np.int64), np.array(weight, np.float32)


_SWEEPS = 12  # leave 0.0 % of error on motion capture; one costs 0.7 µs per forecast
_STILL = 1e-4  # m; a joint that moved less in the whole history is fixed to something
_LEAST = 1e-3  # m of motion that every other joint is taken to have


def hold_bones(path: NDArray[np.float32], history: NDArray[np.float32], layout: str) -> None:
    """Give every bone of a forecast the length that it has in the history, in place.

    That is its mean length at the last step. The first ones start nearer to the last frame's, from
    which a tracker that slides on clothes does not come back at once: at the first step the mean
    alone is 1.4 times as far off as the better baseline on such recordings.

    Each sweep moves both ends of each bone by what it is too long or too short by, bone after bone
    (Gauss-Seidel), as in position based dynamics (Mueller et al. 2007). The end that has further to
    go takes the larger part, so that a foot that stands is not pulled along; a joint that has not
    moved at all stays where it is. Bones with an end unseen are left as they are.
    """
    _hold(path, np.ascontiguousarray(history, np.float32), *_bones(layout))


@cache
def _bones(layout: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    parents = get_layout(layout).parents
    children = [joint for joint, parent in enumerate(parents) if parent >= 0]
    return np.array(children), np.array([parents[joint] for joint in children])


_TINY = 1e-20  # m²; of a bone without a length, which has no direction to be moved along


@compiled(types.void(single[:, :, :, ::1], array(4, single), array(1, whole), array(1, whole)))
def _hold(path: Any, history: Any, children: Any, parents: Any) -> None:
    people, steps, joints, _ = path.shape
    frames, bones, wide = history.shape[1], len(children), -(-steps // 16) * 16
    # Steps lie beside one another, so that all are moved at once in the processor's vectors.
    pose = np.zeros((joints, 3, wide), np.float32)
    light, lengths = np.empty((joints, wide), np.float32), np.zeros((bones, wide), np.float32)
    gives, takes = np.zeros((bones, wide), np.float32), np.zeros((bones, wide), np.float32)
    away = np.empty((3, wide), np.float32)
    for n in range(people):
        last = history[n, frames - 1]
        for j in range(joints):
            still = True
            for t in range(frames - 1):
                for k in range(3):
                    still &= abs(history[n, t, j, k] - last[j, k]) < np.float32(_STILL)
            for h in range(steps):
                square = np.float32(0)
                for k in range(3):
                    pose[j, k, h] = last[j, k] if still else path[n, h, j, k]
                    square += (pose[j, k, h] - last[j, k]) ** 2
                light[j, h] = np.float32(0) if still else np.sqrt(square) + np.float32(_LEAST)
        for b in range(bones):
            child, parent = children[b], parents[b]
            mean, length = np.float32(0), np.float32(0)
            for t in range(frames):
                square = np.float32(0)
                for k in range(3):
                    square += (history[n, t, child, k] - history[n, t, parent, k]) ** 2
                length = np.sqrt(square)
                mean += length / np.float32(frames)
            for h in range(steps):
                late = np.float32(h) / np.float32(max(steps - 1, 1))
                lengths[b, h] = length + (mean - length) * late
                both = light[child, h] + light[parent, h]  # 0 where both are fixed
                gives[b, h] = light[child, h] / both if both > 0 else np.float32(0)
                takes[b, h] = light[parent, h] / both if both > 0 else np.float32(0)
        for _ in range(_SWEEPS):
            for b in range(bones):
                child, parent = pose[children[b]], pose[parents[b]]
                if np.isnan(lengths[b, 0] + child[0, 0] + parent[0, 0]):  # an end is unseen
                    continue
                for h in range(wide):
                    square = np.float32(_TINY)
                    for k in range(3):
                        away[k, h] = child[k, h] - parent[k, h]
                        square += away[k, h] * away[k, h]
                    excess = np.float32(1) - lengths[b, h] / np.sqrt(square)
                    for k in range(3):
                        child[k, h] -= excess * away[k, h] * gives[b, h]
                        parent[k, h] += excess * away[k, h] * takes[b, h]
        for j in range(joints):
            for h in range(steps):
                for k in range(3):
                    path[n, h, j, k] = pose[j, k, h]
