"""Weights files: safetensors whose header says what the network is. No pickles.

The header's metadata holds one JSON object under ``ses_gcn_ros``: the `ModelConfig`, the name, the
coverage of the calibrated radius and where the weights come from. The radius is a tensor beside
the network's own.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.config import build
from ses_gcn_ros.errors import MISSHAPEN, ConfigError, InputError, ModelError
from ses_gcn_ros.forecast.calibration import (
    CELLS,
    FAMILIARITY_SHAPES,
    KINDS,
    Calibration,
    Familiarity,
)
from ses_gcn_ros.models.config import (
    ModelConfig,
    member_configs,
    read_weights_file,
    tensor_shapes,
    write_weights_file,
)
from ses_gcn_ros.skeleton import get_layout

FORMAT = 2  # 1: the learnt base did not look at bones
_KEY = "ses_gcn_ros"
_RADIUS, _QUANTILE, _FLATNESS, _OWN = (
    f"calibration.{name}" for name in ("radius", "quantile", "flatness", "own")
)
_FAMILIAR = tuple(f"familiarity.{field.name}" for field in fields(Familiarity))
_SHIPPED = Path(__file__).resolve().parents[1] / "weights"
DEFAULT_WEIGHTS = _SHIPPED / "sesgcn_workcell.safetensors"


@dataclass(frozen=True, eq=False)
class Weights:
    """A trained network."""

    config: ModelConfig  # what the network is
    tensors: dict[str, NDArray[np.generic]]  # its tensors, as `tensor_shapes` names them
    name: str  # short name, given with every forecast
    # (H, J): radius around each forecast joint [m] that holds the joint with probability `coverage`
    radius: NDArray[np.float32] | None = None
    coverage: float = 0.0  # that probability; 0 without a radius
    # data, licence, acknowledgement, command: what a person wants to know of a file
    about: dict[str, str] = field(default_factory=dict)
    # what the network's own scales are multiplied by for a radius per forecast, where it has any
    calibration: Calibration | None = None
    familiarity: Familiarity | None = None  # what the motion looks like that it knows


def members_of(weights: Weights) -> list[Weights]:
    """The networks that a mean is over, uncalibrated; empty for any other network."""
    found = []
    for index, config in enumerate(member_configs(weights.config)):
        start, tensors = f"members.{index}.", weights.tensors.items()
        own = {name.removeprefix(start): t for name, t in tensors if name.startswith(start)}
        found.append(Weights(config, own, f"{weights.name}, member {index + 1}"))
    return found


def mean_of(members: list[Weights], config: ModelConfig, name: str) -> Weights:
    """Weights of the mean of some networks, uncalibrated.

    Raises ModelError if `config` is not that of their mean.
    """
    tensors = {
        f"members.{index}.{key}": tensor
        for index, member in enumerate(members)
        for key, tensor in member.tensors.items()
    }
    found = Weights(config, tensors, name)
    check_weights(found, name)
    return found


def weights_path(weights: str | os.PathLike[str] | None) -> Path:
    """File of weights: a path is taken as it is, a bare name for that of weights that ship."""
    path = Path(weights or DEFAULT_WEIGHTS)
    shipped = _SHIPPED / f"{path}.safetensors"
    return shipped if path.name == str(path) and shipped.is_file() else path


def read_weights(weights: str | os.PathLike[str] | None = None) -> Weights:
    """Read weights (see `weights_path`) and check that everything in them fits together.

    Raises ModelError if there is no such file, it is damaged, was not written by this package, or a
    tensor has another shape than its own configuration says.
    """
    path = weights_path(weights)
    header, tensors = read_weights_file(
        path,
        _KEY,
        "does not say what network it holds; make it with 'ses-gcn train', or turn the authors' "
        "weights into it with 'ses-gcn import-official'",
    )
    try:
        version = header["format"]
        config = build(ModelConfig, header["config"])
        name, coverage = str(header["name"]), float(header["coverage"])
        about = {str(key): str(value) for key, value in header["about"].items()}
    except (*MISSHAPEN, ConfigError) as error:
        raise ModelError(f"the header of '{path}' is damaged: {error}") from error
    if version != FORMAT and not (version == 1 and not config.gate):
        raise ModelError(
            f"'{path}' has format {version}; this version reads format {FORMAT}: train or adapt "
            "it anew from the weights that ship"
        )
    radius = tensors.pop(_RADIUS, None)
    quantile, flatness = tensors.pop(_QUANTILE, None), tensors.pop(_FLATNESS, None)
    own = float(tensors.pop(_OWN, 1.0))  # older weights have none
    calibration = None
    if quantile is not None and flatness is not None:
        if len(quantile) == len(KINDS):  # as written before bones counted
            quantile = np.tile(quantile, (CELLS // len(KINDS), 1, 1))
        calibration = Calibration(quantile, float(flatness), own)
    familiar = [tensors.pop(name) for name in _FAMILIAR if name in tensors]
    familiarity = None
    if len(familiar) == len(_FAMILIAR):
        familiarity = Familiarity(*familiar)
    found = Weights(config, tensors, name, radius, coverage, about, calibration, familiarity)
    check_weights(found, str(path))
    return found


def check_weights(weights: Weights, where: str) -> None:
    """Check that tensors, radius and layout are what the configuration says.

    Raises ModelError, naming the first thing that is not.
    """
    config = weights.config
    config.check()
    try:
        joints = len(get_layout(config.layout).joints)
    except InputError as error:
        raise ModelError(f"weights of '{where}': {error}") from error
    if joints != config.joints:
        raise ModelError(
            f"weights of '{where}' are for {config.joints} joints; layout {config.layout} has "
            f"{joints}"
        )
    expected = tensor_shapes(config)
    for name, shape in expected.items():
        if name not in weights.tensors:
            raise ModelError(f"weights of '{where}' lack the tensor '{name}' {shape}")
        tensor = weights.tensors[name]
        if tensor.shape != shape:
            raise ModelError(
                f"tensor '{name}' of '{where}' has shape {tensor.shape}; its configuration says "
                f"{shape}"
            )
        if not np.isfinite(tensor).all():
            raise ModelError(f"tensor '{name}' of '{where}' holds values that are not finite")
    surplus = sorted(set(weights.tensors) - set(expected))
    if surplus:
        raise ModelError(f"weights of '{where}' hold an unknown tensor '{surplus[0]}'")
    if weights.radius is not None:
        shape = (config.horizon, config.joints)
        if weights.radius.shape != shape or not (weights.radius >= 0).all():
            raise ModelError(
                f"the radius of '{where}' has shape {weights.radius.shape} and must be {shape}, "
                "none of it negative"
            )
        if not 0 < weights.coverage < 1:
            raise ModelError(f"the coverage of '{where}' is {weights.coverage}, not in (0, 1)")
    if weights.calibration is not None:
        quantile, flatness = weights.calibration.quantile, weights.calibration.flatness
        wanted = (CELLS, config.horizon, config.joints)
        fits = quantile.shape == wanted and bool((quantile >= 0).all()) and 0 < flatness <= 1
        fits &= 0 <= weights.calibration.own <= 1
        if not (fits and config.gate and weights.radius is not None):
            raise ModelError(
                f"the calibration of '{where}' does not fit: quantiles of shape {quantile.shape}, "
                f"which must be {wanted} and not negative, flatness {flatness:g}; it takes a "
                "network with a scale, and a radius"
            )

    if weights.familiarity is not None:
        given = {name: np.asarray(value) for name, value in vars(weights.familiarity).items()}
        fits = all(given[name].shape == shape for name, shape in FAMILIARITY_SHAPES.items())
        fits = fits and all(np.isfinite(value).all() for value in given.values())
        if not fits or not given["limits"][0] < given["limits"][1] or config.observed < 10:
            raise ModelError(
                f"what '{where}' says of known motion does not fit: it takes tensors of shapes "
                f"{FAMILIARITY_SHAPES}, all finite, limits that rise, and 10 observed frames"
            )


def write_weights(path: str | os.PathLike[str], weights: Weights) -> None:
    """Write a weights file in one piece: an interrupted write leaves the old file as it was.

    Raises ModelError if the weights don't fit their configuration.
    """
    path = Path(path)
    check_weights(weights, str(path))
    header = {
        "format": FORMAT,
        "name": weights.name,
        "coverage": weights.coverage,
        "config": asdict(weights.config),
        "about": weights.about,
    }
    tensors = dict(weights.tensors)
    if weights.radius is not None:
        tensors[_RADIUS] = np.asarray(weights.radius, np.float32)
    if weights.calibration is not None:
        tensors[_QUANTILE] = np.asarray(weights.calibration.quantile, np.float32)
        tensors[_FLATNESS] = np.array(weights.calibration.flatness, np.float32)
        tensors[_OWN] = np.array(weights.calibration.own, np.float32)
    if weights.familiarity is not None:
        for name, value in zip(_FAMILIAR, vars(weights.familiarity).values(), strict=True):
            tensors[name] = np.asarray(value, np.float32)
    write_weights_file(path, _KEY, header, tensors)
