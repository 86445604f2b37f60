"""``ses-gcn evaluate-windows``: how far off forecasts are on windows of recorded motion."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence as Sequences
from pathlib import Path
from typing import Annotated, Any

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_writable

_PARTS = ("all", "held_out", "test", "calibrate", "train")
_FIELD_FRAMES = (2, 4, 8, 10, 14, 18, 22, 25)  # 80, 160, 320, 400, 560, 720, 880, 1000 ms


def evaluate_windows(
    data: Annotated[
        list[Path],
        typer.Option(help="Recording (.npz) or folder of a data set; several by --data again."),
    ],
    weights: Annotated[
        Path | None, typer.Option(help="Weights file; the ones that ship if left out.")
    ] = None,
    kind: Annotated[str, typer.Option(help="Kind of data; auto looks.")] = "auto",
    protocol: Annotated[
        str, typer.Option(help="Evaluate as papers do: h36m, chico or cmu; none: as recipes do.")
    ] = "none",
    windows: Annotated[
        str, typer.Option(help="Windows of a protocol: 8 or 256 per action, all; its usual one.")
    ] = "",
    recipe: Annotated[
        str, typer.Option(help="Recipe whose split --part refers to, without a protocol.")
    ] = "sesgcn_workcell",
    part: Annotated[
        str,
        typer.Option(
            help="all, held_out, test, calibrate or train, as the recipe splits; test, validate or "
            "train of a protocol."
        ),
    ] = "",
    stride: Annotated[
        int, typer.Option(help="Frames between windows, without a protocol.", min=1)
    ] = 2,
    csv: Annotated[Path | None, typer.Option(help="Write the tables to this CSV.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Errors of a forecaster and of the baselines on windows of recorded motion.

    Example: ses-gcn evaluate-windows --data cmu.npz --part held_out
    or: ses-gcn evaluate-windows --protocol h36m --data h3.6m/dataset --weights h36m.safetensors
    """
    import torch

    from ses_gcn_ros.datasets.sources import read_datasets
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.forecast.weights import write_atomically
    from ses_gcn_ros.training.evaluation import as_csv, as_text

    check_writable(csv, overwrite=overwrite, read=[*data, weights])
    torch.set_num_threads(threads)
    if protocol != "none" and kind == "auto" and data[0].is_dir():
        kind = protocol
    sequences = read_datasets(data, kind).sequences
    engine = load(weights)
    if protocol == "none":
        summary = _by_recipe(engine, sequences, recipe, part or "all", stride)
    else:
        summary = _by_protocol(engine, sequences, protocol, part or "test", windows)
    if csv is not None:
        write_atomically(csv, as_csv(summary).encode())
    print(json.dumps(summary) if as_json else as_text(summary))


def _by_recipe(
    engine: Any, sequences: Sequences[Any], recipe: str, part: str, stride: int
) -> dict[str, Any]:
    from ses_gcn_ros.training.evaluation import measure, summarise
    from ses_gcn_ros.training.recipe import load_recipe
    from ses_gcn_ros.training.sources import split

    if part not in _PARTS:
        raise ConfigError(f"part is '{part}'; it takes one of {', '.join(_PARTS)}")
    if part != "all":
        sequences = getattr(split(sequences, load_recipe(recipe).data), part)
    return summarise(measure(engine, sequences, stride), engine)


def _by_protocol(
    engine: Any, sequences: Sequences[Any], name: str, part: str, windows: str
) -> dict[str, Any]:
    from ses_gcn_ros.datasets.protocols import PROTOCOLS
    from ses_gcn_ros.training.evaluation import QUOTED, check_layout, measure_windows, summarise

    if name not in PROTOCOLS:
        raise ConfigError(f"protocol is '{name}'; it takes none or one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    if engine.fps != protocol.fps:
        raise ConfigError(
            f"{engine.name} forecasts at {engine.fps:g} Hz; protocol {name} is at {protocol.fps:g}"
        )
    windows = windows or next(iter(protocol.windows))
    chosen = protocol.sequences(sequences, part)
    check_layout(engine, chosen)
    parts = protocol.choose(chosen, windows, engine.observed, engine.horizon)
    summary = summarise(measure_windows(engine, parts, protocol.weights), engine, _FIELD_FRAMES)
    summary["protocol"] = {
        "name": name,
        "part": part,
        "windows": windows,
        "mean_over": protocol.mean,
    }
    summary["quoted"] = [dataclasses.asdict(quoted) for quoted in QUOTED.get(name, ())]
    return summary
