"""Inputs as people in the field have them, each with what the right answer to it is.

A case is a folder of ``../shared/cases``: a recording, weights or a parameter file as somebody's
recorder, tracker or driver left it, and a ``run.sh`` that gives it to ``ses-gcn`` or to a node and
ends with 0 where the answer was right.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CASES = Path(os.environ.get("SES_GCN_SHARED", ROOT.parent / "shared")) / "cases"
WITHIN = 600.0  # [s] a hang, not a slow machine
NOTHING_TO_TRY = 2  # what a case ends with that could not be made on this machine

pytestmark = pytest.mark.slow


def run(case: Path) -> subprocess.CompletedProcess[str]:
    """Run a case against this checkout; whatever it started ends with it."""
    here = Path(sys.prefix)
    environment = os.environ | {
        "SES": str(here / "bin" / "ses-gcn"),
        "PY": sys.executable,
        "SETUP": str(here / "setup.bash"),
        "ROS_DOMAIN_ID": "78",
    }
    process = subprocess.Popen(
        ["bash", str(case / "run.sh")],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=WITHIN)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(process.args, process.returncode, said)


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[dict[Path, Future]]:
    """The cases that were asked for, as many at a time as there are processors."""
    asked = [
        item.callspec.params["case"]
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    ]
    pool = ThreadPoolExecutor(os.cpu_count())
    yield {case: pool.submit(run, case) for case in asked}
    pool.shutdown(cancel_futures=True)


@pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")
@pytest.mark.parametrize("case", sorted(CASES.glob("*/")), ids=lambda case: case.name)
def test_an_input_from_the_field_gets_the_right_answer(case, running):
    done = running[case].result()
    if done.returncode == NOTHING_TO_TRY:
        pytest.skip(f"could not be made here: {done.stdout.strip()}")
    assert done.returncode == 0, done.stdout[-4000:]
    assert done.stdout.rstrip().endswith("PASS"), done.stdout[-4000:]
