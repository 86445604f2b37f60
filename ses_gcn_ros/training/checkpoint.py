"""The state of a training run on disk, always whole."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.forecast.weights import Weights, write_atomically
from ses_gcn_ros.training.recipe import Recipe, flat
from ses_gcn_ros.training.split import Split

_COLUMNS = ("step", "loss_mm", "validation_mm", "learning_rate")


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state in one piece: an interrupted write or a full disk leaves the old one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def write_log(path: Path, rows: Iterable[tuple[int, float, float | None, float]]) -> None:
    """Write the log as CSV, in one piece: step, loss and validation [m], learning rate."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for step, loss, validation, rate in rows:
        validated = "" if validation is None else f"{1000 * validation:.3f}"
        writer.writerow((step, f"{1000 * loss:.3f}", validated, f"{rate:.3g}"))
    write_atomically(path, table.getvalue().encode())


def read_checkpoint(path: Path, identity: dict[str, str], device: str) -> dict[str, Any]:
    """Read the state of a run that is to be continued.

    Raises
    ------
    ConfigError
        If the file is damaged, or is of a run with another recipe, other data or another start.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        theirs = state["identity"]
    except Exception as error:  # the unpickler of a damaged file may raise anything
        raise ConfigError(
            f"'{path}' is no checkpoint ({type(error).__name__}); remove it to start anew"
        ) from error
    differing = sorted(key for key in identity if theirs.get(key) != identity[key])
    if differing:
        name = differing[0]
        raise ConfigError(
            f"checkpoint '{path}' was made with {name} = {theirs.get(name)}, now it is "
            f"{identity[name]}; remove it or write elsewhere with -o"
        )
    return state


def identity_of(recipe: Recipe, split: Split, start: Weights | None) -> dict[str, str]:
    """What must be the same for a run to be continued: the recipe's values, the data, the start."""
    data = hashlib.sha256()
    for sequence in split.train:
        data.update(f"{sequence.name} {sequence.fps}".encode())
        data.update(np.ascontiguousarray(sequence.stored).data)
    origin = hashlib.sha256()
    for name, tensor in sorted(start.tensors.items()) if start else ():
        origin.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
    values = {name: str(value) for name, value in flat(recipe).items()}
    return {**values, "data": data.hexdigest()[:16], "start": origin.hexdigest()[:16]}
