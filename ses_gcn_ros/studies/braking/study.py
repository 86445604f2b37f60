"""The whole study: many runs in parallel, each written down when done, so that none is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from ses_gcn_ros.bringup import DEMO_ROBOT
from ses_gcn_ros.config import build
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import load
from ses_gcn_ros.safety import SafetyConfig
from ses_gcn_ros.studies.braking.approaches import Approach, approaches
from ses_gcn_ros.studies.braking.simulation import Outcome, Simulator


def config() -> SafetyConfig:
    """What the demo cell's monitor is told of its robot; all else as by default."""
    return build(SafetyConfig, DEMO_ROBOT)


def run_study(
    files: Sequence[Path],
    count: int,
    seed: int,
    log: Path,
    *,
    weights: Path | None = None,
    jobs: int = 1,
    progress: Callable[[int], None],
) -> list[Outcome]:
    """Outcomes of `count` approaches under every policy.

    Parameters
    ----------
    files : sequence of Path
        Recordings of motion.
    count : int
        Approaches, shared among the files.
    seed : int
    log : Path
        JSON lines, one per run; runs that it holds are not repeated.
    weights : Path, optional
        Of the forecaster; the ones that ship if left out.
    jobs : int
        Processes.
    progress : callable
        Told how many runs are done.

    Raises
    ------
    InputError
        If a file holds no approach, or the log is of another study.
    """
    drawn = approaches(files, count, seed)
    about = {
        "files": [path.name for path in files],
        "seed": seed,
        "count": count,
        "weights": weights.name if weights else "default",
    }
    done = _resume(log, about)
    left = [index for index in range(count) if index not in done]
    progress(len(done))
    with (
        log.open("a", encoding="utf-8") as file,
        ProcessPoolExecutor(max_workers=jobs) as pool,
    ):
        if not done:
            print(json.dumps(about), file=file, flush=True)
        running = [pool.submit(_run, index, drawn[index], weights) for index in left]
        for future in as_completed(running):
            outcomes = future.result()
            print(json.dumps([asdict(outcome) for outcome in outcomes]), file=file, flush=True)
            done[outcomes[0].index] = outcomes
            progress(len(done))
    return [outcome for index in sorted(done) for outcome in done[index]]


def _resume(log: Path, about: dict[str, Any]) -> dict[int, list[Outcome]]:
    """Runs that the log holds; a line that was cut short is none."""
    if not log.is_file() or not log.read_text(encoding="utf-8").strip():
        return {}
    lines = log.read_text(encoding="utf-8").splitlines()
    done: dict[int, list[Outcome]] = {}
    try:
        found = json.loads(lines[0])
        if found != about:
            raise InputError(
                f"'{log}' is of another study ({found}); remove it or name another file"
            )
        for line in lines[1:]:
            try:
                outcomes = [Outcome(**run) for run in json.loads(line)]
            except ValueError:
                continue
            done[outcomes[0].index] = outcomes
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"'{log}' holds no runs of a study: {error}") from error
    return done


@cache
def _simulator(weights: Path | None) -> Simulator:
    return Simulator(config(), load(weights))


def _run(index: int, approach: Approach, weights: Path | None) -> list[Outcome]:
    return _simulator(weights).run(index, approach)
