"""``ses-gcn dataset``: turn a data set into one file that trains and evaluates without delay."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.resources import check_writable


def dataset(
    data: Annotated[Path, typer.Argument(help="File or folder of a data set, or a bag.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Recording to write (.npz).")],
    kind: Annotated[
        str,
        typer.Option(
            help="chico, h36m, cmu, cmu_repaired, cmu_trials, asf_amc, amass, bag, recording; "
            "auto looks."
        ),
    ] = "auto",
    fps: Annotated[float, typer.Option(help="Frame rate to resample to [Hz].", min=1)] = 25.0,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Write a data set as one recording, which is mapped into memory when it is read.

    CHICO's 15 joints are stored as whole millimetres, others as float32 metres. From the folders of
    CMU's own asf and amc files it makes the motion that the weights that ship were trained on.

    Example: ses-gcn dataset cmu/subjects -o cmu.npz
    """
    from ses_gcn_ros.datasets.sequences import write_recording
    from ses_gcn_ros.datasets.sources import read_dataset
    from ses_gcn_ros.datasets.windows import at_rate

    check_writable(out, overwrite=overwrite, read=[data])
    recording = read_dataset(data, kind)
    with terminal.progress() as bar:
        sequences = [
            dataclasses.replace(sequence, fps=fps, source=at_rate(sequence, fps))
            for sequence in bar.track(recording.sequences, description="reading")
        ]
    whole = all(sequence.layout == "chico15" for sequence in sequences)
    write_recording(out, sequences, recording.about, millimetres=whole)
    minutes = sum(len(sequence) for sequence in sequences) / fps / 60
    if as_json:
        summary = {"out": str(out), "sequences": len(sequences), "minutes": round(minutes, 2)}
        print(json.dumps(summary | {"fps": fps, "layout": sequences[0].layout}))
    else:
        print(
            f"{out}: {len(sequences)} sequences, {minutes:.1f} min at {fps:g} Hz, layout "
            f"{sequences[0].layout}"
        )
