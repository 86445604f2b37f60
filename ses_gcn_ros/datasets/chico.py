"""CHICO: people and a cobot in seven industrial actions (Sampieri et al., ECCV 2022).

Files ``S00/hammer.pkl`` … are pickles of a list over frames of (person 15×3, robot 9×3), absolute
millimetres, 25 frames a second. The robot is a KUKA iiwa: nine points, links in a chain.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError

FPS = 25.0
LAYOUT = "chico15"
VALIDATE = ("00", "04")
TEST = ("02", "03", "18", "19")
CRASH = "crash"  # tag of the recordings with collisions
_SHAPES = ((15, 3), (9, 3))
_NUMPY = ("numpy.core", "numpy._core")  # the name changed with numpy 2


@dataclass(frozen=True, eq=False)
class Collaboration:
    """A person and the robot beside them."""

    person: NDArray[np.float32]  # (T, 15, 3): joints in the order of layout chico15 [m]
    robot: NDArray[np.float32]  # (T, 9, 3): points along the arm, from its base [m]
    fps: float = FPS  # frame rate [Hz]


def read_collaboration(path: Path) -> Collaboration:
    """Read one file of CHICO. Nothing in it is run: it may hold lists and arrays of numbers.

    Raises InputError if the file is missing, asks for anything but arrays and lists, or a frame has
    another number of joints or a position that is not finite.
    """
    try:
        content = path.read_bytes()
        _check_memo(content)
        frames = _ArraysOnly(io.BytesIO(content)).load()
    except FileNotFoundError:
        raise InputError(f"there is no recording at '{path}'") from None
    except _Refused as error:
        raise InputError(f"'{path}' {error}") from None
    except OSError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        reason = str(error).partition("\n")[0]
        raise InputError(f"'{path}' is no pickle of lists and arrays: {reason}") from error
    if not isinstance(frames, list) or not frames:
        raise InputError(f"'{path}' holds no list of frames; CHICO's files do")
    return Collaboration(person=_part(path, frames, 0), robot=_part(path, frames, 1))


def _part(path: Path, frames: list[Any], which: int) -> NDArray[np.float32]:
    """The person (0) or the robot (1) of all frames [m]."""
    shape, name = _SHAPES[which], ("person", "robot")[which]
    points = []
    for number, frame in enumerate(frames):
        try:
            points.append(np.asarray(frame[which], dtype=np.float64))
        except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"frame {number} of '{path}' has no {name} of numbers: {reason}"
            ) from error
        if points[-1].shape != shape:
            raise InputError(
                f"frame {number} of '{path}' has a {name} of shape {points[-1].shape}; CHICO's is "
                f"{shape}"
            )
    stacked = np.stack(points)
    if not np.isfinite(stacked).all():
        number, joint = np.argwhere(~np.isfinite(stacked))[0, :2]
        raise InputError(f"'{path}' is not finite at frame {number}, point {joint} of the {name}")
    return (stacked / 1000).astype(np.float32)


def read_chico(folder: Path) -> list[Sequence]:
    """People of all recordings below a folder, each read when first looked at.

    They are named as ``S00/hammer``, with subject ``00`` and the action as tag; collisions are
    tagged `CRASH` as well. Raises InputError if there are no such files.
    """
    paths = sorted(folder.glob("S[0-9]*/*.pkl"))
    if not paths:
        raise InputError(f"'{folder}' holds no files like S00/hammer.pkl")
    sequences = []
    for index, path in enumerate(paths):
        action, _, variant = path.stem.partition("_CRASH")
        crashed = path.stem.endswith("_CRASH")
        sequences.append(
            Sequence(
                name=f"{path.parent.name}/{path.stem}",
                index=index,
                subject=path.parent.name.removeprefix("S"),
                tags=frozenset([action + variant] + [CRASH] * crashed),
                fps=FPS,
                layout=LAYOUT,
                source=partial(_person, path),
            )
        )
    return sequences


def _person(path: Path) -> NDArray[np.float32]:
    return read_collaboration(path).person


class _Refused(Exception):
    """A pickle asked for something that is no array."""


def _encode(text: str, encoding: str) -> bytes:
    """How old pickles spell bytes."""
    if encoding != "latin1":
        raise _Refused(f"asks for the encoding '{encoding}', which arrays don't need")
    return text.encode(encoding)


def _check_memo(content: bytes) -> None:
    """Refuse a memo index beyond the file's length: Python takes 16 bytes of memory per index."""
    for code, argument, _ in pickletools.genops(content):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise _Refused(f"numbers an object {argument} in {len(content)} bytes; it is damaged")


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that knows numpy arrays and nothing else that is not built in."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        root = next((root for root in _NUMPY if module.startswith(f"{root}.")), None)
        if root is not None:
            known = f"{module.removeprefix(root)}.{name}"
            if known in (".multiarray._reconstruct", ".multiarray.scalar", ".numeric._frombuffer"):
                found: Callable[..., Any] = super().find_class(_installed(module, root), name)
                return found
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise _Refused(
            f"asks for '{module}.{name}'; a recording holds lists and arrays alone, so it was not "
            "opened"
        )


def _installed(module: str, root: str) -> str:
    """Name of a numpy module in the numpy that is here."""
    return _NUMPY[int(np.__version__.partition(".")[0]) >= 2] + module.removeprefix(root)
