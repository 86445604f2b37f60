"""What commands print: paths as they are, tables whose numbers are whole, sentences of one line."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

LONGEST = 400  # characters of a sentence about a mistake
_UNFOLDED = 100_000  # columns, for whatever reads a pipe


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


def show(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print a table; as a list, an entry per row, where the terminal is narrower than the table.

    Parameters
    ----------
    headings : sequence of str
    rows : iterable of sequences
        As many cells each as there are headings. Cells that read as numbers stand to the right.
    title : str
    """
    cells = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title or None, title_justify="left")
    for number, heading in enumerate(headings):
        column = [row[number] for row in cells]
        right = bool(column) and all(map(_is_number, column))
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    console = out()
    if console.measure(table).maximum <= console.width:
        console.print(table)
        return
    if title:
        console.print(title)
    widest = max(map(len, headings))
    for row in cells:
        for heading, cell in zip(headings, row, strict=True):
            console.print(f"{heading:<{widest}}  {cell}")
        console.print()


def show_csv(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table as comma-separated values."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)


def _is_number(cell: str) -> bool:
    return cell in ("", "-", "–") or cell.lstrip("+-−<>≤≥× ")[:1].isdigit()


def sentence(text: str) -> str:
    """A text as one line of at most `LONGEST` characters; what is left out is in its middle."""
    line = " ".join(text.split())
    if len(line) <= LONGEST:
        return line
    half = (LONGEST - 3) // 2
    return f"{line[:half]} … {line[-half:]}"


def never_fail_to_print() -> None:
    """Have characters that a terminal's encoding lacks replaced instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
