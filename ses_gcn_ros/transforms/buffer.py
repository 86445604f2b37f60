"""The transform tree as a node receives it, transform by transform; answers as tf2's buffer.

tf2's own, in Python, takes a message object for each transform and gives one for each frame; with
a robot's hundreds a second that is most of what the safety node costs.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError, RobotError

Pose = tuple[float, ...]  # translation xyz [m] and quaternion xyzw

KEPT = 10 * 10**9  # ns of moving transforms, as tf2 keeps
STRAIGHT = 1e-6  # rad; two turns as close as that are as good as on a line
ROUNDED = 1000  # ns; today's stamps in float64 seconds are up to 120 ns off
UNMOVED = 1e-3  # m or rad by which a static frame may be told anew elsewhere, as roundings do


class StampedTransform(NamedTuple):
    """Parent, child, stamp [ns], translation xyz [m] and quaternion xyzw (7 numbers)."""

    parent: str
    child: str
    stamp: int
    pose: Pose


class Edge:
    """A frame that moves in its parent.

    Attributes:
    - `static`: whether the frame never moves; a `StaticEdge` then.
    - `stamps`: stamps of what was received [ns], rising.
    - `known`: what was received, in the order of the stamps.
    """

    static = False

    def __init__(self, item: StampedTransform) -> None:
        self.stamps = [item.stamp]
        self.known = [item]

    @property
    def latest(self) -> StampedTransform:
        """The last one in time."""
        return self.known[-1]

    def add(self, item: StampedTransform) -> None:
        """Take in a transform; one that comes late finds its place."""
        stamps, known = self.stamps, self.known
        if item.stamp > stamps[-1]:
            stamps.append(item.stamp)
            known.append(item)
            if stamps[0] < item.stamp - 2 * KEPT:
                old = bisect_left(stamps, item.stamp - KEPT)
                del stamps[:old], known[:old]
        elif item.stamp < stamps[-1] - KEPT:  # the clock was set back: what was is yet to come
            self.stamps, self.known = [item.stamp], [item]
        else:
            place = bisect_left(stamps, item.stamp)
            if stamps[place] == item.stamp:
                known[place] = item
            else:
                stamps.insert(place, item.stamp)
                known.insert(place, item)

    def at(self, stamp: int) -> StampedTransform | None:
        """Transform at a stamp [ns], interpolated; None where nothing is known around it.

        Where the parent changes in between, the one before holds.
        """
        stamps = self.stamps
        if 0 <= stamp - stamps[-1] < ROUNDED:
            return self.known[-1]
        after = bisect_right(stamps, stamp)
        if after == len(stamps) or after == 0 or stamp < stamps[-1] - KEPT:
            return None
        first, second = self.known[after - 1], self.known[after]
        if first.stamp == stamp or first.parent != second.parent:
            return first
        share = (stamp - first.stamp) / (second.stamp - first.stamp)
        return first._replace(stamp=stamp, pose=between(first.pose, second.pose, share))


class StaticEdge(Edge):
    """A frame that never moves in its parent; what was received last holds at all times."""

    static = True

    def add(self, item: StampedTransform) -> None:
        """Take in a transform."""
        self.known = [item]

    def at(self, stamp: int) -> StampedTransform:
        """What holds, whatever the stamp."""
        return self.known[-1]


def between(first: Pose, second: Pose, share: float) -> Pose:
    """Pose between two: straight in translation, on the shorter great arc in rotation.

    Quaternions may be of any length; a handful of numbers is done sooner without NumPy.
    """
    *p, pi, pj, pk, pw = first
    *q, qi, qj, qk, qw = second
    p_norm = math.sqrt(pi * pi + pj * pj + pk * pk + pw * pw)
    q_norm = math.sqrt(qi * qi + qj * qj + qk * qk + qw * qw)
    cosine = (pi * qi + pj * qj + pk * qk + pw * qw) / (p_norm * q_norm)
    angle = math.acos(min(abs(cosine), 1.0))
    if angle < STRAIGHT:
        a, b = 1.0 - share, share
    else:
        a, b = math.sin((1.0 - share) * angle), math.sin(share * angle)
    a, b = a / p_norm, math.copysign(b, cosine) / q_norm
    x, y, z = (start + share * (end - start) for start, end in zip(p, q, strict=True))
    return x, y, z, a * pi + b * qi, a * pj + b * qj, a * pk + b * qk, a * pw + b * qw


def _turn(first: Pose, second: Pose) -> float:
    """Angle between the rotations of two poses [rad], of whatever length their quaternions are."""
    p, q = first[3:], second[3:]
    cosine = abs(sum(a * b for a, b in zip(p, q, strict=True))) / (math.hypot(*p) * math.hypot(*q))
    return 2.0 * math.acos(min(cosine, 1.0))


class NoPathError(InputError):
    """No transforms join `frame` to the world, and why."""

    def __init__(self, frame: str, reason: str) -> None:
        super().__init__(reason)
        self.frame = frame


@dataclass(frozen=True, eq=False)
class Paths:
    """The E edges between F frames and the world, each after that of its parent."""

    above: tuple[str, ...]  # parent of each edge
    # all of them, and those of frames that move
    edges: tuple[Edge, ...]
    moving: tuple[Edge, ...]
    # as `placing.place` takes them
    parents: NDArray[np.int64]
    wanted: NDArray[np.int64]
    world: int

    def poses(self, stamp: int) -> list[Any] | None:
        """Pose of each edge at a stamp [ns]; None if one isn't known, or hung elsewhere then."""
        poses = []
        for edge, parent in zip(self.edges, self.above, strict=True):
            found = edge.at(stamp)
            if found is None or found.parent != parent:
                return None
            poses.append(found.pose)
        return poses


def find_paths(
    edges: Mapping[str, Edge], frames: Sequence[str], world: str, stamp: int | None = None
) -> Paths:
    """Find the paths as they were at a stamp [ns], or are by what was received last.

    They go up from a frame and from the world to where they meet, so that the world may be any
    frame of the tree. Raises NoPathError if there is no path from a frame, or none at that time.
    """
    above_world = list(_upwards(edges, world, stamp, strict=False))
    steps = {world: 0, **{item.parent: n for n, item in enumerate(above_world, start=1)}}
    highest, used = 0, dict[str, str]()
    for frame in frames:
        path, top = [], frame
        if frame not in steps:
            for item in _upwards(edges, frame, stamp):
                path.append(item)
                top = item.parent
                if top in steps:
                    break
            else:
                raise NoPathError(frame, _unjoined(edges, frame, top, world, stamp))
        highest = max(highest, steps[top])
        used |= {item.child: item.parent for item in reversed(path) if item.child not in used}
    down = {item.child: item.parent for item in reversed(above_world[:highest])}
    tree = down | used

    rows = {name: row for row, name in enumerate(tree)}
    found = tuple(edges[name] for name in tree)
    return Paths(
        above=tuple(tree.values()),
        edges=found,
        moving=tuple(edge for edge in found if not edge.static),
        parents=np.array([rows.get(parent, -1) for parent in tree.values()], np.int64),
        wanted=np.array([rows.get(frame, -1) for frame in frames], np.int64),
        world=rows.get(world, -1),
    )


def _upwards(
    edges: Mapping[str, Edge], frame: str, stamp: int | None, *, strict: bool = True
) -> Iterator[StampedTransform]:
    """Transforms from a frame upwards; where not `strict` they end at what is wrong."""
    name, passed = frame, list[str]()
    while (edge := edges.get(name)) is not None:
        passed.append(name)
        item = edge.latest if stamp is None else edge.at(stamp)
        if item is None:
            reason = f"'{name}' is not known at {(stamp or 0) * 1e-9:.3f} s, {_span(edge)}"
        elif item.parent in passed:
            reason = f"the frames {', '.join(passed)} form a loop"
        else:
            yield item
            name = item.parent
            continue
        if strict or (item is not None and item.parent == frame):
            raise NoPathError(frame, reason)
        return


def _span(edge: Edge) -> str:
    first = max(edge.stamps[0], edge.stamps[-1] - KEPT)
    return f"only from {first * 1e-9:.3f} s to {edge.stamps[-1] * 1e-9:.3f} s"


def _unjoined(
    edges: Mapping[str, Edge], frame: str, top: str, world: str, stamp: int | None
) -> str:
    """Why a frame, whose path ends at `top`, is not joined to the world."""
    try:
        for _ in _upwards(edges, world, stamp):
            pass
    except NoPathError as error:  # the world itself hangs on a frame that isn't known then
        return str(error)
    if top != frame:
        return f"'{frame}' hangs on '{top}', which nothing joins to '{world}'"
    if any(edge.latest.parent == frame for edge in edges.values()):
        return f"nothing joins '{frame}' to '{world}'"
    return f"nothing was heard of frame '{frame}'"


Array = NDArray[np.float64]


class TransformBuffer:
    """Take in transforms in the order they come, and place points and frames in the world.

    As in tf2, moving frames are known for ten seconds and interpolated, a frame may change its
    parent, and what makes no sense is left out. A frame whose stamps leap back by more than ten
    seconds begins anew, where tf2 would wait until they have caught up. Where the tree makes no
    sense, frames that have been silent for as long are forgotten, which tf2 would keep. A static
    frame that is told elsewhere later is not trusted until it is back, or `believe`.

    `world`: frame that everything is taken to.
    """

    def __init__(self, world: str) -> None:
        from ses_gcn_ros.transforms.placing import place  # numba takes half a second

        self.world = world
        self._place = place
        self._edges: dict[str, Edge] = {}
        self._paths: dict[tuple[str, ...], Paths] = {}  # by what was received last
        self._refused: dict[str, str] = {}  # frames from the future, and how far
        self._unusable: dict[str, str] = {}  # frames of which nothing can be used, and why
        self._first: dict[str, StampedTransform] = {}  # static frames as they were received first
        self._moved: dict[str, str] = {}  # those that were told elsewhere since, and where
        self._news = 0  # how often something was received
        self._latest: tuple[int, tuple[str, ...], float | None, Array] | None = None

    def add(
        self, transforms: Iterable[StampedTransform], *, static: bool, latest: float = math.inf
    ) -> list[str]:
        """Take in transforms; gives a sentence for each that makes no sense and is left out.

        So are those that move and are stamped after `latest` [s]; until a better one comes, no
        `poses` are given of what hangs on them.
        """
        left_out = []
        for item in transforms:
            ahead, child = item.stamp * 1e-9 - latest, item.child.removeprefix("/")
            if ahead > 0.0 and not static:
                self._refused[child] = f"from the future, by {ahead:.2f} s more than may be"
                left_out.append(f"transform of '{child}' is {self._refused[child]}")
                continue
            self._refused.pop(child, None)
            edge = self._edges.get(item.child)
            if edge is None or edge.static != static or edge.latest.parent != item.parent:
                fault = self._hang(item, static)
            elif fault := _fault(item.pose):
                pass
            else:
                edge.add(item)
            if fault:
                left_out.append(f"transform of '{item.child}' in '{item.parent}' unusable: {fault}")
                self._unusable[child] = left_out[-1]
            elif static:
                self._compare(child, self._edges[child].latest)
        self._news += 1
        return left_out

    def _compare(self, child: str, item: StampedTransform) -> None:
        """Note of a static frame whether it is where it was received first."""
        first = self._first.setdefault(child, item)
        shift, turn = math.dist(first.pose[:3], item.pose[:3]), _turn(first.pose, item.pose)
        told = ""
        if item.parent != first.parent:
            told = f"told in '{item.parent}' after '{first.parent}'"
        elif max(shift, turn) > UNMOVED:
            told = f"told {1000 * shift:.0f} mm and {math.degrees(turn):.1f}° from where it was"
        self._moved.pop(child, None)
        if told:
            self._moved[child] = f"static, but {told}; call ~/reset once that is right"

    def believe(self) -> list[str]:
        """Trust static frames that were moved where they are now; gives their names."""
        moved = sorted(self._moved)
        self._first |= {name: self._edges[name].latest for name in moved}
        self._moved.clear()
        return moved

    def _hang(self, item: StampedTransform, static: bool) -> str:
        """Take in a transform that changes the tree; gives what is wrong with it, or nothing."""
        parent, child = item.parent.removeprefix("/"), item.child.removeprefix("/")
        if not child or not parent:
            return "a frame has no name"
        if child == parent:
            return "a frame can't be its own parent"
        if fault := _fault(item.pose):
            return fault
        item = item._replace(parent=parent, child=child)
        edge = self._edges.get(child)
        if edge is None or edge.static != static:
            self._edges[child] = StaticEdge(item) if static else Edge(item)
            self._paths.clear()
            return ""
        before = edge.latest.parent
        edge.add(item)
        if edge.latest.parent != before:
            self._paths.clear()
        return ""

    def take_to(self, world: str) -> None:
        """Take everything to another frame from now on."""
        if world != self.world:
            self.world, self._latest = world, None
            self._paths.clear()

    def forget(self) -> None:
        """Forget frames that move, as after a jump of the clock."""
        self._edges = {name: edge for name, edge in self._edges.items() if edge.static}
        self._paths.clear()
        self._refused.clear()
        self._news += 1

    def _forget_silent(self, since: int) -> None:
        """Forget moving frames of which nothing is known since [ns], such as one that was wrong.

        Else a tree that somebody once made a loop of would stay one.
        """
        kept = {n: e for n, e in self._edges.items() if e.static or e.stamps[-1] >= since}
        if len(kept) < len(self._edges):
            self._edges = kept
            self._paths.clear()

    def points(self, positions: NDArray[np.float32], frame: str, stamp: float) -> Array:
        """Points (..., 3) of a frame at `stamp` [s], taken to the world.

        Raises InputError if the frame is not named, not known at that time, or not trusted.
        """
        if frame == self.world:
            return np.asarray(positions, np.float64)
        if told := self._distrust((frame,)):
            raise InputError(told)
        pose = self.pose(frame, stamp)
        return np.asarray(positions @ pose[:3, :3].T + pose[:3, 3])

    def pose(self, frame: str, stamp: float) -> Array:
        """world_from_frame (4, 4) at `stamp` [s]; raises as `points`."""
        return self.pose_at(frame, round(stamp * 1e9))

    def pose_at(self, frame: str, stamp: int) -> Array:
        """world_from_frame (4, 4) at `stamp` [ns]; raises as `points`."""
        if not frame:
            raise InputError("a message came without a frame_id; its positions can't be placed")
        try:
            return np.asarray(self._poses_at((frame,), stamp)[0])
        except NoPathError as error:
            raise InputError(f"no transform from '{frame}' to '{self.world}': {error}") from None

    def joins(self, frame: str) -> bool:
        """Whether transforms lead from a frame to the world, at whatever time."""
        try:
            self._paths_now((frame,))
        except NoPathError:
            return False
        return True

    def poses(self, frames: Sequence[str], now: float) -> tuple[float, Array]:
        """Latest poses of all frames at one time: its stamp [s] and world_from_frame (F, 4, 4).

        Frames that never move hold at any time; if all are so, the stamp is `now`. Raises
        RobotError if a frame is unknown, from the future or not trusted, or they have no time in
        common.
        """
        wanted = tuple(frames)
        if told := self._distrust(wanted):
            raise RobotError(told)
        if self._latest is None or self._latest[:2] != (self._news, wanted):
            try:
                moving = self._paths_now(wanted).moving
                common = min((edge.stamps[-1] for edge in moving), default=None)
                placed = self._poses_at(wanted, common or 0)
            except NoPathError as error:
                self._forget_silent(round(now * 1e9) - KEPT)
                reason = self._unusable.get(error.frame, "")
                if error.frame in self._edges or not reason:
                    reason = str(error)
                raise RobotError(f"tf of {error.frame} missing: {reason}") from None
            stamp = None if common is None else common * 1e-9
            self._latest = self._news, wanted, stamp, placed
        stamp, placed = self._latest[2:]
        return (now if stamp is None else stamp), placed.copy()

    def poses_at(
        self, frames: Sequence[str], stamp: float, within: float
    ) -> tuple[float, Array] | None:
        """Stamp [s] and poses (F, 4, 4) at that recorded stamp which is nearest to `stamp`.

        None if there is none `within` [s], or a frame was not known then.
        """
        wanted, nearest = round(stamp * 1e9), 0
        try:
            for edge in self._paths_now(tuple(frames)).moving:
                after = bisect_right(edge.stamps, wanted)
                near = edge.stamps[max(after - 1, 0) : after + 1]
                nearest = min([nearest, *near], key=lambda known: abs(known - wanted))
            if abs(nearest - wanted) > within * 1e9:
                return None
            return nearest * 1e-9, self._poses_at(tuple(frames), nearest)
        except NoPathError:
            return None

    def _distrust(self, frames: tuple[str, ...]) -> str:
        """Why some frames, or those between them and the world, can't be trusted; or nothing."""
        if not (self._refused or self._moved):
            return ""
        for frame in self.chain(frames):
            if reason := self._refused.get(frame) or self._moved.get(frame):
                return f"tf of {frame} is {reason}"
        return ""

    def chain(self, frames: Sequence[str]) -> tuple[str, ...]:
        """Some frames, and those between them and the world."""
        try:
            edges = self._paths_now(tuple(frames)).edges
        except NoPathError:
            return tuple(frames)
        return (*frames, *(edge.latest.child for edge in edges))

    def _paths_now(self, frames: tuple[str, ...]) -> Paths:
        """Paths by what was received last."""
        paths = self._paths.get(frames)
        if paths is None:
            paths = self._paths[frames] = find_paths(self._edges, frames, self.world)
        return paths

    def _poses_at(self, frames: tuple[str, ...], stamp: int) -> Array:
        """world_from_frame (F, 4, 4) at a stamp [ns]; raises a NoPathError."""
        try:
            paths = self._paths_now(frames)
            poses = paths.poses(stamp)
        except NoPathError:
            poses = None
        if poses is None:  # something hung elsewhere then, or is not known
            paths = find_paths(self._edges, frames, self.world, stamp)
            poses = paths.poses(stamp)
        rows = np.array(poses, np.float64).reshape(-1, 7)
        return self._place(rows, paths.parents, paths.wanted, paths.world)


def _fault(pose: Pose) -> str:
    """What is wrong with a pose; empty if nothing is."""
    x, y, z, i, j, k, w = pose
    if not math.isfinite(x + y + z):
        return "its translation is not finite"
    if not 0.0 < i * i + j * j + k * k + w * w < math.inf:
        return "its quaternion has no direction"
    return ""


_ENCAPSULATION = b"\x00\x01\x00\x00"  # CDR, little endian
_HEADER = 4  # bytes before the origin that alignment counts from


class _Layout:
    """How numbers lie in the bytes."""

    def __init__(self, order: str) -> None:
        self.head = struct.Struct(f"{order}iII")  # stamp, and the length of the parent's name
        self.number = struct.Struct(f"{order}I")
        self.pose = struct.Struct(f"{order}7d")


_LAYOUTS = {b"\x00\x00": _Layout(">"), b"\x00\x01": _Layout("<")}


def decode_transforms(data: bytes | memoryview) -> list[StampedTransform]:
    """Transforms of a serialised TFMessage, straight from CDR.

    Robots send transforms a hundred times a second; a message object for each of their numbers
    would take most of the time that replaying a shift takes. Raises InputError if the bytes are no
    such message.
    """
    layout = _LAYOUTS.get(bytes(data[:2]))
    if layout is None:
        raise InputError("a message of /tf can't be decoded: it is not in plain CDR")
    view = memoryview(data)[_HEADER:]
    try:
        (count,) = layout.number.unpack_from(view, 0)
        at, found = 4, []
        for _ in range(count):
            at += -at % 4
            seconds, nanoseconds, size = layout.head.unpack_from(view, at)
            at += 12
            parent = str(view[at : at + size - 1], "utf-8")
            at += size
            at += -at % 4
            (size,) = layout.number.unpack_from(view, at)
            at += 4
            child = str(view[at : at + size - 1], "utf-8")
            at += size
            at += -at % 8
            pose = layout.pose.unpack_from(view, at)
            at += 56
            found.append(
                StampedTransform(parent, child, seconds * 1_000_000_000 + nanoseconds, pose)
            )
    except (struct.error, UnicodeDecodeError) as error:
        raise InputError(f"a message of /tf can't be decoded: {error}") from None
    return found


def encode_transforms(transforms: Iterable[StampedTransform]) -> bytes:
    """Serialised TFMessage of transforms."""
    items = list(transforms)
    body = bytearray(struct.pack("<I", len(items)))
    for item in items:
        seconds, nanoseconds = divmod(item.stamp, 1_000_000_000)
        _pad(body, 4)
        body += struct.pack("<iI", seconds, nanoseconds)
        for name in (item.parent, item.child):
            text = name.encode() + b"\0"
            _pad(body, 4)
            body += struct.pack("<I", len(text)) + text
        _pad(body, 8)
        body += struct.pack("<7d", *item.pose)
    return _ENCAPSULATION + bytes(body)


def _pad(body: bytearray, size: int) -> None:
    body += bytes(-len(body) % size)
