"""``ses-gcn train``: weights from recorded motion."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_writable


def follow(bar: Progress, name: str) -> Callable[[int, int, float], None]:
    """What a trainer is to call so that a bar follows it."""
    task = bar.add_task(name, total=None)

    def show(step: int, steps: int, loss: float) -> None:
        description = f"{name}: loss {1000 * loss:.1f} mm"
        bar.update(task, completed=step, total=steps, description=description)

    return show


def train(
    data: Annotated[
        list[Path],
        typer.Option(help="Recording (.npz) or data set to train on; several by --data again."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write.")],
    recipe: Annotated[
        str, typer.Option(help="Name of a recipe in config/training, or a YAML file.")
    ] = "sesgcn_workcell",
    start: Annotated[
        Path | None, typer.Option(help="Weights to go on from, such as a pruned teacher's.")
    ] = None,
    masks_only: Annotated[
        bool, typer.Option("--masks-only", help="Of --start, take the masks and nothing else.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Train a forecaster. Killed, the same command goes on where it was.

    With several GPUs: torchrun --nproc-per-node 4 -m ses_gcn_ros.cli train --device cuda …

    Example: ses-gcn train --recipe sesgcn_cmu --data cmu.npz -o my.safetensors
    """
    import torch

    from ses_gcn_ros.datasets.sources import read_datasets
    from ses_gcn_ros.forecast import read_weights
    from ses_gcn_ros.training.forecasting import train as run
    from ses_gcn_ros.training.recipe import load_recipe

    if device not in ("cpu", "cuda"):
        raise ConfigError(f"device is '{device}'; training takes cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda' but torch finds no GPU; set device to cpu")
    if masks_only and start is None:
        raise ConfigError(
            "--masks-only takes the masks of --start; give a pruned teacher's weights"
        )
    read, checkpoint = [*data, start], out.with_suffix(".checkpoint")
    check_writable(out, overwrite=overwrite, read=read, resumed=checkpoint)
    torch.set_num_threads(threads)
    chosen, recording = load_recipe(recipe), read_datasets(data)
    first = None if start is None else read_weights(start)
    leads = os.environ.get("RANK", "0") == "0"
    with terminal.progress(leads) as bar:
        show = follow(bar, chosen.name)
        weights = run(
            chosen,
            recording,
            out,
            device=device,
            start=first,
            masks_only=masks_only,
            progress=show,
        )
    if not leads:
        return
    assert weights.radius is not None  # training always calibrates
    if as_json:
        print(json.dumps({"out": str(out), "name": weights.name, "about": weights.about}))
    else:
        print(
            f"{out}: {weights.name}, calibrated radius {1000 * weights.radius[0].mean():.0f} mm at "
            f"the first step, {1000 * weights.radius[-1].mean():.0f} mm at the last"
        )
