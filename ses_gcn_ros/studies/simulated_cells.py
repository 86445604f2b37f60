"""Recordings of simulated cells: crowds at the demo robot, robots whose times are known.

Crowds are for load, scale and long runs: as long as one likes, and the same for the same seed. What
commissioning finds in recordings of a cell whose reaction and stopping times are known is held
against the truth.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.bags.messages import NANO, Observation, header_message, message, skeletons_message
from ses_gcn_ros.bags.rosbag2 import BagWriter, read_skeletons
from ses_gcn_ros.datasets.sequences import between_frames, read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.replay.commissioning import CellSources, commission
from ses_gcn_ros.replay.convert import START as SAMPLE_START
from ses_gcn_ros.replay.events import state_message
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import Assessment, DemoRobotConfig, Level, SafetyConfig, Urdf
from ses_gcn_ros.safety.robot_motion import SweepMotion
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.studies.attack import MOVING, SCENARIOS
from ses_gcn_ros.studies.attack_search import search
from ses_gcn_ros.studies.attack_world import PATHS, path, pose
from ses_gcn_ros.studies.journal import run_all
from ses_gcn_ros.transforms import StampedTransform

FPS = 25.0  # frames a second of a crowd
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
        self.recording = read_recording(motion)
        if not self.recording.sequences:
            raise InputError(f"'{motion}' holds no motion; give a recording of people")
        self.fps = self.recording.sequences[0].fps

    def place(self, place: int, of: int, generator: np.random.Generator) -> Iterator[Skeleton]:
        """People one after the other at a place, frame by frame; nobody has an empty id."""
        sequences = self.recording.sequences
        for number in range(1_000_000):
            sequence = sequences[int(generator.integers(len(sequences)))]
            clip = sequence.stored / np.float64(sequence.per_metre)
            certain = np.ones(clip.shape[1], np.float32)
            turn = Rotation.from_euler("z", generator.uniform(0, 2 * np.pi)).as_matrix()
            around = 2 * np.pi * (place + generator.uniform(-0.4, 0.4)) / of
            away = generator.uniform(_NEAREST, _FARTHEST)
            placed = clip @ turn.T
            placed -= np.array([1.0, 1.0, 0.0]) * placed[:, 0].mean(axis=0)
            placed += away * np.array([np.cos(around), np.sin(around), 0.0])
            for joints in placed.astype(np.float32):
                yield Skeleton(f"{place + 1}-{number + 1}", sequence.layout, joints, certain)
            for _ in range(int(generator.uniform(0, _LONGEST_BREAK) * self.fps)):
                yield Skeleton("", sequence.layout, joints, certain)


def write_recording(
    motion: Path, folder: Path, recording: SyntheticRecording, *, overwrite: bool = False
) -> None:
    """Write a recording as a bag: `/skeletons`, `/tf`, `/tf_static` and `/robot_description`.

    Raises InputError if the motion can't be read; BagError if the bag exists.

    `motion`: recording of motion (.npz), such as ``cmu.npz``.
    """
    source = _Motion(motion)
    generators = np.random.default_rng(recording.seed).spawn(recording.people)
    places = [source.place(i, recording.people, g) for i, g in enumerate(generators)]
    frames = ([person for person in map(next, places) if person.person_id] for _ in count())
    with BagWriter(folder, overwrite=overwrite) as bag:
        for key, value in source.recording.about.items():
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
    start = round(SAMPLE_START * NANO)
    sweep = _sweep(urdf, recording.robot_rate)
    per_frame = recording.robot_rate / fps
    sent = 0
    description = message("std_msgs/msg/String", data=urdf.text)
    bag.write_message("/robot_description", start, description)
    fixed = [item._replace(stamp=start) for item in joint_transforms(urdf, {}, moving=False)]
    bag.write_transforms("/tf_static", start, fixed)
    for frame, people in enumerate(islice(frames, round(recording.minutes * 60 * fps))):
        stamp = start + round(frame * NANO / fps)
        seen = Observation(stamp / NANO, "world", people)
        bag.write_message("/skeletons", stamp, skeletons_message(seen))
        while sent < (frame + 1) * per_frame:
            stamp = start + round(sent * NANO / recording.robot_rate)
            moving = [item._replace(stamp=stamp) for item in sweep[sent % len(sweep)]]
            bag.write_transforms("/tf", stamp, moving)
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


Array = NDArray[np.float64]

START = 1_000.0  # s; when recordings begin
STEP = 0.001  # s in which the robot is moved on
PERIOD = 0.02  # s between two states
STOPS = 12  # in each recording
MARK, LINE = (1.5, -0.5), (0.5, 1.0, 3.5, 1.6)


@dataclass(frozen=True)
class SimulatedCell:
    """What is true of a cell."""

    robot: str  # one of the attack's, with its program
    top: float  # m/s of its fastest point
    reaction: float  # T_r of the robot [s], give or take a millisecond
    deceleration: float  # m/s²; T_s is delay + v / deceleration, a third more with a payload
    delay: float  # s
    soft: float  # share of T_s in which braking takes hold, and lets go
    latency: float  # s from an image to the arrival of its skeletons
    jitter: float  # s, standard deviation of that
    rate: float  # Hz of the robot's poses
    joint_states: bool  # whether they come as joint states, and not as transforms alone
    dropped: float  # share of the images that are lost
    bias: tuple[float, float]  # m by which people are placed beside the truth
    seed: int

    @classmethod
    def draw(cls, seed: int) -> SimulatedCell:
        """A cell at random."""
        rng = np.random.default_rng(seed)
        angle, off = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.08)
        return cls(
            robot=list(PATHS)[int(rng.integers(len(PATHS)))],
            top=float(rng.uniform(0.4, 1.2)),
            reaction=float(rng.uniform(0.02, 0.25)),
            deceleration=float(rng.uniform(1.5, 6.0)),
            delay=float(rng.uniform(0.02, 0.08)),
            soft=float(rng.uniform(0.02, 0.5)),
            latency=float(rng.uniform(0.06, 0.16)),
            jitter=float(rng.uniform(0.001, 0.006)),
            rate=float(rng.choice([50.0, 100.0, 125.0, 250.0])),
            joint_states=bool(rng.random() < 0.7),
            dropped=float(rng.uniform(0.0, 0.04)),
            bias=(off * math.cos(angle), off * math.sin(angle)),
            seed=seed,
        )

    def stopping(self, speed: float, payload: float) -> float:
        """T_s from a speed with a payload [kg]."""
        return (self.delay + speed / self.deceleration) * (4 / 3 if payload else 1.0)


class SimulatedRun:
    """A robot that runs to and fro on its path and is stopped again and again.

    Its `ways` along the path [m] are those of every `STEP`; of each stop there are order, beginning
    of braking and end [s].
    """

    def __init__(self, cell: SimulatedCell, stops: int, level: float, payload: float) -> None:
        rng = np.random.default_rng([cell.seed, round(100 * level), round(payload)])
        self.path = path(cell.robot)
        grid = np.linspace(0.0, self.path.length, max(int(self.path.length / 0.001), 2))
        room = np.array([min(self.path.room(way)) for way in grid])
        wave = (1.0 + 0.15 * np.sin(2.0 * math.pi * grid / 0.7)) / 1.15
        program = level * np.minimum(np.sqrt(4.0 * cell.top * room) + 0.01, cell.top * wave)
        ways, pace = [0.0], 0.0

        def speed() -> float:
            return float(program[int(ways[-1] % self.path.length / grid[1])])

        def go_on(until: float, change: Callable[[float], float]) -> None:
            nonlocal pace
            while (now := len(ways) * STEP) < until:
                pace = min(max(pace + change(now) * STEP, 0.0), 1.0)
                ways.append(ways[-1] + pace * speed() * STEP)

        self.stops = []
        for _ in range(stops):
            wanted = len(ways) * STEP + rng.uniform(3.5, 5.5)
            order = math.ceil(wanted / PERIOD) * PERIOD
            begin = order + cell.reaction + rng.normal(0.0, 0.001)
            go_on(begin, lambda _: 1.0)
            length = cell.stopping(speed(), payload)
            # a deceleration that rises, stays and falls, whose area is 1
            go_on(
                begin + length + 0.7,
                lambda now, begin=begin, length=length: (  # type: ignore[misc]
                    -min(1.0, max(0.0, min(now - begin, begin + length - now)) / cell.soft / length)
                    / (1.0 - cell.soft)
                    / length
                ),
            )
            self.stops.append((order, begin, len(ways) * STEP))
        self.ways = np.array(ways)

    def factor(self, time: float) -> float:
        """Speed factor at a time [s]."""
        before = [stop for stop in self.stops if stop[0] <= time + 1e-9]
        if not before:
            return min(time, 1.0)
        return min(max(time - before[-1][2], 0.0), 1.0)


def _person(time: float, walks: bool, cell: SimulatedCell, rng: np.random.Generator) -> Skeleton:
    state = np.zeros(20)
    state[:2], state[4:10] = MARK, (0.05, 0.0, -0.5) * 2
    if walks:
        start, end = np.array(LINE[:2]), np.array(LINE[2:])
        phase = 1.2 * time / float(np.linalg.norm(end - start)) % 2.0
        state[:2] = start + (phase if phase < 1.0 else 2.0 - phase) * (end - start)
    points = np.empty((17, 3))
    pose(state, 1.0, points)
    seen = points[:15] + np.array([*cell.bias, 0.0]) + rng.normal(0.0, 0.004, (15, 3))
    return Skeleton("1", "chico15", seen.astype(np.float32), np.ones(15, np.float32))


def record_cell(cell: SimulatedCell, bag: Path, run: SimulatedRun, person: str = "") -> list[float]:
    """Write a recording; gives the true age of each image at the first state that knew it [s].

    `run`: what the robot does; without stops it stands for 20 s.
    `person`: "stands", "walks", or empty for nobody.
    """
    rng = np.random.default_rng([cell.seed, 7])
    duration = len(run.ways) * STEP if run.stops else 20.0
    messages: list[tuple[float, str, Any]] = []  # recorded at, topic, content
    urdf = run.path.urdf
    messages.append((0.0, "/robot_description", message("std_msgs/msg/String", data=urdf.text)))
    if any(joint.kind == "fixed" for joint in urdf.joints):
        fixed = joint_transforms(urdf, {}, moving=False)
        stamped = [item._replace(stamp=round(START * NANO)) for item in fixed]
        messages.append((0.0, "/tf_static", stamped))

    for number, time in enumerate(np.arange(0.0, duration, 1.0 / cell.rate)):
        way = float(np.interp(time, np.arange(len(run.ways)) * STEP, run.ways))
        angles = run.path.at(way)[1] + rng.normal(0.0, 2e-6, len(run.path.joints))
        named = dict(zip(run.path.joints, angles.tolist(), strict=True))
        late = time + rng.uniform(0.0005, 0.002)
        if cell.joint_states:
            content = message(
                "sensor_msgs/msg/JointState", header=header_message(START + time, ""),
                name=list(named), position=angles, velocity=np.empty(0), effort=np.empty(0),
            )  # fmt: skip
            messages.append((late, "/joint_states", content))
        if not cell.joint_states or number % 4 == 0:
            at = round((START + time) * NANO)
            moving = joint_transforms(urdf, named, moving=True)
            messages.append((late, "/tf", [item._replace(stamp=at) for item in moving]))

    arrivals = []
    for stamp in np.arange(0.013, duration, 1.0 / 30.0):
        if rng.random() >= cell.dropped:
            arrival = stamp + max(rng.normal(cell.latency, cell.jitter), 0.01)
            people = [_person(stamp, person == "walks", cell, rng)] if person else []
            content = skeletons_message(Observation(START + stamp, "world", people))
            messages.append((arrival + 0.001, "/skeletons", content))
            arrivals.append((arrival, stamp))

    first: dict[float, float] = {}
    coming, known = deque(sorted(arrivals)), -math.inf
    for time in np.arange(0.0, duration, PERIOD):
        while coming and coming[0][0] <= time:
            known = max(known, coming.popleft()[1])
        first.setdefault(known, time - known)
        content = state_message(_state(START + time, run.factor(time), time - known), "world")
        messages.append((time + rng.uniform(0.0003, 0.001), "/safety_state", content))

    with BagWriter(bag, overwrite=True) as writer:
        for time, topic, content in sorted(messages, key=lambda item: item[0]):
            at = round((START + time) * NANO)
            if topic.startswith("/tf"):
                writer.write_transforms(topic, at, content)
            else:
                writer.write_message(topic, at, content)
    return [age for age in first.values() if math.isfinite(age)][1:]


def _state(stamp: float, factor: float, age: float) -> Assessment:
    level = Level.CLEAR if factor >= 1.0 else Level.REDUCED if factor > 0.0 else Level.STOP
    nan = math.nan
    return Assessment(
        stamp, level, factor, nan, nan, nan, math.inf, 0.0, "", (), age, age, 0.0, True, 0, None,
        None, None,
    )  # fmt: skip


GROUPS = tuple(itertools.product((0.0, 8.0), (1.0, 0.5)))  # payload [kg], speed of the program


def try_cell(
    seed: int, folder: Path, groups: Sequence[tuple[float, float]], stops: int, searches: int
) -> dict[str, Any]:
    """Record a cell at random, commission it, hold that against the truth, and attack it.

    `groups`: payload [kg] and share of the speed, of each recording of stops.
    `searches`: of the attack on a monitor with the parameters that follow.
    Gives estimates less the truth in s (mean T_r, mean T_s of the payload that is the farthest off,
    mean latency), how many stops, attacks and violations, and the parameters.
    """
    cell = SimulatedCell.draw(seed)
    folder.mkdir(parents=True, exist_ok=True)
    bags: list[tuple[Path, float]] = []
    ages: list[float] = []
    truth: list[float] = []
    for payload, level in groups:
        run = SimulatedRun(cell, stops, level, payload)
        bags.append((folder / f"stops_{payload:g}kg_{level:g}", payload))
        ages += record_cell(cell, bags[-1][0], run)
        truth += [begin - order for order, begin, _ in run.stops]
    still = SimulatedRun(cell, 0, 1.0, 0.0)
    for person in ("stands", "walks"):
        ages += record_cell(cell, folder / person, still, person)
    found = commission(
        CellSources(tuple(bags), folder / "stands", folder / "walks", MARK, LINE),
        dataclasses.replace(SafetyConfig(), robot_speed_max=round(cell.top, 2)),
    )
    off: dict[float, list[float]] = {}
    for stop in found.stops:
        true = cell.stopping(stop.speed, stop.payload)
        off.setdefault(stop.payload, []).append(stop.stopping - true)
    latency = next(q for q in found.quantities if q.name == "image to state")
    attacked = [
        search(seed, batch, scenario, "forecasts", None, found.config)
        for batch, scenario in zip(range(searches), itertools.cycle(SCENARIOS), strict=False)
    ]
    rows = [row for batch in attacked for row in batch["runs"]]
    return {
        "seed": seed,
        "reaction": float(np.mean([stop.reaction for stop in found.stops]) - np.mean(truth)),
        "stopping": max((float(np.mean(group)) for group in off.values()), key=abs),
        "latency": latency.mean - float(np.mean(ages)),
        "stops": len(found.stops),
        "attacks": len(rows),
        "violations": sum(row["contact_speed"] > MOVING for row in rows),
        "cell": dataclasses.asdict(cell),
        "parameters": {name: getattr(found.config, name) for name in found.reasons},
    }


def _try(seed: int, searches: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ses_gcn_cell_") as folder:
        return try_cell(seed, Path(folder), GROUPS, STOPS, searches)


def run_cells(
    log: Path, cells: int, seed: int, *, searches: int, jobs: int,
    progress: Callable[[int], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """What `try_cell` gives of so many cells, from the log where they were tried before."""
    tasks = {number: (seed + number, searches) for number in range(cells)}
    about = {"seed": seed, "searches": searches}
    return list(run_all(log, about, tasks, _try, jobs=jobs, progress=progress).values())
