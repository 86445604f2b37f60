"""`ses-gcn commission` at a real terminal: it asks, is killed, and goes on where it was."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ses_gcn_ros.studies.simulated_cells import SimulatedCell, SimulatedRun, record_cell

# What records a cell that runs takes the recording of a simulated one instead; the person's walk
# first as one that was killed leaves it: begun, and no more.
PROGRAM = """
import shutil, sys, time
from pathlib import Path
from ses_gcn_ros import cli
from ses_gcn_ros.commands import workcell

cell = Path(sys.argv.pop())

def record(bag, stops, console):
    source = {"standing": "stands", "walking": "walks"}.get(bag.name, "stops")
    shutil.copytree(cell / source, bag)
    if source == "walks" and not (cell / "killed").exists():
        (cell / "killed").touch()
        (file,) = bag.glob("*.mcap")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 20])
        console.print("recording goes on")
        time.sleep(600)

workcell._run_recorder = record
sys.exit(cli.main())
"""


class Terminal:
    """A program at a terminal, and somebody who reads and types."""

    def __init__(self, *words: str | Path) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            env={**os.environ, "TERM": "xterm", "COLUMNS": "400"},
            start_new_session=True,
        )
        os.close(theirs)
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end amid a character
        self.shown, self._read = "", 0  # and how far into it somebody has read

    def read(self, wanted: str = "\0", patience: float = 300.0) -> None:
        """Read on until something is shown, or the program ends."""
        deadline = time.monotonic() + patience
        while (found := self.shown.find(wanted, self._read)) < 0:
            ready, _, _ = select.select([self._ours], [], [], deadline - time.monotonic())
            assert ready, f"waited for {wanted!r} in {self.shown}"
            try:
                shown = self._decoder.decode(os.read(self._ours, 4096))
                self.shown += re.sub(r"\x1b\[[\d;?]*\w", "", shown)
            except OSError:  # the end of a terminal whose program has ended
                assert wanted == "\0", self.shown
                return
        self._read = found + len(wanted)

    def answer(self, question: str, words: str = "") -> None:
        self.read(question)
        os.write(self._ours, f"{words}\n".encode())

    def close(self) -> int:
        self.read()
        os.close(self._ours)
        return self.process.wait(60)


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    cell = SimulatedCell.draw(5)
    runs = {"stops": 12, "stands": 0, "walks": 0}
    for name, stops in runs.items():
        record_cell(cell, tmp_path / name, SimulatedRun(cell, stops, 1.0, 0.0), name)
    return tmp_path


@pytest.mark.slow
def test_a_wizard_that_is_killed_goes_on_with_what_is_missing(cell: Path):
    words = ("commission", "-o", cell / "mine", cell)
    first = Terminal(*words)
    first.answer("standing: One person stands")
    first.read("standing: ")  # what it is good for
    first.answer("walking: One person walks")
    first.read("recording goes on")
    first.process.kill()
    assert first.close() == -9
    assert not (cell / "mine" / "cell.yaml").exists()

    again = Terminal(*words)
    again.read("walking can't be used: ")
    again.answer("Record it again?", "y")
    again.answer("Ready?")
    again.answer("Payload", "2.5")
    again.answer("Speed of the program")
    again.answer("Ready?")
    again.answer("Another payload or speed?", "n")
    assert again.close() == 0, again.shown
    assert "standing: One person stands" not in again.shown  # once is enough
    recordings = {path.name for path in (cell / "mine" / "recordings").iterdir()}
    assert recordings == {"standing", "unusable_1_walking", "walking", "stops_2.5kg_100pc"}
    for name in ("cell.yaml", "stopping_table.csv", "protocol.json", "protocol.html"):
        assert (cell / "mine" / name).stat().st_size > 0
