"""``ses-gcn ablate``: what each piece beyond the paper is worth."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.commands.training import follow
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_writable

if TYPE_CHECKING:
    from ses_gcn_ros.studies.ablation import AblationRow


def ablate(
    data: Annotated[Path, typer.Option(help="Recording (.npz) or data set to train on.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the variants' weights.")],
    recipe: Annotated[
        str, typer.Option(help="The complete recipe: a name in config/training, or a YAML file.")
    ] = "sesgcn_ablation",
    steps: Annotated[int, typer.Option(help="Optimiser steps of each variant.", min=1)] = 2000,
    also: Annotated[
        Path | None, typer.Option(help="Another recording, to be measured on as well.")
    ] = None,
    stride: Annotated[int, typer.Option(help="Frames between windows measured.", min=1)] = 10,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this CSV.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Train a recipe without each of its pieces, and compare. Killed, the same command goes on.

    Example: ses-gcn ablate --data cmu.npz --steps 2000 -o ablation
    """
    import torch

    from ses_gcn_ros.datasets.sources import read_dataset
    from ses_gcn_ros.studies.ablation import ablate as run
    from ses_gcn_ros.training.recipe import load_recipe

    if device not in ("cpu", "cuda"):
        raise ConfigError(f"device is '{device}'; training takes cpu or cuda")
    check_writable(csv, overwrite=overwrite, read=[data, also])
    torch.set_num_threads(threads)
    chosen, recording = load_recipe(recipe), read_dataset(data)
    other = read_dataset(also).sequences if also is not None else []
    out.mkdir(parents=True, exist_ok=True)
    with terminal.progress() as bar:
        measured = run(
            chosen,
            recording,
            out,
            steps=steps,
            stride=stride,
            other=other,
            device=device,
            progress=lambda name: follow(bar, name),
        )
        rows = list(measured)
    if csv is not None:
        from ses_gcn_ros.forecast.weights import write_atomically

        write_atomically(csv, _as_csv(rows).encode())
    print(json.dumps([_plain(row) for row in rows]) if as_json else _as_text(rows, steps))


def _plain(row: AblationRow) -> dict[str, str | float | None]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in dataclasses.asdict(row).items()
    }


def _as_text(rows: list[AblationRow], steps: int) -> str:
    names = [field.name for field in dataclasses.fields(rows[0])][1:]
    lines = [
        f"{steps} steps each, held-out motion, MPJPE [mm]; mean over frames but for frame_2, last",
        f"{'':32}" + "".join(f"{name:>12}" for name in names),
    ]
    for row in rows:
        values = list(_plain(row).values())[1:]
        lines.append(
            f"{row.variant:32}" + "".join(f"{'-' if v is None else v:>12}" for v in values)
        )
    return "\n".join(lines)


def _as_csv(rows: list[AblationRow]) -> str:
    names = [field.name for field in dataclasses.fields(rows[0])]
    lines = [",".join(names)]
    lines += [",".join("" if v is None else str(v) for v in _plain(row).values()) for row in rows]
    return "\n".join(lines) + "\n"
