"""Many runs in parallel, each written down when it is done, so that a killed study goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from ses_gcn_ros.bringup import die_with_parent
from ses_gcn_ros.errors import MISSHAPEN, InputError
from ses_gcn_ros.resources import parse_json


def run_all(
    log: Path,
    about: Mapping[str, Any],
    tasks: Mapping[int, tuple[Any, ...]],
    run: Callable[..., Any],
    *,
    jobs: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[int, Any]:
    """What `run` answers for every task, from the log where it was done before.

    Raises InputError if the log is of another study, or none at all.

    `log`: JSON lines: what the study is about, then number and answer of each task.
    `about`: what another study would have otherwise, plain JSON.
    `tasks`: arguments by the number of the task.
    `run`: of a module's top level; its answers are plain JSON.
    Gives answers in the order of the tasks.
    """
    done = {number: answer for number, answer in _read(log, about).items() if number in tasks}
    progress(len(done))
    left = [number for number in tasks if number not in done]
    new = not log.is_file() or not log.read_text(encoding="utf-8").strip()
    pool = ProcessPoolExecutor(max_workers=jobs, initializer=die_with_parent)
    try:
        with log.open("a", encoding="utf-8") as file:
            if new:
                print(json.dumps(about), file=file, flush=True)
            running = {pool.submit(run, *tasks[number]): number for number in left}
            for future in as_completed(running):
                number, answer = running[future], json.loads(json.dumps(future.result()))
                print(json.dumps([number, answer]), file=file, flush=True)
                done[number] = answer
                progress(len(done))
    except BaseException:  # whoever interrupts doesn't wait for all that is left
        pool.shutdown(wait=False, cancel_futures=True)
        for child in active_children():
            child.terminate()
        raise
    pool.shutdown()
    return {number: done[number] for number in tasks}


def _read(log: Path, about: Mapping[str, Any]) -> dict[int, Any]:
    """Tasks that the log holds; a line that was cut short is none."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        if not "".join(lines).strip():
            return {}
        found = parse_json(lines[0])
    except ValueError as error:
        raise InputError(f"'{log}' holds no runs of a study: {error}") from error
    if found != about:
        raise InputError(f"'{log}' is of another study ({found}); remove it or name another file")
    done = {}
    for line in lines[1:]:
        try:
            number, answer = parse_json(line)
            done[int(number)] = answer
        except MISSHAPEN:
            continue
    return done
