"""Skeletons: joint layouts with limbs and mirror pairs, and maps from one layout to another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.layouts import EXTRA_LIMBS, FACE, RADII, RULES, TABLES, TRUNK_SIDE_RADIUS


@dataclass(frozen=True)
class Layout:
    """The joints of one source of skeletons and how they hang together."""

    name: str  # name of the layout, as in ``Skeleton.msg``
    # names of the J joints in the source's order; sides are ``r_`` and ``l_``
    joints: tuple[str, ...]
    parents: tuple[int, ...]  # parent of each joint in the kinematic tree, -1 for the root
    limbs: tuple[tuple[int, int], ...]  # joint pairs that capsules are laid around
    limb_radii: tuple[float, ...]  # radius of each limb's capsule on a large adult [m]
    # index of each joint's counterpart on the other side (itself on the midline)
    mirror: tuple[int, ...]
    canonical: tuple[str, ...]  # what each joint is, whatever its source calls it
    root: int  # index of the root of the tree

    def limb_names(self) -> tuple[str, ...]:
        """Names of the limbs from the trunk outwards, such as ``r_elbow-r_wrist``."""
        return tuple(f"{self.joints[a]}-{self.joints[b]}" for a, b in self.limbs)


@dataclass(frozen=True, eq=False)
class Skeleton:
    """One person at one instant."""

    person_id: str  # identity, stable from frame to frame
    layout: str  # name of the joint layout
    positions: NDArray[np.float32]  # joint positions, shape (J, 3), float32 [m]; NaN where unseen
    # confidence per joint, shape (J,), float32, 0 (unseen) to 1 (certain)
    confidence: NDArray[np.float32]
    # Covariance of each joint's position, shape (J, 6), float32 [m²]: xx, xy, xz, yy, yz, zz in the
    # axes of the positions, errors by filter delay included; NaN where unseen. None where the
    # source does not know it.
    covariance: NDArray[np.float32] | None = None
    # probability that this is a living person, 0 to 1; negative where nobody judged
    liveness: float = -1.0


def layout_names() -> tuple[str, ...]:
    """Names that `get_layout` knows."""
    return tuple(TABLES)


@cache
def get_layout(name: str) -> Layout:
    """Layout of a name. Raises InputError if no layout has that name."""
    if name not in TABLES:
        raise InputError(f"unknown joint layout '{name}'; known are {', '.join(TABLES)}")
    joints, canonical, parent_names = [], [], []
    for entry in TABLES[name].strip().replace("\n", ",").split(","):
        label, _, parent = (part.strip() for part in entry.partition("<"))
        joint, _, meaning = label.partition("=")
        joints.append(joint)
        canonical.append(meaning or joint)
        parent_names.append(parent)
    parents = tuple(joints.index(parent) if parent else -1 for parent in parent_names)

    # A limb per edge of the tree, but for the face and for joints that coincide.
    limbs = [
        (parent, child)
        for child, parent in enumerate(parents)
        if parent >= 0
        and _without_side(canonical[child]) not in FACE
        and canonical[child] != canonical[parent]
    ]
    limbs += [(joints.index(a), joints.index(b)) for a, b in EXTRA_LIMBS.get(name, ())]
    return Layout(
        name=name,
        joints=tuple(joints),
        parents=parents,
        limbs=tuple(limbs),
        limb_radii=tuple(_limb_radius(canonical[a], canonical[b]) for a, b in limbs),
        mirror=tuple(joints.index(_other_side(joint)) for joint in joints),
        canonical=tuple(canonical),
        root=parents.index(-1),
    )


def _without_side(joint: str) -> str:
    return joint[2:] if joint.startswith(("r_", "l_")) else joint


def _other_side(joint: str) -> str:
    return {"r_": "l_", "l_": "r_"}.get(joint[:2], joint[:2]) + joint[2:]


def _limb_radius(start: str, end: str) -> float:
    if start.endswith(("shoulder", "neck")) and end.endswith("hip"):
        return TRUNK_SIDE_RADIUS
    return RADII[_without_side(end)]


def _weights_of(
    joint: str, available: tuple[str, ...], wanted: tuple[str, ...]
) -> NDArray[np.float64] | None:
    """Weights over the available joints that make `joint`; None if no rule leads there."""
    if joint in available:
        # Where joints coincide, the first one stands for all.
        return np.eye(len(available))[available.index(joint)]
    if joint in wanted:  # a rule that needs what it is to make
        return None
    side = joint[0]
    pattern = joint if _without_side(joint) == joint else "{s}" + joint[1:]
    for rule in RULES.get(pattern, ()):
        parts = [
            (weight, _weights_of(part.format(s=side), available, (*wanted, joint)))
            for part, weight in rule.items()
        ]
        rows = [weight * row for weight, row in parts if row is not None]
        if len(rows) == len(parts):
            return np.sum(rows, axis=0)
    return None


@cache
def mapping(source: str, target: str) -> NDArray[np.float64]:
    """Weights that make the joints of one layout out of those of another.

    Raises InputError if a layout is unknown.

    Returns
    -------
    NDArray, shape (J_target, J_source), read-only
        ``positions_target = weights @ positions_source``. Rows sum to one; a row of zeros says that
        the joint can't be had from this source.
    """
    source_layout, target_layout = get_layout(source), get_layout(target)
    if source == target:
        weights = np.eye(len(source_layout.joints))
    else:
        rows = [
            _weights_of(joint, source_layout.canonical, ()) for joint in target_layout.canonical
        ]
        empty = np.zeros(len(source_layout.joints))
        weights = np.stack([empty if row is None else row for row in rows])
    weights.setflags(write=False)
    return weights


def convert(
    positions: ArrayLike, confidence: ArrayLike, source: str, target: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Convert skeletons from one joint layout to another.

    Raises InputError if a layout is unknown or an array has another shape.

    Parameters
    ----------
    positions : array-like, shape (..., J_source, 3)
        Joint positions [m]; NaN where unseen.
    confidence : array-like, shape (..., J_source)
        Confidence per joint, 0 to 1.
    source, target : str
        Names of layouts.

    Returns
    -------
    positions : NDArray, shape (..., J_target, 3), float32
        NaN where the target's joint can't be had or a joint it is made from is unseen.
    confidence : NDArray, shape (..., J_target), float32
        The least confidence among the joints it is made from; 0 where the position is NaN.
    """
    points = np.asarray(positions, dtype=np.float32)
    trust = np.asarray(confidence, dtype=np.float32)
    joints = len(get_layout(source).joints)
    if points.shape[-2:] != (joints, 3) or trust.shape != points.shape[:-1]:
        raise InputError(
            f"layout {source} takes positions (..., {joints}, 3) and confidence (..., {joints}); "
            f"got {points.shape} and {trust.shape}"
        )
    weights = mapping(source, target)
    seen = np.isfinite(points).all(axis=-1)
    trust = np.where(seen, trust, 0)
    needed = weights != 0
    lacking: NDArray[np.bool_] = np.asarray(
        (~seen).astype(np.float32) @ needed.T.astype(np.float32) > 0
    )
    lacking |= ~needed.any(axis=1)

    converted = weights.astype(np.float32) @ np.where(np.expand_dims(seen, -1), points, 0)
    converted[lacking] = np.nan
    least = np.where(needed, trust[..., None, :], np.inf).min(axis=-1)
    return converted, np.where(lacking, 0, least).astype(np.float32)


def check_skeleton(skeleton: Skeleton) -> None:
    """Check what comes from outside.

    Raises InputError for an unknown layout, arrays of another length, an infinite position, a
    confidence outside 0 to 1, a negative variance or a liveness above 1. NaN positions are allowed:
    they say that a joint is unseen.
    """
    who = f"skeleton of person '{skeleton.person_id}'"
    joints = len(get_layout(skeleton.layout).joints)
    if skeleton.positions.shape != (joints, 3) or skeleton.confidence.shape != (joints,):
        raise InputError(
            f"{who} has positions {skeleton.positions.shape} and confidence "
            f"{skeleton.confidence.shape}; layout {skeleton.layout} takes "
            f"({joints}, 3) and ({joints},)"
        )
    covariance = skeleton.covariance
    if covariance is not None:
        if covariance.shape != (joints, 6):
            raise InputError(
                f"{who} has covariances {covariance.shape}; layout {skeleton.layout} takes "
                f"({joints}, 6)"
            )
        if np.isinf(covariance).any() or (covariance[:, (0, 3, 5)] < 0).any():
            raise InputError(f"{who} has an infinite or negative variance; unknown ones are NaN")
    if not skeleton.liveness <= 1.0:
        raise InputError(f"{who} has a liveness of {skeleton.liveness}; it lies in 0 to 1")
    if np.isinf(skeleton.positions).any():
        raise InputError(f"{who} has an infinite position; an unseen joint is NaN")
    least, greatest = skeleton.confidence.min(), skeleton.confidence.max()
    if not (least >= 0 and greatest <= 1):
        raise InputError(f"{who} has confidences from {least} to {greatest}; they lie in 0 to 1")


def check_skeletons(skeletons: Iterable[Skeleton]) -> None:
    """Check everybody, see `check_skeleton`."""
    for skeleton in skeletons:
        check_skeleton(skeleton)


def skeletons_from_message(content: Any) -> list[Skeleton]:
    """People of a SkeletonArray of rclpy or of a bag, checked; positions (J, 3) [m].

    Recordings of before have neither covariances nor liveness. Raises InputError for an unknown
    layout, arrays of the wrong length, what `check_skeleton` refuses, or two people of one id.
    """
    people = [_skeleton_from_message(entry) for entry in content.skeletons]
    check_skeletons(people)
    ids = [person.person_id for person in people]
    if len(set(ids)) != len(ids):
        twice = max(ids, key=ids.count)
        raise InputError(f"person_id '{twice}' appears twice in one message; ids must be unique")
    return people


def _skeleton_from_message(entry: Any) -> Skeleton:
    joints = len(get_layout(entry.layout).joints)
    covariance = getattr(entry, "covariance", ())
    sizes = len(entry.positions), len(entry.confidence), len(covariance)
    if sizes not in ((3 * joints, joints, 0), (3 * joints, joints, 6 * joints)):
        raise InputError(
            f"person '{entry.person_id}' has {sizes[0]} position values, {sizes[1]} confidences "
            f"and {sizes[2]} covariance values; layout {entry.layout} takes {3 * joints}, {joints} "
            f"and {6 * joints} or none"
        )
    return Skeleton(
        person_id=entry.person_id,
        layout=entry.layout,
        positions=np.asarray(entry.positions, np.float32).reshape(joints, 3),
        confidence=np.asarray(entry.confidence, np.float32),
        covariance=np.asarray(covariance, np.float32).reshape(joints, 6) if sizes[2] else None,
        liveness=float(getattr(entry, "liveness", -1.0)),
    )
