"""Recorded motions put in front of the demo robot: a hand comes to where the robot sweeps."""

from __future__ import annotations

from collections.abc import Sequence as Sequences
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence, read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]

BEFORE, AFTER = 4.0, 1.5  # s of motion around the moment that the hand is farthest out
SWEEP = np.array([0.67, 0.0])  # m, middle of where the tool passes, over the floor
SPREAD = 0.3  # m, standard deviation of where the hand ends up, each way
FRONT = 1.0  # rad each way, about the robot's front, that people come from
LEAST_TRAVEL = 0.5  # m that the hand comes nearer


@dataclass(frozen=True, eq=False)
class Approach:
    """One person who comes up to the robot.

    Attributes
    ----------
    name : str
        Of the motion.
    positions : NDArray, shape (T, J, 3)
        Joints in the robot's world [m].
    layout : str
    fps : float
        Frame rate [Hz].
    phase : float
        How long the robot has been sweeping by then [s].
    seed : int
        Of the camera's noise.
    """

    name: str
    positions: Array
    layout: str
    fps: float
    phase: float
    seed: int


def approaches(files: Sequences[Path], count: int, seed: int) -> list[Approach]:
    """Draw motions, as many from each file, and put them before the robot at random.

    Motions are drawn without putting back until all have been taken; those in which no hand comes
    `LEAST_TRAVEL` nearer are passed over.

    Raises
    ------
    InputError
        If a file holds no motion of an approach.
    """
    rng = np.random.default_rng(seed)
    shares = [count // len(files) + (i < count % len(files)) for i in range(len(files))]
    drawn: list[Approach] = []
    for path, share in zip(files, shares, strict=True):
        sequences = read_recording(path).sequences
        taken, order = 0, iter(np.empty(0, int))
        fruitless = 0
        while taken < share:
            index = next(order, None)
            if index is None:
                order = iter(rng.permutation(len(sequences)))
                continue
            approach = _place(sequences[index], rng, len(drawn))
            fruitless = 0 if approach else fruitless + 1
            if fruitless > len(sequences):
                raise InputError(f"no motion of '{path}' reaches {LEAST_TRAVEL} m")
            if approach:
                drawn.append(approach)
                taken += 1
    return drawn


def _place(sequence: Sequence, rng: np.random.Generator, number: int) -> Approach | None:
    """Turn and shift a motion so that one hand goes to the sweep, coming from the front."""
    layout = get_layout(sequence.layout)
    hand = layout.canonical.index(str(rng.choice(["l_wrist", "r_wrist"])))
    heading, phase = rng.uniform(-FRONT, FRONT), rng.uniform(0.0, 4.0)
    target = SWEEP + rng.normal(0.0, SPREAD, 2)
    positions = sequence.positions.astype(np.float64)
    if not np.isfinite(positions).all():
        return None
    away = np.linalg.norm(positions[:, hand, :2] - positions[0, 0, :2], axis=1)
    out = int(away.argmax())
    first = max(out - round(BEFORE * sequence.fps), 0)
    last = min(out + round(AFTER * sequence.fps), len(positions) - 1)
    positions = positions[first : last + 1]
    path = positions[out - first, hand, :2] - positions[0, hand, :2]
    if np.linalg.norm(path) < LEAST_TRAVEL:
        return None
    angle = np.pi + heading - np.arctan2(path[1], path[0])
    c, s = np.cos(angle), np.sin(angle)
    turned = positions @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]).T
    turned[..., :2] += target - turned[out - first, hand, :2]
    return Approach(sequence.name, turned, sequence.layout, sequence.fps, phase, number)
