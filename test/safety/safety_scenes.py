"""Scenes for the tests of safety: people, robots and what the monitor is told, tick by tick."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.safety import Assessment, RobotModel, SafetyConfig, SeparationMonitor
from ses_gcn_ros.skeleton import Skeleton

TICK = 0.02  # s
MOVING = 0.05  # m/s; a link slower than this hurts nobody
LATENCY = 0.08  # s from image to monitor

# chico15, facing −x, the root over the origin: hip, right leg, left leg, nose, neck, arms
STANDING = np.array(
    [
        (0.0, 0.0, 0.95),
        (0.0, 0.1, 0.93),
        (0.0, 0.1, 0.50),
        (0.0, 0.1, 0.08),
        (0.0, -0.1, 0.93),
        (0.0, -0.1, 0.50),
        (0.0, -0.1, 0.08),
        (-0.1, 0.0, 1.62),
        (0.0, 0.0, 1.45),
        (0.0, 0.18, 1.42),
        (0.0, 0.25, 1.15),
        (0.0, 0.25, 0.90),
        (0.0, -0.18, 1.42),
        (0.0, -0.25, 1.15),
        (0.0, -0.25, 0.90),
    ]
)


def person(x: float, name: str = "p1", joints=STANDING, hide: tuple[int, ...] = ()) -> Skeleton:
    """A person standing `x` metres in front of the robot's column."""
    positions = (joints + np.array([x, 0.0, 0.0])).astype(np.float32)
    positions[list(hide)] = np.nan
    return Skeleton(name, "chico15", positions, np.ones(15, np.float32))


def forecast_of(
    skeleton: Skeleton, stamp: float, velocity=(0.0, 0.0, 0.0), radius: float = 0.02
) -> Forecast:
    """A person who moves on at one velocity for a second."""
    ahead = 0.04 * np.arange(1, 26)[:, None, None] * np.asarray(velocity)
    return Forecast(
        person_id=skeleton.person_id,
        layout=skeleton.layout,
        stamp=stamp,
        step=0.04,
        positions=(skeleton.positions + ahead).astype(np.float32),
        radius=np.full((25, len(skeleton.positions)), radius, np.float32),
        coverage=0.9,
        model="constant velocity",
    )


def column() -> RobotModel:
    """A robot of one link: a column of 7 cm radius between the frames low and high."""
    return RobotModel.from_frames(("low", "high"), (0.07,))


def column_at(x: float) -> np.ndarray:
    """Poses of the column's frames at (x, 0), from 0.3 m to 1.3 m."""
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[:, 0, 3] = x
    poses[:, 2, 3] = (0.3, 1.3)
    return poses


class Scene:
    """A monitor on a clock; by default a standing column, and a person standing at `x`.

    What a test sets to something else, or to None for silence, is what changes from then on.
    """

    def __init__(
        self, x: float | None = 3.0, config: SafetyConfig | None = None, **changes
    ) -> None:
        self.config = replace(config or SafetyConfig(), **changes)
        self.monitor = SeparationMonitor(self.config, column())
        self.now = 100.0
        self.x = x
        self.speed = 0.0  # m/s of the person along x
        self.robot_x = 0.0
        self.robot_speed = 0.0
        self.skeletons_on = self.forecasts_on = self.robot_on = True
        self.delay = 0.0  # s from image to monitor
        self.hide: tuple[int, ...] = ()
        self.jitter = 1e-3  # m; a living person never repeats to the bit
        self.rng = np.random.default_rng(1)

    def tick(self) -> Assessment:
        """Let one period pass, feed the monitor, assess."""
        self.now += TICK
        self.robot_x += self.robot_speed * TICK
        if self.x is not None:
            self.x += self.speed * TICK
        if self.robot_on:
            self.monitor.observe_robot(self.now, column_at(self.robot_x))
        stamp = self.now - self.delay
        people = []
        if self.x is not None:
            noise = self.rng.normal(scale=self.jitter, size=(15, 3))
            people = [person(self.x, joints=STANDING + noise, hide=self.hide)]
        if self.skeletons_on:
            self.monitor.observe_skeletons(stamp, people, self.now)
        if self.forecasts_on:
            ahead = [forecast_of(p, stamp, (self.speed, 0.0, 0.0)) for p in people]
            # stamped before `now`, so that a test can give others then
            self.monitor.observe_forecasts(stamp - 1e-6, ahead, self.now)
        return self.monitor.assess(self.now)

    def run(self, seconds: float) -> Assessment:
        """Tick for some time and give the last assessment."""
        for _ in range(max(round(seconds / TICK), 1)):
            assessment = self.tick()
        return assessment

    def until(self, condition, limit: float = 5.0) -> tuple[Assessment, float]:
        """Tick until a condition holds; the assessment and the time it took."""
        start = self.now
        while self.now - start < limit:
            assessment = self.tick()
            if condition(assessment):
                return assessment, self.now - start
        raise AssertionError(f"not within {limit} s; last: {assessment}")


def settled(x: float | None = 3.0, **changes) -> Scene:
    """A scene that has run until the robot was released, if it ever is."""
    scene = Scene(x, **changes)
    scene.run(1.7)
    return scene


class Loop:
    """A column on a linear axis along y that obeys the factor, and a person who is seen late.

    The robot brakes at `deceleration` after its reaction time; it turns around at ±1 m. `spoil` may
    change what the camera says, by the time since the beginning; None is silence.
    """

    spoil = staticmethod(lambda time, people: people)

    def __init__(self, person_at, seen=lambda now: True, **changes) -> None:
        changes = {"forecast_lost_factor": 1.0, "release_time": 0.1, "recovery_rate": 5.0} | changes
        self.config = SafetyConfig(**changes)
        self.monitor = SeparationMonitor(self.config, column())
        self.person_at, self.seen = person_at, seen
        self.rng = np.random.default_rng(0)

    def poses(self, y: float) -> np.ndarray:
        poses = column_at(0.0)
        poses[:, 1, 3] = y
        return poses

    def speed_at_contact(self, seconds: float) -> float:
        """Speed of the column when the trunk touches it [m/s]; 0 if it never does or it stands."""
        config, y, speed, way = self.config, 0.0, 0.0, 1.0
        orders = [0.0] * max(round(config.robot_reaction_time / TICK), 1)
        fastest, self.speeds = 0.0, []
        for tick in range(round(seconds / TICK)):
            now = 100.0 + tick * TICK
            orders.append(self.answer(now, y).speed_factor * config.robot_speed_max)
            change = config.deceleration * TICK
            speed += min(max(orders.pop(0) - speed, -change), change)
            y += way * speed * TICK
            if abs(y) > 1.0:
                way = -np.sign(y)
            self.y = y
            self.speeds.append(speed)
            x, across = self.person_at(now - 100.0, y)
            if np.hypot(x, across - y) < 0.07 + 0.15:  # the axis of the trunk, its radius
                fastest = max(fastest, speed)
        return fastest

    def answer(self, now: float, y: float):
        self.monitor.observe_robot(now, self.poses(y))
        if self.seen(now - 100.0):
            x, across = self.person_at(now - 100.0 - LATENCY, y)
            joints = (
                STANDING + np.array([0.0, across, 0.0]) + self.rng.normal(scale=1e-4, size=(15, 3))
            )
            people = [person(x, joints=joints)]
        else:
            people = []
        spoilt = self.spoil(now - 100.0, people)
        if spoilt is not None:
            self.monitor.observe_skeletons(now - LATENCY, spoilt, now)
        return self.monitor.assess(now)
