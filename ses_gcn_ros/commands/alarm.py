"""``ses-gcn alarm``: does the probability of a contact come true?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import InputError


def alarm(
    data: Annotated[Path, typer.Argument(help="Recording of two who meet, to judge on (.npz).")],
    fit: Annotated[
        Path | None,
        typer.Option(
            help="Fit first: on people of this recording (.npz), put near one another, or, where "
            "it is the one to judge on, on the rest of that."
        ),
    ] = None,
    subjects: Annotated[
        str, typer.Option(help="Of that recording, only these subjects: comma-separated.")
    ] = "",
    weights: Annotated[
        Path | None, typer.Option(help="Weights file; the ones that ship if left out.")
    ] = None,
    every: Annotated[
        int, typer.Option(help="Judge on every so many-th recording, from the last of the first.")
    ] = 10,
    stride: Annotated[int, typer.Option(help="Frames between windows.", min=1)] = 5,
    count: Annotated[int, typer.Option(help="Pairs put together for fitting.", min=1000)] = 20000,
    as_json: terminal.AsJson = False,
) -> None:
    """How often a contact came where it was said to come with some probability.

    Example: ses-gcn alarm handover_dev.npz --fit cmu.npz
    """
    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.forecast.alarm import SHIPPED
    from ses_gcn_ros.forecast.alarm import fit as fit_alarm
    from ses_gcn_ros.studies.alarm import as_text, measure, placed, summarise
    from ses_gcn_ros.studies.collisions import pair_up

    engine = load(weights)
    if engine.radius is None:
        raise InputError(f"'{engine.name}' carries no calibrated radius to measure distances in")
    recorded = read_recording(data).sequences
    judged = SHIPPED
    if fit == data:  # on the recordings that it is not judged on
        others = [s for s in recorded if s.index % every != every - 1]
        met = pair_up(others, "receiver", "giver", engine.fps)
        judged = fit_alarm(*measure(engine, *met, stride))
    elif fit is not None:
        people = read_recording(fit).sequences
        wanted = {subject.strip() for subject in subjects.split(",") if subject.strip()}
        people = [s for s in people if not wanted or s.subject in wanted]
        if not people:
            raise InputError(f"'{fit}' holds nobody of {subjects}")
        length = engine.observed + engine.horizon
        judged = fit_alarm(*measure(engine, *placed(people, engine.fps, length, count), 1))
    sequences = [s for s in recorded if s.index % every == every - 1]
    if not sequences:
        raise InputError(f"'{data}' has fewer than {every} recordings; lower --every")
    met = pair_up(sequences, "receiver", "giver", engine.fps)
    summary = summarise(judged, *measure(engine, *met, stride))
    print(json.dumps(summary) if as_json else as_text(summary))
