"""People in our own recordings: the skeletons of a bag, cut where a joint was out of sight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import convert

FPS = 25.0
LAYOUT = "chico15"
_GAP = 0.2  # s between two observations of a joint that is interpolated


def read_bag(path: Path) -> list[Sequence]:
    """Everybody in a bag at 25 Hz in layout chico15, each stretch seen as a whole a sequence.

    Returns
    -------
    list of Sequence
        Named by person and number of the stretch.

    Raises
    ------
    InputError
        If nobody was seen as a whole for two frames.
    BagError
        If there is no such bag or it has no skeletons.
    """
    from ses_gcn_ros.bags.messages import read_skeletons

    people: dict[str, list[tuple[float, NDArray[np.float32]]]] = {}
    for observation in read_skeletons(path):
        for person in observation.people:
            positions, _ = convert(person.positions, person.confidence, person.layout, LAYOUT)
            people.setdefault(person.person_id, []).append((observation.stamp, positions))
    sequences = []
    for index, (name, seen) in enumerate(people.items()):
        stamps = np.array([stamp for stamp, _ in seen])
        for part, stretch in enumerate(_stretches(stamps, np.stack([p for _, p in seen]))):
            sequences.append(
                Sequence(f"{name}/{part}", index, name, frozenset(["bag"]), FPS, LAYOUT, stretch)
            )
    if not sequences:
        raise InputError(f"nobody in '{path}' was seen with all joints for two frames in a row")
    return sequences


def _stretches(
    stamps: NDArray[np.float64], positions: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Stretches on a grid of 25 Hz in which no joint is missing for longer than a gap."""
    whole = np.isfinite(positions).all(axis=(1, 2))
    stamps, positions = stamps[whole], positions[whole]
    # A clock that was set back ends a stretch as a gap does.
    steps = np.diff(stamps)
    cuts = np.flatnonzero((steps > _GAP) | (steps <= 0)) + 1
    stretches = []
    for times, points in zip(np.split(stamps, cuts), np.split(positions, cuts), strict=True):
        if len(times) < 2 or times[-1] - times[0] < 1 / FPS:
            continue
        grid = np.arange(times[0], times[-1] + 1e-6, 1 / FPS)
        low = np.clip(np.searchsorted(times, grid, side="right") - 1, 0, len(times) - 2)
        share = ((grid - times[low]) / (times[low + 1] - times[low])).astype(np.float32)
        stretches.append(points[low] + share[:, None, None] * (points[low + 1] - points[low]))
    return stretches
