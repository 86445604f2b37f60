"""The path between two frames of a tree whose edges are transforms over time."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from .caches import Bracket, StaticCache, TimeCache, transform_at
from .exceptions import ConnectivityException, ExtrapolationException, LookupException
from .rigid import IDENTITY, Rigid, compose, invert

Caches: TypeAlias = Mapping[str, TimeCache | StaticCache]
"""What is known of each frame that has a parent, by frame id."""


class Chain(NamedTuple):
    """The transforms from source and from target up to the frame where their paths meet."""

    stamp: int
    source_up: list[Bracket]
    target_up: list[Bracket]

    def evaluate(self) -> tuple[int, Rigid]:
        """Give the stamp [ns] and `target_from_source`."""
        top_from_source = self._product(self.source_up)
        if not self.target_up:
            return self.stamp, top_from_source
        target_from_top = invert(self._product(self.target_up))
        return self.stamp, compose(target_from_top, top_from_source)

    def _product(self, up: list[Bracket]) -> Rigid:
        rigid = IDENTITY
        for bracket in up:
            rigid = compose(transform_at(bracket, self.stamp), rigid)
        return rigid


def chain(caches: Caches, target: str, source: str, stamp: int) -> Chain:
    """Find the path between two known frames at a time.

    Args:
        caches: the tree.
        target: frame to transform into.
        source: frame to transform from.
        stamp: time [ns]; 0 for the latest that all frames on the path have.

    Raises:
        ConnectivityException: no path joins the frames.
        ExtrapolationException: a frame on the path has no data around `stamp`.
        LookupException: the frames form a loop.

    """
    if stamp == 0:
        stamp = latest_common_stamp(caches, target, source)
    frame = source
    source_up: list[Bracket] = []
    steps_up = {source: 0}
    obstacle: ExtrapolationException | None = None
    while frame != target and (cache := caches.get(frame)):
        try:
            bracket = cache.bracket(stamp)
        except ExtrapolationException as error:
            # Not yet an error: the path from the target may join below this frame.
            obstacle = error
            break
        source_up.append(bracket)
        frame = bracket[0].parent
        _check_loop(caches, frame, steps_up)
        steps_up[frame] = len(source_up)

    frame = target
    target_up: list[Bracket] = []
    seen = {target}
    while frame not in steps_up:
        try:
            if not (cache := caches.get(frame)):
                raise obstacle or _unconnected(target, source)
            bracket = cache.bracket(stamp)
        except ExtrapolationException as error:
            raise ExtrapolationException(
                f"{error}, when looking up transform from frame [{source}] to frame [{target}]"
            ) from None
        target_up.append(bracket)
        frame = bracket[0].parent
        _check_loop(caches, frame, seen)
        seen.add(frame)
    del source_up[steps_up[frame] :]
    return Chain(stamp, source_up, target_up)


def latest_common_stamp(caches: Caches, target: str, source: str) -> int:
    """Give the last time [ns] for which every frame on the path has data; 0 if all are static.

    Raises:
        ConnectivityException: no path joins the frames.
        LookupException: the frames form a loop.

    """
    frame = source
    source_stamps: list[int] = []
    steps_up = {source: 0}
    while frame != target and (cache := caches.get(frame)) and (parent := cache.latest_parent):
        source_stamps.append(cache.latest_stamp)
        frame = parent
        _check_loop(caches, frame, steps_up)
        steps_up[frame] = len(source_stamps)

    frame = target
    target_stamps: list[int] = []
    seen = {target}
    while frame not in steps_up:
        if not (cache := caches.get(frame)) or not (parent := cache.latest_parent):
            raise _unconnected(target, source)
        target_stamps.append(cache.latest_stamp)
        frame = parent
        _check_loop(caches, frame, seen)
        seen.add(frame)
    stamps = source_stamps[: steps_up[frame]] + target_stamps
    return min(filter(None, stamps), default=0)


def _check_loop(caches: Caches, frame: str, visited: set[str] | dict[str, int]) -> None:
    if frame in visited:
        frames = ", ".join(caches)
        raise LookupException(f"The tf tree is invalid because it contains a loop: {frames}")


def _unconnected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(
        f"Could not find a connection between '{target}' and '{source}' because they are not part "
        "of the same tree. Tf has two or more unconnected trees."
    )
