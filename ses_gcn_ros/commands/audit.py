"""``ses-gcn audit``: whether an audit log is as it was written."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal

audit = typer.Typer(
    name="audit",
    help="Check the audit log of a safety node.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@audit.command()
def verify(
    log: Annotated[Path, typer.Argument(help="audit_log of the safety node, or a filled FILE.N.")],
    noted: Annotated[
        str, typer.Option("--hash", help="Hash that was noted elsewhere, and has to be in the log.")
    ] = "",
    as_json: terminal.AsJson = False,
) -> None:
    """Check every line of an audit log, with the files that it filled before.

    Ends with exit code 1 and names the first line that is not as it was written. Lines that are
    missing at the end show only against a hash that was noted elsewhere, as /diagnostics has it.

    Example: ses-gcn audit verify audit.jsonl
    """
    from ses_gcn_ros import audit as log_file

    found = log_file.verify(log, noted)
    if as_json:
        print(json.dumps(asdict(found)))
    elif not found.ok:
        print(f"{found.file}, line {found.line}: {found.problem}")
    else:
        print(
            f"{found.events} events in {len(found.files)} files are as they were written, "
            f"{found.first} to {found.last}"
        )
        if found.previous != log_file.FIRST:
            print(f"earlier files are not here; the last line of them has {found.previous}")
        for digest in found.configurations:
            print(f"configuration {digest}")
        print(f"last hash {found.last_hash}")
    raise typer.Exit(not found.ok)
