"""Capsules around people from skeletons of any layout, also where joints are unseen.

A joint that nobody sees is somewhere within the length of the limbs that tie it to the nearest seen
joint. So it is put there and its limbs grow by that length: the true limb lies inside, always.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]

LIMB_LENGTH = 0.6  # m; no limb of a tall adult is longer, nor is the trunk from hip to shoulder
ARM = re.compile("elbow|wrist|hand|thumb|index|middle|ring|pinky")  # at the end of an arm's limbs


@dataclass(frozen=True, eq=False)
class LimbCapsules:
    """Capsules of N limbs, of one person or several, at one instant or at H steps.

    Attributes
    ----------
    start, end : ndarray, shape (..., N, 3)
        Ends of the axes [m]; NaN where a limb can't be placed.
    radius : ndarray, shape (..., N)
        Radii [m].
    names : tuple of str
        Names of the N limbs.
    """

    start: Array
    end: Array
    radius: Array
    names: tuple[str, ...]

    def in_a_row(self) -> LimbCapsules:
        """Capsules (..., P, N) of P people as those of P N limbs, one person after the other."""
        *lead, people, _ = self.radius.shape
        points = (*lead, -1, 3)
        return LimbCapsules(
            self.start.reshape(points),
            self.end.reshape(points),
            self.radius.reshape(*lead, -1),
            self.names * people,
        )


@dataclass(frozen=True, eq=False)
class Body:
    """What the capsules of a layout are made from.

    Attributes
    ----------
    starts, ends : ndarray of int, shape (N,)
        Joints of each limb.
    radii : ndarray, shape (N,)
        Radii of a large adult [m].
    hands : ndarray of bool, shape (N,)
        Limbs that end in a wrist beyond which the layout has no joint.
    edges : ndarray of int, shape (E, 2)
        Joints tied by a limb or by the kinematic tree.
    arms : ndarray of bool, shape (N,)
        Limbs from the shoulder outwards, which are faster than a walking body.
    names : tuple of str
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    radii: Array
    hands: NDArray[np.bool_]
    edges: NDArray[np.int64]
    arms: NDArray[np.bool_]
    names: tuple[str, ...]


@cache
def body(layout_name: str) -> Body:
    """Make the body of a layout.

    Raises
    ------
    InputError
        If no layout has that name.
    """
    layout = get_layout(layout_name)
    limbs = np.asarray(layout.limbs, dtype=np.int64)
    with_child = {parent for parent in layout.parents if parent >= 0}
    hands = [
        layout.canonical[end].endswith("wrist") and end not in with_child for _, end in layout.limbs
    ]
    tree = [(parent, child) for child, parent in enumerate(layout.parents) if parent >= 0]
    return Body(
        starts=limbs[:, 0].copy(),
        ends=limbs[:, 1].copy(),
        radii=np.asarray(layout.limb_radii, dtype=np.float64),
        hands=np.asarray(hands),
        arms=np.asarray([ARM.search(layout.canonical[end]) is not None for _, end in limbs]),
        edges=np.asarray(sorted(set(layout.limbs) | set(tree)), dtype=np.int64),
        names=layout.limb_names(),
    )


def path_lengths(layout_name: str, edge_lengths: Array) -> Array:
    """Lengths of the shortest ways along the body between any two joints.

    Parameters
    ----------
    layout_name : str
    edge_lengths : ndarray, shape (E,)
        Length of each edge of `body` [m].

    Returns
    -------
    ndarray, shape (J, J)
        Path lengths [m]; inf between joints that nothing ties.
    """
    joints = len(get_layout(layout_name).joints)
    edges = body(layout_name).edges
    lengths = np.full((joints, joints), np.inf)
    np.fill_diagonal(lengths, 0.0)
    lengths[edges[:, 0], edges[:, 1]] = lengths[edges[:, 1], edges[:, 0]] = edge_lengths
    for via in range(joints):  # Floyd and Warshall
        np.minimum(lengths, lengths[:, via, None] + lengths[None, via], out=lengths)
    return lengths


@cache
def _adult_paths(layout_name: str) -> Array:
    paths = path_lengths(layout_name, np.full(len(body(layout_name).edges), LIMB_LENGTH))
    paths.setflags(write=False)
    return paths


def limb_capsules(
    positions: Array,
    layout_name: str,
    *,
    scale: float = 1.0,
    hand_reach: float = 0.0,
    growth: Array | None = None,
    paths: Array | None = None,
) -> LimbCapsules:
    """Capsules around the limbs of skeletons.

    Parameters
    ----------
    positions : ndarray, shape (..., J, 3)
        Joint positions [m]; NaN where unseen.
    layout_name : str
        Name of their layout.
    scale : float
        Factor on the radii of a large adult.
    hand_reach : float
        How far the hand reaches beyond a wrist that has no hand joints [m].
    growth : ndarray, shape (..., J), optional
        Radius around each joint that holds it [m], such as a forecast's; the limb grows by the
        larger of its two joints'. NaN counts as unseen.
    paths : ndarray, shape (J, J), optional
        Path lengths of this person [m]; a tall adult's by default.

    Returns
    -------
    LimbCapsules
        Contain the limbs wherever their joints are within their radii.

    Raises
    ------
    InputError
        If the layout is unknown.
    """
    shape = body(layout_name)
    positions = np.ascontiguousarray(positions, np.float64)
    *lead, joints, _ = positions.shape
    bodies = positions.reshape(-1, joints, 3)
    if growth is None:
        growth = np.zeros(bodies.shape[:2])
    limbs = (*lead, len(shape.names))
    start, end, radius = np.empty((*limbs, 3)), np.empty((*limbs, 3)), np.empty(limbs)
    kernel("people").surround(
        bodies,
        np.ascontiguousarray(growth, np.float64).reshape(bodies.shape[:2]),
        _adult_paths(layout_name) if paths is None else paths,
        (shape.starts, shape.ends, shape.radii, shape.hands),
        *(float(scale), float(hand_reach)),
        *(start.reshape(len(bodies), -1, 3), end.reshape(len(bodies), -1, 3)),
        radius.reshape(len(bodies), -1),
    )
    return LimbCapsules(start, end, radius, shape.names)


def joint_velocities(stamps: Array, positions: Array) -> Array:
    """Velocities of joints by the Theil-Sen estimator: the median slope over all pairs of frames.

    One bad frame in four doesn't move it (Sen 1968, doi:10.1080/01621459.1968.10480934).

    Parameters
    ----------
    stamps : ndarray, shape (T,)
        Rising [s].
    positions : ndarray, shape (T, J, 3)
        Joint positions [m]; NaN where unseen.

    Returns
    -------
    ndarray, shape (J, 3)
        Velocities [m/s]; 0 where fewer than two frames show a joint.
    """
    velocity = np.empty(positions.shape[1:])
    kernel("people").median_slopes(stamps, positions, velocity)
    return velocity
