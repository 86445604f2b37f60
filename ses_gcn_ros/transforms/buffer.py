"""The transform tree as a node hears it, from a stream of transforms; answers as tf2's buffer.

tf2's own, in Python, takes a message object for each transform and gives one for each frame; with
a robot's hundreds a second that is most of what the safety node costs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.transforms.edges import Edge, Pose, StampedTransform, StaticEdge
from ses_gcn_ros.transforms.tree import NoPathError, Paths, find_paths

Array = NDArray[np.float64]


class TransformBuffer:
    """Hear transforms in the order they came, and place points and frames in the world.

    As in tf2, moving frames are known for ten seconds and interpolated, a frame may change its
    parent, and what makes no sense is left out. A frame whose stamps leap back by more than ten
    seconds begins anew, where tf2 would wait until they have caught up.

    Parameters
    ----------
    world : str
        Frame that everything is taken to.
    """

    def __init__(self, world: str) -> None:
        from ses_gcn_ros.transforms.placing import place

        self.world = world
        self._place = place
        self._edges: dict[str, Edge] = {}
        self._paths: dict[tuple[str, ...], Paths] = {}  # by what was heard last
        self._news = 0  # how often something was heard
        self._latest: tuple[int, tuple[str, ...], float | None, Array] | None = None

    def add(self, transforms: Iterable[StampedTransform], *, static: bool) -> list[str]:
        """Take in transforms; gives a sentence for each that makes no sense and is left out."""
        left_out = []
        for item in transforms:
            edge = self._edges.get(item.child)
            if edge is None or edge.static != static or edge.latest.parent != item.parent:
                fault = self._hang(item, static)
            elif fault := _fault(item.pose):
                pass
            else:
                edge.add(item)
            if fault:
                left_out.append(f"transform of '{item.child}' in '{item.parent}' unusable: {fault}")
        self._news += 1
        return left_out

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

    def forget(self) -> None:
        """Forget frames that move, as after a jump of the clock."""
        self._edges = {name: edge for name, edge in self._edges.items() if edge.static}
        self._paths.clear()
        self._news += 1

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
        try:
            return np.asarray(self._poses_at((frame,), round(stamp * 1e9))[0])
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

        Frames that never move hold at any time; if all are so, the stamp is `now`.

        Raises
        ------
        RobotError
            If a frame is unknown or the frames have no time in common.
        """
        wanted = tuple(frames)
        if self._latest is None or self._latest[:2] != (self._news, wanted):
            try:
                moving = self._paths_now(wanted).moving
                common = min((edge.stamps[-1] for edge in moving), default=None)
                placed = self._poses_at(wanted, common or 0)
            except NoPathError as error:
                raise RobotError(f"tf of {error.frame} missing: {error}") from None
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

    def _paths_now(self, frames: tuple[str, ...]) -> Paths:
        """Paths by what was heard last."""
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
        placed: Array = self._place(rows, paths.parents, paths.wanted, paths.world)
        return placed


def _fault(pose: Pose) -> str:
    """What is wrong with a pose; empty if nothing is."""
    x, y, z, i, j, k, w = pose
    if not math.isfinite(x + y + z):
        return "its translation is not finite"
    if not 0.0 < i * i + j * j + k * k + w * w < math.inf:
        return "its quaternion has no direction"
    return ""
