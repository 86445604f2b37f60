"""People recorded together as encounters: one is forecast, another's limbs stand for a robot."""

from __future__ import annotations

from collections.abc import Sequence as Sequences

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.datasets.windows import at_rate
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import get_layout
from ses_gcn_ros.studies.collision import Encounter


def pair_up(
    sequences: Sequences[Sequence], person: str, robot: str, fps: float
) -> tuple[list[Encounter], NDArray[np.int64]]:
    """Encounters of those who share a recording, and the links of who stands for the robot.

    Parameters
    ----------
    sequences : sequence of Sequence
        Two of a recording are told apart by their tag.
    person, robot : str
        Tag of who is forecast and of who stands for the robot.
    fps : float
        Frame rate to resample to [Hz].

    Returns
    -------
    encounters : list of Encounter
    links : ndarray of int, shape (M, 2)
        Limbs of who stands for the robot.

    Raises
    ------
    InputError
        If a recording lacks one of the two.
    """
    recordings: dict[int, dict[str, Sequence]] = {}
    for sequence in sequences:
        for tag in sequence.tags:
            recordings.setdefault(sequence.index, {})[tag] = sequence
    encounters = []
    for index, who in recordings.items():
        for tag in (person, robot):
            if tag not in who:
                raise InputError(
                    f"recording {index} has no '{tag}'; it has {', '.join(sorted(who))}"
                )
        positions = at_rate(who[person], fps), at_rate(who[robot], fps)
        encounters.append(Encounter(who[person].name, *positions))
    layout = next(iter(recordings.values()))[robot].layout
    return encounters, np.asarray(get_layout(layout).limbs, dtype=np.int64)
