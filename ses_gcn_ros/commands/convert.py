"""``ses-gcn convert``: recorded motion of data sets as bags."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_fresh


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
    overwrite: terminal.Overwrite = False,
) -> None:
    """Turn recorded motion into bags: people as skeletons, CHICO's robot as TF frames r0 … r8.

    Example: ses-gcn convert chico poses -o chico.mcap --only 'S02/*'
    """
    from ses_gcn_ros.replay.convert import convert_each, read_takes, write_takes

    if out.suffix == ".mcap":
        check_fresh(out, overwrite)
    takes = [take for take in read_takes(kind, source) if fnmatch.fnmatch(take.name, only)]
    if not takes:
        raise ConfigError(f"no take of '{source}' is named like '{only}'")
    with terminal.progress() as bar:
        with_bar = bar.track(takes, description="writing")
        if out.suffix == ".mcap":
            length = write_takes(kind, with_bar, out, overwrite=overwrite)
            told = f"{len(takes)} takes, {length / 60:.1f} min, to {out}"
        else:
            count = convert_each(kind, with_bar, out, overwrite=overwrite)
            kept = f"; {len(takes) - count} were there already" if count < len(takes) else ""
            told = f"{count} bags to {out}{kept}"
    terminal.err().print(f"wrote {told}")
