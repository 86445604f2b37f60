"""How motion is put to a network, and how its answer becomes positions again.

Measured from another origin or heading, the published network, which takes absolute positions,
forecasts something else. Framed, it sees every person at the origin, facing the same way, and
answers the offset from where constant, slowly fading velocity would take each joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, eq=False)
class Framed:
    """Motion as a network takes it.

    Attributes
    ----------
    features : NDArray, shape (N, T, J, C), float32
        Input of the network.
    base : NDArray, shape (N, H, J, 3), float32, or None
        Path that the network's answer is an offset from, in the person's frame.
    origin : NDArray, shape (N, 1, 1, 3), float32
        Origin of the person's frame in the world.
    world_from_person : NDArray, shape (N, 3, 3), float32
        Rotation.
    seen : NDArray, shape (N, J), bool
        Joints that the history holds.
    """

    features: NDArray[np.float32]
    base: NDArray[np.float32] | None
    origin: NDArray[np.float32]
    world_from_person: NDArray[np.float32]
    seen: NDArray[np.bool_]


def damped_velocity(
    history: NDArray[np.float32], horizon: int, damping: float = DAMPING
) -> NDArray[np.float32]:
    """Path of joints whose last velocity fades by a factor per frame.

    Parameters
    ----------
    history : NDArray, shape (..., T, J, 3)
        Observed positions, oldest first.
    horizon : int
        Frames H to continue for.
    damping : float
        Factor per frame; 1 keeps the velocity, 0 keeps the pose.

    Returns
    -------
    NDArray, shape (..., H, J, 3), in the unit of the input
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


def frame(history: NDArray[np.float32], config: ModelConfig) -> Framed:
    """Put histories to a network.

    Parameters
    ----------
    history : NDArray, shape (N, T, J, 3)
        Positions in the network's unit, z up where `config.heading` is set. A joint that is NaN
        in any frame counts as unseen: it is put at the centroid of the others and flagged.
    config : ModelConfig
        How the network wants it.
    """
    whole = bool(np.isfinite(history).all())  # much cheaper to find out than for which joints
    if whole:
        seen = np.ones((len(history), history.shape[2]), np.bool_)
    else:
        seen = np.all(np.isfinite(history), axis=(1, 3))
        weights = seen[:, None, :, None].astype(np.float32)
        total = np.where(weights > 0, history, 0).sum(axis=2, keepdims=True)
        centroid = total / np.maximum(weights.sum(axis=2, keepdims=True), 1)
        history = np.where(weights > 0, history, centroid)

    count = len(history)
    local = history
    if config.origin:
        root = get_layout(config.layout).root
        origin = history[:, -1:, root : root + 1]
        local = history - origin
    else:
        origin = np.zeros((count, 1, 1, 3), np.float32)
    if config.heading:
        rotation = _facing(local[:, -1], None if whole else seen, config.layout)
        local = _turned(local, rotation)
    else:
        rotation = np.broadcast_to(np.eye(3, dtype=np.float32), (count, 3, 3))
    base = damped_velocity(local, config.horizon) if config.offset else None

    if not (config.origin or config.motion or config.visibility or config.frequency):
        return Framed(local, base, origin, rotation, seen)
    features = np.empty((*local.shape[:3], config.features), np.float32)
    position, motion = input_scales(config)
    np.multiply(local, position, out=features[..., :3])
    if config.motion:
        moved = features[..., 3:6]
        np.subtract(local, local[:, -1:], out=moved)
        np.multiply(moved, motion, out=moved)
    if config.visibility:
        features[..., -1] = seen[:, None]
    if config.frequency:
        features = by_frequency(features)
    return Framed(features, base, origin, rotation, seen)


def input_scales(config: ModelConfig) -> tuple[float, float]:
    """What positions, and displacements from the last frame, are multiplied by."""
    return 1 / _POSITION_SCALE if config.origin else 1.0, 1 / _MOTION_SCALE


def by_frequency(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (N, T, J, C) by frequency, of those by frame."""
    people, frames = features.shape[:2]
    transformed: NDArray[np.float32] = cosines(frames) @ features.reshape(people, frames, -1)
    return transformed.reshape(features.shape)


@cache
def cosines(frames: int) -> NDArray[np.float32]:
    """Orthonormal cosine transform (DCT-II) of so many frames: rows are frequencies."""
    frame = np.arange(frames)
    basis = np.cos(np.pi / frames * (frame + 0.5) * frame[:, None])
    basis[0] /= np.sqrt(2)
    return (basis * np.sqrt(2 / frames)).astype(np.float32)


def unframe(
    answer: NDArray[np.float32], framed: Framed, config: ModelConfig
) -> NDArray[np.float32]:
    """Positions in the world from a network's answer, shape (N, H, J, 3); NaN for unseen joints."""
    path = answer
    if framed.base is not None:
        path = framed.base + answer * offset_scale(config.horizon, config.fps)
    if config.heading:
        path = _turned(path, framed.world_from_person.transpose(0, 2, 1))
    if config.origin:
        path = path + framed.origin
    if not framed.seen.all():
        path = np.where(framed.seen[:, None, :, None], path, np.float32(np.nan))
    return path


def _turned(positions: NDArray[np.float32], rotation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row vectors (N, frames, J, 3) times a matrix per person: one product for all its frames."""
    turned: NDArray[np.float32] = positions.reshape(len(positions), -1, 3) @ rotation
    return turned.reshape(positions.shape)


@cache
def body_line(layout: str) -> tuple[list[int], list[int], NDArray[np.float32]]:
    """Right joints, their left counterparts, and how much their line says of where a body faces."""
    canonical = get_layout(layout).canonical
    pairs = [
        (canonical.index(f"r_{joint}"), canonical.index(f"l_{joint}"), weight)
        for joint, weight in _ACROSS.items()
        if f"r_{joint}" in canonical and f"l_{joint}" in canonical
    ]
    right, left = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return right, left, np.array([pair[2] for pair in pairs], np.float32)


@cache
def _across_whole(layout: str) -> NDArray[np.float32]:
    """What each joint of a body that is wholly seen adds to that line, shape (J,)."""
    right, left, weight = body_line(layout)
    shares = np.zeros(len(get_layout(layout).joints), np.float32)
    np.add.at(shares, left, weight)
    np.subtract.at(shares, right, weight)
    return shares


def _facing(
    pose: NDArray[np.float32], seen: NDArray[np.bool_] | None, layout: str
) -> NDArray[np.float32]:
    """Rotation about z, (N, 3, 3), that turns row vectors so that right to left is along x.

    `seen` is None where everything is.
    """
    if seen is None:
        across = _across_whole(layout) @ pose
    else:
        right, left, weight = body_line(layout)
        share = weight * (seen[:, right] & seen[:, left])
        across = (share[:, :, None] * (pose[:, left] - pose[:, right])).sum(axis=1)
    x, y = across[:, 0], across[:, 1]
    length = np.sqrt(x * x + y * y)
    known = length > 1e-6
    if not known.all():  # then the body faces along the frame's own x
        x, y, length = np.where(known, [x, y, length], [[1], [0], [1]])
    rotation = np.zeros((len(pose), 3, 3), np.float32)
    rotation[:, 0, 0] = rotation[:, 1, 1] = x / length
    rotation[:, 1, 0] = y = y / length
    rotation[:, 0, 1] = -y
    rotation[:, 2, 2] = 1
    return rotation
