"""CMU motion capture in the exponential maps that benchmarks share (Li et al., CVPR 2018).

Files ``train/walking/walking_1.txt``, ``test/…`` hold 117 numbers a frame: a translation and 38
joints of subject 02's skeleton, 120 frames a second. Two ways to read them:

- as benchmarks do (`read_benchmark`): 25 of the joints, 70 mm per unit, every other frame taken
  for 25 Hz, no global rotation or translation. A unit is 56.4 mm and every other frame 60 Hz, so
  that "1000 ms" are 0.42 s; compare with published tables on those terms only.
- repaired (`read_repaired`): the person in the room, metres, z up, at 120 Hz, layout chico15. The
  files' root rotation was composed from the database's angles in the wrong order, Z·X·Y instead of
  Z·Y·X, and their skeleton lacks the bones where it branches, thorax and wrists. Both are put
  right here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.datasets.asf_amc import RECORDED_FPS, UNIT, chico15
from ses_gcn_ros.datasets.expmap import (
    ExpmapBenchmark,
    ExpmapBody,
    forward,
    read_expmaps,
    rotations,
)
from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError

BENCHMARK_FPS = 25.0
LAYOUT = "cmu25"
PATTERN = "t*/*/*_[0-9]*.txt"

_PARENTS = (
    *(-1, 0, 1, 2, 3, 4, 5),  # root, left leg
    *(0, 7, 8, 9, 10, 11),  # right leg
    *(0, 13, 14, 15, 16, 17, 18),  # back, neck, head
    *(15, 20, 21, 22, 23, 24, 25, 23, 27),  # left arm
    *(15, 29, 30, 31, 32, 33, 34, 32, 36),  # right arm
)
# From the parent to each joint, in the units of the database's skeletons.
_OFFSETS = """
    0 0 0;  0 0 0;  1.65674 -1.80282 0.62477;  2.59720 -7.13576 0;  2.49236 -6.84770 0
    0.19704 -0.54136 2.14581;  0 0 1.11249
    0 0 0;  -1.61070 -1.80282 0.62476;  -2.59502 -7.12977 0;  -2.46780 -6.78024 0
    -0.23024 -0.63258 2.13368;  0 0 1.11569
    0 0 0;  0.01961 2.05450 -0.14112;  0.01021 2.06436 -0.05921
    0 0 0;  0.00713 1.56711 0.14968;  0.03429 1.56041 -0.10006;  0.01305 1.62560 -0.05265
    0 0 0;  3.54205 0.90436 -0.17364;  4.86513 0 0;  3.35554 0 0
    0 0 0;  0.66117 0 0;  0.53306 0 0;  0 0 0;  0.54120 0 0.54120
    0 0 0;  -3.49802 0.75994 -0.32616;  -5.02649 0 0;  -3.36431 0 0
    0 0 0;  -0.73041 0 0;  -0.58887 0 0;  0 0 0;  -0.59786 0 0.59786
"""

_BENCHMARK_UNIT = 0.070  # m
_MISSING = {  # bones that benchmarks' skeleton lacks
    **dict.fromkeys((16, 20, 29), (0.00151, 2.06805, 0.00804)),  # thorax
    **dict.fromkeys((24, 27), (1.67777, 0.0, 0.0)),  # wrists
    **dict.fromkeys((33, 36), (-1.68216, 0.0, 0.0)),
}
_BONE_ENDS = {
    **{"lhipjoint": 2, "lfemur": 3, "ltibia": 4, "rhipjoint": 8, "rfemur": 9, "rtibia": 10},
    **{"lclavicle": 21, "lhumerus": 22, "lwrist": 24},
    **{"rclavicle": 30, "rhumerus": 31, "rwrist": 33, "head": 19},
}
_HEAD = 18  # the joint that turns the head's bone


def _body(unit: float, missing: Mapping[int, tuple[float, ...]]) -> ExpmapBody:
    rows = _OFFSETS.replace("\n", ";").strip("; ").split(";")
    offsets = np.array([[float(number) for number in row.split()] for row in rows if row.strip()])
    for joint, bone in missing.items():
        offsets[joint] = bone
    return ExpmapBody(_PARENTS, unit * offsets)


BODY = _body(UNIT, _MISSING)
# Six joints (0, 1, 2, 7, 8, 13) stand still.
BENCHMARK = ExpmapBenchmark(
    _body(_BENCHMARK_UNIT, {}),
    used=(
        *(*range(3, 7), *range(9, 13), 14, 15, 17, 18, 19),
        *(21, 22, 23, 25, 26, 28, *range(30, 33), 34, 35, 37),
    ),
    copies={16: 15, 20: 15, 29: 15, 24: 23, 27: 23, 33: 32, 36: 32},
)


def repaired_positions(expmaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Layout chico15 of lines of 117 numbers in the room [m], z up, (T, 15, 3)."""
    local = rotations(expmaps[:, 3:].reshape(len(expmaps), -1, 3))
    # Row vectors: transposed, the root reads Z·X·Y; its angles belong into Z·Y·X.
    wrong = Rotation.from_matrix(local[:, 0].transpose(0, 2, 1))
    z, x, y = wrong.as_euler("ZXY").T
    right = Rotation.from_euler("ZYX", np.stack([z, y, x], axis=1))
    local[:, 0] = right.as_matrix().transpose(0, 2, 1)
    points, axes = forward(BODY, local)
    points += UNIT * expmaps[:, None, :3]
    return chico15({bone: points[:, end] for bone, end in _BONE_ENDS.items()}, axes[:, _HEAD, 2])


def read_benchmark(folder: Path) -> list[Sequence]:
    """All recordings as benchmarks use them in layout cmu25, each read when first looked at.

    They are named as ``train/walking/walking_1``, with the action as tag. Raises InputError if
    there are no such files.
    """
    return _sequences(folder, BENCHMARK.read, BENCHMARK_FPS, LAYOUT)


def read_repaired(folder: Path) -> list[Sequence]:
    """All recordings put right, layout chico15; names and errors as in `read_benchmark`."""
    return _sequences(folder, _read_repaired, RECORDED_FPS, "chico15")


def _sequences(
    folder: Path, read: Callable[[Path], NDArray[np.float32]], fps: float, layout: str
) -> list[Sequence]:
    paths = [
        path
        for path in sorted(folder.glob(PATTERN))
        if path.parts[-3] in ("train", "test") and path.stem.rpartition("_")[0] == path.parts[-2]
    ]
    if not paths:
        raise InputError(f"'{folder}' holds no files like train/walking/walking_1.txt")
    return [
        Sequence(
            name="/".join((*path.parts[-3:-1], path.stem)),
            index=index,
            subject="",
            tags=frozenset([path.parts[-2]]),
            fps=fps,
            layout=layout,
            source=partial(read, path),
        )
        for index, path in enumerate(paths)
    ]


def _read_repaired(path: Path) -> NDArray[np.float32]:
    return repaired_positions(read_expmaps(path, len(_PARENTS))).astype(np.float32)
