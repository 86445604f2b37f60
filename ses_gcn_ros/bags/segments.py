"""Tables of who did what when in a bag, to be corrected by hand."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.resources import csv_text, write_atomically

SEGMENTS = "actions.csv"  # of a bag's folder, or NAME.actions.csv beside a bag's file
_SEGMENT_COLUMNS = ("person_id", "start", "end", "label")


def segment_table(bag: Path) -> Path:
    """Where the segments of a bag are."""
    return bag / SEGMENTS if bag.is_dir() else bag.with_name(f"{bag.stem}.{SEGMENTS}")


def read_segments(path: Path) -> list[tuple[str, float, float, str]]:
    """Segments of a bag: person, start and end [s since the epoch], label; others are left out.

    Raises InputError if there is no such table, or a column or time in it is wrong.
    """
    if not path.is_file():
        raise InputError(
            f"there is no table of segments at '{path}'; draw one with 'ses-gcn actions label BAG'"
        )
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            columns, rows = table.fieldnames or (), list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path}' is no table of segments: {error}") from error
    missing = [c for c in _SEGMENT_COLUMNS if c not in columns]
    if missing:
        raise InputError(
            f"'{path}' lacks the column '{missing[0]}'; it takes {', '.join(_SEGMENT_COLUMNS)}"
        )
    segments = []
    for number, row in enumerate(rows, start=2):
        try:
            start, end = float(row["start"]), float(row["end"])
        except (TypeError, ValueError):
            raise InputError(f"line {number} of '{path}' has no times") from None
        if not start < end:
            raise InputError(f"line {number} of '{path}' ends at {end:g}, before {start:g}")
        if row["label"]:
            segments.append((row["person_id"], start, end, row["label"]))
    return segments


def write_segments(path: Path, segments: Iterable[tuple[str, float, float, str]]) -> None:
    """Write a table of segments, as `read_segments` reads it, in one piece."""
    rows = ([who, f"{start:.3f}", f"{end:.3f}", what] for who, start, end, what in segments)
    write_atomically(path, csv_text(_SEGMENT_COLUMNS, rows))
