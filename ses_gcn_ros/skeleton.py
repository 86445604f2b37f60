"""Skeletons: joint layouts with limbs and mirror pairs, and maps from one layout to another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.config import FAR
from ses_gcn_ros.errors import InputError, shortened


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

    Gives read-only weights (J_target, J_source): ``positions_target = weights @ positions_source``.
    Rows sum to one; a row of zeros says that the joint can't be had from this source.
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

    `positions` (..., J_source, 3): joint positions [m]; NaN where unseen.
    `confidence` (..., J_source): confidence per joint, 0 to 1.
    `source`, `target`: names of layouts.
    Gives positions (..., J_target, 3), NaN where the target's joint can't be had or a joint it is
    made from is unseen, and confidence (..., J_target), the least among the joints it is made from,
    0 where the position is NaN.
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


def convert_covariance(
    covariance: NDArray[np.floating], source: str, target: str
) -> NDArray[np.float64]:
    """Covariances (J_source, 6) [m²] as a `Skeleton` has them, (J_target, 6) of another layout.

    Joints that are averaged err together, so that the mean of covariances bounds that of the mean.
    NaN counts as zero. Raises InputError if a layout is unknown.
    """
    return np.asarray(np.abs(mapping(source, target)) @ np.nan_to_num(covariance))


def whole_covariance(covariance: NDArray[np.floating]) -> NDArray[np.floating]:
    """Matrices (..., 3, 3) of covariances (..., 6) as a `Skeleton` has them."""
    return covariance[..., [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]


LONGEST_ID = 100  # characters of an identity; it is in the reasons of every state


def check_identity(person_id: str) -> None:
    """Check what a person goes by, which logs and states repeat; raises an InputError."""
    if len(person_id) > LONGEST_ID or not person_id.isprintable():
        raise InputError(
            f"person_id {shortened(ascii(person_id), LONGEST_ID)} has {len(person_id)} characters; "
            f"it takes {LONGEST_ID} at most, all of them printable"
        )


def all_finite(values: NDArray[np.floating]) -> bool:
    """Whether all values are finite; by BLAS, in a fifth of the time that NumPy's test takes."""
    # vdot, since dot warns where squares overflow
    return math.isfinite(np.vdot(values, values)) or bool(np.isfinite(values).all())


def check_skeleton(skeleton: Skeleton) -> None:
    """Check what comes from outside.

    Raises InputError for an unknown layout, an identity that can't be printed, arrays of another
    length, a position beyond `config.FAR`, one that is partly NaN, a confidence outside 0 to 1, a
    negative variance or a liveness above 1. NaN positions are allowed: they say that a joint is
    unseen.
    """
    check_identity(skeleton.person_id)
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
    positions = skeleton.positions
    if not np.vdot(positions, positions) < FAR**2:  # by BLAS, as `all_finite`
        finite = np.isfinite(positions)
        if (np.abs(positions) > FAR).any():
            if np.isinf(positions).any():
                raise InputError(f"{who} has an infinite position; an unseen joint is NaN")
            raise InputError(
                f"{who} is more than {FAR:g} m from the origin of its frame, where float32 tells "
                "no millimetre; give positions in metres in a frame of the cell"
            )
        if (finite.any(axis=1) & ~finite.all(axis=1)).any():
            raise InputError(f"{who} has a joint of which one coordinate is NaN, another is not")
    least = np.minimum.reduce(skeleton.confidence)  # in half the time of min()
    greatest = np.maximum.reduce(skeleton.confidence)
    if not (least >= 0 and greatest <= 1):
        raise InputError(f"{who} has confidences from {least} to {greatest}; they lie in 0 to 1")


def check_skeletons(skeletons: Iterable[Skeleton]) -> None:
    """Check everybody, see `check_skeleton`."""
    for skeleton in skeletons:
        check_skeleton(skeleton)


def upwards(layout: str, positions: NDArray[np.floating]) -> NDArray[np.floating]:
    """Ways from the hips to the neck (N, 3) [m] of bodies (B, J, 3), of those N that show both."""
    names = get_layout(layout).canonical
    top = next((n for n in ("neck", "c_shoulder", "nose", "head") if n in names), None)
    low = next((n for n in ("pelvis", "c_hip", "hip", "r_hip") if n in names), None)
    if top is None or low is None:
        return np.empty((0, 3))
    ways = positions[:, names.index(top)] - positions[:, names.index(low)]
    return ways[np.isfinite(ways).all(axis=1)]


def wrong_axis(total: NDArray[np.floating], length: float) -> str:
    """Axis that people stand along, such as "-y"; empty if that is z, or nobody was seen.

    `total` (3,) and `length` are of what `upwards` gave: the sum, and that of the lengths [m].
    """
    if total[2] >= 0.3 * length:
        return ""
    number = int(np.abs(total).argmax())
    return ("-" if total[number] < 0 else "") + "xyz"[number]


def to_seconds(stamp: Any) -> float:
    """Stamp or duration of a message, of rclpy or of a bag, in seconds.

    float64 keeps a stamp of today to 0.3 µs.
    """
    return float(stamp.sec + stamp.nanosec * 1e-9)


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


# Which joints a source of skeletons has, in which order; one entry per joint:
# ``name [=canonical name] [< parent]``. The canonical name says what the joint is whatever its
# source calls it; conversions go through it. The entry without a parent is the root.
TABLES: dict[str, str] = {
    # CHICO data set: person, 25 fps (Sampieri et al., ECCV 2022). Its feet are ankles.
    "chico15": """
        hip=pelvis, r_hip < hip, r_knee < r_hip, r_foot=r_ankle < r_knee
        l_hip < hip, l_knee < l_hip, l_foot=l_ankle < l_knee
        nose < c_shoulder
        c_shoulder=neck < hip, r_shoulder < c_shoulder, r_elbow < r_shoulder, r_wrist < r_elbow
        l_shoulder < c_shoulder, l_elbow < l_shoulder, l_wrist < l_elbow""",
    # Human3.6M as 2D-to-3D lifting uses it (Martinez et al., ICCV 2017; Pavllo et al., CVPR 2019).
    "h36m17": """
        hip=pelvis, r_hip < hip, r_knee < r_hip, r_foot=r_ankle < r_knee
        l_hip < hip, l_knee < l_hip, l_foot=l_ankle < l_knee
        spine < hip, thorax=neck < spine, nose < thorax, head_top < nose
        l_shoulder < thorax, l_elbow < l_shoulder, l_wrist < l_elbow
        r_shoulder < thorax, r_elbow < r_shoulder, r_wrist < r_elbow""",
    # Human3.6M as forecasting uses it (Mao et al., ICCV 2019): indices 2-5, 7-10, 12-15, 17-19, 21,
    # 22, 25-27, 29, 30 of the 32. The hips stand still in its local frame and are left out.
    "h36m22": """
        r_knee < spine, r_ankle < r_knee, r_toe_base < r_ankle, r_toe < r_toe_base
        l_knee < spine, l_ankle < l_knee, l_toe_base < l_ankle, l_toe < l_toe_base
        spine, thorax=neck < spine, nose < thorax, head_top < nose
        l_shoulder < thorax, l_elbow < l_shoulder, l_wrist < l_elbow, l_thumb < l_wrist
        l_hand_tip < l_wrist
        r_shoulder < thorax, r_elbow < r_shoulder, r_wrist < r_elbow, r_thumb < r_wrist
        r_hand_tip < r_wrist""",
    # Human3.6M's full skeleton; several joints lie on top of one another in the recordings.
    "h36m32": """
        hip=pelvis, r_hip < hip, r_knee < r_hip, r_ankle < r_knee, r_toe_base < r_ankle
        r_toe < r_toe_base
        l_hip < hip, l_knee < l_hip, l_ankle < l_knee, l_toe_base < l_ankle, l_toe < l_toe_base
        spine_base=pelvis < hip, spine < spine_base, thorax=neck < spine, nose < thorax
        head_top < nose
        l_collar=neck < thorax, l_shoulder < l_collar, l_elbow < l_shoulder, l_wrist < l_elbow
        l_thumb_base=l_wrist < l_wrist, l_thumb < l_thumb_base
        l_hand_tip < l_wrist, l_hand_site=l_hand_tip < l_hand_tip
        r_collar=neck < thorax, r_shoulder < r_collar, r_elbow < r_shoulder, r_wrist < r_elbow
        r_thumb_base=r_wrist < r_wrist, r_thumb < r_thumb_base
        r_hand_tip < r_wrist, r_hand_site=r_hand_tip < r_hand_tip""",
    # CMU motion capture as forecasting uses it (Mao et al., ICCV 2019): indices 3-6, 9-12, 14, 15,
    # 17-19, 21-23, 25, 26, 28, 30-32, 34, 35, 37 of the 38.
    "cmu25": """
        l_knee < back, l_ankle < l_knee, l_toe_base < l_ankle, l_toe < l_toe_base
        r_knee < back, r_ankle < r_knee, r_toe_base < r_ankle, r_toe < r_toe_base
        back=navel, chest < back, neck < chest, head < neck, head_top < head
        l_shoulder < chest, l_elbow < l_shoulder, l_wrist < l_elbow, l_hand < l_wrist
        l_fingers=l_hand_tip < l_hand, l_thumb < l_wrist
        r_shoulder < chest, r_elbow < r_shoulder, r_wrist < r_elbow, r_hand < r_wrist
        r_fingers=r_hand_tip < r_hand, r_thumb < r_wrist""",
    # SMPL's body (Loper et al., 2015), as AMASS has it; no face.
    "smpl22": """
        pelvis, l_hip < pelvis, r_hip < pelvis, spine1=navel < pelvis
        l_knee < l_hip, r_knee < r_hip, spine2=spine < spine1
        l_ankle < l_knee, r_ankle < r_knee, spine3=chest < spine2
        l_foot=l_toe < l_ankle, r_foot=r_toe < r_ankle, neck < spine3
        l_collar=l_clavicle < spine3, r_collar=r_clavicle < spine3, head < neck
        l_shoulder < l_collar, r_shoulder < r_collar, l_elbow < l_shoulder, r_elbow < r_shoulder
        l_wrist < l_elbow, r_wrist < r_elbow""",
    # MediaPipe Pose / BlazePose (Bazarevsky et al., 2020).
    "mediapipe33": """
        nose, l_eye_inner < nose, l_eye < l_eye_inner, l_eye_outer < l_eye
        r_eye_inner < nose, r_eye < r_eye_inner, r_eye_outer < r_eye
        l_ear < l_eye_outer, r_ear < r_eye_outer
        l_mouth < nose, r_mouth < nose
        l_shoulder < nose, r_shoulder < nose
        l_elbow < l_shoulder, r_elbow < r_shoulder
        l_wrist < l_elbow, r_wrist < r_elbow
        l_pinky < l_wrist, r_pinky < r_wrist
        l_index < l_wrist, r_index < r_wrist
        l_thumb < l_wrist, r_thumb < r_wrist
        l_hip < l_shoulder, r_hip < r_shoulder
        l_knee < l_hip, r_knee < r_hip
        l_ankle < l_knee, r_ankle < r_knee
        l_heel < l_ankle, r_heel < r_ankle
        l_toe < l_ankle, r_toe < r_ankle""",
    # COCO key points (Lin et al., 2014): YOLO, ViTPose, RTMPose and most others.
    "coco17": """
        nose, l_eye < nose, r_eye < nose
        l_ear < l_eye, r_ear < r_eye
        l_shoulder < nose, r_shoulder < nose
        l_elbow < l_shoulder, r_elbow < r_shoulder
        l_wrist < l_elbow, r_wrist < r_elbow
        l_hip < l_shoulder, r_hip < r_shoulder
        l_knee < l_hip, r_knee < r_hip
        l_ankle < l_knee, r_ankle < r_knee""",
    # OpenPose's COCO model, ZED SDK BODY_18 and ROS4HRI's Skeleton2D: COCO with a neck.
    "openpose18": """
        nose < neck
        neck, r_shoulder < neck, r_elbow < r_shoulder, r_wrist < r_elbow
        l_shoulder < neck, l_elbow < l_shoulder, l_wrist < l_elbow
        r_hip < neck, r_knee < r_hip, r_ankle < r_knee
        l_hip < neck, l_knee < l_hip, l_ankle < l_knee
        r_eye < nose, l_eye < nose
        r_ear < r_eye, l_ear < l_eye""",
    # OpenPose BODY_25 (Cao et al., TPAMI 2019).
    "openpose25": """
        nose < neck
        neck < mid_hip, r_shoulder < neck, r_elbow < r_shoulder, r_wrist < r_elbow
        l_shoulder < neck, l_elbow < l_shoulder, l_wrist < l_elbow
        mid_hip=pelvis, r_hip < mid_hip, r_knee < r_hip, r_ankle < r_knee
        l_hip < mid_hip, l_knee < l_hip, l_ankle < l_knee
        r_eye < nose, l_eye < nose
        r_ear < r_eye, l_ear < l_eye
        l_big_toe=l_toe < l_ankle
        l_small_toe < l_ankle
        l_heel < l_ankle
        r_big_toe=r_toe < r_ankle
        r_small_toe < r_ankle
        r_heel < r_ankle""",
    # Stereolabs ZED SDK, BODY_FORMAT BODY_34.
    "zed34": """
        pelvis, naval_spine=navel < pelvis, chest_spine=chest < naval_spine, neck < chest_spine
        l_clavicle < chest_spine, l_shoulder < l_clavicle, l_elbow < l_shoulder
        l_wrist < l_elbow, l_hand < l_wrist, l_hand_tip < l_hand
        l_thumb < l_wrist
        r_clavicle < chest_spine, r_shoulder < r_clavicle, r_elbow < r_shoulder
        r_wrist < r_elbow, r_hand < r_wrist, r_hand_tip < r_hand
        r_thumb < r_wrist
        l_hip < pelvis, l_knee < l_hip, l_ankle < l_knee, l_foot=l_toe < l_ankle
        r_hip < pelvis, r_knee < r_hip, r_ankle < r_knee, r_foot=r_toe < r_ankle
        head < neck, nose < head, l_eye < nose, l_ear < l_eye
        r_eye < nose, r_ear < r_eye
        l_heel < l_ankle, r_heel < r_ankle""",
    # Stereolabs ZED SDK, BODY_FORMAT BODY_38.
    "zed38": """
        pelvis, spine_1=navel < pelvis, spine_2=spine < spine_1, spine_3=chest < spine_2
        neck < spine_3, nose < neck
        l_eye < nose, r_eye < nose
        l_ear < l_eye, r_ear < r_eye
        l_clavicle < spine_3, r_clavicle < spine_3
        l_shoulder < l_clavicle, r_shoulder < r_clavicle
        l_elbow < l_shoulder, r_elbow < r_shoulder
        l_wrist < l_elbow, r_wrist < r_elbow
        l_hip < pelvis, r_hip < pelvis
        l_knee < l_hip, r_knee < r_hip
        l_ankle < l_knee, r_ankle < r_knee
        l_big_toe=l_toe < l_ankle, r_big_toe=r_toe < r_ankle
        l_small_toe < l_ankle, r_small_toe < r_ankle
        l_heel < l_ankle, r_heel < r_ankle
        l_thumb < l_wrist, r_thumb < r_wrist
        l_index < l_wrist, r_index < r_wrist
        l_middle=l_hand_tip < l_wrist, r_middle=r_hand_tip < r_wrist
        l_pinky < l_wrist, r_pinky < r_wrist""",
    # Azure Kinect Body Tracking SDK.
    "kinect32": """
        pelvis, spine_navel=navel < pelvis, spine_chest=chest < spine_navel, neck < spine_chest
        l_clavicle < spine_chest, l_shoulder < l_clavicle, l_elbow < l_shoulder
        l_wrist < l_elbow, l_hand < l_wrist, l_hand_tip < l_hand
        l_thumb < l_wrist
        r_clavicle < spine_chest, r_shoulder < r_clavicle, r_elbow < r_shoulder
        r_wrist < r_elbow, r_hand < r_wrist, r_hand_tip < r_hand
        r_thumb < r_wrist
        l_hip < pelvis, l_knee < l_hip, l_ankle < l_knee, l_foot=l_toe < l_ankle
        r_hip < pelvis, r_knee < r_hip, r_ankle < r_knee, r_foot=r_toe < r_ankle
        head < neck, nose < head, l_eye < nose, l_ear < l_eye
        r_eye < nose, r_ear < r_eye""",
    # Frames of a ROS4HRI body (REP-155 and the URDF of human_description).
    "hri15": """
        body=pelvis, torso=neck < body, head < torso
        l_shoulder < torso, l_elbow < l_shoulder, l_wrist < l_elbow
        r_shoulder < torso, r_elbow < r_shoulder, r_wrist < r_elbow
        l_hip < body, l_knee < l_hip, l_ankle < l_knee
        r_hip < body, r_knee < r_hip, r_ankle < r_knee""",
    # Kinect's first skeleton in the order of MSR Action3D (Li, Zhang, Liu, CVPRW 2010).
    "kinect20": """
        l_shoulder < shoulder_center, r_shoulder < shoulder_center
        shoulder_center=neck < spine
        spine < hip_center
        l_hip < hip_center, r_hip < hip_center
        hip_center=pelvis
        l_elbow < l_shoulder, r_elbow < r_shoulder
        l_wrist < l_elbow, r_wrist < r_elbow
        l_hand < l_wrist, r_hand < r_wrist
        l_knee < l_hip, r_knee < r_hip
        l_ankle < l_knee, r_ankle < r_knee
        l_foot=l_toe < l_ankle, r_foot=r_toe < r_ankle
        head < shoulder_center""",
}

# Limbs that close the body where a layout's tree leaves a gap: shoulder and hip lines, the head.
EXTRA_LIMBS: dict[str, tuple[tuple[str, str], ...]] = {
    "mediapipe33": (
        ("l_shoulder", "r_shoulder"),
        ("l_hip", "r_hip"),
        ("l_ear", "r_ear"),
        ("l_heel", "l_toe"),
        ("r_heel", "r_toe"),
    ),
    "coco17": (("l_shoulder", "r_shoulder"), ("l_hip", "r_hip"), ("l_ear", "r_ear")),
    "openpose25": (("l_ear", "r_ear"), ("l_heel", "l_big_toe"), ("r_heel", "r_big_toe")),
    "openpose18": (("l_ear", "r_ear"), ("l_hip", "r_hip")),
    "zed34": (("l_ear", "r_ear"), ("l_heel", "l_foot"), ("r_heel", "r_foot")),
    "zed38": (("l_ear", "r_ear"), ("l_heel", "l_big_toe"), ("r_heel", "r_big_toe")),
    "kinect32": (("l_ear", "r_ear"),),
}

# Joints whose tree edge is no limb of its own: the face, within the head's capsule.
FACE = ("eye_inner", "eye", "eye_outer", "ear", "mouth")

# Radius [m] of the capsule around the limb that ends in a joint, side left out. Half breadths and
# radii of girths of large men (95th percentile, as surveyed by ANSUR II), rounded up.
RADII: dict[str, float] = {
    "hip": 0.14,
    "knee": 0.11,
    "ankle": 0.07,
    "toe_base": 0.06,
    "toe": 0.06,
    "small_toe": 0.06,
    "heel": 0.06,
    "spine": 0.18,
    "navel": 0.18,
    "chest": 0.18,
    "neck": 0.18,
    "clavicle": 0.10,
    "shoulder": 0.09,
    "elbow": 0.065,
    "wrist": 0.055,
    "hand": 0.055,
    "hand_tip": 0.05,
    "thumb": 0.05,
    "index": 0.05,
    "pinky": 0.05,
    "head": 0.12,
    "nose": 0.12,
    "head_top": 0.12,
    "ear": 0.12,
}
TRUNK_SIDE_RADIUS = 0.18  # m; shoulder or neck to hip, where a layout has no spine

# How to make a canonical joint that a source lacks: alternatives in order of preference, each a
# linear combination of canonical joints. Weights sum to one, so that conversion commutes with
# rigid motion. "{s}" is the side. Extrapolations use about the proportions of
# Drillis and Contini (1966).
RULES: dict[str, tuple[dict[str, float], ...]] = {
    "pelvis": ({"r_hip": 0.5, "l_hip": 0.5},),
    "neck": ({"r_shoulder": 0.5, "l_shoulder": 0.5},),
    "navel": ({"pelvis": 0.65, "neck": 0.35},),
    "spine": ({"navel": 0.5, "chest": 0.5}, {"pelvis": 0.5, "neck": 0.5}),
    "chest": ({"pelvis": 0.35, "neck": 0.65},),
    "head": (
        {"r_ear": 0.5, "l_ear": 0.5},
        {"nose": 0.5, "head_top": 0.5},
        {"nose": 1.0},
    ),
    "nose": ({"r_eye": 0.5, "l_eye": 0.5}, {"head": 1.0}),
    "head_top": ({"head": 1.6, "neck": -0.6},),
    "{s}_clavicle": ({"neck": 0.75, "{s}_shoulder": 0.25},),
    "{s}_hand": (
        {"{s}_index": 0.5, "{s}_pinky": 0.5},
        {"{s}_wrist": 0.5, "{s}_hand_tip": 0.5},
        {"{s}_wrist": 1.35, "{s}_elbow": -0.35},
    ),
    "{s}_hand_tip": (
        {"{s}_hand": 2.0, "{s}_wrist": -1.0},
        {"{s}_wrist": 1.7, "{s}_elbow": -0.7},
    ),
    "{s}_toe_base": ({"{s}_ankle": 0.35, "{s}_toe": 0.65},),
    "{s}_eye": ({"{s}_eye_inner": 0.5, "{s}_eye_outer": 0.5},),
}
