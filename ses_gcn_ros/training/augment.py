"""Other bodies, other sides, other cameras: motion that was not recorded but could have been.

Functions take windows (N, T, J, 3) [m], z up, NaN where joints are missing, and give such windows.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float32]


def mirror(windows: Array, rng: np.random.Generator, layout: str) -> Array:
    """Swap left and right in half of the windows, shape (N, T, J, 3)."""
    flipped = windows[:, :, list(get_layout(layout).mirror)] * np.array([-1, 1, 1], np.float32)
    chosen = rng.random(len(windows)) < 0.5
    return np.where(chosen[:, None, None, None], flipped, windows)


def resize(
    windows: Array, rng: np.random.Generator, layout: str, size: float, proportions: float
) -> Array:
    """Give each window's person another size and other proportions.

    `size`: everything, steps included, is scaled by a factor within exp(±size).
    `proportions`: then each bone by one within exp(±proportions), left and right alike.
    """
    missing = np.isnan(windows).any(axis=(1, 3), keepdims=True)
    windows = np.where(missing, np.float32(0), windows)  # then bones hang from the frame's origin
    count = len(windows)
    whole = np.exp(rng.uniform(-size, size, (count, 1))).astype(np.float32)
    ancestors, parents, side = _tree(layout)
    factors = np.exp(rng.uniform(-proportions, proportions, (count, len(parents))))
    factors = factors.astype(np.float32)[:, side]
    root = get_layout(layout).root
    bones = windows - windows[:, :, parents]
    bones[:, :, root] = windows[:, :, root]
    factors[:, root] = 1
    resized = ancestors @ (bones * (factors * whole)[:, None, :, None])
    return np.where(missing, np.float32(np.nan), resized) if missing.any() else resized


@cache
def _tree(layout: str) -> tuple[Array, list[int], list[int]]:
    """Bones that lead to each joint (J, J), its parent, and the joint whose draw it shares."""
    described = get_layout(layout)
    joints = len(described.joints)
    ancestors = np.zeros((joints, joints), np.float32)
    for joint in range(joints):
        above = joint
        while above >= 0:
            ancestors[joint, above] = 1
            above = described.parents[above]
    parents = [max(parent, 0) for parent in described.parents]
    return ancestors, parents, [min(joint, described.mirror[joint]) for joint in range(joints)]


def slow_travel(
    windows: Array, rng: np.random.Generator, layout: str, now: int, share: float
) -> Array:
    """Let people get less far over the ground while their limbs move as they did.

    Motion capture mostly holds brisk walking. Without it a network takes a stance for a stride.

    `now`: frame that stays where it is.
    `share`: share of the windows concerned; each travels a factor within [0, 1] as far.
    """
    root = get_layout(layout).root  # where it is unknown, nothing is known of the travel
    travelled = windows[:, :, root : root + 1, :2] - windows[:, now : now + 1, root : root + 1, :2]
    lost = rng.random((len(windows), 1, 1, 1)) * (rng.random((len(windows), 1, 1, 1)) < share)
    slower = windows.copy()
    slower[..., :2] -= lost.astype(np.float32) * np.nan_to_num(travelled)
    return slower


def camera_noise(windows: Array, rng: np.random.Generator, deviation: float, share: float) -> Array:
    """Add what a camera adds: noise whose strength differs by person and joint.

    `deviation`: largest standard deviation [m]; each joint of each window draws its own up to it.
    `share`: share of the windows that get noise; the others stay as clean as motion capture.
    """
    count, _, joints, _ = windows.shape
    strength = deviation * rng.random((count, 1, 1, 1)) * rng.uniform(0.5, 1, (count, 1, joints, 1))
    strength *= rng.random((count, 1, 1, 1)) < share
    noise = rng.standard_normal(windows.shape, dtype=np.float32)
    return windows + strength.astype(np.float32) * noise


def camera(
    windows: Array, rng: np.random.Generator, layout: str, observed: int, share: float
) -> Array:
    """Show windows as cameras and trackers would have, what is to be forecast included.

    Measured on depth cameras and on one camera that guesses depth: 10 to 16 frames a second,
    between which lies a straight line; a quarter of a wrist's velocity is above 4 Hz; the depth of
    the whole body wanders, by 0.3 m with one camera, whose bones then change their length; single
    joints jump and come back. Each window draws how much of which it gets.

    `observed`: frames of the history, in which joints jump.
    `share`: share of the windows concerned; the others stay as they are.
    """
    count, frames, joints, _ = windows.shape
    chosen = rng.random((count, 1, 1, 1)) < share
    some = [chosen & (rng.random((count, 1, 1, 1)) < part) for part in (0.75, 0.35, 0.2, 0.5)]
    unsteady, wandering, jumping, slow = some

    often = rng.random((count, 1, 1)) < 0.5
    memory = (0.8 * rng.random((count, 1, 1)) * often).astype(np.float32)
    strength = _log_uniform(rng, 0.0005, 0.015, (count, 1, 1, 1)) * _loose(layout)[:, None]
    strength *= rng.uniform(0.4, 1, (count, 1, joints, 1)).astype(np.float32) * unsteady
    seen = windows + _remembering(rng, windows.shape, memory) * strength

    memory = np.exp(-1 / _log_uniform(rng, 2, 30, (count, 1))).astype(np.float32)  # frames
    angle = rng.uniform(0, 2 * np.pi, count)
    ray = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1).astype(np.float32)
    depth = _wandering(rng, (count, frames, 1), memory)[..., None] * ray[:, None, None]
    limbs = _wandering(rng, windows.shape, memory[..., None]) * _loose(layout)[:, None]
    limbs *= _log_uniform(rng, 0.02, 0.2, (count, 1, 1, 1))
    seen += (depth + limbs) * _log_uniform(rng, 0.003, 0.4, (count, 1, 1, 1)) * wandering

    hit = jumping[:, 0, :, 0] & (rng.random((count, joints)) < 0.12)
    first, lasts = rng.integers(0, observed, hit.shape), rng.integers(1, 6, hit.shape)
    frame = np.arange(frames)[None, :, None]
    away = hit[:, None] & (frame >= first[:, None]) & (frame < (first + lasts)[:, None])
    jump = rng.standard_normal((count, 1, joints, 3), dtype=np.float32)
    jump *= _log_uniform(rng, 0.01, 0.08, (count, 1, joints, 1))
    seen += away[..., None] * jump
    return np.where(slow, _at_low_rate(seen, rng), seen)


def _at_low_rate(windows: Array, rng: np.random.Generator) -> Array:
    """Windows (N, T, J, 3) in which straight lines lie between 9 to 16 of 25 frames."""
    count, frames = windows.shape[:2]
    step = 25 / rng.uniform(9, 16, (count, 1))
    phase = step * rng.random((count, 1))
    before = np.floor((np.arange(frames) - phase) / step) * step + phase
    number = np.arange(count)[:, None]

    def at(place: NDArray[np.float64]) -> Array:
        place = np.clip(place, 0, frames - 1)
        low = np.minimum(place.astype(np.int64), frames - 2)
        part = (place - low).astype(np.float32)[..., None, None]
        return windows[number, low] * (1 - part) + windows[number, low + 1] * part

    part = ((np.arange(frames) - before) / step).astype(np.float32)[..., None, None]
    return at(before) * (1 - part) + at(before + step) * part


def _remembering(rng: np.random.Generator, shape: tuple[int, ...], memory: Array) -> Array:
    """Noise of deviation 1 that keeps a share of itself from frame to frame (second axis)."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    fresh = np.sqrt(1 - memory**2)
    for frame in range(1, shape[1]):
        noise[:, frame] = memory * noise[:, frame - 1] + fresh * noise[:, frame]
    return noise


def _wandering(rng: np.random.Generator, shape: tuple[int, ...], memory: Array) -> Array:
    """The same once more smoothed, as the filters behind cameras do."""
    noise = _remembering(rng, shape, memory)
    left = np.sqrt(1 + memory**2) / (1 + memory)  # of its deviation
    noise[:, 0] *= left
    for frame in range(1, shape[1]):
        noise[:, frame] = memory * noise[:, frame - 1] + (1 - memory) * noise[:, frame]
    return (noise / left[:, None]).astype(np.float32)


def _log_uniform(
    rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]
) -> Array:
    return np.exp(rng.uniform(np.log(low), np.log(high), shape)).astype(np.float32)


@cache
def _loose(layout: str) -> Array:
    """How much more a camera errs about each joint than about the trunk, shape (J,)."""
    more = {"knee": 1.2, "ankle": 1.5, "elbow": 1.5, "wrist": 2.2}
    names = get_layout(layout).canonical
    return np.array([more.get(name[2:], 1.0) for name in names], np.float32)


def turns(angles: NDArray[np.floating]) -> Array:
    """Matrices (N, 1, 3, 3) that turn row vectors about the vertical by angles (N,) [rad]."""
    matrices = np.zeros((len(angles), 1, 3, 3), np.float32)
    matrices[:, 0, 0, 0] = matrices[:, 0, 1, 1] = np.cos(angles)
    matrices[:, 0, 0, 1], matrices[:, 0, 1, 0] = np.sin(angles), -np.sin(angles)
    matrices[:, 0, 2, 2] = 1
    return matrices


def misplace_joints(windows: Array, rng: np.random.Generator, offset: float, share: float) -> Array:
    """Put joints beside where they are, as a pose estimator does with legs behind a table.

    What is to be forecast is included: such joints stay wrong.

    `offset`: largest displacement along each axis [m]; constant throughout a window.
    `share`: share of the windows concerned, with up to a third of the joints in each.
    """
    count, _, joints, _ = windows.shape
    wrong = _some_joints(rng, count, joints, share)
    offsets = rng.uniform(-offset, offset, (count, 1, joints, 3)).astype(np.float32)
    return windows + offsets * wrong[:, None, :, None]


def drop_joints(windows: Array, rng: np.random.Generator, share: float) -> Array:
    """Hide joints throughout (NaN) in a share of the windows: up to a third of the joints each."""
    count, _, joints, _ = windows.shape
    hidden = _some_joints(rng, count, joints, share)
    return np.where(hidden[:, None, :, None], np.float32(np.nan), windows)


def _some_joints(
    rng: np.random.Generator, count: int, joints: int, share: float
) -> NDArray[np.bool_]:
    """Mask (N, J) of up to a third of the joints, in a share of the windows."""
    chosen = rng.random((count, joints)) < rng.uniform(0, 1 / 3, (count, 1))
    return chosen & (rng.random((count, 1)) < share)
