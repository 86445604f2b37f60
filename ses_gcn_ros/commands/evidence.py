"""``ses-gcn evidence``: the page of what the safety part was held against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.resources import check_writable

_Files = Annotated[list[Path] | None, typer.Option(help="JSON of it, repeatable.")]


def evidence(
    out: Annotated[Path, typer.Option("-o", "--out", help="Page to write.")] = Path("evidence.md"),
    saved: Annotated[
        Path | None, typer.Option("--from", help="JSON to begin with, as --save writes it.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write all that is on the page here.")] = None,
    attack: _Files = None,
    attack_before: _Files = None,
    braking: _Files = None,
    faults: _Files = None,
    soak: _Files = None,
    collisions: _Files = None,
    mutants: _Files = None,
    overwrite: terminal.Overwrite = False,
) -> None:
    """Write docs/evidence.md from what attack, braking-study, the fault table and others wrote.

    Example: ses-gcn evidence --attack attack/summary.json --braking braking/summary.json
    """
    from ses_gcn_ros.forecast.weights import write_atomically
    from ses_gcn_ros.studies.evidence import KINDS, markdown, read

    given = dict(
        zip(KINDS, (attack, attack_before, braking, faults, soak, collisions, mutants), strict=True)
    )
    for path in (out, save):
        check_writable(
            path, overwrite=overwrite, read=[p for paths in given.values() for p in paths or []]
        )
    content = read("from", [saved])[0] if saved else {}
    content |= {kind: read(kind, paths) for kind, paths in given.items() if paths}
    write_atomically(out, markdown(content).encode())
    if save is not None:
        write_atomically(save, (json.dumps(content, indent=1) + "\n").encode())
