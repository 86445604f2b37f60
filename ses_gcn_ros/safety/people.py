"""Capsules around people from skeletons of any layout, also where joints are unseen.

A joint that nobody sees is somewhere within the length of the limbs that tie it to the nearest seen
joint. So it is put there and its limbs grow by that length: the true limb lies inside, always.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
        starts=limbs[:, 0],
        ends=limbs[:, 1],
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


def place_unseen(positions: Array, paths: Array) -> tuple[Array, Array]:
    """Put each unseen joint on the nearest seen one, and say how far from there it may be.

    Parameters
    ----------
    positions : ndarray, shape (..., J, 3)
        Joint positions [m]; NaN where unseen.
    paths : ndarray, shape (J, J)
        Path lengths between the joints [m].

    Returns
    -------
    positions : ndarray, shape (..., J, 3)
        NaN only where no joint that this one hangs on is seen.
    slack : ndarray, shape (..., J)
        Greatest distance of the true joint from its place [m]; 0 where seen.
    """
    seen = np.asarray(np.isfinite(positions).all(axis=-1))
    if seen.all():
        return positions, np.zeros(seen.shape)
    reach = np.where(seen[..., None, :], paths, np.inf)
    nearest = reach.argmin(axis=-1)
    slack = np.take_along_axis(reach, nearest[..., None], axis=-1)[..., 0]
    placed = np.take_along_axis(positions, nearest[..., None], axis=-2)
    lost = np.isinf(slack)
    return np.where(lost[..., None], np.nan, placed), np.where(lost, 0.0, slack)


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
    positions = np.asarray(positions, np.float64)
    if growth is not None:
        positions = np.where(np.isnan(growth)[..., None], np.nan, positions)
    placed, slack = place_unseen(positions, _adult_paths(layout_name) if paths is None else paths)
    if growth is not None:
        # an unseen joint hangs on a seen one, whose own radius it shares; the largest covers that
        slack = slack + np.where(
            slack > 0, np.nanmax(growth, axis=-1, keepdims=True, initial=0.0), np.nan_to_num(growth)
        )
    start, end = placed[..., shape.starts, :], placed[..., shape.ends, :]
    radius = scale * shape.radii + np.maximum(slack[..., shape.starts], slack[..., shape.ends])
    if hand_reach > 0 and shape.hands.any():
        end, radius = _with_hands(start, end, radius, shape.hands, hand_reach)
    return LimbCapsules(start, end, radius, shape.names)


def _with_hands(
    start: Array, end: Array, radius: Array, hands: NDArray[np.bool_], hand_reach: float
) -> tuple[Array, Array]:
    """Lengthen forearms by the hand; where the forearm has no direction it grows all round."""
    along = end - start
    length = np.linalg.norm(along, axis=-1)
    directed = hands & (length > 0.05)
    factor = np.where(directed, hand_reach / np.maximum(length, 0.05), 0.0)
    ball = hands & ~directed
    return end + factor[..., None] * along, radius + np.where(ball, hand_reach, 0.0)


def approach_floor(approach: Array, floor: ArrayLike, receding_credit: float) -> Array:
    """Speed v_h to reckon with, from the measured speed towards the robot.

    Never below the floor while the person stands or approaches. A person who recedes has to lose
    that speed first, so it is taken off the floor; v_h is continuous and never falls as the
    approach rises.

    Parameters
    ----------
    approach : ndarray, shape (...)
        Measured speed towards the robot [m/s]; negative: moving away.
    floor : array_like, shape (...)
        Least speed that a person must be expected to have [m/s].
    receding_credit : float
        Share of the receding speed that counts, 0 to 1.
    """
    expected = np.asarray(floor) + receding_credit * np.minimum(approach, 0.0)
    return np.maximum(approach, np.maximum(expected, 0.0))


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
    first, second = np.triu_indices(len(stamps), k=1)
    if len(first) == 0:
        return np.zeros(positions.shape[1:])
    span = (stamps[second] - stamps[first])[:, None, None]
    slopes = (positions[second] - positions[first]) / span
    if np.isnan(slopes).any():
        measured = ~np.isnan(slopes).all(axis=0)
        velocity = np.zeros(positions.shape[1:])
        velocity[measured] = np.nanmedian(slopes[:, measured], axis=0)
        return velocity
    return np.median(slopes, axis=0)
