"""How frames hang together: the path from each of some frames to the world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.transforms.edges import Edge, StampedTransform


class NoPathError(InputError):
    """No transforms join `frame` to the world, and why."""

    def __init__(self, frame: str, reason: str) -> None:
        super().__init__(reason)
        self.frame = frame


@dataclass(frozen=True, eq=False)
class Paths:
    """The E edges between F frames and the world, each after that of its parent.

    Attributes
    ----------
    above : tuple of str
        Parent of each edge.
    edges, moving : tuple of Edge
        All of them, and those of frames that move.
    parents, wanted, world
        As `placing.place` takes them.
    """

    above: tuple[str, ...]
    edges: tuple[Edge, ...]
    moving: tuple[Edge, ...]
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
    """Find the paths as they were at a stamp [ns], or are by what was heard last.

    They go up from a frame and from the world to where they meet, so that the world may be any
    frame of the tree.

    Raises
    ------
    NoPathError
        If there is no path from a frame, or none at that time.
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
                raise NoPathError(frame, _unjoined(frame, top, world))
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
        if strict:
            raise NoPathError(frame, reason)
        return


def _span(edge: Edge) -> str:
    return f"only from {edge.stamps[0] * 1e-9:.3f} s to {edge.stamps[-1] * 1e-9:.3f} s"


def _unjoined(frame: str, top: str, world: str) -> str:
    if top == frame:
        return f"nothing was heard of frame '{frame}'"
    return f"'{frame}' hangs on '{top}', which nothing joins to '{world}'"
