"""CMU and Human3.6M in exponential maps, the form in which benchmarks of forecasting are shared.

A text file has one line per frame and numbers between commas: a translation, then three numbers
per joint, whose direction is the axis and whose length the angle of a rotation relative to the
joint's parent. Row vectors: a child lies at ``offset @ R_parent`` from its parent, and turns with
``R_child @ R_parent``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.datasets.mocap import RECORDED_FPS, UNIT, chico15
from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError


@dataclass(frozen=True, eq=False)
class ExpmapBody:
    """Bones of one body."""

    # parent of each of the J joints, which comes before it; -1 for the root
    parents: tuple[int, ...]
    # (J, 3): from the parent to the joint while nothing is rotated [m]
    offsets: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ExpmapBenchmark:
    """How forecasting uses a body: without global rotation and translation, some of its joints."""

    body: ExpmapBody
    used: tuple[int, ...]  # joints that are forecast
    # joint that each copy lies on; those neither used nor copies stand still
    copies: Mapping[int, int]

    def joint_weights(self) -> NDArray[np.float64]:
        """Share of each used joint in the benchmark's mean over all joints of the body.

        The benchmark copies its answer for a joint to those that lie on it and takes the ones that
        stand still from the truth, so that their error is 0 and the sum less than 1.
        """
        counted = [*self.used, *self.copies.values()]
        return np.array([counted.count(joint) for joint in self.used]) / len(self.body.parents)

    def positions(self, expmaps: NDArray[np.float64]) -> NDArray[np.float64]:
        """All joints [m] of lines of numbers, (T, J, 3)."""
        local = rotations(expmaps[:, 3:].reshape(len(expmaps), -1, 3))
        local[:, 0] = np.eye(3)
        return forward(self.body, local)[0]

    def read(self, path: Path) -> NDArray[np.float32]:
        """Used joints [m] of every other line of a file."""
        every_other = read_expmaps(path, len(self.body.parents))[::2]
        return self.positions(every_other)[:, self.used].astype(np.float32)


def read_expmaps(path: Path, joints: int) -> NDArray[np.float64]:
    """Numbers of a file of exponential maps, shape (T, 3 + 3 J).

    Raises InputError if the file is missing, is no table of numbers or is one of another body.
    """
    if not path.is_file():
        raise InputError(f"there is no recording at '{path}'")
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"'{path}' is no table of numbers between commas: {error}") from error
    if table.shape[1] != 3 + 3 * joints or not len(table):
        raise InputError(
            f"'{path}' has {len(table)} lines of {table.shape[1]} numbers; exponential maps of "
            f"{joints} joints have {3 + 3 * joints}"
        )
    if not np.isfinite(table).all():
        line, column = np.argwhere(~np.isfinite(table))[0] + 1
        raise InputError(f"'{path}' is not finite in line {line}, number {column}")
    return table


def rotations(expmaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices of exponential maps, (..., 3) → (..., 3, 3)."""
    turned = Rotation.from_rotvec(expmaps.reshape(-1, 3)).as_matrix()
    return turned.reshape(*expmaps.shape, 3)


def forward(
    body: ExpmapBody, local: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joint positions relative to the root, and where each joint's axes point.

    `local` (T, J, 3, 3): rotation of each joint relative to its parent; the root's turns the whole
    body.
    Gives positions (T, J, 3) [m] and axes (T, J, 3, 3), whose rows are each joint's axes in the
    frame of the positions.
    """
    axes = local.copy()
    positions = np.zeros((len(local), len(body.parents), 3))
    for joint, parent in enumerate(body.parents):
        if parent < 0:
            continue
        axes[:, joint] = local[:, joint] @ axes[:, parent]
        positions[:, joint] = positions[:, parent] + body.offsets[joint] @ axes[:, parent]
    return positions, axes


# CMU motion capture as benchmarks share it (Li et al., CVPR 2018). Files test/…,
# train/walking/walking_1.txt hold 117 numbers a frame: a translation and 38 joints of subject 02's
# skeleton, 120 frames a second. Two ways to read them:
#
# - as benchmarks do (`read_cmu`): 25 of the joints, 70 mm per unit, every other frame taken for
#   25 Hz, no global rotation or translation. A unit is 56.4 mm and every other frame 60 Hz, so that
#   "1000 ms" are 0.42 s; compare with published tables on those terms only.
# - repaired (`read_cmu_repaired`): the person in the room, metres, z up, at 120 Hz, layout
#   chico15. The files' root rotation was composed from the database's angles in the wrong order,
#   Z·X·Y instead of Z·Y·X, and their skeleton lacks the bones where it branches, thorax and wrists.
#   Both are put right here.
CMU_FPS = 25.0
CMU_LAYOUT = "cmu25"
CMU_PATTERN = "t*/*/*_[0-9]*.txt"

_CMU_PARENTS = (
    *(-1, 0, 1, 2, 3, 4, 5),  # root, left leg
    *(0, 7, 8, 9, 10, 11),  # right leg
    *(0, 13, 14, 15, 16, 17, 18),  # back, neck, head
    *(15, 20, 21, 22, 23, 24, 25, 23, 27),  # left arm
    *(15, 29, 30, 31, 32, 33, 34, 32, 36),  # right arm
)
# From the parent to each joint, in the units of the database's skeletons.
_CMU_OFFSETS = """
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

_CMU_UNIT = 0.070  # m
_CMU_MISSING = {  # bones that benchmarks' skeleton lacks
    **dict.fromkeys((16, 20, 29), (0.00151, 2.06805, 0.00804)),  # thorax
    **dict.fromkeys((24, 27), (1.67777, 0.0, 0.0)),  # wrists
    **dict.fromkeys((33, 36), (-1.68216, 0.0, 0.0)),
}
_CMU_BONE_ENDS = {
    **{"lhipjoint": 2, "lfemur": 3, "ltibia": 4, "rhipjoint": 8, "rfemur": 9, "rtibia": 10},
    **{"lclavicle": 21, "lhumerus": 22, "lwrist": 24},
    **{"rclavicle": 30, "rhumerus": 31, "rwrist": 33, "head": 19},
}
_CMU_HEAD = 18  # the joint that turns the head's bone


def _cmu_body(unit: float, missing: Mapping[int, tuple[float, ...]]) -> ExpmapBody:
    rows = _CMU_OFFSETS.replace("\n", ";").strip("; ").split(";")
    offsets = np.array([[float(number) for number in row.split()] for row in rows if row.strip()])
    for joint, bone in missing.items():
        offsets[joint] = bone
    return ExpmapBody(_CMU_PARENTS, unit * offsets)


CMU_BODY = _cmu_body(UNIT, _CMU_MISSING)
# Six joints (0, 1, 2, 7, 8, 13) stand still.
CMU_BENCHMARK = ExpmapBenchmark(
    _cmu_body(_CMU_UNIT, {}),
    used=(
        *(*range(3, 7), *range(9, 13), 14, 15, 17, 18, 19),
        *(21, 22, 23, 25, 26, 28, *range(30, 33), 34, 35, 37),
    ),
    copies={16: 15, 20: 15, 29: 15, 24: 23, 27: 23, 33: 32, 36: 32},
)


def repaired_cmu(expmaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Layout chico15 of lines of 117 numbers in the room [m], z up, (T, 15, 3)."""
    local = rotations(expmaps[:, 3:].reshape(len(expmaps), -1, 3))
    # Row vectors: transposed, the root reads Z·X·Y; its angles belong into Z·Y·X.
    wrong = Rotation.from_matrix(local[:, 0].transpose(0, 2, 1))
    z, x, y = wrong.as_euler("ZXY").T
    right = Rotation.from_euler("ZYX", np.stack([z, y, x], axis=1))
    local[:, 0] = right.as_matrix().transpose(0, 2, 1)
    points, axes = forward(CMU_BODY, local)
    points += UNIT * expmaps[:, None, :3]
    return chico15(
        {bone: points[:, end] for bone, end in _CMU_BONE_ENDS.items()}, axes[:, _CMU_HEAD, 2]
    )


def read_cmu(folder: Path) -> list[Sequence]:
    """All recordings as benchmarks use them in layout cmu25, each read when first looked at.

    They are named as ``train/walking/walking_1``, with the action as tag. Raises InputError if
    there are no such files.
    """
    return _cmu_sequences(folder, CMU_BENCHMARK.read, CMU_FPS, CMU_LAYOUT)


def read_cmu_repaired(folder: Path) -> list[Sequence]:
    """All recordings put right, layout chico15; names and errors as in `read_cmu`."""
    return _cmu_sequences(folder, _read_repaired_cmu, RECORDED_FPS, "chico15")


def _cmu_sequences(
    folder: Path, read: Callable[[Path], NDArray[np.float32]], fps: float, layout: str
) -> list[Sequence]:
    paths = [
        path
        for path in sorted(folder.glob(CMU_PATTERN))
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


def _read_repaired_cmu(path: Path) -> NDArray[np.float32]:
    return repaired_cmu(read_expmaps(path, len(_CMU_PARENTS))).astype(np.float32)


H36M_FPS = 25.0
H36M_LAYOUT = "h36m22"
H36M_VALIDATE = ("11",)
H36M_TEST = ("5",)
H36M_ACTIONS = (
    *("walking", "eating", "smoking", "discussion", "directions", "greeting", "phoning", "posing"),
    *("purchases", "sitting", "sittingdown", "takingphoto", "waiting", "walkingdog"),
    "walkingtogether",
)

# Bones of the 32 joints: parent, and from it to the joint [mm] along one of x, y, z.
_H36M_PARENTS = (
    *(-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9),  # hip, right leg, left leg
    *(0, 11, 12, 13, 14),  # spine, head
    *(12, 16, 17, 18, 19, 20, 19, 22),  # left arm
    *(12, 24, 25, 26, 27, 28, 27, 30),  # right arm
)
_H36M_BONES = (
    "0x -132.948591x -442.894612y -454.206447y 162.767078z 74.999437z "
    "132.948826x -442.894413y -454.206590y 162.767426z 74.999948z "
    "0.1y 233.383263y 257.077681y 121.134938y 115.002227y "
    "257.077681y 151.034226y 278.882773y 251.733451y 0x 99.999627z 100.000188y 0x "
    "257.077681y 151.031437y 278.892924y 251.728680y 0x 99.999888z 137.499922y 0x"
)


def _h36m_body() -> ExpmapBody:
    offsets = np.zeros((len(_H36M_PARENTS), 3))
    for joint, bone in enumerate(_H36M_BONES.split()):
        offsets[joint, "xyz".index(bone[-1])] = float(bone[:-1]) / 1000
    return ExpmapBody(_H36M_PARENTS, offsets)


# Four joints (0, 1, 6, 11) stand still.
H36M_BENCHMARK = ExpmapBenchmark(
    _h36m_body(),
    used=(*range(2, 6), *range(7, 11), *range(12, 16), 17, 18, 19, 21, 22, 25, 26, 27, 29, 30),
    copies={16: 13, 20: 19, 23: 22, 24: 13, 28: 27, 31: 30},
)


def read_h36m(folder: Path) -> list[Sequence]:
    """All recordings below a folder at 25 Hz in layout h36m22, each read when first looked at.

    Human3.6M (Ionescu et al., TPAMI 2014) as the benchmark has it (Martinez et al., CVPR 2017; Mao
    et al., ICCV 2019): files ``S1/walking_1.txt`` … with 99 numbers a frame, 50 frames a second;
    one skeleton for all subjects, global rotation and translation set to zero, every other frame,
    22 of 32 joints. The axes stay the files': y up.

    They are named as ``S5/walking_1``, with subject ``5`` and the action as tag. Raises InputError
    if there are no such files.
    """
    paths = [
        path
        for path in sorted(folder.glob("S[0-9]*/*_[12].txt"))
        if path.stem.rpartition("_")[0] in H36M_ACTIONS
    ]
    if not paths:
        raise InputError(f"'{folder}' holds no files like S1/walking_1.txt")
    return [
        Sequence(
            name=f"{path.parent.name}/{path.stem}",
            index=index,
            subject=path.parent.name.removeprefix("S"),
            tags=frozenset([path.stem.rpartition("_")[0]]),
            fps=H36M_FPS,
            layout=H36M_LAYOUT,
            source=partial(H36M_BENCHMARK.read, path),
        )
        for index, path in enumerate(paths)
    ]
