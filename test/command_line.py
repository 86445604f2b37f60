"""The commands of ``ses-gcn`` as its command line knows them."""

from __future__ import annotations

from typing import Any

import typer

from ses_gcn_ros.cli import app


def commands() -> dict[str, Any]:
    """Every command by name, those of a group with its name before them."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {n}": c for n, c in inner.items()}
    return found
