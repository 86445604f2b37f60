"""The transform buffer that can wait."""

import threading
import time as system_time
from collections.abc import Callable

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from tf2_py import BufferCore
from tf2_py.buffer_core import TimeLike
from tf2_py.messages import nanoseconds


class Buffer(BufferCore):
    """Stores transforms, gives them on request, and waits for those that are yet to come.

    As in tf2, waiting goes by the wall clock even where the node runs on simulated time, and it
    blocks the calling thread: without a listener on another thread nothing can arrive meanwhile.

    Args:
        cache_time: how long moving frames are remembered; 10 s if not given.

    """

    def __init__(self, cache_time: Duration | None = None) -> None:
        super().__init__(cache_time)
        self._new_data = threading.Condition()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform of a moving frame; see `BufferCore.set_transform`."""
        super().set_transform(transform, authority)
        self._announce()

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that holds at all times; see `BufferCore.set_transform`."""
        super().set_transform_static(transform, authority)
        self._announce()

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: TimeLike,
        timeout: Duration | None = None,
    ) -> TransformStamped:
        """Give the transform that takes coordinates in `source_frame` to `target_frame`.

        Args:
            target_frame: frame to transform into.
            source_frame: frame to transform from.
            time: when; zero for the latest time that all frames on the path have.
            timeout: how long to wait for the transform; not at all if not given.

        Raises:
            LookupException: a frame is unknown, or the frames form a loop.
            ConnectivityException: no path joins the frames.
            ExtrapolationException: a frame on the path has no data around `time`.
            InvalidArgumentException: a frame id is empty or starts with a slash.

        """
        if timeout is not None:
            self.can_transform(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: TimeLike,
        timeout: Duration | None = None,
    ) -> bool:
        """Tell whether `lookup_transform` would succeed within `timeout`."""
        return self._wait(
            lambda: self.can_transform_core(target_frame, source_frame, time)[0], timeout
        )

    def _announce(self) -> None:
        with self._new_data:
            self._new_data.notify_all()

    def _wait(self, possible: Callable[[], bool], timeout: Duration | None) -> bool:
        if possible():
            return True
        if timeout is None:
            return False
        deadline = system_time.monotonic() + nanoseconds(timeout) * 1e-9
        with self._new_data:
            while not possible():
                remaining = deadline - system_time.monotonic()
                if remaining <= 0.0:
                    return False
                self._new_data.wait(remaining)
        return True
