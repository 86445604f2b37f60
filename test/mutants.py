"""Bytes damaged at random, and what a reader of them may answer.

``SES_GCN_MUTANTS=10000 pytest -k damaged`` is the long form.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ses_gcn_ros.errors import LONGEST, SesGcnError

MUTANTS = int(os.environ.get("SES_GCN_MUTANTS", "200"))
GIBIBYTE = 1 << 30
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


def survive(path: Path, read: Callable[[Path], Any], seed: int = 0) -> None:
    """Check that damaged copies of a file are read, or refused in a sentence, and left alone."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    original = path.read_bytes()
    for data in mutants(original, MUTANTS, seed):
        path.write_bytes(data)
        try:
            read(path)
        except SesGcnError as error:
            in_one_sentence(error)
        assert path.read_bytes() == data
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < GIBIBYTE
