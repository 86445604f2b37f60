"""The transform tree as a node hears it, from a stream of transforms; answers as tf2's buffer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.evaluation.offline.transform_codec import StampedTransform

Array = NDArray[np.float64]

KEPT = 10 * 10**9  # ns of moving transforms, as tf2 keeps


@dataclass(eq=False)
class _Edge:
    """Poses of a frame in its parent over time; a single one if it never moves."""

    static: bool
    parents: list[str] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    poses: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, item: StampedTransform) -> None:
        if self.static:
            self.parents, self.stamps, self.poses = [item.parent], [0], [item.pose]
            return
        if self.stamps and item.stamp <= self.stamps[-1]:
            if item.stamp >= self.stamps[-1] - KEPT:
                return  # repeated or late
            self.stamps, self.poses, self.parents = [], [], []  # the clock was set back
        self.parents.append(item.parent)
        self.stamps.append(item.stamp)
        self.poses.append(item.pose)
        if self.stamps[0] < item.stamp - 2 * KEPT:
            old = bisect_right(self.stamps, item.stamp - KEPT)
            del self.stamps[:old], self.poses[:old], self.parents[:old]

    def pose(self, stamp: int) -> tuple[float, ...] | None:
        """Pose at a stamp [ns], interpolated; None where nothing is known around it."""
        if self.static or stamp == self.stamps[-1]:
            return self.poses[-1]
        after = bisect_right(self.stamps, stamp)
        if after and self.stamps[after - 1] == stamp:
            return self.poses[after - 1]
        if after == 0 or after == len(self.stamps):
            return None
        first, second = self.stamps[after - 1], self.stamps[after]
        share = (stamp - first) / (second - first)
        return _between(self.poses[after - 1], self.poses[after], share)


class TransformBuffer:
    """Hear transforms in the order they came, and place points and frames in the world.

    Parameters
    ----------
    world : str
        Frame that everything is taken to.
    """

    def __init__(self, world: str) -> None:
        self.world = world
        self._edges: dict[str, _Edge] = {}
        self._chains: dict[str, tuple[str, ...]] = {}

    def add(self, transforms: Iterable[StampedTransform], *, static: bool) -> None:
        """Take in transforms; those that make no sense are left out as tf2 does."""
        for item in transforms:
            if not item.child or not item.parent or item.child == item.parent:
                continue
            edge = self._edges.get(item.child)
            if edge is None or edge.static != static:
                edge = self._edges[item.child] = _Edge(static)
                self._chains.clear()
            elif edge.parents and edge.parents[-1] != item.parent:
                self._chains.clear()
            edge.add(item)

    def points(self, positions: NDArray[np.float32], frame: str, stamp: float) -> Array:
        """Points (..., 3) of a frame at `stamp` [s], taken to the world.

        Raises
        ------
        InputError
            If the frame is not named, or not known at that time.
        """
        if frame == self.world:
            return np.asarray(positions, np.float64)
        pose = self.pose(frame, stamp)
        return np.asarray(positions @ pose[:3, :3].T + pose[:3, 3])

    def pose(self, frame: str, stamp: float) -> Array:
        """world_from_frame (4, 4) at `stamp` [s]; raises as `points`."""
        if not frame:
            raise InputError("a message came without a frame_id; its positions can't be placed")
        found = self._matrices([frame], round(stamp * 1e9))
        if isinstance(found, str):
            raise InputError(f"no transform from '{frame}' to '{self.world}': {found}")
        return np.asarray(found[0])

    def joins(self, frame: str) -> bool:
        """Whether transforms lead from a frame to the world, at whatever time."""
        return isinstance(self._chain(frame), tuple)

    def poses(self, frames: Sequence[str], now: float) -> tuple[float, Array]:
        """Latest poses of all frames at one time: its stamp [s] and world_from_frame (F, 4, 4).

        Frames that never move hold at any time; if all are so, the stamp is `now`.

        Raises
        ------
        RobotError
            If a frame is unknown or the frames have no time in common.
        """
        latest = []
        for frame in frames:
            chain = self._chain(frame)
            if isinstance(chain, str):
                raise RobotError(f"tf of {frame} missing: {chain}")
            moving = [edge.stamps[-1] for name in chain if not (edge := self._edges[name]).static]
            latest += [min(moving)] if moving else []
        stamp = min(latest, default=0)
        found = self._matrices(frames, stamp)
        if isinstance(found, str):
            raise RobotError(f"tf of the robot missing: {found}")
        return (stamp * 1e-9 if latest else now), found

    def poses_at(
        self, frames: Sequence[str], stamp: float, within: float
    ) -> tuple[float, Array] | None:
        """Stamp [s] and poses (F, 4, 4) at that recorded stamp which is nearest to `stamp`.

        None if there is none `within` [s], or a frame was not known then.
        """
        chains = [self._chain(frame) for frame in frames]
        names = {name for chain in chains if isinstance(chain, tuple) for name in chain}
        wanted, nearest = round(stamp * 1e9), 0
        for edge in (self._edges[name] for name in names):
            if edge.static:
                continue
            after = bisect_right(edge.stamps, wanted)
            near = edge.stamps[max(after - 1, 0) : after + 1]
            nearest = min([nearest, *near], key=lambda known: abs(known - wanted))
        if abs(nearest - wanted) > within * 1e9:
            return None
        found = self._matrices(frames, nearest)
        return None if isinstance(found, str) else (nearest * 1e-9, found)

    def _matrices(self, frames: Sequence[str], stamp: int) -> Array | str:
        """world_from_frame (F, 4, 4) at a stamp [ns], or why they can't be had."""
        chains = []
        for frame in frames:
            chain = self._chain(frame)
            if isinstance(chain, str):
                return chain
            chains.append(chain)
        names = list(dict.fromkeys(name for chain in chains for name in chain))
        poses = []
        for name in names:
            pose = self._edges[name].pose(stamp)
            if pose is None:
                return f"'{name}' is not known at {stamp * 1e-9:.3f} s"
            poses.append(pose)
        local = dict(zip(names, _matrices(np.array(poses, np.float64).reshape(-1, 7)), strict=True))
        placed: dict[tuple[str, ...], Array] = {(): np.eye(4)}
        result = np.empty((len(frames), 4, 4))
        for index, chain in enumerate(chains):  # from the world outwards, each prefix once
            for end in range(1, len(chain) + 1):
                if chain[:end] not in placed:
                    placed[chain[:end]] = placed[chain[: end - 1]] @ local[chain[end - 1]]
            result[index] = placed[chain]
        return result

    def _chain(self, frame: str) -> tuple[str, ...] | str:
        """Frames from below the world down to `frame`, or why there is no such chain."""
        known = self._chains.get(frame)
        if known is not None:
            return known
        names: list[str] = []
        name = frame
        while name != self.world:
            edge = self._edges.get(name)
            if edge is None:
                if not names:
                    return f"nothing was heard of frame '{frame}'"
                return f"'{frame}' hangs on '{name}', which nothing joins to '{self.world}'"
            if name in names:
                return f"the frames {', '.join(names)} form a loop"
            names.append(name)
            name = edge.parents[-1]
        chain = tuple(reversed(names))
        self._chains[frame] = chain
        return chain


def _matrices(poses: Array) -> Array:
    """Matrices (N, 4, 4) of poses (N, 7)."""
    x, y, z, w = (poses[:, 3:] / np.linalg.norm(poses[:, 3:], axis=1, keepdims=True)).T
    result = np.zeros((len(poses), 4, 4))
    result[:, 0, 0] = 1 - 2 * (y * y + z * z)
    result[:, 0, 1] = 2 * (x * y - z * w)
    result[:, 0, 2] = 2 * (x * z + y * w)
    result[:, 1, 0] = 2 * (x * y + z * w)
    result[:, 1, 1] = 1 - 2 * (x * x + z * z)
    result[:, 1, 2] = 2 * (y * z - x * w)
    result[:, 2, 0] = 2 * (x * z - y * w)
    result[:, 2, 1] = 2 * (y * z + x * w)
    result[:, 2, 2] = 1 - 2 * (x * x + y * y)
    result[:, :3, 3] = poses[:, :3]
    result[:, 3, 3] = 1.0
    return result


def _between(
    first: tuple[float, ...], second: tuple[float, ...], share: float
) -> tuple[float, ...]:
    """Pose between two: straight in translation, on the great arc in rotation."""
    a, b = np.array(first), np.array(second)
    shift = a[:3] + share * (b[:3] - a[:3])
    p, q = a[3:] / np.linalg.norm(a[3:]), b[3:] / np.linalg.norm(b[3:])
    cosine = float(p @ q)
    if cosine < 0:
        q, cosine = -q, -cosine
    angle = float(np.arccos(min(cosine, 1.0)))
    if angle < 1e-6:
        turn = p + share * (q - p)
    else:
        turn = (np.sin((1 - share) * angle) * p + np.sin(share * angle) * q) / np.sin(angle)
    return (*shift.tolist(), *turn.tolist())
