"""``ses-gcn import-official`` and ``evaluate-windows``: foreign weights, and errors of any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.errors import ConfigError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def import_official(
    state_dict: Annotated[Path, typer.Argument(help="The authors' .pth file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write.")],
    mask_a: Annotated[
        Path | None, typer.Option(help="A student's joint masks (.npy); none for a teacher.")
    ] = None,
    mask_t: Annotated[
        Path | None, typer.Option(help="A student's frame masks (.npy); none for a teacher.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn the authors' SeS-GCN weights (CHICO, Human3.6M) into a weights file.

    Example: ses-gcn import-official chico_3d_25frames_Student.pth
    --mask-a maskA_25fps.npy --mask-t maskT_25fps.npy -o chico25.safetensors
    """
    from ses_gcn_ros.forecast.official import import_official as convert
    from ses_gcn_ros.models.shapes import parameter_count

    weights = convert(state_dict, out, mask_a, mask_t)
    config = weights.config
    summary = {
        "out": str(out),
        "name": weights.name,
        "layout": config.layout,
        "observed": config.observed,
        "horizon": config.horizon,
        "fps": config.fps,
        "unit": config.unit,
        "parameters": parameter_count(config),
    }
    if as_json:
        print(json.dumps(summary))
    else:
        print(
            f"{out}: {weights.name}, {config.joints} joints ({config.layout}), {config.observed} "
            f"frames in, {config.horizon} out, {summary['parameters']} parameters"
        )


def evaluate_windows(
    data: Annotated[Path, typer.Option(help="Recording to measure on (.npz).")],
    weights: Annotated[
        Path | None, typer.Option(help="Weights file; the ones that ship if left out.")
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Recipe whose split --part refers to.")
    ] = "sesgcn_workcell",
    part: Annotated[
        str, typer.Option(help="all, held_out, test, calibrate or train, as the recipe splits.")
    ] = "all",
    stride: Annotated[int, typer.Option(help="Frames between windows.", min=1)] = 2,
    csv: Annotated[Path | None, typer.Option(help="Write errors per frame to this CSV.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    as_json: AsJson = False,
) -> None:
    """Errors of a forecaster and of the baselines on windows of recorded motion.

    Example: ses-gcn evaluate-windows --data cmu.npz --part held_out
    """
    import torch

    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.forecast.weights import write_atomically
    from ses_gcn_ros.training.recipe import load_recipe
    from ses_gcn_ros.training.scores import measure
    from ses_gcn_ros.training.split import split
    from ses_gcn_ros.training.tables import as_csv, as_text, summarise

    parts = ("all", "held_out", "test", "calibrate", "train")
    if part not in parts:
        raise ConfigError(f"part is '{part}'; it takes one of {', '.join(parts)}")
    torch.set_num_threads(threads)
    sequences = read_recording(data).sequences
    if part != "all":
        sequences = getattr(split(sequences, load_recipe(recipe).data), part)
    engine = load(weights)
    summary = summarise(measure(engine, sequences, stride), engine)
    if csv is not None:
        write_atomically(csv, as_csv(summary).encode())
    print(json.dumps(summary) if as_json else as_text(summary))
