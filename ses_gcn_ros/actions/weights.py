"""Weights files of networks for actions: safetensors with a JSON header. No pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.windows import Joints, WindowConfig
from ses_gcn_ros.config import build
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.models.weights_file import read_weights_file, write_weights_file

FORMAT = 1
NETWORKS = ("stgcn", "sgn", "esgn", "sparse_stgcn", "linear")
UNKNOWN = "unknown"
DEFAULT_WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "actions_workcell.safetensors"
_KEY = "ses_gcn_ros.actions"


@dataclass(frozen=True, eq=False)
class ActionWeights:
    """A trained network for actions."""

    network: str  # one of `NETWORKS`
    # its options by name: those of StgcnConfig, EsgnConfig and SparseConfig
    options: Mapping[str, Any]
    joints: Joints  # what it sees
    labels: tuple[str, ...]  # classes
    channels: int  # channels per joint
    window: WindowConfig  # what its input is made of
    tensors: dict[str, NDArray[Any]]  # its state; half precision is read as single
    # short name, and the joint layout of the package ("" for one that it does not know)
    name: str = ""
    layout: str = ""
    temperature: float = 1.0  # divisor of the logits that calibrates probabilities
    threshold: float = 0.0  # least probability of an answer; below it the action is unknown
    about: dict[str, str] = field(default_factory=dict)  # data, licence, command


def read_action_weights(path: str | os.PathLike[str] | None = None) -> ActionWeights:
    """Read a weights file; those that ship without a path.

    Raises ModelError if there is no such file, it is damaged, or was not written by this package.
    """
    path = Path(path) if path else DEFAULT_WEIGHTS
    foreign = "does not say what actions it knows; make it with 'ses-gcn actions train'"
    header, tensors = read_weights_file(path, _KEY, foreign)
    try:
        if header.pop("format") != FORMAT:
            raise ValueError("written by another version")
        header["joints"] = Joints(**{k: tuple(v) for k, v in header["joints"].items()})
        header["window"] = build(WindowConfig, header["window"])
        header["labels"] = tuple(header["labels"])
        for name, shape in header.pop("cut", {}).items():
            _unpack(tensors, name, shape)
        return ActionWeights(tensors=tensors, **header)
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ModelError(f"the header of '{path}' is damaged: {error}") from error


def write_action_weights(
    path: str | os.PathLike[str], weights: ActionWeights, half: bool = False
) -> None:
    """Write a weights file in one piece, tensors in half precision if asked for."""
    header = asdict(weights)
    header["format"] = FORMAT
    tensors = {
        name: np.asarray(t, np.float16 if half and t.dtype == np.float32 else t.dtype)
        for name, t in header.pop("tensors").items()
    }
    scores = [name for name in tensors if name.endswith(_SCORE)]
    header["cut"] = {name: _pack(tensors, name) for name in scores}
    header["options"] = dict(weights.options)
    write_weights_file(Path(path), _KEY, header, tensors)


# A sparse convolution takes the room of what it keeps, and a bit for each weight it might have.
_SCORE = ".score"


def _pack(tensors: dict[str, NDArray[Any]], name: str) -> list[list[int]]:
    """Replace a weight and its scores by what is kept; the shapes of both."""
    score, place = tensors.pop(name), name.replace(_SCORE, ".weight")
    weight = tensors[place]
    tensors[name.replace(_SCORE, ".kept")] = np.packbits(score > 0)
    tensors[place] = weight[np.broadcast_to(score > 0, weight.shape)]
    return [list(score.shape), list(weight.shape)]


def _unpack(tensors: dict[str, NDArray[Any]], name: str, shapes: list[list[int]]) -> None:
    own, shape = shapes
    place = name.replace(_SCORE, ".weight")
    bits = np.unpackbits(tensors.pop(name.replace(_SCORE, ".kept")), count=int(np.prod(own)))
    kept = bits.astype(bool).reshape(own)
    weight = np.zeros(shape, tensors[place].dtype)
    weight[np.broadcast_to(kept, shape)] = tensors[place]
    tensors[place], tensors[name] = weight, np.where(kept, 1, -1).astype(weight.dtype)
