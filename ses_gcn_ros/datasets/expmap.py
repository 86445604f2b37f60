"""Joint positions from exponential maps, the form in which benchmarks of forecasting are shared.

A text file has one line per frame and numbers between commas: a translation, then three numbers
per joint, whose direction is the axis and whose length the angle of a rotation relative to the
joint's parent. Row vectors: a child lies at ``offset @ R_parent`` from its parent, and turns with
``R_child @ R_parent``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

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

    Parameters
    ----------
    local : NDArray, shape (T, J, 3, 3)
        Rotation of each joint relative to its parent; the root's turns the whole body.

    Returns
    -------
    positions : NDArray, shape (T, J, 3) [m]
    axes : NDArray, shape (T, J, 3, 3)
        Rows are each joint's axes in the frame of the positions.
    """
    axes = local.copy()
    positions = np.zeros((len(local), len(body.parents), 3))
    for joint, parent in enumerate(body.parents):
        if parent < 0:
            continue
        axes[:, joint] = local[:, joint] @ axes[:, parent]
        positions[:, joint] = positions[:, parent] + body.offsets[joint] @ axes[:, parent]
    return positions, axes
