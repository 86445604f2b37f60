"""The transform buffer without waiting: what is known now."""

import threading
from typing import TypeAlias

from builtin_interfaces.msg import Time as TimeMsg
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time

from .caches import Sample, StaticCache, TimeCache, seconds
from .exceptions import InvalidArgumentException, LookupException, TransformException
from .messages import nanoseconds, rigid_from_msg, stamped_msg
from .rigid import IDENTITY, Rigid, normalize
from .tree import chain

TimeLike: TypeAlias = Time | TimeMsg
"""A point in time as rclpy or as a message has it; zero stands for the latest one available."""


class BufferCore:
    """Stores the transforms of a tree of frames over time and chains them on request.

    Safe to use from several threads at once.

    Args:
        cache_time: how long moving frames are remembered; 10 s if not given.

    """

    def __init__(self, cache_time: Duration | None = None) -> None:
        self._max_age = nanoseconds(Duration(seconds=10) if cache_time is None else cache_time)
        self._caches: dict[str, TimeCache | StaticCache] = {}
        self._parents: set[str] = set()
        self._lock = threading.RLock()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform of a moving frame.

        As in tf2, a transform that makes no sense (a frame that is its own parent, an empty frame
        id, NaN, a quaternion of length zero, older than the cache) is logged and ignored. A
        quaternion of another length is scaled to unit length, and one leading slash is dropped
        from frame ids.

        Args:
            transform: from the child frame to the frame of the header.
            authority: who says so; shows up in logs.

        """
        self._set(transform, authority, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that holds at all times; checked as in `set_transform`."""
        self._set(transform, authority, static=True)

    def lookup_transform_core(
        self, target_frame: str, source_frame: str, time: TimeLike
    ) -> TransformStamped:
        """Give the transform that takes coordinates in `source_frame` to `target_frame`.

        Raises:
            LookupException: a frame is unknown, or the frames form a loop.
            ConnectivityException: no path joins the frames.
            ExtrapolationException: a frame on the path has no data around `time`.
            InvalidArgumentException: a frame id is empty or starts with a slash.

        """
        with self._lock:
            stamp, rigid = self._lookup(target_frame, source_frame, nanoseconds(time))
        return stamped_msg(target_frame, source_frame, stamp, rigid)

    def can_transform_core(
        self, target_frame: str, source_frame: str, time: TimeLike
    ) -> tuple[bool, str]:
        """Tell whether `lookup_transform_core` would succeed, and if not, why."""
        try:
            with self._lock:
                if target_frame != source_frame:
                    self._check(target_frame)
                    self._check(source_frame)
                    chain(self._caches, target_frame, source_frame, nanoseconds(time))
        except TransformException as error:
            return False, str(error)
        return True, ""

    def clear(self) -> None:
        """Forget all transforms of moving frames; static ones stay."""
        with self._lock:
            for cache in self._caches.values():
                cache.clear()

    def _set(self, transform: TransformStamped, authority: str, *, static: bool) -> None:
        parent = transform.header.frame_id.removeprefix("/")
        child = transform.child_frame_id.removeprefix("/")
        rigid = normalize(rigid_from_msg(transform.transform))
        fault = _fault(parent, child, rigid)
        if fault or rigid is None:
            get_logger("tf2").error(
                f'{fault}: ignoring transform from "{child}" to "{parent}" '
                f'from authority "{authority}": {transform.transform}'
            )
            return
        sample = Sample(nanoseconds(transform.header.stamp), parent, rigid)
        with self._lock:
            cache = self._caches.get(child)
            if cache is None or isinstance(cache, StaticCache) != static:
                cache = StaticCache(sample) if static else TimeCache(self._max_age)
                self._caches[child] = cache
            accepted = cache.insert(sample)
            self._parents.add(parent)
        if not accepted:
            get_logger("tf2").warning(
                f'TF_OLD_DATA: ignoring transform of "{child}" at time {seconds(sample.stamp)} '
                f'from authority "{authority}", older than the cache reaches back'
            )

    def _lookup(self, target: str, source: str, stamp: int) -> tuple[int, Rigid]:
        # tf2 answers this one even for frames that it has never heard of
        if target == source:
            return stamp or self._latest_stamp(target), IDENTITY
        self._check(target)
        self._check(source)
        return chain(self._caches, target, source, stamp).evaluate()

    def _latest_stamp(self, frame: str) -> int:
        cache = self._caches.get(frame)
        return cache.latest_stamp if cache else 0

    def _check(self, frame: str) -> None:
        if frame in self._caches or frame in self._parents:
            return
        if not frame:
            raise InvalidArgumentException('Invalid frame id "": in tf2 it cannot be empty')
        if frame.startswith("/"):
            raise InvalidArgumentException(
                f'Invalid frame id "{frame}": in tf2 it cannot start with a "/"'
            )
        raise LookupException(f'"{frame}" does not exist as a frame')


def _fault(parent: str, child: str, rigid: Rigid | None) -> str:
    """Name what is wrong with a transform; empty if nothing is."""
    if child == parent:
        return "TF_SELF_TRANSFORM"
    if not child:
        return "TF_NO_CHILD_FRAME_ID"
    if not parent:
        return "TF_NO_FRAME_ID"
    if rigid is None or any(value != value for value in rigid):
        return "TF_NAN_INPUT"
    return ""
