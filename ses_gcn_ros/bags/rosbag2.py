"""Read and write rosbag2 recordings without ROS: mcap and sqlite3, whole or cut off.

`rosbags` reads what is whole. What it refuses for its metadata is read file by file, and of an mcap
that was cut off its records are taken one by one (`mcap`) up to where they end.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import lz4.frame
import yaml
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Message, Schema
from rosbags.highlevel import AnyReader
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
from rosbags.rosbag2.storage_mcap import DECOMPRESSORS
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ses_gcn_ros.bags.messages import (
    NANO,
    Adapter,
    Observation,
    RawMessage,
    Topics,
    adapt,
    as_ours,
    same_definition,
    skeletons_message,
    typestore,
)
from ses_gcn_ros.errors import MISSHAPEN, BagError, SesGcnError, shortened
from ses_gcn_ros.transforms import StampedTransform, encode_transforms

PathLike = str | Path

METADATA_VERSION = 9  # of rosbag2's metadata.yaml, the last one that rosbags knows
_MAGIC = b"\x89MCAP0\r\n"
_ZSTD = b"\x28\xb5\x2f\xfd"  # begins what zstd has compressed; no CDR message begins so
_LARGEST = 1 << 28  # bytes of a chunk, message or record; more is damage
_DENSEST = 1000  # times its size that a compressed file of more than that may hold
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # disk, one's share of it, what a file may take
_BROKEN = (McapError, struct.error, ValueError, RuntimeError, OverflowError, zstandard.ZstdError)


class DecodedMessage(NamedTuple):
    """One message with its fields as attributes: topic, type, time of recording [ns], content."""

    topic: str
    type: str
    stamp: int
    content: Any


class Bag:
    """A bag that is being read; made by `open_bag`.

    Attributes:
    - `topics`: type of each topic.
    - `counts`: messages of each topic.
    - `span`: times of recording of the first and of the last message [ns].
    - `notes`: what has to be said of a bag that is read all the same.
    """

    def __init__(
        self, path: Path, parts: Sequence[_Whole | _CutOff], notes: list[str], broken: str
    ) -> None:
        self.path, self.notes = path, notes
        self._parts, self._broken = parts, broken
        self.topics = Topics({t: kind for part in parts for t, kind in part.topics.items()})
        self.counts = sum((part.counts for part in parts), Counter[str]())
        spans = [part.span for part in parts if part.counts.total()]
        self.span = (min(a for a, _ in spans), max(b for _, b in spans)) if spans else (0, 0)
        self._stores: dict[str, Typestore | None] = {}
        self._same: dict[str, bool] = {}

    def raw(self, names: Mapping[str, str]) -> Iterator[RawMessage]:
        """Messages in the order of their recording, not decoded.

        Topics that are not asked for are not read, however large they are. Raises BagError where
        the bag is damaged, and at the end of one that was cut off or lacks a part.

        `names`: full name of each topic wanted, and the name that its messages are to carry.
        """
        parts = [part.raw(names) for part in self._parts]
        messages = heapq.merge(*parts, key=attrgetter("stamp")) if len(parts) > 1 else parts[0]
        for entry in messages:
            if entry.data[:4] == _ZSTD:  # rosbag2's compression message by message
                with _damage(self.path):
                    entry = entry._replace(data=_unpacked_zstd(bytes(entry.data)))
            yield entry
        if self._broken:
            raise BagError(self._broken)

    def decode(self, entry: RawMessage) -> Any:
        """Content of a message, with the definitions the bag carries.

        Raises BagError if its type is not known, neither to the bag nor to ROS 2 Kilted and this
        package, or the bytes are no message of it.
        """
        store = self._store(entry.type)
        if store is None:
            raise BagError(
                f"topic '{entry.topic}' of bag '{self.path}' has the type '{entry.type}', whose "
                "definition is neither in the bag nor known here"
            )
        with _damage(self.path):
            return store.deserialize_cdr(entry.data, entry.type)

    def in_our_definition(self, entry: RawMessage) -> RawMessage:
        """The message as this package defines its type, where the bag's definition is another."""
        if entry.type not in self._same:
            store = self._store(entry.type)
            self._same[entry.type] = store is None or same_definition(store, entry.type)
        if self._same[entry.type]:
            return entry._replace(data=bytes(entry.data))
        content = as_ours(self.decode(entry), entry.type)
        return entry._replace(data=bytes(typestore().serialize_cdr(content, entry.type)))

    def _store(self, kind: str) -> Typestore | None:
        if kind not in self._stores:
            found = (part.store(kind) for part in self._parts)
            ours = typestore() if kind in typestore().fielddefs else None
            self._stores[kind] = next((store for store in found if store), ours)
        return self._stores[kind]


@contextlib.contextmanager
def open_bag(path: PathLike) -> Iterator[Bag]:
    """Open a bag for reading; of one that was cut off what is left of it.

    Raises BagError if the bag is missing, no bag, or nothing of it can be read.
    """
    path = Path(path)
    if not path.exists():
        incomplete = path.with_name(f"{path.name}.incomplete")
        hint = f"; an interrupted recording lies in '{incomplete}'" if incomplete.exists() else ""
        raise BagError(f"bag '{path}' does not exist{hint}")
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        files, broken = _files(path, notes)
        parts = [_opened(path, file, stack) for file in files]
        yield Bag(path, parts, notes, broken)


def _files(path: Path, notes: list[str]) -> tuple[list[Path], str]:
    """What of a bag to open, and what is to be said at its end."""
    if not path.is_dir():
        if not (path.is_file() and is_storage(path)):
            ros1 = f"rosbags-convert --src '{path}' --dst '{path.with_suffix('')}' makes one of it"
            hint = ros1 if path.suffix == ".bag" else "give a bag's folder, or an mcap or db3 file"
            raise BagError(f"'{path}' is no bag of ROS 2; {hint}")
        return [path], ""
    there = sorted(file for file in path.iterdir() if file.is_file() and is_storage(file))
    metadata = path / "metadata.yaml"
    if not there and (path / "summary.json").exists():
        raise BagError(
            f"'{path}' holds results of a bag, no bag: report.html in it shows them, and "
            "ses-gcn render and compare read them; for a report, give the bag itself"
        )
    if not there:
        lacks = "" if metadata.is_file() else "no metadata.yaml and "
        raise BagError(f"'{path}' is no bag: it has {lacks}no mcap or db3 file")
    if not metadata.is_file():
        return there, ""
    try:
        told = yaml.safe_load(metadata.read_text("utf-8"))["rosbag2_bagfile_information"]
        version, listed = int(told["version"]), [Path(f).name for f in told["relative_file_paths"]]
        compressed = told.get("compression_format") == "zstd"
    except (*MISSHAPEN, OSError, RecursionError, yaml.YAMLError) as error:
        reason = shortened(str(error) or type(error).__name__, 120)
        notes.append(f"metadata.yaml of bag '{path}' can't be used ({reason}); its files are read")
        return there, ""
    missing = [name for name in listed if not (path / name).exists()]
    if missing:
        return there, f"bag '{path}' lacks {', '.join(missing[:3])}, which its metadata.yaml lists"
    if version > METADATA_VERSION:
        notes.append(
            f"metadata.yaml of bag '{path}' is of version {version}, newer than the "
            f"{METADATA_VERSION} that is known here; the bag's files are read without it"
        )
        return there, ""
    # the library would unpack files and messages of any size
    return (there, "") if compressed or any(map(_write_ahead, there)) else ([path], "")


def is_storage(file: Path) -> bool:
    """Whether a file is named as those that hold the messages of a bag."""
    name = file.name.removesuffix(".zstd").removesuffix(".zst")
    return name.endswith((".mcap", ".db3"))


def _write_ahead(file: Path) -> Path | None:
    """What sqlite wrote beside a database whose recorder was killed; None if nothing."""
    log = file.with_name(f"{file.name}-wal")
    return log if file.suffix == ".db3" and log.exists() and log.stat().st_size else None


def _opened(path: Path, file: Path, stack: contextlib.ExitStack) -> _Whole | _CutOff:
    """Open a file or folder of a bag, in a copy where that has to be changed for it."""
    with _damage(path):
        if _write_ahead(file) or file.suffix in (".zst", ".zstd"):
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ses_gcn_bag_")))
            file = _merged(file, scratch) if file.suffix == ".db3" else _unpacked(file, scratch)
    inside = sorted(file.glob("*.mcap")) if file.is_dir() else []
    lone = inside if len(inside) == 1 else []  # where the metadata alone may be unusable
    reason = BagError()
    for tried in (file, *lone):
        file = tried
        try:
            with _damage(path):
                return _Whole(path, stack.enter_context(_reader(file)))
        except BagError as error:
            reason = error
    if file.suffix != ".mcap":
        raise reason
    return _CutOff(path, file, str(reason).partition("truncated: ")[2])


def _reader(file: Path) -> AnyReader:
    return AnyReader([file], default_typestore=typestore())


def _merged(database: Path, scratch: Path) -> Path:
    """Copy of a database with what its write-ahead log holds."""
    copy = scratch / database.name
    for file in (database, _write_ahead(database)):
        if file is not None:
            shutil.copyfile(file, scratch / file.name)
    connection = sqlite3.connect(copy)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()
    return copy


def _unpacked(file: Path, scratch: Path) -> Path:
    """Unpacked copy of a file that rosbag2 compressed as a whole."""
    copy, most = scratch / file.stem, max(_LARGEST, _DENSEST * file.stat().st_size)
    unpacking = zstandard.ZstdDecompressor()
    with (
        file.open("rb") as packed,
        copy.open("wb") as unpacked,
        unpacking.stream_reader(packed, read_across_frames=True) as blocks,
    ):
        while block := blocks.read(1 << 20):
            if unpacked.tell() + len(block) > most:
                raise ValueError(f"{file.name} unpacks to more than {most >> 20} MiB")
            unpacked.write(block)
    return copy


def _unpacked_zstd(data: bytes, most: int = _LARGEST) -> bytes:
    """What zstd has compressed, or its beginning where that is of more than so many bytes.

    Raises ValueError if it is larger than any recorder makes a chunk or a message, ZstdError if it
    is damaged.
    """
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as unpacking:
        return _bounded(unpacking.read(min(most, _LARGEST) + 1))


def _unpacked_lz4(data: bytes, most: int = _LARGEST) -> bytes:
    """As `_unpacked_zstd`, of lz4; raises RuntimeError if it is damaged."""
    unpacking = lz4.frame.LZ4FrameDecompressor()
    return _bounded(unpacking.decompress(data, max_length=min(most, _LARGEST) + 1))


def _bounded(data: bytes) -> bytes:
    if len(data) > _LARGEST:
        raise ValueError(f"a chunk or message of more than {_LARGEST >> 20} MiB")
    return data


# The library unpacks chunks of any size, up to the end of memory.
DECOMPRESSORS.update(zstd=_unpacked_zstd, lz4=_unpacked_lz4)


class _Whole:
    """What `rosbags` reads."""

    def __init__(self, path: Path, reader: AnyReader) -> None:
        self._path, self._reader = path, reader
        self.topics = {each.topic: each.msgtype for each in reader.connections}
        self.counts = Counter[str]()
        for each in reader.connections:
            self.counts[each.topic] += each.msgcount
        self.span = reader.start_time, reader.end_time - 1

    def raw(self, names: Mapping[str, str]) -> Iterator[RawMessage]:
        """Messages as `Bag.raw`."""
        wanted = [each for each in self._reader.connections if each.topic in names]
        messages = self._reader.messages(wanted) if wanted else ()  # none would mean all
        with _damage(self._path):  # what the taker of a message raises does not come here
            for connection, stamp, data in messages:
                if not (isinstance(stamp, int) and isinstance(data, (bytes, memoryview))):
                    raise ValueError(f"a message of {connection.topic} is no bytes with a time")
                yield RawMessage(names[connection.topic], connection.msgtype, stamp, data)

    def store(self, kind: str) -> Typestore | None:
        """Definitions that a type is decoded by."""
        return self._reader.typestore if kind in self._reader.typestore.fielddefs else None


class _CutOff:
    """An mcap without its end: records one after the other (https://mcap.dev/spec)."""

    def __init__(self, path: Path, file: Path, reason: str) -> None:
        self._path, self._file = path, file
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._stores: dict[str, Typestore | None] = {}
        self.counts = Counter[str]()
        first, last = 1 << 64, -1
        for message in self._messages():
            self.counts[self._channels[message.channel_id].topic] += 1
            first, last = min(first, message.log_time), max(last, message.log_time)
        if last < 0:
            with file.open("rb") as stream:
                begin = stream.read(len(_MAGIC))
            if begin and not _MAGIC.startswith(begin):
                pointer = (
                    "; it is a pointer of Git LFS: git lfs pull" if begin == b"version " else ""
                )
                raise BagError(f"'{file}' is no mcap file: it begins with {begin!r}{pointer}")
            raise BagError(f"bag '{path}' can't be read, it may be truncated: {reason}")
        self.span = first, last
        self.topics = {each.topic: self._type(each) for each in self._channels.values()}

    def raw(self, names: Mapping[str, str]) -> Iterator[RawMessage]:
        """Messages up to the damage, then a `BagError`; see `Bag.raw`."""
        for message in self._messages():
            channel = self._channels[message.channel_id]
            if channel.topic in names:
                kind, data = self._type(channel), bytes(message.data)
                yield RawMessage(names[channel.topic], kind, message.log_time, data)
        raise BagError(f"bag '{self._path}' {self._end}")

    def store(self, kind: str) -> Typestore | None:
        """Definitions that a type is decoded by: its own, however the other types see theirs."""
        if kind not in self._stores:
            self._stores[kind] = None
            texts = (
                s.data for s in self._schemas.values() if (s.name, s.encoding) == (kind, "ros2msg")
            )
            for text in texts:
                with contextlib.suppress(Exception):  # the library meets damage as it comes
                    store = get_typestore(Stores.EMPTY)
                    store.register(get_types_from_msg(text.decode(errors="replace"), kind))
                    self._stores[kind] = store
        return self._stores[kind]

    def _type(self, channel: Channel) -> str:
        schema = self._schemas.get(channel.schema_id)
        return schema.name if schema else ""

    def _messages(self) -> Iterator[Message]:
        """Messages that can be read, chunks in order of time; then `_end` says what was wrong."""
        damaged, self._end = 0, "is truncated, its recorder was cut off"
        with self._file.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return
            for code, content in _records(file):
                if code == Opcode.DATA_END:
                    self._end = "is truncated behind its last message"
                    break
                try:
                    inside = _inside(content) if code == Opcode.CHUNK else [(code, content)]
                    found = [self._take(*record) for record in inside]
                except _BROKEN:
                    damaged += 1
                    continue
                damaged += found.count(False)
                messages = [each for each in found if isinstance(each, Message)]
                yield from sorted(messages, key=attrgetter("log_time"))
        if damaged:
            self._end += f"; {damaged} records in it can't be read"

    def _take(self, code: int, content: bytes) -> Message | bool:
        """Message of a record; False for a damaged one, True for one that holds no message."""
        stream = ReadDataStream(BytesIO(content))
        try:
            if code == Opcode.SCHEMA:
                schema = Schema.read(stream)
                self._schemas[schema.id] = schema
            elif code == Opcode.CHANNEL:
                channel = Channel.read(stream)
                self._channels[channel.id] = channel
            elif code == Opcode.MESSAGE:
                message = Message.read(stream, len(content))
                return message if message.channel_id in self._channels else False
        except _BROKEN:
            return False
        return True


def _records(file: Any) -> Iterator[tuple[int, bytes]]:
    """Kind and content of records up to the first that is not whole."""
    while len(head := file.read(9)) == 9:
        code, size = struct.unpack("<BQ", head)
        if size > _LARGEST or len(content := file.read(size)) < size:
            return
        yield code, content


def _inside(content: bytes) -> Iterable[tuple[int, bytes]]:
    """Records of a chunk.

    Raises ValueError, RuntimeError, struct.error, ZstdError, McapError if the chunk is damaged or
    larger than any recorder makes them.
    """
    chunk = Chunk.read(ReadDataStream(BytesIO(content)))
    unpack = {"zstd": _unpacked_zstd, "lz4": _unpacked_lz4}.get(chunk.compression, bytes)
    return _records(BytesIO(unpack(chunk.data)))


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Say of whatever breaks in here, and of nothing else, that the bag is damaged.

    Raises OSError where there is no room for a copy of it.
    """
    try:
        yield
    except BagError:
        raise
    except Exception as error:  # the library meets damaged files with whatever breaks first
        if isinstance(error, OSError) and error.errno in _FULL:
            raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error
        reason = shortened(str(error).strip().rstrip(".") or type(error).__name__, 160)
        raise BagError(f"bag '{path}' can't be read, it may be truncated: {reason}") from error


def topics_of(path: PathLike) -> Topics:
    """Topics of a bag and their types.

    Raises BagError if the bag is missing, truncated or no bag.
    """
    with open_bag(path) as bag:
        return bag.topics


def read_current(path: PathLike, topics: Sequence[str] = ()) -> Iterator[RawMessage]:
    """Messages of a bag in the order of their recording, not decoded.

    They come in this package's definitions where the bag has others. Raises BagError if the bag is
    missing, truncated or no bag, or lacks a topic.

    `path`: folder of a bag, or an mcap or db3 file.
    `topics`: topics wanted, all by default. A relative name finds the topic that ends in it, and
    the messages carry the name that was asked for.
    """
    with open_bag(path) as bag:
        for entry in bag.raw(_names(bag.topics, topics)):
            yield bag.in_our_definition(entry)


def read_messages(path: PathLike, topics: Sequence[str] = ()) -> Iterator[DecodedMessage]:
    """Messages of a bag as `read_current`, decoded with the definitions the bag carries.

    Raises BagError as `read_current`, and for bytes that are no message of their type.
    """
    with open_bag(path) as bag:
        for entry in bag.raw(_names(bag.topics, topics)):
            yield DecodedMessage(entry.topic, entry.type, entry.stamp, bag.decode(entry))


def read_skeletons(path: PathLike) -> Iterator[Observation]:
    """Observations on a bag's `skeletons` in the order of their recording, one at a time.

    Raises BagError if the bag can't be read, has no such topic, or people can't be read from its
    type; InputError if a skeleton is unusable.
    """
    read: Adapter | None = None
    for entry in read_messages(path, ["skeletons"]):
        read = read or adapt(entry.type)
        yield read(entry.content)


def _names(there: Topics, wanted: Sequence[str]) -> dict[str, str]:
    return {there.resolve(topic): topic for topic in wanted} or {topic: topic for topic in there}


_BESIDE = ("metadata.yaml", "README.md", "README")  # of a bag's folder, and go with the bag
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

    Raises BagError if the bag exists and must not be overwritten, what is there is more than a bag,
    or its folder can't be made.

    `path`: folder of the bag; a name that ends in ``.mcap`` makes it that one file.
    `overwrite`: whether an existing bag is replaced, on `close`.
    """

    def __init__(self, path: PathLike, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.overwrite = overwrite
        if self.path.exists() and not overwrite:
            raise BagError(f"'{self.path}' exists; choose another name or remove it first")
        if self.path.exists() and (strange := _beside_a_bag(self.path)):
            raise BagError(f"'{self.path}' is not replaced, for it {strange}; choose another name")
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

        `topic`, `type_name`: such as ``/tf`` and ``tf2_msgs/msg/TFMessage``.
        `stamp`: time of recording [ns].
        `data`: CDR with its four bytes of header, as DDS and rmw hand it over.
        """
        connection = self._connections.get((topic, type_name))
        if connection is None:
            connection = self._connections[topic, type_name] = self._connect(topic, type_name)
        self._writer.write(connection, stamp, data)

    def write_message(self, topic: str, stamp: int, content: Any) -> None:
        """Append one message object made by `messages.message`."""
        kind = content.__msgtype__
        self.write(topic, kind, stamp, bytes(typestore().serialize_cdr(content, kind)))

    def write_transforms(
        self, topic: str, stamp: int, transforms: Iterable[StampedTransform]
    ) -> None:
        """Append transforms to ``/tf`` or ``/tf_static``, recorded at a stamp [ns]."""
        self.write(topic, "tf2_msgs/msg/TFMessage", stamp, encode_transforms(transforms))

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


def _beside_a_bag(path: Path) -> str:
    """What else than the files of a bag is there, in words; empty if nothing is."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if not (file.is_file() and (is_storage(file) or file.name in _BESIDE)):
            return "is no bag" if file == path else f"holds '{file.name}', too"
    return ""


def _unused(path: Path) -> Path:
    candidates = (path if i == 1 else path.with_name(f"{path.name}-{i}") for i in range(1, 10_000))
    return next(candidate for candidate in candidates if not candidate.exists())
