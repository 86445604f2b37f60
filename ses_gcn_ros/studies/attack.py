"""The attack: people who want to be touched, against the `SeparationMonitor` in a closed loop.

One `AttackCase` is one run on a simulated clock. It is a vector of numbers between 0 and 1 that a
scenario reads its choices from, so that a search can vary them all alike, and a line of JSON
reproduces a run to the bit. A violation is a link faster than `MOVING` that touches somebody, by
the monitor's own capsules around people and links as they really are.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Engine, Forecast, ForecastConfig, Forecaster
from ses_gcn_ros.pose.tracking import OneEuroFilter, packed_covariance
from ses_gcn_ros.safety import (
    ClockMonitor,
    SafetyConfig,
    SeparationMonitor,
    capsule_distances,
    limb_capsules,
)
from ses_gcn_ros.safety.people import quantile
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.studies.attack_world import PATHS, POINTS, TICK, Robot, pose, step

Array = NDArray[np.float64]

EPOCH = 100.0  # s; when runs begin
MOVING = 0.05  # m/s; a link that is faster must not touch anybody
WITHIN = 0.985  # people use this share of the floors at most
NUMBERS = 160  # that a case consists of
CLOSING = 6.0  # m/s; no limb and link of these worlds come together faster
LAYOUT = "chico15"

# The numbers of a case --------------------------------------------------------------------------


class Draw:
    """Reads a case's numbers one after the other."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self._numbers = iter(numbers)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * next(self._numbers)

    def spread(self, low: float, high: float) -> float:
        """Between two numbers above 0, evenly over their logarithm."""
        return low * (high / low) ** next(self._numbers)

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[min(int(next(self._numbers) * len(choices)), len(choices) - 1)]

    def chance(self, probability: float) -> bool:
        return next(self._numbers) < probability


@dataclass(frozen=True)
class Phase:
    """What a person does for a while: `act` until `until` [s], at a share of the floors."""

    act: str
    until: float
    speed: float
    link: float  # of the robot's links, 0 to 1
    lead: float  # s ahead of the link that is aimed at
    aim: Array  # (3,) m beside it


@dataclass
class AttackedPerson:
    """Somebody, and what the camera makes of them."""

    name: str
    state: Array
    size: float
    phases: list[Phase]
    bias: Array  # (3,) m, of the skeletons
    appears: float  # s; the camera sees them from then on
    hand: int
    points: Array = field(default_factory=lambda: np.empty((POINTS, 3)))

    def __post_init__(self) -> None:
        pose(self.state, self.size, self.points)


@dataclass(frozen=True)
class AttackCamera:
    """How people are seen."""

    period: float  # s
    latency: tuple[float, float]  # s, from image to monitor: least and most
    noise: float  # m
    dropped: float  # share of the frames that are lost on the way
    every: int  # image in which people are detected; 1: all of them
    hidden: tuple[float, float]  # s from, to which the first person is occluded
    joints: tuple[int, ...]  # that are occluded then; none: all of them
    swap: float  # s at which the first person gets another identity, or the second one theirs
    robot_latency: float  # s, of the robot's transforms and joints


# One run ----------------------------------------------------------------------------------------

FAULTS = (
    "second publisher",
    "slow clock",
    "fast clock",
    "frozen picture",
    "frozen, filtered",
    "millimetres",
    "future transform",
    "absurd forecasts",
    "duplicate identity",
    "silence",
    "stale transforms",
    "no forecasts",
    "joints at rest",
    "name handed over",
)
MOTIONS = ("reach", "cross", "return", "occlusion", "stranger", "flicker", "several", "delay")
SCENARIOS = (*MOTIONS, *FAULTS)
VARIANTS = ("forecasts", "alone", "reachable", "stricter", "probability")


@dataclass(frozen=True)
class AttackCase:
    """One run: scenario, variant of the monitor, numbers, and the seed of the sensors' noise."""

    scenario: str
    variant: str
    numbers: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class AttackOutcome:
    """How a run ended.

    Attributes:
    - `scenario`, `variant`, `robot`.
    - `contact_speed`: greatest speed of a touched link while it was touched [m/s]; -1 if none was.
    - `miss`: least gap between a limb and a link faster than `MOVING` [m]; at most 0 in a
      violation.
    - `time`: of that, since the beginning [s].
    - `duration`, `time_lost`: of the run, and by how much less the robot got along than programmed
      [s].
    """

    scenario: str
    variant: str
    robot: str
    contact_speed: float
    miss: float
    time: float
    duration: float
    time_lost: float

    @property
    def violation(self) -> bool:
        """Whether somebody was touched by a moving link."""
        return self.contact_speed > MOVING


def configuration(draw: Draw, variant: str, cell: SafetyConfig | None) -> SafetyConfig:
    """Defaults but for the robot's brakes, or as in `cell`; how soon the robot gets going again."""
    kind = draw.one_of(["deceleration"] * 4 + ["time", "table"])
    speed, brake = draw.spread(0.25, 1.6), draw.spread(0.5, 5.0)
    untouched, eager = draw.chance(0.3), draw.chance(0.5)
    changes: dict[str, Any] = {}
    if not (untouched or cell):
        changes = {"robot_speed_max": speed}
        if kind == "deceleration":
            changes["deceleration"] = brake
        elif kind == "time":
            changes["stopping_time"] = min(speed / brake, 1.0)
        else:
            changes["stopping_speeds"] = (0.0, 0.5 * speed, speed)
            longest = min(speed / brake, 1.2)
            changes["stopping_times"] = (0.1 * longest, 0.7 * longest, longest)
    if eager:
        changes |= {"release_time": 0.1, "recovery_rate": 5.0}
    if variant == "alone":
        changes["forecast_lost_factor"] = 1.0
    if variant in ("reachable", "stricter"):
        changes["model"] = variant
    if variant == "probability":
        changes["prediction"] = "probability"
    return replace(cell or SafetyConfig(), **changes)


def _people(draw: Draw, scenario: str, noise: float, floor: float) -> list[AttackedPerson]:
    count = draw.one_of((2, 2, 3)) if scenario in ("several", "name handed over") else 1
    people = []
    for number in range(count + (scenario == "stranger")):
        stranger = number == count
        angle, away = draw.between(-math.pi, math.pi), draw.between(1.6, 3.4)
        if stranger:  # is seen for the first time where nobody can be reached yet
            away += 2.5
        size = draw.between(0.85, 1.1)
        state = np.zeros(20)
        state[0], state[1] = 0.5 + away * math.cos(angle), away * math.sin(angle)
        state[2] = angle + math.pi
        state[4:10] = (0.05, 0.0, -0.52 * size) * 2
        direction = np.array([draw.between(-1, 1) for _ in range(3)])
        # what Z_d leaves beside three standard deviations of the noise
        bias = (
            direction * max(floor - 3.0 * noise, 0.0) / max(float(np.linalg.norm(direction)), 1.0)
        )
        phases, until = [], 0.8
        first = draw.one_of(["stand", "stand", "cross", "retreat"])
        phases.append(
            Phase(first, until, draw.between(0.3, 1.0), draw.between(0, 1), 0.0, np.zeros(3))
        )
        acts = {
            "cross": ["cross", "cross", "walk", "reach", "ambush"],
            "return": ["retreat", "reach", "walk", "retreat", "reach"],
            "stranger": ["walk", "reach", "walk", "stand"],
        }.get(scenario, ["reach", "walk", "ambush", "bow", "stand", "retreat", "cross", "reach"])
        if stranger:
            acts = ["stand"]
        for _ in range(4):
            until += draw.spread(0.25, 2.5)
            act = draw.one_of(acts)
            aim = np.array([draw.between(-1, 1) for _ in range(3)]) * 0.15
            speed = draw.one_of((1.0, 1.0, draw.between(0.2, 1.0)))
            phases.append(Phase(act, until, speed, draw.between(0, 1), draw.between(0, 0.5), aim))
        appears = draw.between(1.0, 4.0) if stranger else 0.0
        people.append(
            AttackedPerson(str(number + 1), state, size, phases, bias, appears, draw.one_of((0, 1)))
        )
    return people


def _camera(draw: Draw, scenario: str) -> AttackCamera:
    rate = draw.one_of((30, 30, 25, 15, 60))
    every = draw.one_of((6, 6, 3)) if scenario == "flicker" else 1
    low = draw.between(0.05, 0.08)
    spread, hold = draw.between(0.0, 0.15), draw.between(0.0, 0.25)
    noise = draw.one_of((1e-4, 1e-4, 0.002, 0.01))
    begin, length = draw.between(0.6, 3.0), draw.spread(0.2, 6.0)
    parts = draw.one_of(((), (), (10, 11, 13, 14), (11, 14), tuple(range(1, 7)), (9, 10, 11)))
    swap, robot_latency = draw.between(1.0, 4.0), draw.between(0.0, 0.1)
    hidden, stranger = (99.0, 99.0), scenario == "stranger"
    if scenario in ("occlusion", "stranger"):
        hidden = begin, begin + length
    elif scenario == "name handed over":
        hidden = min(begin, swap), 99.0
    keeps = scenario != "name handed over" and not (stranger and draw.chance(0.3))
    return AttackCamera(
        period=1.0 / (60 if scenario == "flicker" else rate),
        latency=(low, low + {"delay": spread, "flicker": 0.0}.get(scenario, 0.01)),
        noise=noise,
        dropped=hold if scenario == "delay" else 0.0,
        every=every,
        hidden=hidden,
        joints=parts if scenario == "occlusion" else (),
        swap=math.inf if keeps else swap,
        robot_latency=robot_latency if scenario == "delay" else 0.0,
    )


def _order(person: AttackedPerson, now: float, robot: Robot, trunk: float, arm: float) -> Array:
    """What a person does next, who sees the robot as it is and wants to touch it."""
    phase = next((p for p in person.phases if now < p.until), person.phases[-1])
    order = np.zeros(13)
    x, y = person.state[:2]
    link = min(int(phase.link * robot.ends.shape[1]), robot.ends.shape[1] - 1)
    share = phase.link * robot.ends.shape[1] - link
    at = (1 - share) * robot.ends[0, link] + share * robot.ends[1, link]
    velocity = (1 - share) * robot.velocities[0, link] + share * robot.velocities[1, link]
    target = at + phase.lead * velocity + phase.aim
    dx, dy = target[0] - x, target[1] - y
    far = max(math.hypot(dx, dy), 1e-6)
    order[:2], order[3] = (x, y), math.atan2(dy, dx)
    speed = phase.speed * trunk
    hand = 5 + 4 * person.hand
    if phase.act in ("reach", "ambush"):
        if phase.act == "ambush":
            poses, _ = robot.path.at(robot.way + phase.lead * 3.0 * robot.path.length)
            target = robot.path.model.place(poses)[1][link] + phase.aim
            dx, dy = target[0] - x, target[1] - y
            far = max(math.hypot(dx, dy), 1e-6)
        stand = 0.25 + 0.4 * share
        go = max(far - stand, 0.0) / far
        order[:3] = x + go * dx, y + go * dy, speed
        if far < stand + 0.9 or phase.lead > 0.25:
            order[hand : hand + 3], order[hand + 3] = target, arm
    elif phase.act in ("walk", "bow"):
        order[:3] = target[0], target[1], speed
        order[4] = 0.9 if phase.act == "bow" and far < 1.0 else 0.0
    elif phase.act == "cross":
        side = 1.0 if phase.aim[0] > 0 else -1.0
        order[:3] = x + dx - side * 0.7 * dy, y + dy + side * 0.7 * dx, speed
    elif phase.act == "retreat":
        order[:3] = x - 3.0 * dx / far, y - 3.0 * dy / far, speed
    return order


@dataclass
class Trace:
    """What happened tick by tick, for a drawing."""

    times: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)
    separations: list[float] = field(default_factory=list)
    protective: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    bodies: list[Array] = field(default_factory=list)
    robots: list[Array] = field(default_factory=list)


def attack_once(
    case: AttackCase, engine: Engine, trace: Trace | None = None, cell: SafetyConfig | None = None
) -> AttackOutcome:
    """Run a case: until its people are done, or 6 s (10 s where somebody is occluded).

    With `cell`, the monitor has these parameters, and the robot obeys and brakes as they say.
    """
    draw = Draw(case.numbers)
    crossing = case.scenario == "cross"
    kind = draw.one_of(["linear axis"] if crossing else list(PATHS))
    config = configuration(draw, case.variant, cell)
    robot = Robot(
        kind, config, draw.between(0.5, 1.0), min(draw.spread(0.3, 3.0), config.deceleration),
        draw.between(0, 1),
    )  # fmt: skip
    fault = "" if case.scenario in MOTIONS else case.scenario
    fault_at, told = draw.between(1.2, 2.5), draw.chance(0.5)
    camera = _camera(draw, case.scenario)
    people = _people(draw, case.scenario, camera.noise, config.human_uncertainty)
    model = robot.path.model
    clock = Steady()
    urdf = robot.path.urdf if told else None
    monitor = SeparationMonitor(config, model, urdf, steady=clock)
    sensors = Sensors(case, camera, fault, fault_at, engine, monitor)
    trunk, arm = WITHIN * config.human_speed, WITHIN * config.arm_speed
    duration = 9.0 if case.scenario in ("occlusion", "stranger", "name handed over") else 6.0
    duration = min(duration, max(person.phases[-1].until for person in people) + 0.5)
    every = round(1.0 / (config.rate * TICK))
    orders: deque[tuple[float, float]] = deque()
    spare = np.empty((POINTS, 3))
    near, contact, miss, when = 0.0, -1.0, math.inf, 0.0
    for tick in range(round(duration / TICK)):
        time = clock.time = tick * TICK
        while orders and orders[0][0] <= time + 1e-9:
            robot.factor = orders.popleft()[1]
        robot.advance()
        for person in people:
            order = _order(person, time, robot, trunk, arm)
            step(person.state, order, person.size, trunk, arm, TICK, person.points, spare)
        sensors.tick(time, people, robot)
        if tick % every == 0:
            assessment = sensors.assess(time)
            orders.append((time + config.robot_reaction_time, assessment.speed_factor))
        if time < near and trace is None:
            continue
        gaps = _gaps(people, config, robot)
        least = float(gaps.min())
        near = time + max(least, 0.0) / CLOSING
        closest = gaps.min(axis=0)
        speeds = robot.link_speeds
        fast = speeds > MOVING
        if fast.any() and (gap := float(closest[fast].min())) < miss:
            miss, when = gap, time
        if least <= 0.0:
            contact = max(contact, float(speeds[closest <= 0.0].max()))
        if trace is not None:
            _note(trace, time, least, speeds, assessment, people, robot)
    return AttackOutcome(
        scenario=case.scenario, variant=case.variant, robot=kind,
        contact_speed=contact, miss=miss, time=when, duration=duration, time_lost=robot.lost,
    )  # fmt: skip


def _gaps(people: list[AttackedPerson], config: SafetyConfig, robot: Robot) -> Array:
    limbs = limb_capsules(
        np.stack([person.points[:15] for person in people]), LAYOUT,
        scale=config.body_scale, hand_reach=config.hand_reach,
    ).in_a_row()  # fmt: skip
    return capsule_distances(
        limbs.start[:, None], limbs.end[:, None], limbs.radius[:, None],
        robot.ends[0], robot.ends[1], robot.path.model.radius,
    ).distance  # fmt: skip


def _note(
    trace: Trace, time: float, gap: float, speeds: Array, assessment: Any,
    people: list[AttackedPerson], robot: Robot,
) -> None:  # fmt: skip
    trace.times.append(time)
    trace.gaps.append(gap)
    trace.speeds.append(float(speeds.max()))
    trace.factors.append(assessment.speed_factor)
    trace.separations.append(assessment.separation)
    trace.protective.append(assessment.protective_distance)
    trace.reasons.append("; ".join(assessment.reasons))
    trace.bodies.append(np.stack([person.points[:15] for person in people]))
    trace.robots.append(robot.ends.copy())


class Steady:
    """A clock that nobody sets: the time since the beginning [s]."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


class Sensors:
    """Camera, forecaster and transforms between the world and the monitor, with what fails."""

    def __init__(
        self, case: AttackCase, camera: AttackCamera, fault: str, fault_at: float, engine: Engine,
        monitor: SeparationMonitor,
    ) -> None:  # fmt: skip
        self._case, self._camera, self._monitor = case, camera, monitor
        self._fault, self._fault_at = fault, fault_at
        self._rng = np.random.default_rng(case.seed)
        self._with_forecasts = case.variant != "alone"
        self._forecaster = Forecaster(engine, ForecastConfig())
        self._coming: list[tuple[float, float, list[Skeleton]]] = []
        self._next, self._frames = 0.0, 0
        self._frozen: list[Skeleton] | None = None
        self._clock = ClockMonitor(monitor.config, EPOCH, 0.0)
        self._certain = np.ones(15, np.float32)
        direction = self._rng.normal(size=3)
        reach = WITHIN * monitor.config.robot_uncertainty
        self._robot_error = reach * direction / np.linalg.norm(direction)
        self._moved: deque[tuple[float, float, Array, tuple[Any, ...]]] = deque()
        self._smoothers: dict[str, OneEuroFilter] = {}
        self._smoothing = float(self._rng.choice((1, 2, 4))), float(self._rng.choice((0, 3, 6)))

    def now(self, time: float) -> float:
        """The clock of the nodes."""
        rate = {"slow clock": 0.02, "fast clock": 1.9}.get(self._fault, 1.0)
        return EPOCH + time + (rate - 1.0) * max(time - self._fault_at, 0.0)

    def broken(self, time: float) -> bool:
        return bool(self._fault) and time >= self._fault_at

    def tick(self, time: float, people: list[AttackedPerson], robot: Robot) -> None:
        """Let everything arrive that is due."""
        now = self.now(time)
        if time >= self._next - 1e-9:
            self._next += self._camera.period
            self._photograph(time, now, people)
        due = [item for item in self._coming if item[0] <= time + 1e-9]
        if due:
            self._coming = [item for item in self._coming if item[0] > time + 1e-9]
            for _, stamp, skeletons in due:
                self._deliver(time, stamp, skeletons)
        if self.broken(time) and self._fault == "second publisher":
            self._accept(self._monitor.observe_skeletons, now, [], now)
            if self._with_forecasts:
                self._accept(self._monitor.observe_forecasts, now, [], now)
        self._transforms(time, now, robot)

    def assess(self, time: float) -> Any:
        """Ask the monitor, its clocks being watched as the node watches them."""
        now = self.now(time)
        for source, reason in _clock_faults(self._clock, now, time).items():
            if reason:
                self._monitor.fault(source, reason)
            else:
                self._monitor.well(source)
        return self._monitor.assess(now)

    def _photograph(self, time: float, now: float, people: list[AttackedPerson]) -> None:
        camera, skeletons = self._camera, []
        self._frames += 1
        hidden = camera.hidden[0] <= time < camera.hidden[1]
        for number, person in enumerate(people):
            if time < person.appears or self._frames % camera.every:
                continue
            if number == 0 and hidden and not camera.joints:
                continue
            joints = person.points[:15] + person.bias
            noise = self._rng.normal(0.0, camera.noise, joints.shape)
            length = np.linalg.norm(noise, axis=1, keepdims=True)
            joints = joints + noise * np.minimum(1.0, 3.0 * camera.noise / length)
            if number == 0 and hidden:
                joints[list(camera.joints)] = np.nan
            name = person.name
            if time >= camera.swap and self._case.scenario == "name handed over":
                name = people[0].name if number == 1 else name
            elif time >= camera.swap and number == 0:
                name = f"{name}b"
            skeletons.append(Skeleton(name, LAYOUT, joints.astype(np.float32), self._certain))
        if self._rng.random() < camera.dropped:
            return
        arrival = time + self._rng.uniform(*camera.latency)
        if self.broken(time):
            if self._fault in ("frozen picture", "frozen, filtered"):
                self._frozen = skeletons = self._frozen or skeletons
            elif self._fault == "millimetres":
                skeletons = [replace(s, positions=1000.0 * s.positions) for s in skeletons]
            elif self._fault == "duplicate identity" and skeletons:
                away = replace(skeletons[0], positions=skeletons[0].positions + np.float32(4.0))
                skeletons = [*skeletons, away]
            elif self._fault in ("silence", "slow clock", "fast clock"):
                return
        if self._fault == "frozen, filtered":
            skeletons = [self._filtered(now, skeleton) for skeleton in skeletons]
        self._coming.append((arrival, now, skeletons))

    def _filtered(self, stamp: float, skeleton: Skeleton) -> Skeleton:
        """A skeleton behind the pose node's filter, which says what it may be off."""
        config, name = self._monitor.config, skeleton.person_id
        smoother = self._smoothers.setdefault(name, OneEuroFilter(*self._smoothing))
        positions = smoother.smooth(stamp, skeleton.positions)
        sigma = config.human_uncertainty / quantile(config.uncertainty_coverage)
        covariance = smoother.covariance() + sigma**2 * np.eye(3)
        return replace(
            skeleton,
            positions=positions.astype(np.float32),
            covariance=packed_covariance(covariance, positions, LAYOUT, LAYOUT),
        )

    def _deliver(self, time: float, stamp: float, skeletons: list[Skeleton]) -> None:
        now = self.now(time)
        self._accept(self._monitor.observe_skeletons, stamp, skeletons, now)
        if not self._with_forecasts:
            return
        try:
            self._forecaster.observe(stamp, skeletons)
        except InputError:
            return
        forecasts = self._forecaster.forecast()
        if self.broken(time):
            if self._fault == "no forecasts":
                return
            if self._fault == "absurd forecasts":
                forecasts = [_absurd(forecast, self._rng) for forecast in forecasts]
        self._accept(self._monitor.observe_forecasts, stamp, forecasts, now)

    def _transforms(self, time: float, now: float, robot: Robot) -> None:
        stamp, poses = now, robot.poses.copy()
        poses[:, :3, 3] += self._robot_error
        self._moved.append((time + self._camera.robot_latency, stamp, poses, robot.joint_state()))
        while self._moved and self._moved[0][0] <= time + 1e-9:
            _, stamp, poses, joints = self._moved.popleft()
            if self.broken(time):
                if self._fault == "future transform" and time < self._fault_at + TICK:
                    stamp = now + 5.0
                elif self._fault == "stale transforms":
                    continue
            self._accept(self._monitor.observe_robot, stamp, poses, now)
            if self._monitor.joints is not None:
                names, angles, rates = joints
                if self.broken(time) and self._fault == "joints at rest":
                    rates = [0.0] * len(names)  # as of drivers that leave the field at 0
                self._accept(self._monitor.joints.observe, stamp, names, angles, rates)

    @staticmethod
    def _accept(observe: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(InputError):  # what is refused is the monitor's to remember
            observe(*arguments)


def _clock_faults(clock: ClockMonitor, now: float, steady: float) -> dict[str, str]:
    found = clock.check(now, steady)
    return {source: found.get(source, "") for source in ("clock", "loop")}


def _absurd(forecast: Forecast, rng: np.random.Generator) -> Forecast:
    kind = int(rng.integers(5))
    if kind == 0:
        return replace(forecast, positions=np.full_like(forecast.positions, np.nan))
    if kind == 1:
        return replace(forecast, positions=np.full_like(forecast.positions, np.inf))
    if kind == 2:
        return replace(forecast, radius=np.full_like(forecast.radius, -5.0))
    if kind == 3:
        return replace(forecast, coverage=7.0)
    return replace(forecast, positions=forecast.positions + np.float32(50.0))
