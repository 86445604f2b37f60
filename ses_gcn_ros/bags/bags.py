"""Read and write rosbag2 recordings without ROS: mcap and sqlite3, one message at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from rosbags.interfaces import Connection, Nodetype
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ses_gcn_ros.bags.bag_reader import PathLike, open_bag
from ses_gcn_ros.bags.bag_types import RawMessage, Topics, message, offered_qos, typestore
from ses_gcn_ros.errors import BagError


class Message(NamedTuple):
    """One message with its fields as attributes: topic, type, time of recording [ns], content."""

    topic: str
    type: str
    stamp: int
    content: Any


class BagWriter:
    """Write a bag that appears under its name only when it is whole.

    Until `close` it lies in ``<name>.incomplete``, where an interrupted recording stays. Storage
    is mcap with zstd chunks; definitions, type hashes and QoS profiles go with it, so that
    ``ros2 bag`` reads it.

    Parameters
    ----------
    path : str or Path
        Folder of the bag; a name that ends in ``.mcap`` makes it that one file.
    overwrite : bool
        Whether an existing bag is replaced, on `close`.

    Raises
    ------
    BagError
        If the bag exists and must not be overwritten, or its folder can't be made.
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

        Parameters
        ----------
        topic, type_name : str
            Such as ``/tf`` and ``tf2_msgs/msg/TFMessage``.
        stamp : int
            Time of recording [ns].
        data : bytes
            CDR with its four bytes of header, as DDS and rmw hand it over.

        Raises
        ------
        BagError
            If the type is not known to ROS 2 Kilted or this package.
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

    def _connect(self, topic: str, type_name: str) -> Connection:
        if type_name not in typestore().fielddefs:
            raise BagError(
                f"topic '{topic}' has the type '{type_name}', whose definition is unknown"
            )
        return self._writer.add_connection(
            topic, type_name, typestore=typestore(), offered_qos_profiles=[offered_qos(topic)]
        )


def topics_of(path: PathLike) -> Topics:
    """Topics of a bag and their types.

    Raises
    ------
    BagError
        If the bag is missing, truncated or no bag.
    """
    with open_bag(path) as bag:
        return bag.topics


def read_raw(path: PathLike, topics: Sequence[str] = ()) -> Iterator[RawMessage]:
    """Messages of a bag in the order of their recording, not decoded.

    Parameters
    ----------
    path : str or Path
        Folder of a bag, or an mcap or db3 file.
    topics : sequence of str
        Topics wanted, all by default. A relative name finds the topic that ends in it, and the
        messages carry the name that was asked for.

    Raises
    ------
    BagError
        If the bag is missing, truncated or no bag, or lacks a topic.
    """
    with open_bag(path) as bag:
        for entry in bag.raw(_names(bag.topics, topics)):
            yield entry._replace(data=bytes(entry.data))


def read_current(path: PathLike, topics: Sequence[str] = ()) -> Iterator[RawMessage]:
    """Messages of a bag as `read_raw`, this package's own by its present definitions.

    Raises
    ------
    BagError
        As `read_messages`.
    """
    with open_bag(path) as bag:
        ours = {kind for kind in bag.topics.values() if kind.startswith("ses_gcn_ros/")}
        old = {kind for kind in ours if not bag.has_our(kind)}
        for entry in bag.raw(_names(bag.topics, topics)):
            data: bytes | memoryview = entry.data
            if entry.type in old:
                content = _brought_up_to_date(entry.type, bag.decode(entry))
                data = typestore().serialize_cdr(content, entry.type)
            yield entry._replace(data=bytes(data))


# What a message of before says by not having a field.
_ABSENT = {"covariance": np.empty(0, np.float32), "liveness": -1.0}


def _brought_up_to_date(kind: str, content: Any) -> Any:
    detail: Any
    fields = {}
    for name, (node, detail) in typestore().fielddefs[kind][1]:
        value = getattr(content, name, _ABSENT.get(name))
        if value is None:
            raise BagError(f"a recorded {kind} has no '{name}'; nodes of today don't take it")
        if node == Nodetype.NAME:
            value = _brought_up_to_date(detail, value)
        elif isinstance(value, list) and detail[0][0] == Nodetype.NAME:
            value = [_brought_up_to_date(detail[0][1], each) for each in value]
        fields[name] = value
    return message(kind, **fields)


def read_messages(path: PathLike, topics: Sequence[str] = ()) -> Iterator[Message]:
    """Messages of a bag as `read_raw`, decoded with the definitions the bag carries.

    Raises
    ------
    BagError
        As `read_raw`, and for bytes that are no message of their type.
    """
    with open_bag(path) as bag:
        for entry in bag.raw(_names(bag.topics, topics)):
            yield Message(entry.topic, entry.type, entry.stamp, bag.decode(entry))


def _names(there: Topics, wanted: Sequence[str]) -> dict[str, str]:
    return {there.resolve(topic): topic for topic in wanted} or {topic: topic for topic in there}


def _unused(path: Path) -> Path:
    candidates = (path if i == 1 else path.with_name(f"{path.name}-{i}") for i in range(1, 10_000))
    return next(candidate for candidate in candidates if not candidate.exists())
