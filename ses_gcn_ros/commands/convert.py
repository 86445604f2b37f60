"""``ses-gcn convert``: recorded motion of data sets as bags."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError


def convert(
    kind: Annotated[str, typer.Argument(help="chico, h36m or npz (recordings of this project).")],
    source: Annotated[Path, typer.Argument(help="Folder of the data set, or the npz file.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="NAME.mcap: one bag of everything. Else a folder, with one bag a take; those that "
            "are there already are kept, so an interrupted conversion is resumed.",
        ),
    ],
    only: Annotated[str, typer.Option(help="Takes wanted, such as 'S0[02]/*_CRASH'.")] = "*",
    overwrite: Annotated[bool, typer.Option(help="Replace bags that are there.")] = False,
) -> None:
    """Turn recorded motion into bags: people as skeletons, CHICO's robot as TF frames r0 … r8.

    Example: ses-gcn convert chico poses -o chico.mcap --only 'S02/*'
    """
    from ses_gcn_ros.replay.convert import convert_each, read_takes, write_takes

    takes = [take for take in read_takes(kind, source) if fnmatch.fnmatch(take.name, only)]
    if not takes:
        raise ConfigError(f"no take of '{source}' is named like '{only}'")
    console = terminal.err()
    if out.suffix == ".mcap":
        with_bar = track(
            takes, "writing", console=console, transient=True, disable=not console.is_terminal
        )
        length = write_takes(kind, with_bar, out, overwrite=overwrite)
        console.print(f"wrote {len(takes)} takes, {length / 60:.1f} min, to {out}")
        return
    with_bar = track(
        takes, "writing", console=console, transient=True, disable=not console.is_terminal
    )
    count = convert_each(kind, with_bar, out, overwrite=overwrite)
    kept = f"; {len(takes) - count} were there already" if count < len(takes) else ""
    console.print(f"wrote {count} bags to {out}{kept}")
