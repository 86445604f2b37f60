"""``ses-gcn adapt``: weights that know the cell."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.commands.training import follow
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_writable


def adapt(
    recordings: Annotated[
        list[Path],
        typer.Argument(help="Bags with skeletons of the cell, or recordings (.npz)."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="Weights to go on from; the ones that ship if left out.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = 900,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 2,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Teach a forecaster the motion of your cell: minutes of bags, minutes of computing.

    People are found in the recordings, most of their motion trains, some calibrates the radius, and
    some is held out: the figures printed are measured there. Weights that are no better are not
    written. Nothing leaves this machine, and only skeletons are read.

    Example: ses-gcn adapt monday tuesday -o cell.safetensors
    """
    import torch

    from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, read_weights, write_weights
    from ses_gcn_ros.training.adapt import TRAINING
    from ses_gcn_ros.training.adapt import adapt as run

    if out.suffix != ".safetensors":
        raise ConfigError(f"weights are written as .safetensors; '{out}' is named otherwise")
    read = [*recordings, weights]
    check_writable(out, overwrite=overwrite, read=read, resumed=out.with_suffix(".checkpoint"))
    start = read_weights(weights or DEFAULT_WEIGHTS)
    torch.set_num_threads(threads)
    with terminal.progress() as bar:
        found = run(
            recordings,
            start,
            training=dataclasses.replace(TRAINING, steps=steps),
            checkpoint=out.with_suffix(".checkpoint"),
            progress=follow(bar, "adapting"),
        )
    names = [path.name for path in recordings]
    about = {**start.about, "adapted_to": ", ".join(names), "adapted_from": start.name}
    write_weights(out, dataclasses.replace(found.weights, about=about))
    table = _table(found)
    if as_json:
        print(json.dumps({"out": str(out), **table}))
    else:
        _show(out, table)


def _table(found: Any) -> dict[str, Any]:
    """Figures in millimetres and per cent."""
    from ses_gcn_ros.training.evaluation import coverage_by_step

    def figures(errors: Any, method: str) -> dict[str, float]:
        steps = 1000 * errors.per_step(method)
        return {"mean": round(float(steps.mean()), 1), "last": round(float(steps[-1]), 1)}

    before, after = found.before, found.after
    baselines = [name for name in after.distance if name != after.model]
    table: dict[str, Any] = {
        "seconds": {name: round(value, 1) for name, value in found.seconds.items()},
        "unusable": found.unusable,
        "before": figures(before, before.model),
        "after": figures(after, after.model),
        **{name: figures(after, name) for name in baselines},
        "known_before": figures(found.known_before, found.known_before.model),
        "known_after": figures(found.known_after, found.known_after.model),
    }
    radius = found.weights.radius
    if radius is not None:
        within = coverage_by_step(after.distance[after.model], radius)
        table["radius_mm"] = round(1000 * float(radius[-1].mean()), 0)
        table["coverage_percent"] = round(100 * float(within.mean()), 1)
    return table


def _show(out: Path, table: dict[str, Any]) -> None:
    seconds = table["seconds"]
    print(
        f"{seconds['train']:.0f} s of motion trained, {seconds['calibrate']:.0f} s calibrated, "
        f"{seconds['test']:.0f} s were held out"
    )
    for line in table["unusable"][:10]:
        print(f"left out: {line}")
    if len(table["unusable"]) > 10:
        print(f"left out: {len(table['unusable']) - 10} more")
    print(f"\n{'error on what was held out [mm]':40}{'mean':>8}{'at 1 s':>8}")
    rest = ("seconds", "unusable", "radius_mm", "coverage_percent", "known_before", "known_after")
    for name in [name for name in table if name not in rest]:
        print(f"{name.replace('_', ' '):40}{table[name]['mean']:8.1f}{table[name]['last']:8.1f}")
    print("\non motion that it knew")
    for name in ("known_before", "known_after"):
        print(f"{name.split('_')[1]:40}{table[name]['mean']:8.1f}{table[name]['last']:8.1f}")
    if "radius_mm" in table:
        print(
            f"\nradius at the last step {table['radius_mm']:.0f} mm; within it were "
            f"{table['coverage_percent']:.1f} % of what was held out"
        )
    print(f"\n{out} is written; give it to forecaster_node by its parameter 'weights'")
