"""The authors' released weights, turned into ours.

Source: https://github.com/AlessioSam/CHICO-PoseForecasting (ECCV 2022). A state dict holds 111
tensors; a student's masks come in two numpy files. Networks take absolute millimetres at 25 fps.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.weights import Weights, write_weights
from ses_gcn_ros.models.config import ModelConfig, tensor_shapes
from ses_gcn_ros.npz import load_checkpoint, read_array

FPS = 25.0
_LAYOUTS = {15: "chico15", 22: "h36m22"}
_LAYERS = 5
_UNUSED = re.compile(r"st_gcnns\.\d+\.prelu2\.weight")  # never called by the authors' code

# Their names, ours.
_RENAMES = (
    (r"st_gcnns\.(\d+)\.gcn\.A", r"layers.\1.graph.space"),
    (r"st_gcnns\.(\d+)\.gcn\.T", r"layers.\1.graph.time"),
    (r"st_gcnns\.(\d+)\.dsc\.depthwise\.0\.(.+)", r"layers.\1.depthwise.\2"),
    (r"st_gcnns\.(\d+)\.dsc\.depthwise\.1\.(.+)", r"layers.\1.norm.\2"),
    (r"st_gcnns\.(\d+)\.dsc\.pointwise\.(.+)", r"layers.\1.pointwise.\2"),
    (r"st_gcnns\.(\d+)\.prelu\.weight", r"layers.\1.activation.weight"),
    (r"st_gcnns\.(\d+)\.residual\.(.+)", r"layers.\1.residual.\2"),
    (r"txcnns\.(\d+)\.block\.0\.(.+)", r"decoder.convolutions.\1.\2"),
    (r"txcnns\.(\d+)\.block\.1\.(.+)", r"decoder.norms.\1.\2"),
    (r"prelus\.(\d+)\.weight", r"decoder.activations.\1.weight"),
)


def import_official(
    state_dict: str | os.PathLike[str],
    out: str | os.PathLike[str],
    mask_a: str | os.PathLike[str] | None = None,
    mask_t: str | os.PathLike[str] | None = None,
) -> Weights:
    """Turn the authors' weights into a weights file of ours.

    Raises ModelError if the file is no state dict of SeS-GCN, only one mask is given or a mask has
    another shape.

    `state_dict`: their ``.pth`` file. Read as tensors only, nothing in it is run.
    `mask_a`, `mask_t`: a student's masks of joints (5, T, J, J) and of frames (5, J, T, T), as
    ``.npy``. Without them the weights are a teacher's.

    Returns what was written. J and H are read from the tensors.
    """
    if (mask_a is None) != (mask_t is None):
        given, lacking = ("--mask-a", "--mask-t") if mask_t is None else ("--mask-t", "--mask-a")
        raise ModelError(
            f"{given} is given without {lacking}; a student needs both masks, a teacher none"
        )
    source = _read_state_dict(Path(state_dict))
    config = _configuration(source, str(state_dict))
    tensors = _renamed(source)
    masks = {
        "space": ((_LAYERS, config.observed, config.joints, config.joints), mask_a),
        "time": ((_LAYERS, config.joints, config.observed, config.observed), mask_t),
    }
    for kind, (shape, path) in masks.items():
        mask = np.ones(shape, np.float32) if path is None else _read_mask(Path(path), shape)
        for layer in range(_LAYERS):
            tensors[f"layers.{layer}.graph.mask_{kind}"] = mask[layer]
    _check(tensors, config, str(state_dict))
    masked = mask_a is not None  # nothing in the file itself tells a student from a teacher
    weights = Weights(
        config=config,
        tensors=tensors,
        name=f"sesgcn_{config.layout}_{config.horizon}" + ("_student" if masked else ""),
        about={
            "source": f"official SeS-GCN{' student' if masked else ''}, {Path(state_dict).name}",
            "paper": "Sampieri et al., Pose Forecasting in Industrial Human-Robot Collaboration, "
            "ECCV 2022",
            "licence": "not stated by the authors; do not redistribute",
        },
    )
    write_weights(out, weights)
    return weights


def _read_state_dict(path: Path) -> dict[str, NDArray[np.generic]]:
    import torch

    if not path.is_file():
        raise ModelError(f"there is no state dict at '{path}'")
    try:
        content: Any = load_checkpoint(path)
    except Exception as error:  # the unpickler of a damaged file may raise anything
        first_line = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise ModelError(f"'{path}' is no state dict of tensors alone: {first_line}") from error
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise ModelError(
            f"'{path}' holds a {type(content).__name__}, not a state dict of tensors; save "
            "model.state_dict() and import that"
        )
    for name, value in content.items():
        if value.layout != torch.strided or value.is_meta or value.is_complex():
            raise ModelError(
                f"tensor '{name}' of '{path}' is {value.dtype}, {value.layout} on {value.device}; "
                "save the weights as dense floats: model.float().state_dict()"
            )
    # Checkpoints of torch.nn.DataParallel put "module." before every name.
    return {
        str(name).removeprefix("module."): (v.float() if v.is_floating_point() else v)
        .detach()
        .numpy()
        for name, v in content.items()
    }


def _configuration(source: dict[str, NDArray[np.generic]], where: str) -> ModelConfig:
    """What the tensors say of the network."""
    adjacency, decoder = source.get("st_gcnns.0.gcn.A"), source.get("txcnns.0.block.0.weight")
    if adjacency is None or decoder is None or adjacency.ndim != 3 or decoder.ndim != 4:
        raise ModelError(
            f"'{where}' is no SeS-GCN: it lacks 'st_gcnns.0.gcn.A' (T, J, J) or "
            "'txcnns.0.block.0.weight' (H, T, 3, 3)"
        )
    observed, joints = adjacency.shape[:2]
    if joints not in _LAYOUTS:
        raise ModelError(
            f"'{where}' is for {joints} joints; known are 15 (CHICO) and 22 (Human3.6M)"
        )
    widths = []
    for layer in range(_LAYERS):
        pointwise = source.get(f"st_gcnns.{layer}.dsc.pointwise.weight")
        if pointwise is None or pointwise.ndim != 4:
            raise ModelError(
                f"'{where}' lacks 'st_gcnns.{layer}.dsc.pointwise.weight'; a SeS-GCN has "
                f"{_LAYERS} layers"
            )
        widths.append(int(pointwise.shape[0]))
    return ModelConfig(
        layout=_LAYOUTS[joints],
        joints=int(joints),
        observed=int(observed),
        horizon=int(decoder.shape[0]),
        fps=FPS,
        unit="mm",
        widths=tuple(widths),
    )


def _renamed(source: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    tensors = {}
    for theirs, tensor in source.items():
        if _UNUSED.fullmatch(theirs) or theirs.endswith("num_batches_tracked"):
            continue
        name = theirs
        for pattern, ours in _RENAMES:
            match = re.fullmatch(pattern, theirs)
            if match:
                name = match.expand(ours)
        if "depthwise" in name:
            tensor = tensor.reshape(-1)
        elif name.startswith("layers.") and tensor.ndim == 4:  # a 1×1 convolution is a linear map
            tensor = tensor.reshape(tensor.shape[:2])
        tensors[name] = tensor
    return tensors


def _read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    try:
        with open(path, "rb") as file:
            mask = read_array(file, path.stat().st_size)
    except FileNotFoundError:
        raise ModelError(f"there is no mask at '{path}'") from None
    except Exception as error:  # the header of a damaged file may raise anything
        reason = str(error).partition("\n")[0][:150]
        raise ModelError(f"'{path}' is no numpy array: {reason}") from error
    if mask.shape != shape:
        raise ModelError(f"mask '{path}' has shape {mask.shape}; these weights take {shape}")
    if not np.isin(mask, (0, 1)).all():
        raise ModelError(f"mask '{path}' holds other values than 0 and 1")
    return mask.astype(np.float32)


def _check(tensors: dict[str, NDArray[np.generic]], config: ModelConfig, where: str) -> None:
    """Name what is missing, surplus or misshapen before anything is written."""
    expected = tensor_shapes(config)
    missing, surplus = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or surplus:
        what = (
            f"lacks {len(missing)} tensors, first '{missing[0]}'"
            if missing
            else (f"holds {len(surplus)} tensors that SeS-GCN does not have, first '{surplus[0]}'")
        )
        raise ModelError(f"'{where}' is no SeS-GCN of {config.joints} joints: it {what}")
