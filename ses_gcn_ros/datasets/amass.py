"""Joint positions in npz files as AMASS's tools write them (Mahmood et al., ICCV 2019).

AMASS itself holds parameters of a body model, ``poses`` and ``betas``; where the joints are follows
from the model, which its licence keeps from being shipped. So a file must hold positions: an array
``joints`` (T, J, 3) in metres, z up, as the model gives them, J at least 22 in SMPL's order, and
``mocap_framerate`` or ``fps``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.skeleton import convert, get_layout

LAYOUT = "chico15"
_SMPL = "smpl22"
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps")


def read_amass(path: Path) -> list[Sequence]:
    """Motion of one file, or of all npz files below a folder, in layout chico15.

    Sequences are named by the path below the folder; the subject is the file's folder. Raises
    InputError if there are no such files or one lacks positions or a frame rate.
    """
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.npz")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"'{path}' holds no npz files")
    return [
        Sequence(
            name=file.relative_to(root).with_suffix("").as_posix(),
            index=index,
            subject=file.parent.name if file.parent != root else "",
            tags=frozenset(file.relative_to(root).parts[:1])
            if file.parent != root
            else frozenset(),
            fps=_rate(file),
            layout=LAYOUT,
            source=partial(_positions, file),
        )
        for index, file in enumerate(files)
    ]


def _rate(path: Path) -> float:
    arrays = load_arrays(path)
    given = next((arrays[name] for name in _RATES if name in arrays), None)
    if given is None or given.size != 1 or not 0 < float(given) < np.inf:
        raise InputError(f"'{path}' does not give one frame rate, as {' or '.join(_RATES)}")
    return float(given)


def _positions(path: Path) -> NDArray[np.float32]:
    arrays = load_arrays(path)
    if "joints" not in arrays:
        has = "parameters of a body model alone" if "poses" in arrays else "no positions of joints"
        raise InputError(
            f"'{path}' holds {has}; run the body model over it, which is not shipped here, and add "
            "what it gives as an array 'joints' (T, J, 3)"
        )
    joints, needed = arrays["joints"], len(get_layout(_SMPL).joints)
    if joints.ndim != 3 or joints.shape[1] < needed or joints.shape[2] != 3:
        raise InputError(
            f"'joints' of '{path}' has shape {joints.shape}; it takes (T, J, 3) with at least "
            f"{needed} joints in SMPL's order"
        )
    body = joints[:, :needed]
    converted, _ = convert(body, np.ones(body.shape[:2]), _SMPL, LAYOUT)
    return converted
