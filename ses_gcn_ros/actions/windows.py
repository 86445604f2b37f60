"""From recorded motion to what a network sees: joints, windows, and the papers' own sampling."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import get_layout

Motion = NDArray[np.float32]  # (T, V, C) [m]; NaN where unseen
# NTU RGB+D: Kinect 2's joints (Shahroudy et al., CVPR 2016), bones as all networks here use them.
_NTU = """
    spine_base spine_mid neck head l_shoulder l_elbow l_wrist l_hand r_shoulder r_elbow r_wrist
    r_hand l_hip l_knee l_ankle l_foot r_hip r_knee r_ankle r_foot spine_shoulder l_hand_tip
    l_thumb r_hand_tip r_thumb"""
NTU_NAMES = tuple(_NTU.split())
NTU_PARENTS = (
    *(-1, 0, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1),
    *(22, 7, 24, 11),
)
_ROOTS = ("pelvis", "hip", "hip_center", "mid_hip", "spine_base", "base_spine", "spine", "torso")
DRAWN = ("segments", "uniform", "stratified")  # kinds of sampling that draw frames at random
_SIDES = (("l_", "r_"), ("left", "right"), ("L", "R"))


@dataclass(frozen=True)
class WindowConfig:
    """How a stretch of motion becomes the input of a network."""

    duration: float = option(
        0.0, "length of a window [s]; 0 takes whole recordings", minimum=0, maximum=60
    )
    stride: float = option(
        1.0, "time from window to window when recordings are cut [s]", minimum=0.01, maximum=60
    )
    frames: int = option(20, "frames that a network sees", minimum=2, maximum=1000)
    sampling: str = option(
        "segments",
        "segments: one frame from each of so many stretches of whole frames, what is left over at "
        "the end unseen (SGN); uniform: from stretches of all of it, wrapped around where a "
        "recording is short (PYSKL); stratified: one moment from each, frames interpolated; even: "
        "evenly spaced; pad: zeros behind (ST-GCN); loop: repeated from the start (KTH)",
        choices=("segments", "uniform", "stratified", "even", "pad", "loop"),
    )
    crops: int = option(
        1, "samples of a window whose answers are averaged in a test", minimum=1, maximum=50
    )
    centring: str = option(
        "first",
        "origin: none, the root in the first frame, or the root in each frame",
        choices=("none", "first", "each"),
    )
    facing: bool = option(False, "turn people about the vertical so that all face the same way")
    joints: tuple[str, ...] = option((), "joints that a network sees; none given: all")
    features: tuple[str, ...] = option(
        ("joint",),
        "what a joint's channels hold",
        choices=("joint", "bone", "velocity", "bone_velocity"),
    )


@dataclass(frozen=True)
class Joints:
    """The joints of a set of recordings and how they hang together."""

    names: tuple[str, ...]  # V names
    parents: tuple[int, ...]  # parent of each joint, -1 for the root
    # counterpart of each joint on the other side; itself on the midline or where unknown
    mirror: tuple[int, ...]

    @classmethod
    def of_layout(cls, name: str) -> Joints:
        """Joints of a layout of the package; raises InputError for an unknown one."""
        layout = get_layout(name)
        return cls(layout.joints, layout.parents, layout.mirror)

    @classmethod
    def of_bones(cls, names: Iterable[str], bones: Iterable[tuple[int, int]]) -> Joints:
        """Joints joined by bones, in whatever order; raises InputError if they make no tree."""
        names = tuple(names)
        neighbours: list[list[int]] = [[] for _ in names]
        for a, b in bones:
            if not (0 <= a < len(names) and 0 <= b < len(names)):
                raise InputError(f"a bone joins joints {a} and {b}; there are {len(names)} joints")
            neighbours[a].append(b)
            neighbours[b].append(a)
        lower = [name.lower() for name in names]
        root = next((lower.index(name) for name in _ROOTS if name in lower), None)
        if root is None:  # the joint from which the farthest is nearest
            root = min(range(len(names)), key=lambda joint: max(_reach(neighbours, joint)))
        parents = _parents(neighbours, root)
        if None in parents:
            lost = names[parents.index(None)]
            raise InputError(f"no bones lead to joint '{lost}'; all joints must hang together")
        return cls(names, tuple(p if p is not None else -1 for p in parents), _mirrored(names))

    @classmethod
    def of_parents(cls, names: Iterable[str], parents: Iterable[int]) -> Joints:
        """Joints with the parent of each, -1 for the root."""
        names = tuple(names)
        return cls(names, tuple(parents), _mirrored(names))

    def only(self, names: Iterable[str]) -> tuple[Joints, list[int]]:
        """Some of the joints, each on its nearest ancestor that stays, and their indices.

        Raises InputError for a joint that is not there, or joints that then hang from nothing.
        """
        kept = tuple(names)
        for name in kept:
            if name not in self.names:
                raise InputError(f"there is no joint '{name}'; joints are {', '.join(self.names)}")
        indices = [self.names.index(name) for name in kept]
        parents = []
        for index in indices:
            above = self.parents[index]
            while above >= 0 and above not in indices:
                above = self.parents[above]
            parents.append(indices.index(above) if above >= 0 else -1)
        if parents.count(-1) != 1:
            raise InputError(
                f"joints {', '.join(kept)} hang from {parents.count(-1)} roots; keep one"
            )
        return Joints(kept, tuple(parents), _mirrored(kept)), indices

    @property
    def root(self) -> int:
        """Index of the root."""
        return self.parents.index(-1)

    @property
    def bones(self) -> list[tuple[int, int]]:
        """Child and parent of every bone."""
        return [(child, parent) for child, parent in enumerate(self.parents) if parent >= 0]

    def across(self) -> list[tuple[int, int]]:
        """Left and right joints that show which way a body faces: hips, shoulders, else any."""
        pairs = [(a, b) for a, b in enumerate(self.mirror) if a < b]
        trunk = [p for p in pairs if any(w in self.names[p[0]].lower() for w in ("hip", "should"))]
        chosen = trunk or pairs
        return [(b, a) if self.names[a].lower().startswith("r") else (a, b) for a, b in chosen]


def _reach(neighbours: list[list[int]], start: int) -> list[int]:
    steps = {start: 0}
    queue = deque([start])
    while queue:
        joint = queue.popleft()
        for other in neighbours[joint]:
            if other not in steps:
                steps[other] = steps[joint] + 1
                queue.append(other)
    return list(steps.values())


def _parents(neighbours: list[list[int]], root: int) -> list[int | None]:
    parents: list[int | None] = [None] * len(neighbours)
    parents[root] = -1
    queue = deque([root])
    while queue:
        joint = queue.popleft()
        for other in neighbours[joint]:
            if parents[other] is None:
                parents[other] = joint
                queue.append(other)
    return parents


def _mirrored(names: tuple[str, ...]) -> tuple[int, ...]:
    mirror = list(range(len(names)))
    for index, name in enumerate(names):
        for left, right in _SIDES:
            other = name.replace(left, right, 1)
            if left in name and other != name and other in names:
                mirror[index], mirror[names.index(other)] = names.index(other), index
                break
    return tuple(mirror)


def up_axis(motion: Motion, joints: Joints) -> int:
    """Coordinate that is vertical: the one along which a body is longest, root to head."""
    top = next(
        (i for n in ("head", "nose", "neck") for i, m in enumerate(joints.names) if n in m), 0
    )
    along = motion[:, top] - motion[:, joints.root]
    along = along[np.asarray(np.isfinite(along).all(axis=-1))]
    if not len(along):
        return motion.shape[-1] - 1
    return int(np.abs(along.mean(axis=0)).argmax())


def prepared(motion: Motion, joints: Joints, config: WindowConfig, up: int) -> Motion:
    """Motion without gaps, centred and turned as the window's configuration says.

    Raises InputError if nobody is in any frame.

    `motion` (T, V, C): positions [m]; NaN where unseen. Frames without anybody are all NaN or all
    zero.
    `joints`: of the V joints.
    `config`: centring and facing.
    `up`: vertical coordinate.

    Returns (T', V, C): empty frames left out; a joint that is never seen lies in the origin.
    """
    motion = np.array(motion, np.float32)
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(motion).all(axis=-1))
    occupied = seen.any(axis=1) & (np.where(seen[..., None], motion, 0) != 0).any(axis=(1, 2))
    if not occupied.any():
        raise InputError(f"nobody is in any of the {len(motion)} frames of a recording")
    motion, seen = motion[occupied], seen[occupied]
    if not seen.all():
        without_gaps(motion, seen)
    if config.centring != "none":
        origin = motion[:, joints.root]
        bad = np.asarray(~np.isfinite(origin).all(axis=-1))
        if bad.any():
            origin = np.where(bad[:, None], np.nanmean(motion, axis=1), origin)
        motion = motion - (origin[:1, None] if config.centring == "first" else origin[:, None])
    if config.facing and motion.shape[-1] == 3:
        motion = _facing(motion, joints, up)
    return np.nan_to_num(motion, copy=False)


def without_gaps(motion: Motion, seen: NDArray[np.bool_]) -> None:
    """Interpolate joints, in place, over the frames (T, V) that do not show them.

    Before the first and after the last that does they stay where they were seen.
    """
    times = np.arange(len(motion))
    for joint in np.flatnonzero(~seen.all(axis=0) & seen.any(axis=0)):
        known = seen[:, joint]
        for axis in range(motion.shape[2]):
            column = motion[:, joint, axis]
            column[~known] = np.interp(times[~known], times[known], column[known])


@cache
def _across(joints: Joints) -> list[tuple[int, int]]:
    return joints.across()


def _facing(motion: Motion, joints: Joints, up: int) -> Motion:
    """Turn about the vertical so that, on average, right lies along the next axis."""
    x, y = [(1, 2), (2, 0), (0, 1)][up]
    spans = [motion[:, r] - motion[:, left] for left, r in _across(joints)]
    spans = [s for s in spans if np.isfinite(s).all()]
    if not spans:
        return motion
    across = np.mean(spans, axis=(0, 1))
    length = float(np.hypot(across[x], across[y]))
    if length < 1e-6:
        return motion
    cos, sin = across[x] / length, across[y] / length
    turned = motion.copy()
    turned[..., x] = cos * motion[..., x] + sin * motion[..., y]
    turned[..., y] = -sin * motion[..., x] + cos * motion[..., y]
    return turned


def sample(motion: Motion, config: WindowConfig, rng: np.random.Generator | None = None) -> Motion:
    """The frames of a window that a network sees, shape (frames, V, C).

    With `rng`, as in training; without, the same frames each time.
    """
    length, frames = len(motion), config.frames
    kind = config.sampling
    if kind == "pad":
        return cut_or_padded(
            motion,
            frames,
            0 if rng is None or length <= frames else int(rng.integers(length - frames + 1)),
        )
    if kind == "loop":
        return looped(motion, frames)
    if kind in ("even", "stratified"):
        places: NDArray[np.floating] = np.linspace(0, length - 1, frames)
        if kind == "stratified":
            moments = rng.random(frames) if rng is not None else 0.5
            places = (np.arange(frames) + moments) * ((length - 1) / frames)
        before = np.floor(places).astype(int)
        after = np.minimum(before + 1, length - 1)
        share = (places - before).astype(np.float32)[:, None, None]
        return motion[before] * (1 - share) + motion[after] * share
    per = length // frames
    if per < 1:
        if kind == "uniform":
            start = 0 if rng is None else int(rng.integers(length))
            return motion[(start + np.arange(frames)) % length]
        return cut_or_padded(motion, frames, 0)
    if kind == "segments":
        offset = rng.integers(per, size=frames) if rng is not None else per // 2
        return motion[np.arange(frames) * per + offset]
    edges = np.arange(frames + 1) * length // frames
    if rng is None:
        return motion[(edges[:-1] + edges[1:]) // 2]
    return motion[edges[:-1] + (rng.random(frames) * np.diff(edges)).astype(int)]


def cut_or_padded(motion: Motion, frames: int, begin: int) -> Motion:
    """So many frames from `begin` on, or, of a shorter motion, zeros around it from `begin` on."""
    if len(motion) >= frames:
        return motion[begin : begin + frames]
    padded = np.zeros((frames, *motion.shape[1:]), motion.dtype)
    padded[begin : begin + len(motion)] = motion
    return padded


def looped(motion: Motion, frames: int) -> Motion:
    """Motion from its start again and again, up to so many frames."""
    return motion[np.arange(frames) % len(motion)]


def with_features(x: Motion, parents: tuple[int, ...], features: tuple[str, ...]) -> Motion:
    """Channels of a network: (..., T, V, C) → (..., T, V, C · features)."""
    if features == ("joint",):
        return x
    own = [joint if parent < 0 else parent for joint, parent in enumerate(parents)]
    parts = []
    for feature in features:
        part = x - x[..., own, :] if feature.startswith("bone") else x
        if feature.endswith("velocity"):
            part = np.diff(part, axis=-3, append=part[..., -1:, :, :])
        parts.append(part)
    return np.concatenate(parts, axis=-1)


# Augmentation -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class AugmentConfig:
    """What is changed at random in training, each time anew."""

    rotation: float = option(0.0, "about every axis, at most [rad]", minimum=0, maximum=3.2)
    turn: float = option(0.0, "about the vertical, at most [rad]", minimum=0, maximum=3.2)
    scale: float = option(0.0, "of a body, at most [share]", minimum=0, maximum=0.5)
    trim: float = option(0.0, "off either end of a window, at most [share]", minimum=0, maximum=0.4)
    shift: float = option(0.0, "along every axis, at most [m]", minimum=0, maximum=1)
    lead: float = option(
        0.0, "windows begin so much before an action, in what came before, at most [s]", maximum=5
    )
    longer: float = option(
        0.0, "windows are longer by so much than those that are answered from [s]", maximum=60
    )
    flip: bool = option(False, "left for right, joints swapped, every other time")
    noise: float = option(0.0, "of every joint, standard deviation [m]", minimum=0, maximum=0.1)
    unseen: float = option(
        0.0, "share of windows that go without legs, an arm or single joints", minimum=0, maximum=1
    )
    mixed: float = option(
        0.0, "share of windows that are mixtures of two, as are their labels", minimum=0, maximum=1
    )


def augmented(
    x: Motion, joints: Joints, up: int, config: AugmentConfig, rng: np.random.Generator
) -> Motion:
    """Windows (N, T, V, C) changed as `config` says; each window differently."""
    count, _, _, channels = x.shape
    x = x.copy()
    lateral = [(1, 2), (2, 0), (0, 1)][up][0] if channels == 3 else 0
    if config.flip:
        chosen = rng.random(count) < 0.5
        flipped = x[chosen][:, :, list(joints.mirror)]
        flipped[..., lateral] *= -1
        x[chosen] = flipped
    if channels == 3 and (config.rotation or config.turn):
        angles = rng.uniform(-1, 1, (count, 3)) * config.rotation
        angles[:, up] += rng.uniform(-1, 1, count) * config.turn
        x = np.einsum("ntvc,ndc->ntvd", x, _rotations(angles)).astype(np.float32)
    if config.scale:
        x *= 1 + rng.uniform(-1, 1, (count, 1, 1, 1)).astype(np.float32) * config.scale
    if config.shift:
        x += rng.uniform(-1, 1, (count, 1, 1, channels)).astype(np.float32) * config.shift
    if config.noise:
        x += rng.normal(0, config.noise, x.shape).astype(np.float32)
    if config.unseen:
        hidden = rng.random(count) < config.unseen
        legs = [
            j for j, n in enumerate(joints.names) if any(w in n for w in ("knee", "ank", "foot"))
        ]
        for index in np.flatnonzero(hidden):
            if legs and rng.random() < 0.7:
                x[index][:, legs] = 0
            else:
                x[index][:, rng.integers(len(joints.names), size=2)] = 0
    return x


def trimmed(motion: Motion, share: float, rng: np.random.Generator) -> Motion:
    """Motion that begins a little later and ends a little earlier, by at most a share of it."""
    first, last = (rng.uniform(0, share, 2) * len(motion)).astype(int)
    return motion[first : len(motion) - last]


def _rotations(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rz Ry Rx of angles (N, 3), shape (N, 3, 3)."""
    turned = np.eye(3)[None]
    for axis in range(3):
        a, b = [(1, 2), (2, 0), (0, 1)][axis]
        rotation = np.tile(np.eye(3), (len(angles), 1, 1))
        cos, sin = np.cos(angles[:, axis]), np.sin(angles[:, axis])
        rotation[:, a, a], rotation[:, a, b] = cos, -sin
        rotation[:, b, a], rotation[:, b, b] = sin, cos
        turned = rotation @ turned
    return turned


def planar_move(
    x: NDArray[np.float64], flip: bool, scale: float, angle: float
) -> NDArray[np.float64]:
    """Pictures (..., 2) mirrored, scaled and rotated [°] about the origin, in this order.

    The study's augmentation of KTH, whose shift does nothing.
    """
    cos, sin = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale
    first = -x[..., 0] if flip else x[..., 0]
    return np.stack([cos * first - sin * x[..., 1], sin * first + cos * x[..., 1]], axis=-1)


def random_move(
    x: NDArray[np.float64],
    angles: NDArray[np.float64],
    scales: NDArray[np.float64],
    shifts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Rotation, scale and shift of the picture that change evenly from first frame to last.

    Yan et al.'s augmentation of Kinetics: `angles` [°] and `scales` (2,), `shifts` (2, 2) at the
    two ends, `x` (T, V, 2) in [−½, ½].
    """
    share = np.linspace(0, 1, len(x))
    angle = angles[0] + share * (angles[1] - angles[0])
    scale = scales[0] + share * (scales[1] - scales[0])
    shift = shifts[:, 0] + share[:, None] * (shifts[:, 1] - shifts[:, 0])
    moved = [
        planar_move(x[frame], False, float(scale[frame]), float(angle[frame])) + shift[frame]
        for frame in range(len(x))
    ]
    return np.stack(moved)
