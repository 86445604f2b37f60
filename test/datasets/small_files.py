"""Small files in the form of public data sets, as their owners give them out."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np


def smooth_angles(rng: np.random.Generator, frames: int, count: int, size: float) -> np.ndarray:
    """Angles that wander as a person's do, (frames, count) [rad]."""
    time = np.arange(frames)[:, None] / 50
    rates, phases = rng.uniform(0.2, 1.2, (1, count)), rng.uniform(0, 6, (1, count))
    return size * rng.normal(size=(1, count)) * np.sin(2 * np.pi * rates * time + phases)


def write_h36m(folder: Path, files: dict[str, int], seed: int = 0) -> Path:
    """Human3.6M text files, by name such as 'S5/walking_1' and number of lines (50 Hz)."""
    rng = np.random.default_rng(seed)
    for name, lines in files.items():
        table = smooth_angles(rng, lines, 99, 0.5)
        table[:, :3] *= 1000  # somewhere in the room, in millimetres
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, table, fmt="%.7f", delimiter=",")
    return folder


def chico_frames(frames: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """What a file of CHICO holds: (person 15×3, robot 9×3) of each frame, millimetres."""
    rng = np.random.default_rng(seed)
    person = rng.normal(0, 400, (15, 3)) + smooth_angles(rng, frames, 45, 50).reshape(-1, 15, 3)
    robot = rng.normal(0, 300, (9, 3)) + smooth_angles(rng, frames, 27, 50).reshape(-1, 9, 3)
    return list(zip(person, robot, strict=True))


def write_chico(folder: Path, files: dict[str, int], protocol: int = 4) -> Path:
    """Pickles of CHICO, by name such as 'S00/hammer' and number of frames."""
    for seed, (name, frames) in enumerate(files.items()):
        path = folder / f"{name}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(chico_frames(frames, seed), protocol=protocol))
    return folder
