"""What all sections of the benchmark share: turns, child processes, tables, the page."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros import __version__
from ses_gcn_ros.bringup import check_ros, die_with_parent
from ses_gcn_ros.errors import MISSHAPEN, ConfigError, InputError, ModelError
from ses_gcn_ros.resources import markdown_table, parse_json, parse_yaml
from ses_gcn_ros.studies import ASSETS

Cell = str | int | float | None
Progress = Callable[[str], None]


@cache
def _prose() -> Any:
    return parse_yaml((ASSETS / "benchmarks.yaml").read_text("utf-8"))


@dataclass(frozen=True)
class Column:
    """One column of a section's table."""

    key: str  # of the rows' values, which are in SI units
    heading: str  # with the unit that the values are shown in
    scale: float = 1.0  # factor from SI to that unit
    digits: int = 0  # after the decimal point

    def show(self, row: Mapping[str, Cell]) -> str:
        """Cell of a row as text; empty where the row has none."""
        value = row.get(self.key)
        if value is None or isinstance(value, str):
            return value or ""
        return f"{self.scale * value:.{self.digits}f}"


@dataclass(frozen=True)
class Section:
    """Figures of one kind; `assets/benchmarks.yaml` tells what they are and how they are shown."""

    name: str  # short name, by which the command selects it
    # figures by column key; keys without a column are in the JSON alone
    rows: list[dict[str, Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was not measured, and why
    numbers: dict[str, Cell] = field(default_factory=dict)  # that the text tells

    @property
    def title(self) -> str:
        """Heading."""
        return str(_prose()[self.name]["title"])

    @property
    def about(self) -> str:
        """What was measured, and how, in a sentence or two."""
        return str(_prose()[self.name]["about"].format(**self.numbers))

    @property
    def columns(self) -> list[Column]:
        """How rows are shown."""
        return [Column(*column) for column in _prose()[self.name]["columns"]]

    def shown(self) -> tuple[list[str], list[list[str]]]:
        """Headings and cells of the table, as text."""
        cells = [[column.show(row) for column in self.columns] for row in self.rows]
        return [column.heading for column in self.columns], cells

    def numeric(self) -> list[int]:
        """Columns that hold numbers."""
        first = [self.rows[0].get(column.key) for column in self.columns]
        return [index for index, cell in enumerate(first) if not isinstance(cell, str)]

    def lacks_ros(self) -> bool:
        """Whether nodes can't run here, which is noted then."""
        try:
            check_ros()
        except ConfigError as error:
            self.notes.append(f"not measured: {error}")
            return True
        return False


_TURN = 0.05  # s of calls in a row
_FEWEST = 5  # of them, however long they take
_WARM, _WARMING = 3, 0.005  # calls, or s, at the beginning of a turn that don't count


def take_turns(
    calls: Mapping[str, Callable[[], object]], seconds: float
) -> dict[str, NDArray[np.float64]]:
    """Durations of calls [s], by turns until the time is up, at least two turns each.

    A turn begins with calls that don't count: the others have emptied the processor's caches, and
    who comes after a large one would seem slow now and then.
    """
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    with no_collection():
        end = time.perf_counter() + seconds
        turn = 0
        while turn < 2 or time.perf_counter() < end:
            for name, call in calls.items():
                _warm_up(call)
                over = time.perf_counter() + _TURN
                count = 0
                while count < _FEWEST or time.perf_counter() < over:
                    start = time.perf_counter()
                    call()
                    durations[name].append(time.perf_counter() - start)
                    count += 1
            turn += 1
    return {name: np.array(values) for name, values in durations.items()}


def _warm_up(call: Callable[[], object]) -> None:
    over = time.perf_counter() + _WARMING
    for _ in range(_WARM):
        call()
        if time.perf_counter() > over:
            return


def compare(
    durations: Mapping[str, NDArray[np.float64]],
    errors: Mapping[str, float | None] = MappingProxyType({}),
    **subject: Cell,
) -> list[dict[str, Cell]]:
    """One row per contender; ratios are to the first of them.

    `durations`: what `take_turns` gave [s].
    `errors`: largest distance from what is right [m], by contender; None, or left out, for what has
    none.
    `**subject`: further values of each row: what was computed.
    """
    medians = {name: float(np.median(values)) for name, values in durations.items()}
    first = next(iter(medians.values()))
    return [
        {
            **subject,
            "by": name,
            "calls": len(values),
            "median": medians[name],
            "p99": float(np.percentile(values, 99)),
            "ratio": first / medians[name],
            "error": errors.get(name),
        }
        for name, values in durations.items()
    ]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread. Raises ModelError if torch is missing."""
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"the benchmark's reference needs torch: {error}") from None
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's garbage collector waits."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


Child = subprocess.Popen[str]

_PATIENCE = 5.0  # s to end
_TIMES = slice(11, 13)  # utime and stime among the fields that follow the name in /proc/PID/stat


@contextmanager
def running(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str]
) -> Iterator[list[Child]]:
    """Run modules, each a command of its name and arguments, with their output to be read.

    They end with the context, and with this process even if it is killed.
    """
    children = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent,
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
        fields = Path(f"/proc/{child.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[_TIMES])
    return ticks / os.sysconf("SC_CLK_TCK")


_PACKAGES = ("numpy", "torch", "onnxruntime", "openvino", "numba", "ros-rclpy")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, load, system and versions."""
    versions = {"ses_gcn_ros": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": versions,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def as_json(sections: Sequence[Section], *, quick: bool) -> dict[str, Any]:
    """Everything that was measured, and on what."""
    return {
        "date": date.today().isoformat(),
        "quick": quick,
        "machine": describe_machine(),
        "sections": [asdict(section) for section in sections],
    }


def read(path: Path) -> dict[str, Any]:
    """Measurements that were saved.

    Raises InputError if the file isn't there or isn't one of them.
    """
    try:
        content: dict[str, Any] = parse_json(path.read_text("utf-8"))
        markdown(content)
    except OSError as error:
        raise InputError(f"'{path}' can't be read: {error.strerror}") from error
    except MISSHAPEN as error:
        raise InputError(
            f"'{path}' holds no measurements; make it with 'ses-gcn bench --save {path}': {error!r}"
        ) from error
    return content


def sections_of(content: Mapping[str, Any]) -> list[Section]:
    """Sections of what was saved."""
    return [Section(**section) for section in content["sections"]]


def describe(content: Mapping[str, Any]) -> str:
    """Machine and versions in a line."""
    machine = content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:.1f} at the "
        f"end; {machine['system']}; {versions}"
    )


def markdown(content: Mapping[str, Any]) -> str:
    """Page with a table per section."""
    taken = "A quick look" if content["quick"] else "Measured"
    lines = [_prose()["introduction"], f"{taken} on {content['date']} on {describe(content)}.", ""]
    for section in sections_of(content):
        lines += [f"## {section.title}", "", section.about, ""]
        if section.rows:
            lines += [markdown_table(*section.shown(), right=section.numeric()), ""]
        lines += [f"- {note}" for note in section.notes]
        lines += [""] if section.notes else []
    return "\n".join(lines).rstrip() + "\n"
