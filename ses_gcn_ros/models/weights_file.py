"""Files of tensors with a JSON header under a key of the package's: safetensors, no pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.resources import write_atomically


def read_weights_file(
    path: Path, key: str, foreign: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and tensors of a file.

    Raises ModelError if there is no such file, it can't be read, or holds nothing under the key,
    of which `foreign` says what that means and what to do.
    """
    if not path.is_file():
        raise ModelError(f"there are no weights at '{path}'")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"'{path}' is no readable safetensors file: {error}") from error
    except (TypeError, AttributeError) as error:  # a type that numpy hasn't, such as bfloat16
        raise ModelError(
            f"'{path}' holds numbers of a type that can't be read ({error}); convert it to float32"
        ) from error
    if key not in metadata:
        raise ModelError(f"'{path}' {foreign}")
    try:
        return dict(json.loads(metadata[key])), tensors
    except (ValueError, TypeError) as error:
        raise ModelError(f"the header of '{path}' is damaged: {error}") from error


def write_weights_file(
    path: Path, key: str, header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]
) -> None:
    """Write a file in one piece: an interrupted write leaves the old one as it was."""
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, metadata={key: json.dumps(header)}))
