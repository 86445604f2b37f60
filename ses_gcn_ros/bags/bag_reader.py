"""Open rosbag2 recordings, whole or cut off, and read the topics that are asked for."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader

from ses_gcn_ros.bags.bag_types import RawMessage, Topics, typestore
from ses_gcn_ros.bags.mcap_salvage import SalvagedBag
from ses_gcn_ros.errors import BagError

PathLike = str | Path


class OpenBag:
    """A bag that is being read; made by `open_bag`."""

    def __init__(self, path: Path, reader: AnyReader) -> None:
        self.path = path
        self._reader = reader
        connections = reader.connections
        self.topics = Topics({each.topic: each.msgtype for each in connections})
        self.counts = Counter[str]()
        for each in connections:
            self.counts[each.topic] += each.msgcount

    @property
    def span(self) -> tuple[int, int]:
        """Times of recording of the first and of the last message [ns]."""
        return self._reader.start_time, self._reader.end_time - 1

    def raw(self, names: Mapping[str, str]) -> Iterator[RawMessage]:
        """Messages in the order of their recording, not decoded.

        Topics that are not asked for are not read, however large they are.

        Parameters
        ----------
        names : mapping of str to str
            Full name of each topic wanted, and the name that its messages are to carry.
        """
        wanted = [each for each in self._reader.connections if each.topic in names]
        messages = self._reader.messages(wanted) if wanted else ()  # none would mean all
        with _damage(self.path):  # what the taker of a message raises does not come here
            for connection, stamp, data in messages:
                yield RawMessage(names[connection.topic], connection.msgtype, stamp, data)

    def has_our(self, kind: str) -> bool:
        """Whether a type is defined in the bag as it is here."""
        theirs, ours = self._reader.typestore, typestore()
        return kind in theirs.fielddefs and theirs.hash_rihs01(kind) == ours.hash_rihs01(kind)

    def decode(self, entry: RawMessage) -> Any:
        """Content of a message, with the definitions the bag carries.

        Raises
        ------
        BagError
            If its type is not known, neither to the bag nor to ROS 2 Kilted and this package, or
            the bytes are no message of it.
        """
        if entry.type not in self._reader.typestore.fielddefs:
            raise BagError(
                f"topic '{entry.topic}' of bag '{self.path}' has the type '{entry.type}', whose "
                "definition is neither in the bag nor known here"
            )
        with _damage(self.path):
            return self._reader.deserialize(entry.data, entry.type)


AnyBag = OpenBag | SalvagedBag


@contextlib.contextmanager
def open_bag(path: PathLike) -> Iterator[AnyBag]:
    """Open a bag for reading; of an mcap that was cut off what is left of it.

    Raises
    ------
    BagError
        If the bag is missing, truncated or no bag.
    """
    path = Path(path)
    if not path.exists():
        incomplete = path.with_name(f"{path.name}.incomplete")
        hint = f"; an interrupted recording lies in '{incomplete}'" if incomplete.exists() else ""
        raise BagError(f"bag '{path}' does not exist{hint}")
    with contextlib.ExitStack() as stack:
        bag: AnyBag
        storage = _storage(path)
        try:
            with _damage(path):
                reader = AnyReader([storage], default_typestore=typestore())
                stack.enter_context(reader)
            bag = OpenBag(path, reader)
        except BagError as error:
            bag = _salvage(storage, error)
        yield bag


def _salvage(storage: Path, error: BagError) -> SalvagedBag:
    """What is left of an mcap that the library can't open; raises `error` for anything else."""
    files = sorted(storage.glob("*.mcap")) if storage.is_dir() else [storage]
    if len(files) != 1 or files[0].suffix != ".mcap" or not files[0].is_file():
        raise error
    return SalvagedBag(files[0], str(error).partition("truncated: ")[2])


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Say of whatever breaks in here, and of nothing else, that the bag is damaged."""
    try:
        yield
    except BagError:
        raise
    except Exception as error:  # the library meets damaged files with whatever breaks first
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise BagError(f"bag '{path}' can't be read, it may be truncated: {reason}") from error


def _storage(path: Path) -> Path:
    """Return the path itself, or the one recording in a folder that lacks its metadata."""
    if path.is_dir() and not (path / "metadata.yaml").exists():
        files = sorted([*path.glob("*.mcap"), *path.glob("*.db3")])
        if len(files) != 1:
            raise BagError(
                f"'{path}' is no bag: it has no metadata.yaml and {len(files)} mcap or db3 files"
            )
        return files[0]
    if path.is_file() and path.suffix not in (".mcap", ".db3"):
        raise BagError(f"'{path}' is no bag; give a bag's folder, or an mcap or db3 file")
    return path
