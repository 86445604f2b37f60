"""How fast a recording is replayed through the core and judged, and in what memory."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from ses_gcn_ros.errors import BagError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.studies.benchmarks.harness import Cell, Column, Progress, Section
from ses_gcn_ros.studies.simulated_cells import SyntheticRecording, write_crowd
from ses_gcn_ros.studies.soak import memory

PEOPLE = 4
JOBS = 2
_MINUTES, _QUICK = (5.0, 10.0), (0.5,)
_ROUNDS = 3  # of the short ones, by turns
_HOUR = 60.0  # minutes
_COPIES, _FEW = 100, 4  # of the sample
_SAMPLING = 0.2  # s between two looks at the memory
_COMMAND = "from ses_gcn_ros.cli import main; raise SystemExit(main())"

_REPLAYED = re.compile(r"replayed in ([\d.]+) s")


def replay(quick: bool, progress: Progress) -> Section:
    """Evaluate the sample, many of it, and shifts of four people one twice as long as the other."""
    lengths, rounds, copies = (_QUICK, 1, _FEW) if quick else (_MINUTES, _ROUNDS, _COPIES)
    once = () if quick else (_HOUR,)
    sample = share_path("config", "demo", "visitor")
    runs = defaultdict[str, list[Run]](list)
    with tempfile.TemporaryDirectory() as folder:
        shifts = {minutes: Path(folder) / f"shift_{minutes:g}" for minutes in (*lengths, *once)}
        for minutes, shift in shifts.items():
            progress(f"write {minutes:g} minutes of {PEOPLE} people")
            write_crowd(shift, SyntheticRecording(minutes, PEOPLE))
        for turn in range(rounds):
            progress(f"evaluate, round {turn + 1}: the sample recording")
            runs["sample"].append(measure([sample], ["--demo-robot"]))
            for minutes in lengths:
                progress(f"evaluate, round {turn + 1}: {minutes:g} minutes of {PEOPLE} people")
                runs[f"{minutes:g} min"].append(measure([shifts[minutes]]))
        for minutes in once:
            progress(f"evaluate, {minutes:g} minutes of {PEOPLE} people")
            runs[f"{minutes:g} min"].append(measure([shifts[minutes]]))
        progress(f"evaluate, {copies} of the sample recording")
        bags = [Path(folder) / f"sample_{number}" for number in range(copies)]
        for bag in bags:
            shutil.copytree(sample, bag)
        jobs = ["--demo-robot", "--jobs", str(JOBS)]
        runs[f"{copies} × sample"].append(measure(bags, jobs))
    return Section(
        name="replay",
        title="Evaluation of recordings",
        about="`ses-gcn evaluate` from the command's start to its end, pages included: the sample "
        "recording with the demo cell's robot, so short that most of the time is the program's "
        f"start; many of it, as short recordings come, {JOBS} at a time; and shifts of {PEOPLE} "
        "people at 25 Hz beside a robot whose transforms come at 100 Hz. Of a single recording "
        "also the replay alone, as the command tells it, from the first message to the page: what "
        "is left is Python, libraries and compiled code being loaded. Memory is all that is "
        "resident, of all processes, at its highest. Recordings with several runs took turns; "
        "shown is the run of median length, with the most memory of any.",
        columns=[
            Column("recording", "recording"),
            Column("recorded", "recorded s", 1, 1),
            Column("frames", "frames"),
            Column("runs", "runs"),
            Column("took", "took s", 1, 1),
            Column("speed", "× real time", 1, 1),
            Column("replay", "replay s", 1, 2),
            Column("replay_speed", "× real time", 1, 1),
            Column("memory", "memory MB", 1e-6, 0),
        ],
        rows=[_row(name, alike) for name, alike in runs.items()],
    )


@dataclass(frozen=True)
class Run:
    """One evaluation: what was recorded, in what time [s] and memory [B] it was judged.

    `replay` is the replay alone, which is told of single recordings; `memory` is 0 where the system
    doesn't tell.
    """

    recorded: float
    frames: int
    took: float
    replay: float | None
    memory: float


def _row(name: str, runs: list[Run]) -> dict[str, Cell]:
    """The run of median length, with the most memory of any."""
    run = sorted(runs, key=attrgetter("took"))[len(runs) // 2]
    return {
        "recording": name,
        "recorded": run.recorded,
        "frames": run.frames,
        "runs": len(runs),
        "took": run.took,
        "speed": run.recorded / run.took,
        "replay": run.replay,
        "replay_speed": run.recorded / run.replay if run.replay else None,
        "memory": max(run.memory for run in runs) or None,
    }


def measure(bags: Sequence[Path], options: Sequence[str] = ()) -> Run:
    """Evaluate bags in a command of their own. Raises BagError if that fails."""
    with tempfile.TemporaryDirectory() as folder:
        there = list(map(str, bags))
        command = [sys.executable, "-c", _COMMAND, "evaluate", *there, "-o", folder, *options]
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        highest = 0.0
        while process.poll() is None:
            highest = max(highest, _resident(process.pid))
            time.sleep(_SAMPLING)
        took = time.perf_counter() - started
        said, _ = process.communicate()
        if process.returncode != 0:
            raise BagError(f"evaluating {there[0]} failed: {said.strip()[-300:]}")
        summary = json.loads((Path(folder) / "summary.json").read_text("utf-8"))
    told = _REPLAYED.search(said)
    replay = float(told[1]) if told else None
    return Run(summary["duration_s"], summary["frames"], took, replay, highest)


def _resident(pid: int) -> float:
    """Resident memory of a process and its children on Linux [B]; 0 elsewhere."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
        return memory(pid)[0] + sum(_resident(int(child)) for child in children)
    except (OSError, ProcessLookupError):
        return 0.0
