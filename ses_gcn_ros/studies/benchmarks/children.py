"""Python processes that a benchmark starts, and ends whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Child = subprocess.Popen[str]

_PATIENCE = 5.0  # s to end
_TIMES = slice(11, 13)  # utime and stime among the fields that follow the name in /proc/PID/stat


@contextmanager
def running(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str]
) -> Iterator[list[Child]]:
    """Run modules, each a command of its name and arguments, with their output to be read."""
    children = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for command in commands
    ]
    try:
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            assert child.stdout is not None
            child.stdout.close()


def next_line(child: Child) -> str:
    """Next line that a process prints; empty if it ended instead."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


def processor_time(children: Sequence[Child]) -> float:
    """Seconds of processor time that processes have used."""
    ticks = 0
    for child in children:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[_TIMES])
    return ticks / os.sysconf("SC_CLK_TCK")
