"""Forecasts against recorded motion: ``evaluate-windows``, ``evaluate-stream`` and ``dataset``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence as Sequences
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_writable, write_atomically

_PARTS = ("all", "held_out", "test", "calibrate", "train")
_FIELD_FRAMES = (2, 4, 8, 10, 14, 18, 22, 25)  # 80, 160, 320, 400, 560, 720, 880, 1000 ms


def evaluate_windows(
    data: Annotated[
        list[Path],
        Option(help="Recording (.npz) or folder of a data set; several by --data again."),
    ],
    weights: terminal.Weights = None,
    kind: Annotated[str, Option(help="Kind of data; auto looks.")] = "auto",
    protocol: Annotated[
        str, Option(help="Evaluate as papers do: h36m, chico or cmu; none: as recipes do.")
    ] = "none",
    windows: Annotated[
        str, Option(help="Windows of a protocol: 8 or 256 per action, all; its usual one.")
    ] = "",
    recipe: Annotated[
        str, Option(help="Recipe whose split --part refers to, without a protocol.")
    ] = "sesgcn_workcell",
    part: Annotated[
        str,
        Option(
            help="all, held_out, test, calibrate or train, as the recipe splits; test, validate or "
            "train of a protocol."
        ),
    ] = "",
    stride: Annotated[int, Option(help="Frames between windows, without a protocol.", min=1)] = 2,
    csv: Annotated[Path | None, Option(help="Write the tables to this CSV.")] = None,
    threads: terminal.Threads = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Errors of a forecaster and of the baselines on windows of recorded motion.

    Example: ses-gcn evaluate-windows --data cmu.npz --part held_out
    or: ses-gcn evaluate-windows --protocol h36m --data h3.6m/dataset --weights h36m.safetensors
    """
    from ses_gcn_ros.datasets.sources import read_datasets
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.training import evaluation

    check_writable(csv, overwrite=overwrite, read=[*data, weights])
    if protocol != "none" and kind == "auto" and data[0].is_dir():
        kind = protocol
    sequences = read_datasets(data, kind).sequences
    engine = load(weights)
    if protocol == "none":
        summary = _by_recipe(engine, sequences, recipe, part or "all", stride)
    else:
        summary = _by_protocol(engine, sequences, protocol, part or "test", windows)
    if csv is not None:
        write_atomically(csv, evaluation.as_csv(summary))
    print(json.dumps(summary) if as_json else evaluation.as_text(summary))


def _by_recipe(
    engine: Any, sequences: Sequences[Any], recipe: str, part: str, stride: int
) -> dict[str, Any]:
    from ses_gcn_ros.training import evaluation
    from ses_gcn_ros.training.recipe import load_recipe
    from ses_gcn_ros.training.sources import split

    if part not in _PARTS:
        raise ConfigError(f"part is '{part}'; it takes one of {', '.join(_PARTS)}")
    if part != "all":
        sequences = getattr(split(sequences, load_recipe(recipe).data), part)
    return evaluation.summarise(evaluation.measure(engine, sequences, stride), engine)


def _by_protocol(
    engine: Any, sequences: Sequences[Any], name: str, part: str, windows: str
) -> dict[str, Any]:
    from ses_gcn_ros.datasets.sequences import check_layout
    from ses_gcn_ros.datasets.sources import PROTOCOLS
    from ses_gcn_ros.training import evaluation

    if name not in PROTOCOLS:
        raise ConfigError(f"protocol is '{name}'; it takes none or one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    if engine.fps != protocol.fps:
        raise ConfigError(
            f"{engine.name} forecasts at {engine.fps:g} Hz; protocol {name} is at {protocol.fps:g}"
        )
    windows = windows or next(iter(protocol.windows))
    chosen = protocol.sequences(sequences, part)
    check_layout(chosen, engine.layout, engine.name)
    parts = protocol.choose(chosen, windows, engine.observed, engine.horizon)
    summary = evaluation.summarise(
        evaluation.measure_windows(engine, parts, protocol.weights), engine, _FIELD_FRAMES
    )
    summary["protocol"] = {
        "name": name,
        "part": part,
        "windows": windows,
        "mean_over": protocol.mean,
    }
    summary["quoted"] = evaluation.QUOTED.get(name, [])
    return summary


def evaluate_stream(
    before: Annotated[Path, Option(help="Recording (.npz) that the stream begins with.")],
    after: Annotated[Path, Option(help="Recording that it changes to.")],
    weights: terminal.Weights = None,
    recipe: Annotated[
        str, Option(help="Recipe whose test part the stream begins with; none: all of it.")
    ] = "sesgcn_workcell",
    streams: Annotated[int, Option(help="Streams, each drawn anew.", min=1)] = 4,
    first: Annotated[float, Option(help="Length of the beginning [s].", min=1)] = 60.0,
    settle: Annotated[
        float, Option(help="Time after the change that is not measured [s].", min=0)
    ] = 30.0,
    measured: Annotated[float, Option(help="Time that is measured [s].", min=5)] = 120.0,
    seed: Annotated[int, Option(help="Of the drawing.", min=0)] = 0,
    as_json: terminal.AsJson = False,
    as_csv: terminal.AsCsv = False,
) -> None:
    """Coverage of the adaptive radius after a stream changed from one data set to another.

    Example: ses-gcn evaluate-stream --before cmu.npz --after handover_dev.npz
    """
    import torch

    from ses_gcn_ros.datasets.sources import read_dataset
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.training.evaluation import StreamSchedule, measure_stream
    from ses_gcn_ros.training.recipe import load_recipe
    from ses_gcn_ros.training.sources import split

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
    if as_json:
        print(json.dumps(result))
    else:
        _show(result, as_csv)


def _show(result: dict[str, Any], as_csv: bool) -> None:
    seconds, covered = result["seconds"], result["coverage_percent"]
    title = (
        f"{result['streams']} streams: {seconds['before']:g} s of the first kind, then from "
        f"{seconds['settle']:g} s after the change on for {seconds['measured']:g} s; "
        f"{result['asked_percent']:g} % asked"
    )
    names = ("coverage_percent", "radius_mm", "calibrated_percent", "calibrated_radius_mm")
    columns = zip(*(result[name] for name in names), strict=True)
    rows = [
        (step, f"{adapted:.1f}", f"{radius:.0f}", f"{calibrated:.1f}", f"{base:.0f}")
        for step, (adapted, radius, calibrated, base) in enumerate(columns, start=1)
    ]
    heads = ("step", "adaptive %", "adaptive mm", "calibrated %", "calibrated mm")
    terminal.show(heads, rows, title, as_csv=as_csv)
    if not as_csv:
        lowest, highest = min(result["lowest_percent"]), max(result["highest_percent"])
        print(
            f"over all steps between {min(covered):.1f} and {max(covered):.1f} %; in single "
            f"streams between {lowest:.1f} and {highest:.1f} %"
        )


def dataset(
    data: Annotated[Path, Argument(help="File or folder of a data set, or a bag.")],
    out: Annotated[Path, Option("-o", "--out", help="Recording to write (.npz).")],
    kind: Annotated[
        str,
        Option(
            help="chico, h36m, cmu, cmu_repaired, cmu_trials, asf_amc, amass, bag, recording; "
            "auto looks."
        ),
    ] = "auto",
    fps: Annotated[float, Option(help="Frame rate to resample to [Hz].", min=1, max=1000)] = 25.0,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Write a data set as one recording, which is mapped into memory when it is read.

    CHICO's 15 joints are stored as whole millimetres, others as float32 metres. From the folders of
    CMU's own asf and amc files it makes the motion that the weights that ship were trained on.

    Example: ses-gcn dataset cmu/subjects -o cmu.npz
    """
    from ses_gcn_ros.datasets.sequences import at_rate, write_recording
    from ses_gcn_ros.datasets.sources import read_dataset

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
