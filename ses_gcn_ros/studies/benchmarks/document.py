"""The benchmark's figures as JSON and as a page: figures are never typed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.studies.benchmarks.machine import describe_machine
from ses_gcn_ros.studies.benchmarks.section import Column, Section, Value

_INTRODUCTION = """# Benchmarks

This page is written by

    ses-gcn bench --video PERSON.mp4 --save docs/benchmarks.json --markdown docs/benchmarks.md

and says what the package costs on one machine, beside what it is compared with in the same run.
Contenders take turns, so that all of them see the same load; figures are medians unless they say
otherwise. `--weights` adds other weights, such as the published ones that `ses-gcn
import-official` brings in; without `--video` the eyes are left out.
"""


def as_json(sections: Sequence[Section], *, quick: bool) -> dict[str, Any]:
    """Everything that was measured, and on what."""
    return {
        "date": date.today().isoformat(),
        "quick": quick,
        "machine": describe_machine(),
        "sections": [section.as_json() for section in sections],
    }


def read(path: Path) -> dict[str, Any]:
    """Measurements that were saved.

    Raises
    ------
    InputError
        If the file isn't there or isn't one of them.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        for section in content["sections"]:
            Section.from_json(section)
        describe(content)
    except OSError as error:
        raise InputError(f"'{path}' can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{path}' holds no measurements; make it with 'ses-gcn bench --save {path}': {error!r}"
        ) from error
    return content


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
    lines = [_INTRODUCTION, f"{taken} on {content['date']} on {describe(content)}.", ""]
    for section in map(Section.from_json, content["sections"]):
        lines += [f"## {section.title}", "", section.about, ""]
        if section.rows:
            lines += [*_table(section.columns, section.rows), ""]
        lines += [f"- {note}" for note in section.notes]
        lines += [""] if section.notes else []
    return "\n".join(lines).rstrip() + "\n"


def _table(columns: Sequence[Column], rows: Sequence[Mapping[str, Value]]) -> list[str]:
    textual = [isinstance(rows[0].get(column.key), str) for column in columns]
    return [
        _line(column.heading for column in columns),
        _line("---" if text else "--:" for text in textual),
        *(_line(column.show(row) for column in columns) for row in rows),
    ]


def _line(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"
