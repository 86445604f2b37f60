"""Many bags: in parallel, on this machine or on a Dask cluster, resumed where they were left.

Each bag has a folder with an ``outcome.json`` that appears, whole, when the bag is done or has
failed. It holds a key of the bag's content and of all options; an outcome with the same key is
never computed again.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ses_gcn_ros import __version__
from ses_gcn_ros.bringup import die_with_parent
from ses_gcn_ros.errors import MISSHAPEN, BagError, ConfigError, SesGcnError
from ses_gcn_ros.forecast.weights import weights_path
from ses_gcn_ros.replay.evaluate import FORMAT, KilledError, UnwrittenError, evaluate
from ses_gcn_ros.replay.forecast_scores import detection
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.summary import write_json
from ses_gcn_ros.resources import check_folder, parse_json, plain

OUTCOME = "outcome.json"
_ENDS = 1 << 22  # bytes at both ends of a file that stand for its content
_ATTEMPTS = 3  # at a bag whose worker process dies
_TOLD = 10  # sentences on what was wrong with bags of which there are results


@dataclass(frozen=True)
class BatchOutcome:
    """What became of a bag."""

    bag: str  # as it was given
    folder: str  # of its results, within the folder of all
    error: str  # why there are none; empty if there are
    summary: dict[str, Any] | None


def find_bags(patterns: Sequence[str]) -> list[Path]:
    """Bags of paths and glob patterns, each once, in order.

    Raises BagError if a pattern finds nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        here = Path(pattern).exists()  # whatever brackets its name may have
        paths = [pattern] if here else sorted(glob.glob(pattern, recursive=True))
        if not paths:
            raise BagError(f"bag '{pattern}' does not exist")
        for path in map(Path, paths):
            found |= dict.fromkeys(_bags_in(path))
    return list(found)


def _bags_in(path: Path) -> list[Path]:
    """The bag, or those below a folder that is none, such as a data set's ``S00``."""
    if not path.is_dir() or any(path.glob("*.mcap*")) or any(path.glob("*.db3*")):
        return [path]
    below = {file.parent for kind in ("mcap", "db3") for file in path.rglob(f"*.{kind}")}
    return sorted(below) or [path]


def key_of(bag: Path, options: Options) -> str:
    """Key of a bag's content, the options, the weights and the version.

    Of a large file only its size and its two ends are read.
    """
    digest = hashlib.sha256(f"{FORMAT} {__version__} {options!r}".encode())
    weights = weights_path(options.forecaster.weights)
    files = sorted(p for p in bag.rglob("*") if p.is_file()) if bag.is_dir() else [bag]
    robot = Path(options.safety.robot_description[:255])  # a file, or the text of one
    model = Path(options.pose.model).expanduser()
    files += [path for path in (robot, model) if path.is_file()]
    for path in (weights, *files):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(path.stat().st_size - _ENDS, 0))
            digest.update(file.read(_ENDS))
    return digest.hexdigest()


def folders_of(bags: Sequence[Path]) -> list[str]:
    """Name of each bag's folder: the bag's own; where two have one, its folder's goes before it."""
    names, taken = [], set[str]()
    bags = [Path(os.path.abspath(bag)) for bag in bags]  # '.' and '..' are no names
    stems = Counter(bag.name if bag.is_dir() else bag.stem for bag in bags)
    for bag in bags:
        stem = bag.name if bag.is_dir() else bag.stem
        if stems[stem] > 1 and bag.parent.name:
            stem = f"{bag.parent.name}-{stem}"
        number = 1
        name = stem
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names.append(name)
    return names


def evaluate_all(
    bags: Sequence[Path],
    out: Path,
    options: Options,
    *,
    jobs: int = 1,
    cluster: str = "",
    done: Callable[[BatchOutcome], None] = lambda outcome: None,
) -> list[BatchOutcome]:
    """Replay bags in parallel; what fails is told of and stops nothing.

    Gives their outcomes in the order of the bags.
    Raises ConfigError if there are no jobs, the cluster can't be reached, Dask isn't installed or
    results would go into a bag.

    `out`: folder that gets a folder for each bag.
    `jobs`: processes on this machine; negative counts from the number of processors.
    `cluster`: address of a Dask scheduler whose workers see the same files; empty for this machine.
    `done`: told of each outcome as it comes, of earlier runs' first.
    """
    if jobs == 0:
        raise ConfigError("--jobs is 0; it takes 1 or more, or -1 for all cores")
    place = Path.resolve if cluster else Path  # where its workers find it
    tasks = {
        name: BatchTask(str(bag), place(bag), place(out), name, options)
        for bag, name in zip(bags, folders_of(bags), strict=True)
    }
    for name in tasks:
        check_folder(out / name, "metrics.csv")
    out.mkdir(parents=True, exist_ok=True)
    earlier = {name: task.outcome() for name, task in tasks.items()}
    found = {name: outcome for name, outcome in earlier.items() if outcome is not None}
    for outcome in found.values():
        done(outcome)
    waiting = [task for name, task in tasks.items() if name not in found]
    for outcome in _run(waiting, jobs, cluster):
        found[outcome.folder] = outcome
        done(outcome)
    return [found[name] for name in tasks]


@dataclass(frozen=True)
class BatchTask:
    """One bag of a batch; goes to the process that does it, perhaps on another machine."""

    given: str  # name of the bag as it was given
    bag: Path
    out: Path
    name: str
    options: Options

    @property
    def _file(self) -> Path:
        return self.out / self.name / OUTCOME

    def outcome(self) -> BatchOutcome | None:
        """Outcome of this or an earlier run; None if there is none of this bag and options."""
        try:
            content = parse_json(self._file.read_text("utf-8"))
            if content["key"] != key_of(self.bag, self.options):
                return None
            summary = None
            if not content["error"]:
                summary = parse_json((self._file.with_name("summary.json")).read_text("utf-8"))
            return BatchOutcome(self.given, self.name, content["error"], summary)
        except (*MISSHAPEN, OSError):
            return None

    def __call__(self, *, ahead: bool = True) -> BatchOutcome:
        """Replay the bag, see `evaluate`, and leave its outcome."""
        error, summary = "", None
        try:
            summary = evaluate(self.bag, self._file.parent, self.options, ahead=ahead)
        except (KilledError, UnwrittenError, OSError) as reason:
            # not kept: there may be more memory, or room on the disk, another time
            return BatchOutcome(self.given, self.name, f"{self.given}: {reason}", None)
        except SesGcnError as reason:
            error = str(reason)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._file, {"key": key_of(self.bag, self.options), "error": error})
        return BatchOutcome(self.given, self.name, error, summary)


def _run(tasks: Sequence[BatchTask], jobs: int, cluster: str) -> Iterator[BatchOutcome]:
    """Replay bags in processes; one that dies takes no more than its bag with it."""
    if jobs == 1 and not cluster:
        yield from (task() for task in tasks)
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    died: tuple[type[Exception], ...] = (TerminatedWorkerError,)
    with contextlib.ExitStack() as stack:
        if cluster:
            stack.enter_context(_client(cluster))
            from distributed import KilledWorker

            died, jobs = (KilledWorker,), -1
            stack.enter_context(parallel_config(backend="dask"))
        left = list(tasks)
        for _ in range(_ATTEMPTS):
            try:
                parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
                run = _replay if cluster else partial(_replay, starter=os.getpid())
                for outcome in parallel(delayed(run)(task) for task in left):
                    yield outcome
                    left = [task for task in left if task.name != outcome.folder]
                return
            except died:
                finished = [(task, task.outcome()) for task in left]
                yield from (outcome for _, outcome in finished if outcome is not None)
                left = [task for task, outcome in finished if outcome is None]
        for task in left:  # not kept, for more memory may help
            why = "the process that replayed it was killed, perhaps for want of memory"
            yield BatchOutcome(task.given, task.name, f"bag '{task.given}': {why}", None)


def _replay(task: BatchTask, starter: int = 0) -> BatchOutcome:
    """Do a task, in a process that ends with the one that started it on this machine."""
    if starter not in (0, os.getpid()):
        die_with_parent()
    return task(ahead=False)  # the other processors have bags of their own


def _client(address: str) -> Any:
    """Client of a Dask cluster, which joblib finds while its context lasts."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            "--cluster needs Dask; install it with pip install ses_gcn_ros[cluster]"
        ) from error
    try:
        return Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at '{address}': {error}") from error


Summary = dict[str, Any]


def merge(outcomes: Sequence[BatchOutcome]) -> Summary:
    """Sum up the outcomes of many bags.

    Sums are summed, means weighted with what they are means of. Distributions stay with their bags:
    quantiles can't be merged.
    """
    found = [outcome.summary for outcome in outcomes if outcome.summary is not None]
    failed = [outcome for outcome in outcomes if outcome.error]
    wrong = Counter(sentence for summary in found for sentence in summary["problems"])
    told = [f"{n} of {len(outcomes)} bags: {words}" for words, n in wrong.most_common(_TOLD)]
    if len(wrong) > _TOLD:
        told.append(f"{len(wrong) - _TOLD} more such sentences are in the bags' own summaries")
    return plain(
        {
            "format": FORMAT,
            "bag": f"{len(found)} bags",
            "source": "+".join(sorted({summary["source"] for summary in found})),
            "partial": bool(failed) or any(summary["partial"] for summary in found),
            "problems": [*(outcome.error for outcome in failed), *told],
            "bags": [_row(outcome) for outcome in outcomes],
            **{name: _sum(found, name) for name in ("duration_s", "frames", "people")},
            "stream": _stream(found),
            "forecasts": _forecasts([summary["forecasts"] for summary in found]),
            "collision": _collision([s["collision"] for s in found if s["collision"]]),
            "safety": _safety([s["safety"] for s in found if s["safety"]]),
        },
        digits=6,
    )


def _row(outcome: BatchOutcome) -> Summary:
    row: Summary = {"bag": outcome.bag, "folder": outcome.folder, "error": outcome.error}
    summary = outcome.summary
    if summary is not None:
        safety, errors = summary["safety"] or {}, summary["forecasts"].get("mpjpe_mm")
        row |= {
            "partial": summary["partial"],
            "duration_s": summary["duration_s"],
            "people": summary["people"],
            "mpjpe_mm": errors["at"]["forecast"][-1] if errors else None,
            "availability": safety.get("availability"),
            "stops": safety.get("stops"),
            "worst_separation_m": (safety.get("worst") or {}).get("separation_m"),
        }
    return row


def _sum(parts: Iterable[Summary], name: str) -> Any:
    return sum(part[name] or 0 for part in parts)


def _counted(parts: Iterable[Summary], name: str) -> dict[str, int]:
    total = Counter[str]()
    for part in parts:
        total.update(part[name])
    return dict(total)


def _stream(found: Sequence[Summary]) -> Summary:
    parts = [summary["stream"] for summary in found]
    return {
        "gaps": _sum(parts, "gaps"),
        "gap_s_total": _sum(parts, "gap_s_total"),
        "longest_gap_s": max((part["longest_gap_s"] for part in parts), default=0.0),
        "dropped": _sum(parts, "dropped"),
        "refused": _counted(parts, "refused"),
    }


def _mean(values: Sequence[Any], weights: Sequence[float]) -> Any:
    """Weighted mean of numbers, or of everything within equal structures of them."""
    if isinstance(values[0], dict):
        shared = [key for key in values[0] if all(key in value for value in values)]
        return {key: _mean([value[key] for value in values], weights) for key in shared}
    if isinstance(values[0], list):
        return [_mean(items, weights) for items in zip(*values, strict=False)]
    known = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    total = sum(weight for _, weight in known)
    return math.fsum(value * weight for value, weight in known) / total if total else None


def _forecasts(parts: Sequence[Summary]) -> Summary:
    merged: Summary = {
        "count": _sum(parts, "count"),
        "compared": _sum(parts, "compared"),
        "models": _counted(parts, "models"),
        "fallbacks": _counted(parts, "fallbacks"),
    }
    judged = [part for part in parts if part.get("mpjpe_mm")]
    if judged:
        alike = [part for part in judged if part["horizons_s"] == judged[0]["horizons_s"]]
        weights = [part["compared"] for part in alike]
        merged["horizons_s"] = alike[0]["horizons_s"]
        for name in ("mpjpe_mm", "per_joint_mm", "per_part_mm", "coverage"):
            merged[name] = _mean([part[name] for part in alike], weights)
    return merged


def _collision(parts: Sequence[Summary]) -> Summary | None:
    if not parts:
        return None
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    merged: Summary = {name: _sum(parts, name) for name in (*counts, "windows")}
    return {
        **merged,
        "threshold_m": parts[0]["threshold_m"],
        "horizon_s": parts[0]["horizon_s"],
        **detection(*(merged[name] for name in counts[:3])),
        "collisions": _sum(parts, "collisions"),
        "collisions_warned": _sum(parts, "collisions_warned"),
    }


def _safety(parts: Sequence[Summary]) -> Summary | None:
    if not parts:
        return None
    times = [math.fsum(part["seconds"].values()) for part in parts]
    names = ("states", "stops", "stops_by_people", "false_stops", "missed_stops")
    worst = [part["worst"] for part in parts if part["worst"]]
    return {
        **{name: _sum(parts, name) for name in names},
        "seconds": {
            level: math.fsum(part["seconds"][level] for part in parts)
            for level in parts[0]["seconds"]
        },
        "availability": _mean([part["availability"] for part in parts], times),
        "out_of_sight_s": math.fsum(part.get("out_of_sight_s", 0.0) for part in parts),
        "mean_factor": _mean([part["mean_factor"] for part in parts], times),
        "stop_reasons": _counted(parts, "stop_reasons"),
        "worst": min(worst, key=lambda moment: moment["separation_m"], default=None),
    }
