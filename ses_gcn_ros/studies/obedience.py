"""Are disobedient robots named in time, and obedient ones left alone? On a simulated clock.

Robots of five kinds follow random factors; their poses come with noise, late, with stamps that are
off, and now and then not at all. Obedient ones brake exactly as the monitor is told, after a
reaction time that is theirs. The others do so until they are told to stop, and then they don't.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ses_gcn_ros.resources import markdown_table
from ses_gcn_ros.safety import RobotTracker, SafetyConfig, braking
from ses_gcn_ros.safety.obedience import Obedience
from ses_gcn_ros.safety.separation import reaction_time
from ses_gcn_ros.studies.attack_world import PATHS, TICK, Robot
from ses_gcn_ros.studies.journal import run_all

NOISE = 1e-4  # m, standard deviation of each frame's position
STAMPS = 2e-3  # s that a stamp is off, either way
LATENESS = 0.02  # s, the longest from a pose to the monitor
LOST = 0.01  # share of the poses that never come
PERIOD = 2  # ticks between two states
HELD_UP, HOLD = 1e-3, 0.15  # share of the states that come late, and the longest by which [s]
FAR = 100.0  # m
SHIFT = 300.0  # s that one obedient robot is watched
SLACK = 0.1  # s after T_r + T_s in which a robot has to be named
SETTLED = 0.3  # s of standing before a robot moves without being told
KINDS = ("ignores", "half obeys", "brakes weakly", "late", "drifts", "starts by itself")


class _Cell:
    """A robot, what is seen of it, and who watches."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        speed, brake = rng.uniform(0.25, 1.6), math.exp(rng.uniform(math.log(0.5), math.log(5.0)))
        rest = min(speed / brake, 1.2)
        brakes: tuple[dict[str, Any], ...] = (
            {"deceleration": brake},
            {"stopping_time": rest},
            {
                "stopping_speeds": (0.0, 0.5 * speed, speed),
                "stopping_times": (0.1 * rest, 0.7 * rest, rest),
            },
        )
        reaction = rng.uniform(0.03, 0.15)
        self.config = config = replace(
            SafetyConfig(),
            robot_speed_max=speed,
            robot_reaction_time=reaction,
            **brakes[rng.choice(3, p=(0.6, 0.2, 0.2))],
        )
        self.rest = float(braking(config)[0].time(speed))
        kind = sorted(PATHS)[rng.integers(len(PATHS))]
        self.robot = Robot(kind, config, 1.0, 3.0, rng.uniform())
        self.tracker = RobotTracker(self.robot.path.model)
        self.obedience = Obedience(config, self.robot.path.model)
        self.takes = rng.uniform(0.2, 1.0) * reaction  # s that this one takes to react
        self.ticks, self.factor, self._held = 0, 0.0, 0.0
        self._orders: deque[tuple[float, float]] = deque()
        self._poses: deque[tuple[float, float, np.ndarray]] = deque()

    @property
    def now(self) -> float:
        return self.ticks * TICK

    def tick(self, obey: Callable[[float], float] = lambda factor: factor) -> None:
        """Let the robot move on, and be seen; it makes of the factor what `obey` says."""
        self.ticks += 1
        now, rng, robot = self.now, self.rng, self.robot
        while self._orders and self._orders[0][0] <= now:
            robot.factor = self._orders.popleft()[1]
        told, robot.factor = robot.factor, obey(robot.factor)
        robot.advance()
        robot.factor = told
        if rng.random() >= LOST:
            poses = robot.poses.copy()
            poses[:, :3, 3] += rng.normal(scale=NOISE, size=(len(poses), 3))
            stamp = now + rng.uniform(-STAMPS, STAMPS)
            self._poses.append((now + rng.uniform(0.0, LATENESS), stamp, poses))
        if self.ticks % PERIOD or now < self._held:
            return
        if rng.random() < HELD_UP:
            self._held = now + rng.uniform(0.0, HOLD)
        while self._poses and self._poses[0][0] <= now:
            _, stamp, poses = self._poses.popleft()
            self.tracker.observe(stamp, poses)
        if self.tracker.state is not None:
            self.obedience.observe(self.tracker.state)
        self.obedience.send(now, self.factor)
        self._orders.append((now + self.takes, self.factor))

    def wander(self, seconds: float) -> bool:
        """Obey random factors; says whether nothing was found wrong."""
        for _ in range(round(seconds / TICK)):
            if self.rng.random() < TICK:  # once a second
                self.factor = float(self.rng.choice([0.0, 1.0, self.rng.random()]))
            self.tick()
            if self.obedience.fault:
                return False
        return True


@dataclass(frozen=True)
class Named:
    """When a disobedient robot was named."""

    kind: str
    speed: float  # at which it moved where it had to brake or to stand [m/s]
    after: float | None  # since it had been told to stop, or moved off [s]; None if it never was
    # the robot's own part of T_r, T_r and T_s of its highest speed [s]
    robot_reaction: float
    reaction: float
    rest: float


def disobey(number: int, seed: int) -> Named:
    """Let a robot disobey, until it is named or twice the allowed time has passed.

    Raises RuntimeError if it was named before.
    """
    kind = KINDS[number % len(KINDS)]
    rng = np.random.default_rng([seed, number])
    cell = _Cell(rng)
    fine = cell.wander(rng.uniform(2.0, 6.0))
    cell.factor = 1.0
    fast, begun = 0.8 * cell.config.robot_speed_max, cell.now
    while fine and cell.now < begun + (1.0 if cell.robot.speed >= fast else 10.0):
        cell.tick()
    robot, start = cell.robot, cell.now
    speed, cell.factor = robot.speed, 0.0
    allowed = cell.config.robot_reaction_time + cell.rest
    # late and weak ones stand some time after the latest that is allowed
    over, needs = rng.uniform(0.3, 0.8), float(braking(cell.config)[0].time(speed))
    late = start + allowed + over - needs
    share, brakes = needs / (allowed + over - cell.takes), robot._deceleration
    own = rng.uniform(0.05, 0.5) * cell.config.robot_speed_max
    if kind in ("drifts", "starts by itself"):
        while fine and (robot.speed > 0.0 or cell.now < start + allowed + SETTLED):
            cell.tick()
            fine = not cell.obedience.fault
        start, speed = cell.now, max(own, 0.03)
    if not fine:
        raise RuntimeError(f"{kind}: named while it obeyed: {cell.obedience.fault}")
    robot.path = copy(robot.path)  # lest it comes to rest by itself, at the end of its way
    robot.path.room = lambda way: (FAR, FAR)  # type: ignore[method-assign]
    if kind == "brakes weakly":
        robot._deceleration = lambda: share * brakes()  # type: ignore[method-assign]
    obey = {
        "ignores": lambda told: 1.0,
        "half obeys": lambda told: max(told, 0.5),
        "brakes weakly": lambda told: told,
        "late": lambda told: 1.0 if cell.now < late else told,
        "drifts": lambda told: speed / cell.config.robot_speed_max,
        "starts by itself": lambda told: 1.0,
    }[kind]
    while not cell.obedience.fault and cell.now < start + 2.0 * (allowed + 0.5):
        cell.tick(obey)
    after = cell.now - start if cell.obedience.fault else None
    reaction = reaction_time(cell.config, 0.0)
    return Named(kind, speed, after, cell.config.robot_reaction_time, reaction, cell.rest)


def obey(number: int, seed: int, seconds: float) -> int:
    """How often a robot that obeys is called disobedient within some time; reset each time."""
    cell = _Cell(np.random.default_rng([seed, number]))
    alarms = 0
    while cell.now < seconds:
        if not cell.wander(seconds - cell.now):
            alarms += 1
            cell.obedience.forget()
            cell.obedience.fault = ""
    return alarms


def tasks(robots: int, hours: float, seed: int) -> dict[int, tuple[Any, ...]]:
    """What is to be run, by number: robots that disobey, then shifts of robots that obey."""
    shifts = math.ceil(hours * 3600.0 / SHIFT)
    disobedient = {n: ("disobey", n, seed) for n in range(robots)}
    return disobedient | {robots + n: ("obey", n, seed) for n in range(shifts)}


def run_study(
    robots: int, hours: float, seed: int, log: Path, *, jobs: int, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Figures of `robots` that disobey, and of some hours of robots that obey.

    The log holds what is done, as `run_all` keeps it.
    """
    todo = tasks(robots, hours, seed)
    about = {"robots": robots, "shifts": len(todo) - robots, "seed": seed}
    answers = run_all(log, about, todo, _run, jobs=jobs, progress=progress)
    kinds = _kinds([Named(**answers[number]) for number in range(robots)])
    alarms = sum(answer for number, answer in answers.items() if number >= robots)
    return {**about, "hours": about["shifts"] * SHIFT / 3600.0, "alarms": alarms, "kinds": kinds}


def _run(what: str, number: int, seed: int) -> Any:
    return asdict(disobey(number, seed)) if what == "disobey" else obey(number, seed, SHIFT)


def _kinds(named: Sequence[Named]) -> list[dict[str, Any]]:
    rows = []
    for kind in [*KINDS, "all"]:
        own = [n for n in named if kind in (n.kind, "all")]
        after = np.array([math.inf if n.after is None else n.after for n in own])
        rest = np.array([n.rest for n in own]) + SLACK
        rows.append(
            {
                "kind": kind,
                "robots": len(own),
                "named": int(np.isfinite(after).sum()),
                "in_time": int((after <= rest + [n.reaction for n in own]).sum()),
                "in_time_of_robot": int((after <= rest + [n.robot_reaction for n in own]).sum()),
                "median": float(np.median(after)) if own else math.nan,
                "longest": float(after.max(initial=0.0)),
            }
        )
    return rows


def table(summary: dict[str, Any]) -> tuple[Sequence[str], Iterable[Sequence[object]]]:
    """Headings and rows of the robots that disobeyed."""
    headings = (
        "a robot that", "robots", "named", "within T_r + T_s + 0.1 s",
        "of T_r its own part alone", "median [s]", "longest [s]",
    )  # fmt: skip
    counts = ("kind", "robots", "named", "in_time", "in_time_of_robot")
    rows = [
        (*(row[name] for name in counts), f"{row['median']:.2f}", f"{row['longest']:.2f}")
        for row in summary["kinds"]
    ]
    return headings, rows


def as_markdown(summary: dict[str, Any]) -> str:
    """Figures as a table, and the false alarms."""
    alarms = f"{summary['hours']:.1f} h of robots that obey: {summary['alarms']}"
    return f"{markdown_table(*table(summary), range(1, 7))}\n\nFalse alarms in {alarms}"
