"""``ses-gcn evaluate-stream``: does the radius hold when the kind of motion changes?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ses_gcn_ros.commands import terminal


def evaluate_stream(
    before: Annotated[Path, typer.Option(help="Recording (.npz) that the stream begins with.")],
    after: Annotated[Path, typer.Option(help="Recording that it changes to.")],
    weights: Annotated[
        Path | None, typer.Option(help="Weights file; the ones that ship if left out.")
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Recipe whose test part the stream begins with; none: all of it.")
    ] = "sesgcn_workcell",
    streams: Annotated[int, typer.Option(help="Streams, each drawn anew.", min=1)] = 4,
    first: Annotated[float, typer.Option(help="Length of the beginning [s].", min=1)] = 60.0,
    settle: Annotated[
        float, typer.Option(help="Time after the change that is not measured [s].", min=0)
    ] = 30.0,
    measured: Annotated[float, typer.Option(help="Time that is measured [s].", min=5)] = 120.0,
    seed: Annotated[int, typer.Option(help="Of the drawing.", min=0)] = 0,
    as_json: terminal.AsJson = False,
) -> None:
    """Coverage of the adaptive radius after a stream changed from one data set to another.

    Example: ses-gcn evaluate-stream --before cmu.npz --after handover_dev.npz
    """
    import torch

    from ses_gcn_ros.datasets.sources import read_dataset
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.training.recipe import load_recipe
    from ses_gcn_ros.training.sources import split
    from ses_gcn_ros.training.streaming import StreamSchedule, measure_stream

    torch.set_num_threads(1)
    beginning = read_dataset(before).sequences
    if recipe != "none":
        beginning = split(beginning, load_recipe(recipe).data).test
    with terminal.err().status(f"0 of {streams} streams") as status:
        result = measure_stream(
            load(weights),
            beginning,
            read_dataset(after).sequences,
            streams=streams,
            seed=seed,
            schedule=StreamSchedule(first, settle, measured),
            progress=lambda done: status.update(f"{done} of {streams} streams"),
        )
    print(json.dumps(result) if as_json else _text(result))


def _text(result: dict[str, Any]) -> str:
    seconds, asked = result["seconds"], result["asked_percent"]
    lines = [
        f"{result['streams']} streams: {seconds['before']:g} s of the first kind, then from "
        f"{seconds['settle']:g} s after the change on for {seconds['measured']:g} s; "
        f"{asked:g} % asked",
        "",
        f"{'':6}{'adaptive':>10}{'radius':>9}{'calibrated':>12}{'radius':>9}",
        f"{'step':6}{'%':>10}{'mm':>9}{'%':>12}{'mm':>9}",
    ]
    columns = zip(
        result["coverage_percent"],
        result["radius_mm"],
        result["calibrated_percent"],
        result["calibrated_radius_mm"],
        strict=True,
    )
    for step, (covered, radius, calibrated, base) in enumerate(columns, start=1):
        lines.append(f"{step:<6}{covered:10.1f}{radius:9.0f}{calibrated:12.1f}{base:9.0f}")
    covered = result["coverage_percent"]
    lines += [
        "",
        f"over all steps between {min(covered):.1f} and {max(covered):.1f} %; in single streams "
        f"between {min(result['lowest_percent']):.1f} and {max(result['highest_percent']):.1f} %",
    ]
    return "\n".join(lines)
