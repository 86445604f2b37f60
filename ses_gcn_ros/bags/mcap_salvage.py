"""What is left of an mcap file that was cut off: its messages up to the damage.

The library reads an mcap from its end, where the index is; a recorder that was killed, or a full
disk, leaves none. The records before it are whole, one after the other (https://mcap.dev/spec).
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import lz4.frame
from rosbags.typesys import get_types_from_msg

from ses_gcn_ros.bags.bag_types import RawMessage, Topics, typestore
from ses_gcn_ros.errors import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_LONGEST = 1 << 31  # bytes; a record that claims more is damage


class _Channel(NamedTuple):
    topic: str
    type: str


class SalvagedBag:
    """A damaged mcap, with the interface of `bags.OpenBag`.

    Parameters
    ----------
    path : Path
        The mcap file.
    reason : str
        What the library said of it.

    Raises
    ------
    BagError
        If not a single message can be read.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self._channels: dict[int, _Channel] = {}
        self._schemas: dict[int, str] = {}
        self.counts = Counter[str]()
        first, last = sys.maxsize, -1
        for channel, stamp, _ in self._messages():
            self.counts[self._channels[channel].topic] += 1
            first, last = min(first, stamp), max(last, stamp)
        if last < 0:
            raise BagError(f"bag '{path}' can't be read, it may be truncated: {reason}")
        self.span = first, last
        self.topics = Topics({channel.topic: channel.type for channel in self._channels.values()})

    def raw(self, names: Mapping[str, str]) -> Iterator[RawMessage]:
        """Messages up to the damage, then a `BagError`; see `OpenBag.raw`."""
        for number, stamp, data in self._messages():
            channel = self._channels[number]
            if channel.topic in names:
                yield RawMessage(names[channel.topic], channel.type, stamp, data)
        raise BagError(f"bag '{self.path}' ends in the middle, its recorder was cut off")

    def has_our(self, kind: str) -> bool:
        """Whether messages of a type are decoded by our definition."""
        return kind in typestore().fielddefs

    def decode(self, entry: RawMessage) -> Any:
        """Content of a message; see `OpenBag.decode`."""
        if entry.type not in typestore().fielddefs:
            raise BagError(
                f"topic '{entry.topic}' of bag '{self.path}' has the type '{entry.type}', whose "
                "definition is neither in the bag nor known here"
            )
        return typestore().deserialize_cdr(entry.data, entry.type)

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        """Channel, time of recording [ns] and bytes of each message, chunks in order of time."""
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return
            for kind, content in _records(file):
                if kind == _CHUNK:
                    try:
                        inside = list(_split(_unpacked(content)))
                    except (struct.error, ValueError, RuntimeError, zstd.ZstdError):
                        return
                    found = [item for item in map(self._take, inside) if item is not None]
                    yield from sorted(found, key=lambda item: item[1])
                elif kind == _DATA_END:
                    return
                else:
                    found_one = self._take((kind, content))
                    if found_one is not None:
                        yield found_one

    def _take(self, record: tuple[int, bytes]) -> tuple[int, int, bytes] | None:
        kind, content = record
        if kind == _MESSAGE:
            channel, _, stamp, _ = struct.unpack_from("<HIQQ", content)
            return (channel, stamp, content[22:]) if channel in self._channels else None
        if kind == _SCHEMA:
            (number,) = struct.unpack_from("<H", content)
            name, at = _text(content, 2)
            encoding, at = _text(content, at)
            definition, _ = _text(content, at)
            self._schemas[number] = name
            if encoding == "ros2msg" and name not in typestore().fielddefs:
                typestore().register(get_types_from_msg(definition, name))
        elif kind == _CHANNEL:
            number, schema = struct.unpack_from("<HH", content)
            topic, _ = _text(content, 4)
            self._channels[number] = _Channel(topic, self._schemas.get(schema, ""))
        return None


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Kind and content of the whole records of a file."""
    while len(head := file.read(9)) == 9:
        kind, size = struct.unpack("<BQ", head)
        if size > _LONGEST:
            return
        content = file.read(size)
        if len(content) < size:
            return
        yield kind, content


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 9 <= len(data):
        kind, size = struct.unpack_from("<BQ", data, at)
        yield kind, data[at + 9 : at + 9 + size]
        at += 9 + size


def _unpacked(chunk: bytes) -> bytes:
    compression, at = _text(chunk, 28)
    (size,) = struct.unpack_from("<Q", chunk, at)
    packed = chunk[at + 8 : at + 8 + size]
    if compression == "zstd":
        return bytes(zstd.decompress(packed))
    if compression == "lz4":
        return bytes(lz4.frame.decompress(packed))
    return packed


def _text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + size].decode(errors="replace"), at + 4 + size
