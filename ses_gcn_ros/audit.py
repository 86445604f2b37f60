"""An audit log: events as lines of JSON, each bound by a hash to all that came before it.

A line is an object that begins with ``"hash"``: the SHA-256, in hexadecimal, of the hash before it
and of the rest of its own line, byte for byte. Where the program started or a new file began stands
a line with the event ``begin``, the digest of the configuration and the hash before it. A full file
is renamed to ``FILE.1``, ``FILE.2`` and so on, and the chain goes on in the next; none is deleted.

The chain shows that something was changed, not by whom: whoever may write the file can write all of
it anew. Against that, and against the loss of the newest lines, a hash helps that was noted
elsewhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import glob
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ses_gcn_ros import __version__
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.resources import parse_json, plain

FIRST = "0" * 64  # stands for the hash before the first line
_START = b'{"hash":"'
_LINE = re.compile(rb'\{"hash":"([0-9a-f]{64})"(,.*\})\n', re.DOTALL)


def configuration_digest(config: Any) -> str:
    """SHA-256 of a configuration dataclass, in hexadecimal: of its values as sorted JSON."""
    return hashlib.sha256(
        json.dumps(dataclasses.asdict(config), sort_keys=True).encode()
    ).hexdigest()


def write_whole(file: int, data: bytes) -> None:
    """Append data to an open file by one write.

    Raises OSError if the disk is full; what was written of the data is taken back.
    """
    written = os.write(file, data)
    if written < len(data):
        os.ftruncate(file, os.fstat(file).st_size - written)
        raise OSError("no space for the whole line")


class AuditLog:
    """Append events to a log that shows later changes.

    A line is with the operating system when `record` returns, so that a killed process loses none
    but the one it was writing; a power cut takes what was not on the disk yet. What can't be
    written is counted, said in `problem`, and said in the log once that can be written again.

    Raises ConfigError if the file can't be written, holds something else, or another process writes
    it.

    `path`: file to append to; empty for none, whose events go nowhere.
    `config`: what the program runs with.
    `size`: bytes from which on a new file is begun.
    """

    def __init__(self, path: str, config: Any, size: float = math.inf) -> None:
        self._path = Path(path).expanduser() if path else None
        self._size = size
        self.hash = FIRST  # of the last line
        self.problem, self.lost = "", 0
        self._file = -1
        if self._path is None:
            return
        self._about = {"configuration": configuration_digest(config), "software": __version__}
        try:
            self._open()
            self._begin(self._resume())
        except OSError as error:
            self.close()
            raise ConfigError(f"audit_log '{path}' can't be written: {error}") from error

    def record(self, event: str, **facts: Any) -> None:
        """Append an event with its facts; what prevents that is in `problem`."""
        self._record({"event": event, **facts}, 1)

    def retry(self) -> None:
        """Say what was lost, if anything was and the log can be written again."""
        if self.lost:
            self._record({"event": "recovered"}, 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _record(self, facts: Mapping[str, Any], weight: int) -> None:
        if self._path is None:
            return
        try:
            self._follow()
            self._write({**facts, **({"lost_events": self.lost} if self.lost else {})})
        except OSError as error:
            self.lost += weight
            self.problem = f"audit_log: {error.strerror or error}; {self.lost} events lost"
        else:
            self.lost, self.problem = 0, ""

    def _open(self) -> None:
        assert self._path is not None
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise OSError("another process writes it") from None
        self.close()
        self._file = file

    def _resume(self) -> dict[str, int]:
        """Find the last hash; take back a line that was cut off, and give its length."""
        assert self._path is not None
        text = self._path.read_bytes()
        whole = text.rfind(b"\n") + 1
        torn = text[whole:]
        earlier = rotated(self._path)
        newest = text[:whole] or (earlier[-1].read_bytes() if earlier else b"")
        last = _LINE.fullmatch(newest[newest.rfind(b"\n", 0, -1) + 1 :]) if newest else None
        if torn[: len(_START)] != _START[: len(torn)] or (newest and last is None):
            raise OSError("it holds something else")
        if last is not None:
            self.hash = last[1].decode()
        os.ftruncate(self._file, whole)
        return {"torn_bytes": len(torn)} if torn else {}

    def _follow(self) -> None:
        """Begin a new file where this one is full, or was moved away."""
        assert self._path is not None
        held = os.fstat(self._file)
        if held.st_size >= self._size:
            number = max((int(file.suffix[1:]) for file in rotated(self._path)), default=0) + 1
            self._path.rename(self._path.with_name(f"{self._path.name}.{number}"))
        if not self._path.exists() or not os.path.samestat(held, self._path.stat()):
            self._open()
        if os.fstat(self._file).st_size == 0:
            self._begin({})

    def _begin(self, facts: Mapping[str, Any]) -> None:
        self._write({"event": "begin", "previous": self.hash, **self._about, **facts})

    def _write(self, facts: Mapping[str, Any]) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        dated = {"time": now, **plain(facts)}
        rest = b"," + json.dumps(dated, separators=(",", ":")).encode()[1:]
        following = _following(self.hash, rest)
        write_whole(self._file, _START + following.encode() + b'"' + rest + b"\n")
        self.hash = following


def _following(before: str, rest: bytes) -> str:
    return hashlib.sha256(before.encode() + rest).hexdigest()


def rotated(path: Path) -> list[Path]:
    """Files that a log has filled, oldest first."""
    beside = path.parent.glob(f"{glob.escape(path.name)}.*")
    files = [file for file in beside if file.suffix[1:].isdecimal()]
    return sorted(files, key=lambda file: int(file.suffix[1:]))


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """What was found in an audit log."""

    ok: bool
    files: tuple[str, ...]  # that were read, oldest first
    events: int = 0  # whole lines that are as they were written
    # dates of the first and the last of them
    first: str = ""
    last: str = ""
    # digests of the configurations in force, one after the other
    configurations: tuple[str, ...] = ()
    # hash before the first line, `FIRST` unless earlier files are elsewhere, and of the last of
    # these lines: note it elsewhere
    previous: str = FIRST
    last_hash: str = FIRST
    # the first line that is not as it was written, and why; empty and 0 where all are
    file: str = ""
    line: int = 0
    problem: str = ""


def verify(path: Path, noted: str = "") -> AuditReport:
    """Check every line of an audit log and of the files that it filled before.

    Raises InputError if there is no such log, or it holds nothing.

    `path`: the log as the program was told it, or one of its files, ``FILE.3``, which is checked
    alone.
    `noted`: hash that was noted elsewhere and has to be among those of the log.
    """
    files = [*rotated(path), *([path] if path.exists() else [])]
    if not files:
        raise InputError(f"there is no audit log '{path}', nor one that it filled before")
    hashes, dates, configurations = list[str](), list[str](), list[str]()

    def report(file: Path, line: int, problem: str) -> AuditReport:
        return AuditReport(
            ok=not problem,
            files=tuple(map(str, files)),
            events=len(dates),
            first=dates[0] if dates else "",
            last=dates[-1] if dates else "",
            configurations=tuple(configurations),
            previous=hashes[0] if hashes else FIRST,
            last_hash=hashes[-1] if hashes else FIRST,
            file=str(file) if problem else "",
            line=line if problem else 0,
            problem=problem,
        )

    for file in files:
        for number, line in enumerate(file.read_bytes().splitlines(keepends=True), 1):
            found = _LINE.fullmatch(line)
            if found is None:
                cut = "" if line.endswith(b"\n") else ", or was cut off while it was written"
                return report(file, number, f"is no line of an audit log{cut}")
            facts: dict[str, Any] = {}
            with contextlib.suppress(ValueError):
                facts = parse_json(line)
            previous = str(facts.get("previous"))
            if not hashes:
                hashes.append(previous)
            elif number == 1 and previous != hashes[-1]:
                return report(file, number, "does not follow the last line of the file before")
            if found[1].decode() != _following(hashes[-1], found[2]):
                return report(
                    file, number, "was changed, or lines before it were changed, removed or added"
                )
            hashes.append(found[1].decode())
            dates.append(str(facts.get("time")))
            told = str(facts.get("configuration"))
            if facts.get("event") == "begin" and told not in configurations[-1:]:
                configurations.append(told)
    if not dates:
        raise InputError(f"audit log '{path}' holds no events")
    if noted and noted not in hashes[1:]:
        missing = f"no line has the hash {noted}, which was noted: lines are missing"
        return report(files[-1], len(dates), missing)
    return report(files[-1], 0, "")
