"""What was found in a video so far, kept frame by frame so that an interrupted run continues."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ses_gcn_ros.bags.messages import (
    Observation,
    observation_from_message,
    skeletons_message,
    typestore,
)
from ses_gcn_ros.skeleton import Skeleton

TYPE = "ses_gcn_ros/msg/SkeletonArray"
WARM_UP = 50  # frames gone through again, so that filters and identities pick up where they were
_RECORD = struct.Struct("<II")  # length and checksum of what follows
_SAME_PERSON = 0.3  # m between joints found before and after the interruption


class VideoJournal:
    """Observations of a video's frames in order, on disk as they come.

    Use it as a context manager. The file begins with a line about the run; what another run wrote
    is started over. From a record on that was cut short or damaged, all is dropped.

    `path`: the file; made with the first frame.
    `run`: what must be the same for frames to be taken over: the video and all settings.

    Attributes:
    - `frames`: what is known of the frames, in order.
    - `resumed`: how many of these an earlier run found.
    - `first`: the frame to begin at: a few of those are gone through again.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self._path = path
        self._header = json.dumps(run | {"journal": 2}, sort_keys=True).encode() + b"\n"
        self.frames: list[Observation] = []
        self._good = len(self._header)
        if path.is_file():
            self._read(path.read_bytes())
        self._file: Any = None
        self.resumed = len(self.frames)
        self.first = max(0, self.resumed - WARM_UP)
        self._names = Renaming(self.frames)

    def take(self, index: int, observation: Observation) -> None:
        """Keep what was found in a frame, people by the names that the earlier run gave them."""
        if index < self.resumed:
            self._names.learn(observation.people, self.frames[index].people)
        else:
            self.append(observation._replace(people=self._names.apply(observation.people)))

    def append(self, observation: Observation) -> None:
        """Keep the observation of the next frame."""
        if self._file is None:
            self._open()
        data = bytes(typestore().serialize_cdr(skeletons_message(observation), TYPE))
        self._file.write(_RECORD.pack(len(data), zlib.crc32(data)) + data)
        self._file.flush()
        self.frames.append(observation)

    def remove(self) -> None:
        """Drop the file: all is said elsewhere."""
        self._close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> VideoJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._close()

    def _read(self, content: bytes) -> None:
        if not content.startswith(self._header):
            return
        at = self._good
        while at + _RECORD.size <= len(content):
            length, checksum = _RECORD.unpack_from(content, at)
            data = content[at + _RECORD.size : at + _RECORD.size + length]
            if not length or len(data) < length or zlib.crc32(data) != checksum:
                break
            self.frames.append(observation_from_message(typestore().deserialize_cdr(data, TYPE)))
            at = self._good = at + _RECORD.size + length

    def _open(self) -> None:
        if self.frames:
            self._file = self._path.open("r+b")
            self._file.truncate(self._good)
            self._file.seek(self._good)
        else:
            self._file = self._path.open("wb")
            self._file.write(self._header)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Renaming:
    """Names that people had before an interruption, for those found after it.

    `before`: what was found before; nobody new gets a name that occurs there.
    """

    def __init__(self, before: Sequence[Observation]) -> None:
        names = {person.person_id for frame in before for person in frame.people}
        self._given = max((int(name[1:]) for name in names if name[1:].isdecimal()), default=0)
        self._fresh = not names
        self._names: dict[str, str] = {}

    def learn(self, found: Sequence[Skeleton], before: Sequence[Skeleton]) -> None:
        """Note who is who in a frame that was gone through twice."""
        for person in found:
            apart = [
                np.nanmean(np.linalg.norm(person.positions - other.positions, axis=-1))
                for other in before
            ]
            if apart and np.nanmin(apart) <= _SAME_PERSON:
                self._names[person.person_id] = before[int(np.nanargmin(apart))].person_id

    def apply(self, found: Sequence[Skeleton]) -> list[Skeleton]:
        """The same people by the names they had, or new ones."""
        if self._fresh:
            return list(found)
        for person in found:
            if person.person_id not in self._names:
                self._given += 1
                self._names[person.person_id] = f"p{self._given}"
        return [replace(person, person_id=self._names[person.person_id]) for person in found]
