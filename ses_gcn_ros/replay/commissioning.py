"""What a cell's recordings say of the times and distances that its safety node reckons with."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ses_gcn_ros.bags.messages import NANO
from ses_gcn_ros.bags.rosbag2 import open_bag
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.replay.chain import FrameResolver, Wanted
from ses_gcn_ros.replay.evaluate import make_plan
from ses_gcn_ros.replay.events import (
    EventReader,
    JointStatesEvent,
    PeopleSeen,
    RecordedState,
    Transforms,
    Unplaced,
)
from ses_gcn_ros.replay.options import Options, find_topics
from ses_gcn_ros.replay.stops import (
    MeasuredStop,
    MeasuredTable,
    RobotTrack,
    measure_stop,
    reported,
    round_up,
    stop_orders,
    stopping_table,
    time_to_rest,
)
from ses_gcn_ros.resources import parse_yaml
from ses_gcn_ros.safety import Assessment, Robots, SafetyConfig, braking
from ses_gcn_ros.skeleton import Skeleton, convert

Array = NDArray[np.float64]

FEWEST_STOPS = 10  # that a mean and a spread are taken from
FEWEST_COMPARED = 3  # stops beside which those are left out that only look back
T_R_MARGIN, T_S_MARGIN = 0.005, 0.010  # s; what the estimates are within on simulated cells
ODD = 3.0  # times the usual misfit of a stop, beyond which one is none like the others
Z_MARGIN = 0.01  # m
MOST_BEHIND = 1.0  # s that stamps may be behind their recording before a clock is to blame
OTHER_CLOCK = 60.0  # s
MOST_DROPPED = 0.05
LATE = 0.05  # s; a robot's stamps that are older when recorded say little of its clock
LAYOUT = "chico15"
_READ = ("safety_state", "joint_states", "/tf", "/tf_static")


@dataclass(frozen=True)
class CellSources:
    """Recordings of a cell that is commissioned, and what was measured with a tape."""

    stops: tuple[tuple[Path, float], ...]  # bags with stops, and the payload in each [kg]
    standing: Path  # bag of a person, alone in view, who stands still
    walking: Path  # the same of one who walks straight
    mark: tuple[float, ...] = ()  # where the person stands: x, y in the world [m]
    line: tuple[float, ...] = ()  # that the person walks along: x1, y1, x2, y2 in the world [m]
    camera_latency: float = 0.0  # from exposure to stamp [s], which no recording shows


@dataclass(frozen=True)
class Quantity:
    """A measured quantity, in `unit`."""

    name: str
    unit: str
    count: int
    mean: float
    spread: float  # standard deviation
    worst: float
    reckoned: float  # what of these is reckoned with
    margin: float  # and what is added
    note: str = ""

    @classmethod
    def of(
        cls, name: str, values: Sequence[float] | Array, margin: float = 0.0, *,
        unit: str = "s", reckoned: float | None = None, note: str = "",
    ) -> Quantity:  # fmt: skip
        """Statistics of values; without `reckoned` the `reported` of them counts."""
        numbers = np.asarray(values, np.float64)
        spread = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else 0.0
        counts = reported(numbers.tolist()) if reckoned is None else reckoned
        return cls(
            name, unit, len(numbers), float(numbers.mean()), spread, float(numbers.max()),
            counts, margin, note,
        )  # fmt: skip


@dataclass(frozen=True)
class CellCheck:
    """Something that was checked: what was found, and whether that is well."""

    name: str
    found: str
    ok: bool


@dataclass(frozen=True, eq=False)
class Commissioning:
    """What was found out about a cell."""

    config: SafetyConfig  # parameters that follow
    reasons: dict[str, str]  # why each parameter that was measured is as it is
    quantities: tuple[Quantity, ...]
    stops: tuple[MeasuredStop, ...]
    refused: dict[str, int]  # stops that T_r and T_s were not taken from, by the reason
    table: MeasuredTable
    checks: tuple[CellCheck, ...]
    assumed: tuple[tuple[str, str], ...]  # what was not measured, and what it is taken to be
    description: str  # URDF that was recorded, where the parameters name no robot


# Reading ----------------------------------------------------------------------------------------


@dataclass
class CellRecording:
    """One bag: states, everybody seen, the robot's motion; of each stream its stamps and delays."""

    path: Path
    config: SafetyConfig
    states: list[Assessment] = field(default_factory=list)
    people: list[tuple[float, list[Skeleton]]] = field(default_factory=list)
    stamps: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    delays: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    robot: str = ""  # the stream that the robot's motion is taken from
    track: RobotTrack | None = None
    lost: str = "nothing in it moves"  # why the robot's place is unknown

    def hear(self, stream: str, stamp: float, recorded: float) -> None:
        """Note a message of a stream."""
        self.stamps[stream].append(stamp)
        self.delays[stream].append(recorded - stamp)

    @property
    def factors(self) -> tuple[Array, Array]:
        """Stamps [s] of the states and the speed factors in them."""
        stamps = np.array([state.stamp for state in self.states])
        return stamps, np.array([state.speed_factor for state in self.states])


def read_cell(path: Path, config: SafetyConfig) -> CellRecording:
    """Read a bag of a cell.

    Raises BagError if the bag can't be read, lacks the robot, the states or people's topic, a frame
    leads nowhere, or its clocks are not synchronised.
    """
    with open_bag(path) as bag:
        options = Options(safety=config)
        topics = find_topics(bag.topics, options.topics())
        if "safety_state" not in topics.values():
            raise BagError(f"bag '{path}' has no safety_state; record while the safety node runs")
        plan = make_plan(bag, options)
        if plan.robots is None:
            raise BagError(
                f"bag '{path}' shows no robot: it needs /tf, and robot_description, or "
                "robot_frames in --params-file"
            )
        recording = CellRecording(path, plan.safety)
        model, world = plan.robots.model, plan.safety.world_frame
        frames = FrameResolver(Wanted(world, model.frames, 0.0))
        joints: list[tuple[float, Any]] = []
        placed: list[tuple[float, Array]] = []
        for event in EventReader(bag, topics, options.naming, world, options.pose, _READ):
            match event:
                case Transforms(static=static, transforms=transforms):
                    frames.observe(event)
                    stamp = max((item.stamp for item in transforms), default=0) / NANO
                    if static or not transforms:
                        continue
                    recording.hear("transforms", stamp, event.time)
                    found = frames.robot_at(stamp, 1e-4)
                    if found is None:
                        recording.lost = str(frames.robot(stamp))
                    elif not placed or found[0] > placed[-1][0]:
                        placed.append((found[0], np.stack(model.place(found[1]))))
                case JointStatesEvent(stamp=stamp, message=message):
                    recording.hear("joint states", stamp, event.time)
                    joints.append((stamp, message))
                case RecordedState(state=state):
                    recording.hear("states", state.stamp, event.time)
                    recording.states.append(state)
                case PeopleSeen():
                    seen = frames.placed(event)
                    if isinstance(seen, Unplaced):
                        raise BagError(f"bag '{path}': {seen.sentence}")
                    assert isinstance(seen, PeopleSeen)
                    recording.hear("skeletons", seen.stamp, event.time)
                    recording.people.append((seen.stamp, seen.people))
        if not recording.states:
            raise BagError(f"bag '{path}' has no message of safety_state; did the node run?")
        if abs(recording.states[0].stamp - bag.span[0] / NANO) > OTHER_CLOCK:
            raise BagError(f"bag '{path}' was recorded on another clock than its states are of")
    _check_clocks(recording)
    by_joints = _by_joints(joints, plan.robots)
    recording.robot = "joint states" if by_joints else "transforms"
    samples = by_joints or placed
    if len(samples) > 2:
        points = np.stack([ends for _, ends in samples])
        stamps = np.array([stamp for stamp, _ in samples])
        recording.track = RobotTrack(stamps, points.reshape(len(points), -1, 3))
        recording.track.learn(*recording.factors)
    return recording


def _check_clocks(recording: CellRecording) -> None:
    for stream, delays in recording.delays.items():
        ahead, behind = -min(delays), float(np.median(delays))
        off, word = (behind, "behind") if behind > MOST_BEHIND else (ahead, "ahead of")
        if off > recording.config.future_tolerance and (word != "behind" or off > MOST_BEHIND):
            raise BagError(
                f"clocks are not synchronised: {stream} in bag '{recording.path}' are stamped "
                f"{off:.2f} s {word} their recording; synchronise them (chrony, PTP) and record "
                "again"
            )


def _by_joints(messages: Sequence[tuple[float, Any]], robots: Robots) -> list[tuple[float, Array]]:
    """Ends of the robot's capsules at each message that has most of its joints; empty without."""
    urdf, model = robots.urdf, robots.model
    if urdf is None or not messages or not set(model.frames) <= set(urdf.numbers):
        return []
    movable = {joint.name for joint in urdf.movable}
    most = max(len(movable & set(message.name)) for _, message in messages)
    rows = [urdf.numbers[frame] for frame in model.frames]
    known: dict[str, float] = {}
    samples: list[tuple[float, Array]] = []
    for stamp, message in messages:
        known |= dict(zip(message.name, np.asarray(message.position).tolist(), strict=False))
        fresh = not samples or stamp > samples[-1][0]
        if fresh and most and len(movable & set(message.name)) == most:
            samples.append((stamp, np.stack(model.place(urdf.place(known)[rows]))))
    return samples


# Measuring --------------------------------------------------------------------------------------


def _first_ages(states: Sequence[Assessment]) -> list[float]:
    """Age of each image at the first state that knew its skeletons [s]."""
    ages: dict[int, float] = {}
    for state in states:
        if math.isfinite(state.skeleton_age):
            ages.setdefault(round((state.stamp - state.skeleton_age) * 1e4), state.skeleton_age)
    return list(ages.values())[1:]  # the first may have been known before the recording


def _person(recording: CellRecording) -> tuple[Array, Array]:
    """Root (N, 2) on the floor and joints (N, 15, 3) of the calibration person [m]."""
    path = recording.path
    seen = [people for _, people in recording.people if people]
    if not seen:
        raise BagError(f"bag '{path}' shows no person; the calibration person has to be in view")
    crowd = sum(len(people) > 1 for people in seen)
    if crowd > 0.1 * len(seen):
        most = max(map(len, seen))
        raise BagError(
            f"bag '{path}' shows up to {most} people at once; the calibration person has to be "
            "alone in view"
        )
    joints = np.stack(
        [
            convert(people[0].positions, people[0].confidence, people[0].layout, LAYOUT)[0]
            for people in seen
            if len(people) == 1
        ]
    ).astype(np.float64)
    joints = joints[np.isfinite(joints[:, 0]).all(axis=1)]
    if len(joints) < 100:
        raise BagError(
            f"bag '{path}' shows the calibration person in {len(joints)} images; record 100 or "
            "more, about 20 s"
        )
    return joints[:, 0, :2], joints


def measure_standing(recording: CellRecording, mark: Sequence[float]) -> tuple[Quantity, Quantity]:
    """How far off a person who stands still is placed, and how much single joints tremble.

    Raises BagError if nobody stands there, alone.
    """
    root, joints = _person(recording)
    middle = np.median(root, axis=0)
    moved = float(np.quantile(np.linalg.norm(root - middle, axis=1), 0.95))
    if moved > 0.3:
        raise BagError(
            f"the person in bag '{recording.path}' moves by {moved:.2f} m; is it the recording of "
            "the one who stands?"
        )
    place = np.asarray(mark) if len(mark) else middle
    about = "from the mark" if len(mark) else "from where the person seems to be, mark unknown"
    off = np.linalg.norm(root - place, axis=1)
    local = joints - joints[:, :1]
    trembling = np.linalg.norm(local - np.nanmedian(local, axis=0), axis=2)
    worst = np.nanquantile(trembling, 0.95, axis=0)
    joint = trembling[:, int(np.nanargmax(worst))]
    joint = joint[np.isfinite(joint)]
    return (
        Quantity.of("standing person: off", off, Z_MARGIN, unit="m",
                    reckoned=float(np.quantile(off, 0.99)), note=about),
        Quantity.of("standing person: most restless joint against the hips", joint, unit="m",
                    reckoned=float(np.nanmax(worst))),
    )  # fmt: skip


def measure_walking(recording: CellRecording, line: Sequence[float]) -> Quantity:
    """How far beside a straight line a person who walks along it is placed.

    Raises BagError if nobody walks there, alone.
    """
    root, _ = _person(recording)
    if len(line):
        start, end = np.array(line[:2]), np.array(line[2:])
    else:
        _, _, axes = np.linalg.svd(root - root.mean(axis=0), full_matrices=False)
        start, end = root.mean(axis=0), root.mean(axis=0) + axes[0]
    along = (end - start) / np.linalg.norm(end - start)
    way = (root - start) @ along
    if len(line):  # turning round at its ends is not walking along it
        inside = (way > 0.0) & (way < np.linalg.norm(end - start))
        root, way = root[inside], way[inside]
    length = float(np.ptp(way)) if len(way) else 0.0
    if length < 1.0:
        raise BagError(
            f"the person in bag '{recording.path}' walks {length:.2f} m along the line; record "
            "somebody who walks to and fro on it for 1 m or more"
        )
    beside = np.abs((root - start) @ np.array([-along[1], along[0]]))
    about = "beside the line" if len(line) else "beside the line that fits best, line unknown"
    return Quantity.of("walking person: off", beside, Z_MARGIN, unit="m",
                       reckoned=float(np.quantile(beside, 0.99)), note=about)  # fmt: skip


def measure_stops(
    recording: CellRecording, payload: float
) -> tuple[list[MeasuredStop], Counter[str]]:
    """Stops of a bag that can be used, and how many can't, by the reason.

    Raises BagError if the robot isn't seen moving, or the speed factor never falls to 0.
    """
    path, config, track = recording.path, recording.config, recording.track
    if track is None:
        raise BagError(f"bag '{path}' never says where the robot is: {recording.lost}")
    orders = stop_orders(*recording.factors)
    if not orders:
        raise BagError(
            f"the speed factor in bag '{path}' never falls from above 0 to 0; stop the robot while "
            "recording, ten times or more"
        )
    ramp = 0.1 + (1.0 / config.ramp_down if config.ramp_down > 0.0 else 0.0)
    found = [measure_stop(order, track, payload, ramp) for order in orders]
    stops = [stop for stop in found if isinstance(stop, MeasuredStop)]
    refused = Counter(reason for reason in found if isinstance(reason, str))
    surest = [stop for stop in stops if stop.compared]
    if len(surest) >= FEWEST_COMPARED:  # the others are off by up to 70 ms
        refused["the program never ran there undisturbed"] += len(stops) - len(surest)
        stops = surest
    usual = max(ODD * float(np.median([stop.misfit for stop in stops] or [0.0])), 0.005)
    refused["it braked unlike the others"] += sum(stop.misfit > usual for stop in stops)
    stops = [stop for stop in stops if stop.misfit <= usual]
    if not stops:
        why = "; ".join(f"{count} × {reason}" for reason, count in refused.most_common(2))
        raise BagError(f"none of the {len(orders)} stops in bag '{path}' can be used: {why}")
    return stops, refused


def _health(recording: CellRecording, stream: str, longest: float) -> list[CellCheck]:
    """Checks of a stream: that it comes regularly and without gaps."""
    stamps = np.unique(recording.stamps[stream])
    name = f"{stream} of '{recording.path.name}'"
    if len(stamps) < 3:
        return [CellCheck(name, f"{len(stamps)} messages", False)]
    gaps = np.diff(stamps)
    period = float(np.median(gaps))
    missing = float(np.maximum(np.round(gaps / period) - 1, 0).sum())
    share, gap = missing / (len(stamps) + missing), float(gaps.max())
    found = f"{1.0 / period:.1f} Hz, {share:.1%} dropped, longest gap {gap:.3f} s"
    return [CellCheck(name, found, share <= MOST_DROPPED and gap <= longest)]


def commission(sources: CellSources, base: SafetyConfig) -> Commissioning:
    """Measure a cell.

    Raises BagError if a recording does not show what it is for; ConfigError or RobotError if the
    parameters or the robot's description can't be used.

    `base`: parameters that the cell ran with; what is not measured stays.
    """
    every: dict[Path, CellRecording] = {}

    def recording(path: Path) -> CellRecording:
        if path not in every:
            every[path] = read_cell(path, base)
        return every[path]

    stops: list[MeasuredStop] = []
    refused: Counter[str] = Counter()
    rests: list[tuple[float, float]] = []
    for path, payload in sources.stops:
        usable, useless = measure_stops(recording(path), payload)
        stops, refused = stops + usable, refused + useless
        track, orders = every[path].track, stop_orders(*every[path].factors)
        found = [time_to_rest(order, track) for order in orders] if track else []
        rests += [rest for rest in found if rest]
    standing, trembling = measure_standing(recording(sources.standing), sources.mark)
    walking = measure_walking(recording(sources.walking), sources.line)
    read = list(every.values())

    first = [age for each in read for age in _first_ages(each.states)]
    ages = [s.skeleton_age for each in read for s in each.states if math.isfinite(s.skeleton_age)]
    if not first:
        raise BagError("no state in the recordings knew a skeleton; did the pose node run?")
    latency = Quantity.of(
        "image to state", first, reckoned=float(np.quantile(first, 0.99)), note="99 % of them"
    )
    age = Quantity.of(
        "age of the skeletons at a decision", ages,
        reckoned=float(np.quantile(ages, 0.999)), note="99.9 % of them",
    )  # fmt: skip
    delays = [each.delays[each.robot] for each in read if each.delays[each.robot]]
    late = max([0.0, *(float(np.median(delay)) for delay in delays)])
    reaction = Quantity.of(
        "T_r of the robot: factor to braking", [stop.reaction for stop in stops],
        T_R_MARGIN + late, note=f"margin with {late:.3f} s by which its stamps may be early",
    )  # fmt: skip
    stopping = Quantity.of(
        "T_s: braking to rest, all speeds", [stop.stopping for stop in stops], T_S_MARGIN,
        note="each speed by itself in the stopping table",
    )  # fmt: skip
    table = stopping_table(stops, T_S_MARGIN)

    t_robot = round_up(max(reaction.reckoned, 0.0) + reaction.margin + sources.camera_latency)
    z_measured = max(standing.reckoned, walking.reckoned) + trembling.reckoned + Z_MARGIN
    top = max(float(np.quantile(each.track.speeds, 0.999)) for each in read if each.track)
    values: dict[str, Any] = {
        "robot_reaction_time": t_robot,
        "reaction_time": round_up(age.reckoned + 1.0 / base.rate + t_robot),
        "human_uncertainty": max(round_up(z_measured), base.human_uncertainty),
        "robot_speed_max": max(round_up(1.02 * top, 2), base.robot_speed_max),
        "stopping_speeds": table.speeds,
        "stopping_times": tuple(time for row in table.times for time in row),
        "stopping_payloads": table.payloads,
        "payload": max(table.payloads),
    }  # fmt: skip
    reasons = {
        "robot_reaction_time": f"{_told(reaction)}"
        + f", {sources.camera_latency:g} s from exposure to stamp" * bool(sources.camera_latency),
        "reaction_time": f"images {age.reckoned:.3f} s old at a decision, a period, and the above",
        "human_uncertainty": f"measured {z_measured:.3f} m, never below what was set before",
        "robot_speed_max": f"fastest seen {top:.2f} m/s",
        "stopping_speeds": f"{len(stops)} stops [m/s]",
        "stopping_times": f"worst, or mean + 3 standard deviations, + {T_S_MARGIN:g} s [s]",
        "stopping_payloads": "[kg]",
        "payload": "heaviest that was measured [kg]",
    }
    config = dataclasses.replace(base, **values)
    config.check()
    braking(config)
    return Commissioning(
        config, reasons, (latency, age, reaction, stopping, standing, trembling, walking),
        tuple(stops), dict(+refused), table, tuple(_checks(read, base, config, stops, rests, top)),
        _assumed(sources, config, table),
        "" if base.robot_description or base.robot_frames else read[0].config.robot_description,
    )  # fmt: skip


def _checks(
    read: Sequence[CellRecording],
    base: SafetyConfig,
    config: SafetyConfig,
    stops: Sequence[MeasuredStop],
    rests: Sequence[tuple[float, float]],
    top: float,
) -> list[CellCheck]:
    checks = []
    for each in read:
        checks += _health(each, "skeletons", base.skeleton_age_max)
        checks += _health(each, "states", 0.1)
        checks += _health(each, "transforms", base.tf_age_max)
    for stream in ("skeletons", "states", "transforms", "joint states"):
        delays = [delay for each in read for delay in each.delays.get(stream, ())]
        if delays:
            least, middle = min(delays), float(np.median(delays))
            found = f"recorded {middle:.3f} s after their stamps, at least {least:.3f} s"
            usual = LATE if stream != "skeletons" else 0.5
            ok = middle <= usual and least >= -base.future_tolerance
            checks.append(CellCheck(f"clock of the {stream}", found, ok))
    for payload in sorted({stop.payload for stop in stops}):
        count = sum(stop.payload == payload for stop in stops)
        name = f"stops with {payload:g} kg"
        checks.append(CellCheck(name, f"{count} usable", count >= FEWEST_STOPS))
    brakes = braking(config)[0]
    over = [rest - config.robot_reaction_time - float(brakes.time(v)) for v, rest in rests]
    found = f"of {len(over)}, {sum(late > 0.0 for late in over)} took longer than T_r + T_s"
    checks.append(CellCheck("all stops, also those not used", found, max(over) <= 0.0))
    fastest = max(stop.speed for stop in stops)
    found = f"up to {fastest:.2f} m/s of {base.robot_speed_max:g} m/s (robot_speed_max)"
    checks.append(CellCheck("speeds of the stops", found, fastest >= 0.9 * base.robot_speed_max))
    found = f"{top:.2f} m/s, robot_speed_max was {base.robot_speed_max:g} m/s"
    checks.append(CellCheck("fastest that was seen", found, top <= base.robot_speed_max))
    return checks


def _assumed(
    sources: CellSources, config: SafetyConfig, table: MeasuredTable
) -> tuple[tuple[str, str], ...]:
    unknown = "unknown: only the spread was measured, not how far off the middle is"
    return (
        ("from the exposure of an image to its stamp", f"{sources.camera_latency:g} s"),
        ("where the person stood", unknown if not sources.mark else f"at {sources.mark}, by tape"),
        ("where the person walked", unknown if not sources.line else f"on {sources.line}, by tape"),
        ("how far behind a walking person is placed", "no more than the age of the image explains"),
        ("clock of the camera", "synchronised; an error below its latency does not show"),
        ("stopping times between the measured speeds and payloads", "linear"),
        ("above the fastest stop", f"as the table goes on beyond {table.speeds[-1]:.2f} m/s"),
        ("the robot's configuration and load", "none stops later than those that were recorded"),
        ("intrusion C", f"{config.intrusion:g} m"),
        ("position uncertainty of the robot Z_r", f"{config.robot_uncertainty:g} m"),
        ("v_h", f"at least {config.human_speed:g} m/s, arms {config.arm_speed:g} m/s"),
    )


def _told(found: Quantity) -> str:
    unit = found.unit
    return (
        f"{found.reckoned:.3f} {unit} of {found.count} (mean {found.mean:.3f}, worst "
        f"{found.worst:.3f}) + {found.margin:.3f}"
    )


# Writing ----------------------------------------------------------------------------------------


def parameter_file(found: Commissioning, base_file: str, heading: str, robot: str) -> str:
    """Text of a ROS parameter file with what was measured, each value with its reason.

    `base_file`: parameter file that the cell ran with, whose other sections are taken along; empty
    if none.
    `heading`: first line, as a comment.
    `robot`: path of the recorded URDF, where one was written; else empty.
    """
    default = SafetyConfig()
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(found.config).items()
        if name in found.reasons or value != getattr(default, name)
    }
    if robot:
        values["robot_description"] = robot
    lines = [f"# {heading}", "/**/safety_node:", "  ros__parameters:"]
    for name, value in values.items():
        why = f"  # {found.reasons[name]}" if name in found.reasons else ""
        lines.append(f"    {name}: {json.dumps(value, ensure_ascii=False)}{why}")
    text = "\n".join(lines) + "\n"
    sections: Mapping[str, Any] = {}
    if base_file:
        sections = parse_yaml(Path(base_file).read_text("utf-8")) or {}
    others = {k: v for k, v in sections.items() if str(k).rsplit("/", 1)[-1] != "safety_node"}
    return text + (yaml.safe_dump(others, sort_keys=False) if others else "")
