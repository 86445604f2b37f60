"""Human3.6M (Ionescu et al., TPAMI 2014) in the exponential maps that forecasting uses.

Files ``S1/walking_1.txt`` … hold 99 numbers a frame, 50 frames a second. As the benchmark has it
(Martinez et al., CVPR 2017; Mao et al., ICCV 2019): one skeleton for all subjects, global rotation
and translation set to zero, every other frame, 22 of 32 joints. The axes stay the files': y up.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ses_gcn_ros.datasets.expmap import ExpmapBenchmark, ExpmapBody
from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError

FPS = 25.0
LAYOUT = "h36m22"
VALIDATE = ("11",)
TEST = ("5",)
ACTIONS = (
    *("walking", "eating", "smoking", "discussion", "directions", "greeting", "phoning", "posing"),
    *("purchases", "sitting", "sittingdown", "takingphoto", "waiting", "walkingdog"),
    "walkingtogether",
)

# Bones of the 32 joints: parent, and from it to the joint [mm] along one of x, y, z.
_PARENTS = (
    *(-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9),  # hip, right leg, left leg
    *(0, 11, 12, 13, 14),  # spine, head
    *(12, 16, 17, 18, 19, 20, 19, 22),  # left arm
    *(12, 24, 25, 26, 27, 28, 27, 30),  # right arm
)
_BONES = (
    "0x -132.948591x -442.894612y -454.206447y 162.767078z 74.999437z "
    "132.948826x -442.894413y -454.206590y 162.767426z 74.999948z "
    "0.1y 233.383263y 257.077681y 121.134938y 115.002227y "
    "257.077681y 151.034226y 278.882773y 251.733451y 0x 99.999627z 100.000188y 0x "
    "257.077681y 151.031437y 278.892924y 251.728680y 0x 99.999888z 137.499922y 0x"
)


def _body() -> ExpmapBody:
    offsets = np.zeros((len(_PARENTS), 3))
    for joint, bone in enumerate(_BONES.split()):
        offsets[joint, "xyz".index(bone[-1])] = float(bone[:-1]) / 1000
    return ExpmapBody(_PARENTS, offsets)


# Four joints (0, 1, 6, 11) stand still.
BENCHMARK = ExpmapBenchmark(
    _body(),
    used=(*range(2, 6), *range(7, 11), *range(12, 16), 17, 18, 19, 21, 22, 25, 26, 27, 29, 30),
    copies={16: 13, 20: 19, 23: 22, 24: 13, 28: 27, 31: 30},
)


def read_h36m(folder: Path) -> list[Sequence]:
    """All recordings below a folder at 25 Hz in layout h36m22, each read when first looked at.

    They are named as ``S5/walking_1``, with subject ``5`` and the action as tag. Raises InputError
    if there are no such files.
    """
    paths = [
        path
        for path in sorted(folder.glob("S[0-9]*/*_[12].txt"))
        if path.stem.rpartition("_")[0] in ACTIONS
    ]
    if not paths:
        raise InputError(f"'{folder}' holds no files like S1/walking_1.txt")
    return [
        Sequence(
            name=f"{path.parent.name}/{path.stem}",
            index=index,
            subject=path.parent.name.removeprefix("S"),
            tags=frozenset([path.stem.rpartition("_")[0]]),
            fps=FPS,
            layout=LAYOUT,
            source=partial(BENCHMARK.read, path),
        )
        for index, path in enumerate(paths)
    ]
