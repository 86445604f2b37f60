"""A study that is told to end does, with its workers, and keeps what was done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from pathlib import Path
from ses_gcn_ros import cli
from ses_gcn_ros.studies.journal import run_all

def run(number):
    if number:
        Path(f"{sys.argv[1]}.{os.getpid()}").touch()
        time.sleep(600)
    return number

cli.app = lambda: run_all(Path(sys.argv[1]), {"seed": 1}, {n: (n,) for n in range(6)}, run, jobs=2)
cli.main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_study_and_what_is_done_is_kept(tmp_path, how):
    log = tmp_path / "runs.jsonl"
    study = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(log)],
        stderr=subprocess.DEVNULL,
        # a job in the background of a shell is deaf to Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 300
    while (
        len(workers := list(tmp_path.glob("runs.jsonl.*"))) < 2 or "[0, 0]" not in log.read_text()
    ):
        assert time.monotonic() < deadline
        assert study.poll() is None
        time.sleep(0.02)
    study.send_signal(how)  # to it alone
    assert study.wait(300) != 0
    numbers = [int(path.suffix[1:]) for path in workers]
    while any(_lives(number) for number in numbers):
        assert time.monotonic() < deadline, "workers outlive the study"
        time.sleep(0.02)
    assert [0, 0] in map(json.loads, log.read_text().splitlines())


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
        return " Z " not in Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
