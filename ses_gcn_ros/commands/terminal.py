"""What commands print: paths as they are, tables whose numbers are whole, sentences of one line."""

from __future__ import annotations

import io
import itertools
import math
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from typer import Option
from typer.core import TyperCommand

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import csv_text

LONGEST = 400  # characters of a sentence about a mistake
_UNFOLDED = 100_000  # columns, for whatever reads a pipe


def _use_threads(count: int) -> int:
    import torch

    torch.set_num_threads(count)
    return count


def _check_namespace(namespace: str) -> str:
    names = namespace.strip("/")
    if names and not re.fullmatch(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", names, re.ASCII):
        raise ConfigError(
            f"--namespace is '{namespace}'; ROS takes names of letters, digits and _ that begin "
            "with no digit, joined by /"
        )
    return names


Threads = Annotated[int, Option(help="CPU threads.", min=1, callback=_use_threads)]
Weights = Annotated[
    Path | None,
    Option(help="Weights file, or name of weights that ship; sesgcn_workcell if left out."),
]
WeightsOut = Annotated[Path, Option("-o", "--out", help="Weights file to write.")]
Robot = Annotated[str, Option(help="URDF of the robot; by default the recorded one.")]
DemoRobot = Annotated[
    bool, Option("--demo-robot", help="Simulate the demo cell's robot, which obeys.")
]
Namespace = Annotated[str, Option(help="Namespace of the cell.", callback=_check_namespace)]
Stride = Annotated[int, Option(help="Frames between windows.", min=1)]
SummaryAsJson = Annotated[bool, Option("--json", help="Print the summary as JSON.")]
Actions = Annotated[bool, Option("--actions", help="Recognise what people do.")]
AsJson = Annotated[bool, Option("--json", help="Print JSON instead of text.")]
AsCsv = Annotated[bool, Option("--csv", help="Print CSV instead of a table.")]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace files that are there.")]


class Command(TyperCommand):
    """A command whose numbers are finite and whose paths are not empty, which no type sees to."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        parameters: list[Any] = self.params
        # versions of typer keep the type in different places
        kinds = {p: repr(getattr(p, "type_descriptor", None) or p.type) for p in parameters}
        paths = {option for p, kind in kinds.items() if "path" in kind.lower() for option in p.opts}
        for before, word in itertools.pairwise(["", *args]):
            option = before if word == "" else word.removesuffix("=")
            if option in paths and option != word:  # which would be taken for "."
                raise ConfigError(f"{option} is empty; it takes a path, such as '.'")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        for parameter in self.params:
            given = ctx.params.get(parameter.name)
            for value in given if isinstance(given, (list, tuple)) else [given]:
                if isinstance(value, float) and not math.isfinite(value):
                    option = parameter.opts[0]
                    raise ConfigError(f"{option} is {value}; it takes a finite number")
        return super().invoke(ctx)


def out() -> Console:
    """Standard output: brackets are brackets, and lines go unfolded to whatever reads a pipe."""
    return _console(stderr=False)


def err() -> Console:
    """Standard error output, for progress and remarks."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNFOLDED
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


def progress(shown: bool = True, counted: bool = True) -> Progress:
    """Bar with what is done and the time that the rest will take, where somebody looks at it.

    `shown`: False for none at all, as beside JSON.
    `counted`: whether things are counted, rather than their share given.
    """
    console = err()
    done: ProgressColumn = MofNCompleteColumn() if counted else TaskProgressColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), done)
    shown = shown and console.is_terminal
    return Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown
    )


def show(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    title: str = "",
    *,
    as_csv: bool = False,
) -> None:
    """Print a table; as a list, an entry per row, where the terminal is narrower than the table.

    `rows`: as many cells each as there are headings. Cells that read as numbers stand to the right;
    "–" is empty in CSV.
    """
    if as_csv:
        known = ([None if cell == "–" else cell for cell in row] for row in rows)
        print(csv_text(headings, known), end="")
        return
    cells = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title or None, title_justify="left")
    for number, heading in enumerate(headings):
        column = [row[number] for row in cells]
        right = bool(column) and all(map(_is_number, column))
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    console = out()
    # by itself, measuring ends at the width of the console
    unfolded = console.options.update(max_width=_UNFOLDED)
    if console.measure(table, options=unfolded).maximum <= console.width:
        console.print(table)
        return
    if title:
        console.print(title)
    widest = max(map(len, headings))
    for row in cells:
        for heading, cell in zip(headings, row, strict=True):
            console.print(f"{heading:<{widest}}  {cell}", soft_wrap=True)
        console.print()


def _is_number(cell: str) -> bool:
    return cell in ("", "-", "–") or cell.lstrip("+-−<>≤≥× ")[:1].isdigit()


def sentence(text: str) -> str:
    """A text as one line of at most `LONGEST` characters; what is left out is in its middle."""
    line = " ".join(text.split())
    if len(line) <= LONGEST:
        return line
    half = (LONGEST - 3) // 2
    return f"{line[:half]} … {line[-half:]}"


def numbers(option: str, text: str, count: int, form: str) -> tuple[float, ...]:
    """Numbers of an option such as '1.5 -0.5'; `form` says what it takes. Raises ConfigError."""
    try:
        found = tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ConfigError(f"{option} is '{text}'; it takes {form}")
    return found


def pairs(option: str, words: Iterable[str], form: str, separator: str = "=") -> dict[str, str]:
    """Names and values of a repeatable option such as left=left.mp4.

    Raises ConfigError for words that are not of the `form`, or name something twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition(separator)
        if not (name and value):
            raise ConfigError(f"{option} is '{word}'; it takes {form}")
        if name in found:
            raise ConfigError(f"{option} names '{name}' twice")
        found[name] = value
    return found


def size(option: str, text: str, form: str, least: int = 1) -> tuple[int, int]:
    """Columns and rows of an option such as 640x360. Raises ConfigError."""
    first, _, second = text.lower().partition("x")
    if not (first.isdigit() and second.isdigit() and min(int(first), int(second)) >= least):
        raise ConfigError(f"{option} is '{text}'; it takes {form}")
    return int(first), int(second)


def never_fail_to_print() -> None:
    """Have what nobody can read dropped instead of raising.

    Characters that a terminal's encoding lacks are replaced; a closed stream swallows all.
    """
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
