"""Bytes damaged at random, and what a reader of them may answer.

``SES_GCN_MUTANTS=10000 pytest -k damaged`` is the long form.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ses_gcn_ros.errors import LONGEST, SesGcnError

MUTANTS = int(os.environ.get("SES_GCN_MUTANTS", "200"))
GIBIBYTE = 1 << 20  # KiB
LONGEST_READ = 60.0  # s of processor time, which a busy machine doesn't stretch
# What a parser trips over, in text as in bytes.
_WORDS = (b"1e999", b"-1", b"nan", b"99999999999", b"[", b"{", b"]", b'"', b"null", b"&a", b"*a")
_WORDS += (b"\xff" * 8, b"\x00" * 4, b"\xc3\xa4", b"\xfe\xff", b"<", b">", b": ", b"\t", b"\n")
_WORDS += (b"[" * 3000, b"9" * 400, b"9" * 5000, b"2026-13-45", b"!!timestamp x", b"<<: *a")


def mutants(original: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Nothing, then the bytes with some flipped, repeated, cut out or off, or difficult ones."""
    rng = np.random.default_rng(seed)
    yield b""
    for _ in range(count):
        data = bytearray(original)
        for _ in range(rng.integers(1, 4)):
            at, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 64))
            match rng.integers(6):
                case 0:
                    data[at : at + length] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
                case 1:
                    del data[at : at + length]
                case 2:
                    data[at:at] = data[at : at + length]
                case 3:
                    del data[at:]
                case _:
                    word = _WORDS[rng.integers(len(_WORDS))]
                    data[at : at + len(word)] = word
        yield bytes(data)


def in_one_sentence(error: SesGcnError) -> None:
    """Check that an error says something, in one line of no more than `LONGEST` characters."""
    assert 0 < len(str(error)) <= LONGEST
    assert "\n" not in str(error)


@contextlib.contextmanager
def in_a_gibibyte() -> Iterator[None]:
    """Check that what is done in here takes no more memory than that, at its peak."""
    status = Path("/proc/self/status")

    def memory(key: str) -> int:
        found = re.search(rf"{key}:\s+(\d+) kB", status.read_text())
        assert found
        return int(found[1])

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    yield
    assert memory("VmHWM") - before < GIBIBYTE


def survive(path: Path, read: Callable[[Path], Any], seed: int = 0) -> None:
    """Check that damaged copies of a file are read, or refused in a sentence, and left alone.

    Nothing else appears beside them either, and it takes a gibibyte and a minute at most.
    """
    original, beside = path.read_bytes(), sorted(path.parent.iterdir())
    with in_a_gibibyte():
        for data in mutants(original, MUTANTS, seed):
            path.write_bytes(data)
            begun = time.process_time()
            try:
                read(path)
            except SesGcnError as error:
                in_one_sentence(error)
            assert time.process_time() - begun < LONGEST_READ
            assert path.read_bytes() == data
            assert sorted(path.parent.iterdir()) == beside
