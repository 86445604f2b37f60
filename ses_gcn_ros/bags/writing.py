"""Write rosbag2 recordings without ROS."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ses_gcn_ros.bags.messages import NANO, Observation, skeletons_message, typestore
from ses_gcn_ros.bags.reading import PathLike
from ses_gcn_ros.errors import BagError, SesGcnError

_LATCHED = ("tf_static", "speed_scaling", "robot_description")  # topics of transient durability
_FOREVER = QosTime(9_223_372_036, 854_775_807)  # RMW_DURATION_INFINITE


def offered_qos(topic: str) -> Qos:
    """Quality of service that a topic of a workcell is published with."""
    latched = topic.rsplit("/", 1)[-1] in _LATCHED
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )


class BagWriter:
    """Write a bag that appears under its name only when it is whole.

    Until `close` it lies in ``<name>.incomplete``. There an interrupted recording stays; of what is
    refused (`SesGcnError`) nothing does. Storage is mcap with zstd chunks; definitions, type hashes
    and QoS profiles go with it, so that ``ros2 bag`` reads it.

    Raises BagError if the bag exists and must not be overwritten, or its folder can't be made.

    Parameters
    ----------
    path : str or Path
        Folder of the bag; a name that ends in ``.mcap`` makes it that one file.
    overwrite : bool
        Whether an existing bag is replaced, on `close`.
    """

    def __init__(self, path: PathLike, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.overwrite = overwrite
        if self.path.exists() and not overwrite:
            raise BagError(f"'{self.path}' exists; choose another name or remove it first")
        self._folder = _unused(self.path.with_name(f"{self.path.name}.incomplete"))
        self._writer = Writer(
            self._folder / self.path.name, version=9, storage_plugin=StoragePlugin.MCAP
        )
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        try:
            self._writer.open()
        except OSError as error:
            raise BagError(f"bag '{self.path}' can't be made: {error}") from error
        self._connections: dict[tuple[str, str], Connection] = {}
        self._closed = False

    def note(self, key: str, value: str) -> None:
        """Add a line to the bag's metadata (``custom_data``)."""
        self._writer.set_custom_data(key, value)

    def write(self, topic: str, type_name: str, stamp: int, data: bytes) -> None:
        """Append one serialised message.

        Raises BagError if the type is not known to ROS 2 Kilted or this package.

        Parameters
        ----------
        topic, type_name : str
            Such as ``/tf`` and ``tf2_msgs/msg/TFMessage``.
        stamp : int
            Time of recording [ns].
        data : bytes
            CDR with its four bytes of header, as DDS and rmw hand it over.
        """
        connection = self._connections.get((topic, type_name))
        if connection is None:
            connection = self._connections[topic, type_name] = self._connect(topic, type_name)
        self._writer.write(connection, stamp, data)

    def write_message(self, topic: str, stamp: int, content: Any) -> None:
        """Append one message object made by `bag_types.message`."""
        kind = content.__msgtype__
        self.write(topic, kind, stamp, bytes(typestore().serialize_cdr(content, kind)))

    def close(self) -> None:
        """Finish the bag and give it its name; does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        written = self._folder / self.path.name
        if self.path.suffix == ".mcap":
            written = written / f"{self.path.name}.mcap"
        if self.overwrite and self.path.is_dir():
            old = _unused(self.path.with_name(f"{self.path.name}.old"))
            self.path.replace(old)
            written.replace(self.path)
            shutil.rmtree(old)
        else:
            written.replace(self.path)
        shutil.rmtree(self._folder)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self._closed = True
            self._writer.abort()
            if issubclass(kind, SesGcnError):
                shutil.rmtree(self._folder)

    def _connect(self, topic: str, type_name: str) -> Connection:
        if type_name not in typestore().fielddefs:
            raise BagError(
                f"topic '{topic}' has the type '{type_name}', whose definition is unknown"
            )
        return self._writer.add_connection(
            topic, type_name, typestore=typestore(), offered_qos_profiles=[offered_qos(topic)]
        )


def write_skeletons(writer: BagWriter, topic: str, observations: Iterable[Observation]) -> None:
    """Append observations to a bag, each recorded at its own stamp."""
    for observation in observations:
        stamp = round(observation.stamp * NANO)
        writer.write_message(topic, stamp, skeletons_message(observation))


def _unused(path: Path) -> Path:
    candidates = (path if i == 1 else path.with_name(f"{path.name}-{i}") for i in range(1, 10_000))
    return next(candidate for candidate in candidates if not candidate.exists())
