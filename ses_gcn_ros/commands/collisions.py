"""``ses-gcn collisions``: does a forecast foresee contacts between a person and a robot?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.resources import check_writable


def collisions(
    data: Annotated[Path, typer.Argument(help="Recording of two who meet (.npz).")],
    person: Annotated[str, typer.Option(help="Who is forecast.")] = "receiver",
    robot: Annotated[str, typer.Option(help="Whose limbs stand for the robot's.")] = "giver",
    weights: Annotated[
        Path | None, typer.Option(help="Weights file; the ones that ship if left out.")
    ] = None,
    every: Annotated[
        int,
        typer.Option(help="Take every so many-th recording, from the last of the first.", min=1),
    ] = 10,
    stride: Annotated[int, typer.Option(help="Frames between windows.", min=1)] = 1,
    threshold: Annotated[
        float, typer.Option(help="Distance of the axes that is a contact [m].", min=0.0)
    ] = 0.13,
    csv: Annotated[Path | None, typer.Option(help="Write the scores to this CSV.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw F1 into this PNG.")] = None,
    curves: Annotated[
        Path | None, typer.Option(help="Draw precision over recall into this PNG.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Precision, recall, F1 and average precision of foreseen contacts: baselines and SeS-GCN.

    Example: ses-gcn collisions handover_dev.npz --csv collisions.csv --plot collisions.png
    """
    import torch

    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.forecast.weights import write_atomically
    from ses_gcn_ros.replay.figures import LIGHT, png
    from ses_gcn_ros.studies.collisions import (
        alarm_figure,
        as_csv,
        as_text,
        f1_figure,
        measure,
        pair_up,
        summarise,
    )

    for path in (csv, plot, curves):
        check_writable(path, overwrite=overwrite, read=[data, weights])
    torch.set_num_threads(threads)
    engine = load(weights)
    sequences = [s for s in read_recording(data).sequences if s.index % every == every - 1]
    if not sequences:
        raise InputError(f"'{data}' has fewer than {every} recordings; lower --every")
    encounters, links = pair_up(sequences, person, robot, engine.fps)
    gaps = measure(engine, encounters, links, stride=stride)
    summary = summarise(gaps, threshold)
    summary = {"data": data.name, "model": engine.name, "every": every, "stride": stride} | summary
    if csv is not None:
        write_atomically(csv, as_csv(summary).encode())
    if plot is not None:
        write_atomically(plot, png(f1_figure(summary, LIGHT)))
    if curves is not None:
        write_atomically(curves, png(alarm_figure(gaps, LIGHT)))
    print(json.dumps(summary) if as_json else as_text(summary))
