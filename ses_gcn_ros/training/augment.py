"""Other bodies, other sides, other cameras: motion that was not recorded but could have been."""

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

    Parameters
    ----------
    windows : NDArray, shape (N, T, J, 3)
        Positions [m].
    rng : numpy.random.Generator
        Source of chance.
    layout : str
        Joint layout.
    size : float
        Everything, steps included, is scaled by a factor within exp(±size).
    proportions : float
        Then each bone by one within exp(±proportions), left and right alike.
    """
    count = len(windows)
    whole = np.exp(rng.uniform(-size, size, (count, 1))).astype(np.float32)
    ancestors, parents, side = _tree(layout)
    factors = np.exp(rng.uniform(-proportions, proportions, (count, len(parents))))
    factors = factors.astype(np.float32)[:, side]
    root = get_layout(layout).root
    bones = windows - windows[:, :, parents]
    bones[:, :, root] = windows[:, :, root]
    factors[:, root] = 1
    return ancestors @ (bones * (factors * whole)[:, None, :, None])


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

    Parameters
    ----------
    windows : NDArray, shape (N, T, J, 3)
        Positions [m], z up.
    rng : numpy.random.Generator
        Source of chance.
    layout : str
        Joint layout.
    now : int
        Frame that stays where it is.
    share : float
        Share of the windows concerned; each travels a factor within [0, 1] as far.
    """
    root = get_layout(layout).root
    travelled = windows[:, :, root : root + 1, :2] - windows[:, now : now + 1, root : root + 1, :2]
    lost = rng.random((len(windows), 1, 1, 1)) * (rng.random((len(windows), 1, 1, 1)) < share)
    slower = windows.copy()
    slower[..., :2] -= lost.astype(np.float32) * travelled
    return slower


def camera_noise(windows: Array, rng: np.random.Generator, deviation: float, share: float) -> Array:
    """Add what a camera adds: noise whose strength differs by person and joint.

    Parameters
    ----------
    windows : NDArray, shape (N, T, J, 3)
        Positions [m].
    rng : numpy.random.Generator
        Source of chance.
    deviation : float
        Largest standard deviation [m]; each joint of each window draws its own up to it.
    share : float
        Share of the windows that get noise; the others stay as clean as motion capture.
    """
    count, _, joints, _ = windows.shape
    strength = deviation * rng.random((count, 1, 1, 1)) * rng.uniform(0.5, 1, (count, 1, joints, 1))
    strength *= rng.random((count, 1, 1, 1)) < share
    noise = rng.standard_normal(windows.shape, dtype=np.float32)
    return windows + strength.astype(np.float32) * noise


def misplace_joints(windows: Array, rng: np.random.Generator, offset: float, share: float) -> Array:
    """Put joints beside where they are, as a pose estimator does with legs behind a table.

    Parameters
    ----------
    windows : NDArray, shape (N, T, J, 3)
        Positions [m], what is to be forecast included: such joints stay wrong.
    rng : numpy.random.Generator
        Source of chance.
    offset : float
        Largest displacement along each axis [m]; constant throughout a window.
    share : float
        Share of the windows concerned, with up to a third of the joints in each.
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
