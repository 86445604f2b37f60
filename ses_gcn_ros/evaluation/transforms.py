"""Recorded transforms: where a frame was at a moment, without ROS."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

Array = NDArray[np.float64]

LONGEST_GAP = 1.0  # s between two transforms that may be interpolated


@dataclass
class _Edge:
    """Recorded poses of a frame in its parent: stamps [s], translations [m], quaternions xyzw."""

    parent: str
    static: bool
    stamps: list[float] = field(default_factory=list)
    translations: list[tuple[float, ...]] = field(default_factory=list)
    quaternions: list[tuple[float, ...]] = field(default_factory=list)

    def pose(self, stamp: float) -> Array | None:
        """Return parent_from_child (4, 4), or None where nothing was recorded around `stamp`."""
        if self.static:
            return _matrix(self.translations[-1], Rotation.from_quat(self.quaternions[-1]))
        after = bisect_right(self.stamps, stamp)
        if after and self.stamps[after - 1] == stamp:
            return _matrix(
                self.translations[after - 1], Rotation.from_quat(self.quaternions[after - 1])
            )
        if after == 0 or after == len(self.stamps):
            return None
        pair = slice(after - 1, after + 1)
        times = np.array(self.stamps[pair])
        if times[1] - times[0] > LONGEST_GAP:
            return None
        share = (stamp - times[0]) / (times[1] - times[0])
        translations = np.array(self.translations[pair])
        between = Slerp(times, Rotation.from_quat(self.quaternions[pair]))(stamp)
        return _matrix(translations[0] + share * (translations[1] - translations[0]), between)


class TransformTree:
    """Every transform of a recording, looked up by time."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def add(
        self,
        stamp: float,
        parent: str,
        child: str,
        translation: tuple[float, ...],
        quaternion: tuple[float, ...],
        *,
        static: bool,
    ) -> None:
        """Add one transform; those of a frame come in order of time, older ones are dropped."""
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.static != static:
            edge = self._edges[child] = _Edge(parent, static)
        if edge.stamps and stamp <= edge.stamps[-1] and not static:
            return
        edge.stamps.append(stamp)
        edge.translations.append(translation)
        edge.quaternions.append(quaternion)

    def poses(self, target: str, frames: tuple[str, ...], stamp: float) -> Array | None:
        """Return target_from_frame (F, 4, 4) of every frame at a moment; None if one is unknown."""
        poses = [self._to_root(frame, stamp) for frame in (target, *frames)]
        known = [pose for pose in poses if pose is not None]
        if len(known) < len(poses) or len({root for root, _ in known}) > 1:
            return None
        matrices = np.stack([matrix for _, matrix in known])
        return np.asarray(np.linalg.inv(matrices[0]) @ matrices[1:])

    def _to_root(self, frame: str, stamp: float) -> tuple[str, Array] | None:
        matrix = np.eye(4)
        for _ in range(len(self._edges) + 1):  # more steps than edges would be a loop
            edge = self._edges.get(frame)
            if edge is None:
                return frame, matrix
            pose = edge.pose(stamp)
            if pose is None:
                return None
            matrix = pose @ matrix
            frame = edge.parent
        return None


def _matrix(translation: tuple[float, ...] | Array, rotation: Rotation) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix()
    matrix[:3, 3] = translation
    return matrix
