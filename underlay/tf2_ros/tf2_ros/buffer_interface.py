"""What every transform buffer offers, and which function transforms which message."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from tf2_py.buffer_core import TimeLike

DoTransform: TypeAlias = Callable[[Any, TransformStamped], Any]
"""Takes a stamped message and a transform into its new frame, gives the transformed message."""


class TypeException(Exception):
    """Nobody registered how to transform a type."""


class TransformRegistration:
    """The functions that transform messages, by type; one table for the whole process."""

    _do_transform: ClassVar[dict[type, DoTransform]] = {}

    def add(self, key: type, callback: DoTransform) -> None:
        """Register how to transform `key`."""
        self._do_transform[key] = callback

    def get(self, key: type) -> DoTransform:
        """Find how to transform `key`.

        Raises:
            TypeException: nobody registered it.

        """
        try:
            return self._do_transform[key]
        except KeyError:
            raise TypeException(
                f"Type {key} is not supported; import the module that registers it, "
                "such as tf2_geometry_msgs"
            ) from None


class BufferInterface(ABC):
    """Transforms stamped messages with the transforms that a subclass looks up."""

    def __init__(self) -> None:
        self.registration = TransformRegistration()

    def transform(
        self, object_stamped: Any, target_frame: str, timeout: Duration | None = None
    ) -> Any:
        """Give `object_stamped` in `target_frame`, at the time of its own stamp.

        Raises:
            TypeException: nobody registered how to transform its type.
            TransformException: as `lookup_transform`.

        """
        do_transform = self.registration.get(type(object_stamped))
        header = object_stamped.header
        return do_transform(
            object_stamped,
            self.lookup_transform(target_frame, header.frame_id, header.stamp, timeout),
        )

    def transform_full(
        self,
        object_stamped: Any,
        target_frame: str,
        target_time: TimeLike,
        fixed_frame: str,
        timeout: Duration | None = None,
    ) -> Any:
        """Give `object_stamped` in `target_frame` as that is at `target_time`.

        `fixed_frame` is what does not move in between. Raises as `transform`.
        """
        do_transform = self.registration.get(type(object_stamped))
        header = object_stamped.header
        return do_transform(
            object_stamped,
            self.lookup_transform_full(
                target_frame, target_time, header.frame_id, header.stamp, fixed_frame, timeout
            ),
        )

    @abstractmethod
    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: TimeLike,
        timeout: Duration | None = None,
    ) -> TransformStamped:
        """Give the transform that takes coordinates in `source_frame` to `target_frame`."""

    @abstractmethod
    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: TimeLike,
        source_frame: str,
        source_time: TimeLike,
        fixed_frame: str,
        timeout: Duration | None = None,
    ) -> TransformStamped:
        """Give the transform between two frames at two times."""
