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


def write_expmaps(path: Path, lines: int, seed: int = 0) -> np.ndarray:
    """A CMU benchmark file of 38 joints at 120 Hz; its table."""
    table = smooth_angles(np.random.default_rng(seed), lines, 117, 0.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, table, fmt="%.7f", delimiter=",")
    return table


# Root, both legs, back, head and arms of a made-up person, in the units and form of CMU's files:
# bone, parent, direction, length, axis, degrees of freedom.
_BONES = """
lhipjoint root 0.6 -0.8 0 2 0 0 0
lfemur lhipjoint 0.34202 -0.939693 0 7.5 0 0 20 rx ry rz
ltibia lfemur 0.34202 -0.939693 0 7.2 0 0 20 rx
rhipjoint root -0.6 -0.8 0 2 0 0 0
rfemur rhipjoint -0.34202 -0.939693 0 7.5 0 0 -20 rx ry rz
rtibia rfemur -0.34202 -0.939693 0 7.2 0 0 -20 rx
lowerback root 0 1 0 6 0 0 0 rx ry rz
head lowerback 0 1 0 5 0 0 0 rx ry rz
lclavicle lowerback 1 0 0 3.5 0 0 0 ry rz
lhumerus lclavicle 1 0 0 5 180 -30 -90 rx ry rz
lwrist lhumerus 1 0 0 5 0 90 90 ry
rclavicle lowerback -1 0 0 3.5 0 0 0 ry rz
rhumerus rclavicle -1 0 0 5 180 30 90 rx ry rz
rwrist rhumerus -1 0 0 5 0 -90 -90 ry
"""


def write_asf_amc(folder: Path, trials: dict[str, int]) -> Path:
    """Skeletons and motion in Acclaim's format, by trial such as '02_01' and frames at 120 Hz."""
    bones = [line.split() for line in _BONES.strip().splitlines()]
    children: dict[str, list[str]] = {}
    asf = [":version 1.10", ":units", "  length 0.45", ":root"]
    asf += ["  order TX TY TZ RX RY RZ", "  axis XYZ", ":bonedata"]
    for number, (name, parent, *rest) in enumerate(bones, start=1):
        children.setdefault(parent, []).append(name)
        asf += ["  begin", f"  id {number}", f"  name {name}", f"  direction {' '.join(rest[:3])}"]
        asf += [f"  length {rest[3]}", f"  axis {' '.join(rest[4:7])} XYZ"]
        asf += [f"  dof {' '.join(rest[7:])}"] if rest[7:] else []
        asf += ["  end"]
    asf += [":hierarchy", "  begin"]
    asf += [f"  {parent} {' '.join(names)}" for parent, names in children.items()] + ["  end"]
    for seed, (trial, frames) in enumerate(trials.items()):
        subject = trial.partition("_")[0]
        (folder / subject).mkdir(parents=True, exist_ok=True)
        (folder / subject / f"{subject}.asf").write_text("\n".join(asf))
        rng = np.random.default_rng(seed)
        moving = {"root": 6} | {name: len(rest) - 7 for name, _, *rest in bones if rest[7:]}
        columns = {n: 57.3 * smooth_angles(rng, frames, k, 0.3) for n, k in moving.items()}
        columns["root"][:, :3] = 17.0
        lines = ["#!OML:ASF", ":FULLY-SPECIFIED", ":DEGREES"]
        for frame in range(frames):
            lines.append(str(frame + 1))
            lines += [f"{n} " + " ".join(f"{v:.4f}" for v in c[frame]) for n, c in columns.items()]
        (folder / subject / f"{trial}.amc").write_text("\n".join(lines))
    return folder
