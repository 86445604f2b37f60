"""The transform buffer that can wait."""

import threading
import time as system_time
from collections.abc import Callable

from geometry_msgs.msg import TransformStamped
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.task import Future
from tf2_py import BufferCore, TransformException
from tf2_py.buffer_core import TimeLike
from tf2_py.messages import nanoseconds

from .buffer_interface import BufferInterface


class Buffer(BufferCore, BufferInterface):
    """Stores transforms, gives them on request, and waits for those that are yet to come.

    As in tf2, waiting goes by the wall clock even where the node runs on simulated time, and it
    blocks the calling thread: without a listener on another thread nothing can arrive meanwhile.

    Args:
        cache_time: how long moving frames are remembered; 10 s if not given.
        node: the buffer is cleared when this node's clock jumps back, as when a bag starts again.

    """

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        BufferCore.__init__(self, cache_time)
        BufferInterface.__init__(self)
        self._new_data = threading.Condition()
        self._on_new_data: list[Callable[[], None]] = []
        if node is not None:
            # The clock calls back only as long as somebody holds the handle.
            self.jump_handle = node.get_clock().create_jump_callback(
                JumpThreshold(
                    min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
                ),
                post_callback=self.time_jump_callback,
            )

    def time_jump_callback(self, _time_jump: TimeJump) -> None:
        """Clear the buffer: after a jump, what it holds belongs to another run."""
        get_logger("tf2_buffer").warning("Detected jump back in time. Clearing tf buffer.")
        self.clear()

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

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: TimeLike,
        source_frame: str,
        source_time: TimeLike,
        fixed_frame: str,
        timeout: Duration | None = None,
    ) -> TransformStamped:
        """Give the transform from one frame at one time to another frame at another time.

        Args:
            target_frame: frame to transform into.
            target_time: when to look at the target frame; zero for the latest.
            source_frame: frame to transform from.
            source_time: when to look at the source frame; zero for the latest.
            fixed_frame: frame that does not move between the two times.
            timeout: how long to wait for the transform; not at all if not given.

        Raises:
            TransformException: as `lookup_transform`.

        """
        request = (target_frame, target_time, source_frame, source_time, fixed_frame)
        if timeout is not None:
            self.can_transform_full(*request, timeout)
        return self.lookup_transform_full_core(*request)

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

    def can_transform_full(
        self,
        target_frame: str,
        target_time: TimeLike,
        source_frame: str,
        source_time: TimeLike,
        fixed_frame: str,
        timeout: Duration | None = None,
    ) -> bool:
        """Tell whether `lookup_transform_full` would succeed within `timeout`."""
        request = (target_frame, target_time, source_frame, source_time, fixed_frame)
        return self._wait(lambda: self.can_transform_full_core(*request)[0], timeout)

    def wait_for_transform_async(
        self, target_frame: str, source_frame: str, time: TimeLike
    ) -> Future:
        """Give a future that holds the transform as soon as there is one."""
        future: Future = Future()

        def try_lookup() -> None:
            try:
                transform = self.lookup_transform_core(target_frame, source_frame, time)
            except TransformException:
                return  # not yet
            future.set_result(transform)

        def forget(_future: Future) -> None:
            with self._new_data:
                self._on_new_data.remove(try_lookup)

        with self._new_data:
            self._on_new_data.append(try_lookup)
            future.add_done_callback(forget)
            try_lookup()
        return future

    async def lookup_transform_async(
        self, target_frame: str, source_frame: str, time: TimeLike
    ) -> TransformStamped:
        """Await the transform from `source_frame` to `target_frame`, however long it takes."""
        return await self.wait_for_transform_async(target_frame, source_frame, time)

    def _announce(self) -> None:
        with self._new_data:
            self._new_data.notify_all()
            # A copy, because who gets an answer leaves the list.
            for try_lookup in list(self._on_new_data):
                try_lookup()

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
