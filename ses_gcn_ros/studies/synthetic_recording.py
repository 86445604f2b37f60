"""A synthetic recording of the demo cell: many people, and a robot that doesn't stop.

For load, scale and long-run tests: as long as one likes, and the same for the same seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.bags.messages import NANO, Observation, message, skeletons_message
from ses_gcn_ros.bags.rosbag2 import BagWriter, read_skeletons
from ses_gcn_ros.datasets.sequences import between_frames
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.replay.convert import START
from ses_gcn_ros.resources import parse_json, share_path
from ses_gcn_ros.safety import DemoRobotConfig, Urdf
from ses_gcn_ros.safety.robot_motion import SweepMotion
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.transforms import StampedTransform, encode_transforms

FPS = 25.0  # frames a second of a crowd
_TF = "tf2_msgs/msg/TFMessage"
_NEAREST, _FARTHEST = 0.9, 2.5  # m from the robot's base to the middle of somebody's motion
_NOISE = 0.001  # m, of a crowd's camera
_FRAME = 0.04  # s between the sample recording's frames
_LONGEST_BREAK = 2.0  # s that a place is empty between two people


@dataclass(frozen=True)
class SyntheticRecording:
    """What a synthetic recording is made of."""

    minutes: float
    people: int = 4  # places around the robot, with somebody at nearly all times
    robot_rate: float = 100.0  # transforms a second [Hz]
    seed: int = 0  # of who comes when, and from where


class Crowd:
    """People around the demo robot: the sample recording's visitor, from several sides at once.

    Each of them goes through the recording forwards and backwards without a break, at a time and
    from a side of their own.
    """

    def __init__(self, people: int, seed: int = 0) -> None:
        bag = share_path("config", "demo", "visitor")
        self._frames = np.stack([seen.people[0].positions for seen in read_skeletons(bag)])
        self._people = people
        self._rng = np.random.default_rng(seed)

    def at(self, time: float) -> list[Skeleton]:
        """Everybody at a time [s] since the start."""
        last = len(self._frames) - 1
        skeletons = []
        for person in range(self._people):
            along = (time / _FRAME + person * last * 2 / self._people) % (2 * last)
            frame = min(along, 2 * last - along)
            around = Rotation.from_euler("z", 2 * np.pi * person / self._people)
            turned = between_frames(self._frames, frame) @ around.as_matrix().T
            noisy = turned + self._rng.normal(0.0, _NOISE, turned.shape)
            certain = np.ones(len(noisy), np.float32)
            skeletons.append(
                Skeleton(str(person + 1), "chico15", noisy.astype(np.float32), certain)
            )
        return skeletons


class _Motion:
    """Sequences of the motion data, in random order at random places."""

    def __init__(self, motion: Path) -> None:
        try:
            about = parse_json(motion.with_suffix(".json").read_text("utf-8"))
            data = load_arrays(motion)
            self._positions = data["positions_mm"]
            ends = np.cumsum(data["lengths"])
            self.fps = float(about["fps"])
            self.facts = {name: str(about[name]) for name in ("acknowledgement", "licence")}
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise BagError(f"'{motion}' is no motion data: {error}") from error
        self._spans = list(zip(ends - data["lengths"], ends, strict=True))

    def place(self, place: int, of: int, generator: np.random.Generator) -> Iterator[Skeleton]:
        """People one after the other at a place, frame by frame; nobody has an empty id."""
        certain = np.ones(self._positions.shape[1], np.float32)
        for number in range(1_000_000):
            first, last = self._spans[int(generator.integers(len(self._spans)))]
            clip = self._positions[first:last] / 1000.0
            turn = Rotation.from_euler("z", generator.uniform(0, 2 * np.pi)).as_matrix()
            around = 2 * np.pi * (place + generator.uniform(-0.4, 0.4)) / of
            away = generator.uniform(_NEAREST, _FARTHEST)
            placed = clip @ turn.T
            placed -= np.array([1.0, 1.0, 0.0]) * placed[:, 0].mean(axis=0)
            placed += away * np.array([np.cos(around), np.sin(around), 0.0])
            for joints in placed.astype(np.float32):
                yield Skeleton(f"{place + 1}-{number + 1}", "chico15", joints, certain)
            for _ in range(int(generator.uniform(0, _LONGEST_BREAK) * self.fps)):
                yield Skeleton("", "chico15", joints, certain)


def write_recording(
    motion: Path, folder: Path, recording: SyntheticRecording, *, overwrite: bool = False
) -> None:
    """Write a recording as a bag: `/skeletons`, `/tf`, `/tf_static` and `/robot_description`.

    Raises BagError if the data is missing or the bag exists.

    Parameters
    ----------
    motion : Path
        ``cmu.npz`` with ``cmu.json`` beside it.
    """
    source = _Motion(motion)
    generators = np.random.default_rng(recording.seed).spawn(recording.people)
    places = [source.place(i, recording.people, g) for i, g in enumerate(generators)]
    frames = ([person for person in map(next, places) if person.person_id] for _ in count())
    with BagWriter(folder, overwrite=overwrite) as bag:
        for key, value in source.facts.items():
            bag.note(key, value)
        _write(bag, frames, source.fps, recording)


def write_crowd(folder: Path, recording: SyntheticRecording) -> None:
    """Write one whose people are a `Crowd`, which needs no motion data; as `write_recording`."""
    crowd = Crowd(recording.people, recording.seed)
    with BagWriter(folder) as bag:
        _write(bag, (crowd.at(frame / FPS) for frame in count()), FPS, recording)


def _write(
    bag: BagWriter, frames: Iterator[list[Skeleton]], fps: float, recording: SyntheticRecording
) -> None:
    urdf = Urdf.load("demo")
    start = round(START * NANO)
    sweep = _sweep(urdf, recording.robot_rate)
    per_frame = recording.robot_rate / fps
    sent = 0
    description = message("std_msgs/msg/String", data=urdf.text)
    bag.write_message("/robot_description", start, description)
    fixed = [item._replace(stamp=start) for item in joint_transforms(urdf, {}, moving=False)]
    bag.write("/tf_static", _TF, start, encode_transforms(fixed))
    for frame, people in enumerate(islice(frames, round(recording.minutes * 60 * fps))):
        stamp = start + round(frame * NANO / fps)
        seen = Observation(stamp / NANO, "world", people)
        bag.write_message("/skeletons", stamp, skeletons_message(seen))
        while sent < (frame + 1) * per_frame:
            stamp = start + round(sent * NANO / recording.robot_rate)
            moving = [item._replace(stamp=stamp) for item in sweep[sent % len(sweep)]]
            bag.write("/tf", _TF, stamp, encode_transforms(moving))
            sent += 1


def _sweep(urdf: Urdf, rate: float) -> list[list[StampedTransform]]:
    """Transforms of one sweep of the robot to and fro at full speed, message by message."""
    config = DemoRobotConfig()
    motion = SweepMotion(config, urdf)
    motion.advance(config.stop_time, 1.0)  # up to speed
    messages = []
    for _ in range(round(config.period * rate)):
        angles = dict(zip(motion.joints, motion.positions.tolist(), strict=True))
        messages.append(joint_transforms(urdf, angles, moving=True))
        motion.advance(1.0 / rate, 1.0)
    return messages


def joint_transforms(
    urdf: Urdf, angles: dict[str, float], *, moving: bool
) -> list[StampedTransform]:
    """Transforms of all joints that move, or of all that don't; without a stamp."""
    joints = [joint for joint in urdf.joints if (joint.kind != "fixed") == moving]
    poses = np.stack([joint.transform(angles.get(joint.name, 0.0)) for joint in joints])
    turns: NDArray[np.float64] = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    return [
        StampedTransform(joint.parent, joint.child, 0, (*shift.tolist(), *turn.tolist()))
        for joint, shift, turn in zip(joints, poses[:, :3, 3], turns, strict=True)
    ]
