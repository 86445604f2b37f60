"""What distance queries and the evaluation of recordings cost."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import BagError, ConfigError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import capsule_distances
from ses_gcn_ros.studies.benchmarks.harness import (
    Cell,
    Progress,
    Section,
    compare,
    take_turns,
)
from ses_gcn_ros.studies.simulated_cells import SyntheticRecording, write_crowd
from ses_gcn_ros.studies.soak import memory

Array = NDArray[np.float64]

_PEOPLE = (1, 8)
_LIMBS, _STEPS, _LINKS = 14, 25, 9  # a person's capsules, a second at 25 Hz, an arm's capsules


@dataclass(frozen=True, eq=False)
class GeometryScene:
    """Capsules of people and robot."""

    limbs: Array  # (2, P, T, N, 3): both ends of N limbs of P people at T steps [m]
    links: Array  # (2, T, M, 3): both ends of M links [m]
    # (N,), (M,): [m]
    limb_radii: Array
    link_radii: Array

    @classmethod
    def random(cls, people: int) -> GeometryScene:
        """Capsules of limbs' and links' size around one place; their lengths don't change."""
        rng = np.random.default_rng(people)
        lengths = rng.uniform(0.1, 0.6, (_LIMBS, 1)), rng.uniform(0.1, 0.4, (_LINKS, 1))
        ends = []
        for lead, length in zip(((people, _STEPS, _LIMBS), (_STEPS, _LINKS)), lengths, strict=True):
            start, along = rng.normal(0, 1, (*lead, 3)), rng.normal(0, 1, (*lead, 3))
            along /= np.linalg.norm(along, axis=-1, keepdims=True)
            ends.append(np.stack([start, start + length * along]))
        radii = rng.uniform(0.05, 0.2, _LIMBS), rng.uniform(0.05, 0.1, _LINKS)
        return cls(ends[0], ends[1], radii[0], radii[1])


def geometry(quick: bool, progress: Progress) -> Section:
    """Distances of all limbs to all links over a forecast."""
    rows: list[dict[str, Cell]] = []
    with_coal = _coal_is_there()
    for people in _PEOPLE:
        progress(f"distances, {people} people")
        rows += _query(GeometryScene.random(people), people, with_coal, 0.1 if quick else 3.0)
    notes = [] if with_coal else ["coal was not measured: it is not installed"]
    numbers: dict[str, Cell] = {"limbs": _LIMBS, "links": _LINKS, "steps": _STEPS}
    return Section("geometry", rows, notes, numbers)


def _query(
    scene: GeometryScene, people: int, with_coal: bool, seconds: float
) -> list[dict[str, Cell]]:
    limbs, links = scene.limbs[..., None, :], scene.links[..., None, :, :]
    radii = scene.limb_radii[:, None], scene.link_radii

    def query(backend: str) -> Array:
        return capsule_distances(
            limbs[0], limbs[1], radii[0], links[0], links[1], radii[1], backend=backend
        ).distance

    exact = query("numpy")
    calls: dict[str, Callable[[], object]] = {}
    errors = {"numpy": 0.0}
    if with_coal:
        pairs = _coal_pairs(scene)
        answer = np.array([pair() for pair in pairs]).reshape(exact.shape)
        errors["coal"] = float(np.abs(answer - exact).max())
        calls["coal"] = lambda: [pair() for pair in pairs]
    calls["numpy"] = lambda: query("numpy")
    try:
        errors["numba"] = float(np.abs(query("numba") - exact).max())
        calls["numba"] = lambda: query("numba")
    except ConfigError:  # not installed: numpy is what runs
        pass
    return compare(take_turns(calls, seconds), errors, people=people)


def _coal_pairs(scene: GeometryScene) -> list[Callable[[], float]]:
    """One call per pair, in the order of the query, with nothing left to be made in the call."""
    coal: Any = importlib.import_module("coal")

    def shapes(ends: Array, radii: Array) -> list[Any]:
        lengths = np.linalg.norm(ends[1] - ends[0], axis=-1).reshape(-1, len(radii))[0]
        return [coal.Capsule(*size) for size in zip(radii.tolist(), lengths.tolist(), strict=True)]

    def transforms(ends: Array) -> NDArray[np.object_]:
        turns = _turns(ends[1] - ends[0]).reshape(-1, 3, 3)
        middles = ends.mean(axis=0).reshape(-1, 3)
        made = np.empty(len(middles), object)
        made[:] = [coal.Transform3s(*place) for place in zip(turns, middles, strict=True)]
        return made.reshape(ends.shape[1:-1])

    limbs = shapes(scene.limbs, scene.limb_radii)
    links = shapes(scene.links, scene.link_radii)
    limb_places, link_places = transforms(scene.limbs), transforms(scene.links)
    request, result = coal.DistanceRequest(), coal.DistanceResult()
    return [
        functools.partial(
            coal.distance,
            limbs[n],
            limb_places[p, t, n],
            links[m],
            link_places[t, m],
            request,
            result,
        )
        for p, t, n, m in np.ndindex(*limb_places.shape, len(links))
    ]


def _turns(along: Array) -> Array:
    """Rotations (..., 3, 3) that turn z into the directions (..., 3)."""
    z = along / np.linalg.norm(along, axis=-1, keepdims=True)
    x = np.cross(np.eye(3)[np.abs(z).argmin(axis=-1)], z)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _coal_is_there() -> bool:
    return importlib.util.find_spec("coal") is not None


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
    rows = [_row(name, alike) for name, alike in runs.items()]
    return Section("replay", rows, numbers={"jobs": JOBS, "people": PEOPLE})


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
