"""Reaction and stopping times of a robot, from when it was told to stop and how it moved.

A stop is looked at as the speed of the robot's fastest point over time. Without the stop it would
have had the speed that it has at the same place and in the same direction whenever its program runs
undisturbed (the recording shows that, as programs repeat), or else the speed of just before. Of
that, a deceleration that rises, stays and falls leaves less and less until rest. The least-squares
fit of that shape says when braking began to a fraction of the time between two samples, also where
brakes take hold softly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.signal import medfilt
from scipy.spatial import cKDTree

from ses_gcn_ros.safety import StoppingTable

Array = NDArray[np.float64]

BEFORE = 0.4  # s of motion before the order that a stop is held against
LONGEST = 4.0  # s from the order to rest
SLOWEST = 0.03  # m/s; of a slower robot a stop says nothing
STEADY = 0.02  # by which the factor may have changed just before
SETTLED = 0.5  # s at a steady factor after which the program runs undisturbed
HEADING = 0.05  # m that opposite directions at the same place are apart when places are compared
TURNING = 0.6  # share of its speed to which the program may slow down within a stop
MIXED = 0.1  # share by which its speeds at one place may differ
MISFIT = 0.04  # share of the speed that the fit may be off, root mean square
STEPS = np.linspace(-0.4, 0.4, 5)  # between two samples, whose mean a measured speed is


class RobotTrack:
    """How the robot moved.

    `stamps` (N,): rising [s].
    `points` (N, P, 3): ends of the robot's capsules [m].

    Attributes:
    - `times`, `spacing`, `speeds` (N - 1,): middle and length of the time between two samples [s],
      and the mean speed of the fastest point in it [m/s].
    """

    def __init__(self, stamps: Array, points: Array) -> None:
        self.points = points
        self.times = 0.5 * (stamps[1:] + stamps[:-1])
        self.spacing = np.diff(stamps)
        moved = np.diff(points, axis=0)
        way = np.linalg.norm(moved, axis=2).max(axis=1)
        self.speeds = way / self.spacing
        # where each sample is and where it is heading; a robot that stands heads where it went
        moved = moved.reshape(len(moved), -1)
        going = np.maximum.accumulate(np.where(self.speeds > SLOWEST, np.arange(len(way)), 0))
        heading = moved[going] / np.maximum(np.linalg.norm(moved[going], axis=1), 1e-9)[:, None]
        middle = 0.5 * (points[1:] + points[:-1]).reshape(len(moved), -1)
        self._places = np.hstack([middle, 0.5 * HEADING * heading])
        self._known: tuple[cKDTree, Array] | None = None
        self._near = 3.0 * float(np.quantile(np.linalg.norm(moved, axis=1), 0.9)) + 0.002

    def learn(self, stamps: Array, factors: Array) -> None:
        """Take the program's speeds from where the factors at their stamps [s] were steadily 1."""
        below = stamps[factors < 1.0 - STEADY]
        last = np.searchsorted(below, self.times, side="right")
        since = self.times - np.append(-math.inf, below)[last]
        heard = (self.times >= stamps[0]) & (self.times <= stamps[-1])
        free = np.flatnonzero(heard & (since > SETTLED) & (self.speeds > 0.0))
        if len(free) > 10:
            self._known = cKDTree(self._places[free]), self.speeds[free]

    def program_speeds(self, inside: NDArray[np.bool_]) -> Array | None:
        """Speeds that the program has where the samples inside are [m/s]; None if unknown."""
        if self._known is None:
            return None
        tree, speeds = self._known
        distances, found = tree.query(self._places[inside], k=4)
        if np.quantile(distances[:, 0], 0.95) > self._near:
            return None
        if float(np.median(np.ptp(speeds[found], axis=1))) > MIXED * float(np.median(speeds)):
            return None  # the program ran at several speeds
        weights = 1.0 / (distances + 1e-4)
        return np.asarray((weights * speeds[found]).sum(axis=1) / weights.sum(axis=1))


@dataclass(frozen=True)
class MeasuredStop:
    """One stop."""

    time: float  # when the speed factor began to fall to 0 [s]
    speed: float  # of the fastest point when the robot began to brake [m/s]
    reaction: float  # T_r of the robot, from the factor to the beginning of braking [s]
    stopping: float  # T_s, from there to rest, or what makes S_s = ½ v T_s hold the way [s]
    misfit: float  # of the fitted shape, root mean square, as a share of the speed
    compared: bool  # with the program's speed there, and not only with that of just before
    payload: float  # kg


@dataclass(frozen=True)
class StopOrder:
    """When the factor began to fall to 0 [s], when it got there, and when it rose again."""

    time: float
    zero: float
    until: float
    steady: bool


def stop_orders(stamps: Array, factors: Array) -> list[StopOrder]:
    """Falls of the speed factor to 0, from the factors (N,) at their stamps (N,) [s]."""
    orders = []
    for at in np.flatnonzero((factors[1:] <= 0.0) & (factors[:-1] > 0.0)) + 1:
        first = at
        while first > 1 and factors[first - 2] > factors[first - 1]:
            first -= 1
        rises = np.flatnonzero(factors[at:] > 0.0)
        until = stamps[at + rises[0]] if len(rises) else stamps[-1]
        before = factors[(stamps >= stamps[first] - BEFORE) & (stamps < stamps[first])]
        steady = len(before) > 0 and np.ptp(before) <= STEADY
        orders.append(StopOrder(float(stamps[first]), float(stamps[at]), float(until), steady))
    return orders


def time_to_rest(order: StopOrder, track: RobotTrack) -> tuple[float, float] | None:
    """Highest speed after an order [m/s] and how long the robot still moved [s].

    None if it did not come to rest before the factor rose again.
    """
    end = min(order.until, order.time + LONGEST)
    inside = (track.times >= order.time) & (track.times <= end)
    t, points = track.times[inside] - order.time, track.points[1:][inside]
    if len(t) < 5:
        return None
    settled = t > t[-1] - 0.1
    away = np.linalg.norm(points - points[settled].mean(axis=0), axis=2).max(axis=1)
    moving = np.flatnonzero(away > max(0.0003, 3.0 * float(away[settled].max())))
    last = float(t[moving[-1]]) if len(moving) else 0.0
    top = float(medfilt(track.speeds[inside], 5).max())
    return None if last > t[-1] - 0.15 else (top, last)


def measure_stop(
    order: StopOrder, track: RobotTrack, payload: float, ramp: float
) -> MeasuredStop | str:
    """Fit one stop; gives the reason where it can't be used.

    `payload` [kg].
    `ramp`: longest time in which the factor itself may fall [s].
    """
    if not order.steady or order.zero - order.time > ramp:
        return "the speed factor was not steady before it"
    end = min(order.until, order.time + LONGEST)
    inside = (track.times >= order.time - BEFORE) & (track.times <= end)
    t, v, spacing = track.times[inside] - order.time, track.speeds[inside], track.spacing[inside]
    before = t < 0.0
    if before.sum() < 5 or (~before).sum() < 5 or spacing.max() > 0.2:
        return "too few samples of the robot's motion"
    top = float(np.median(v[before]))
    if top < SLOWEST:
        return "the robot stood already"
    standing = time_to_rest(order, track)
    if standing is None:
        return "the robot did not come to rest before the factor rose again"
    smooth = medfilt(v, 5)
    rest, half = standing[1], float(t[np.flatnonzero(smooth > 0.5 * top)[-1]])
    program = track.program_speeds(inside)
    if program is None and np.ptp(smooth[before]) > 0.1 * top:
        return "the robot changed its speed by itself, and never ran there undisturbed"
    course = np.full(len(t), top) if program is None else program
    samples = t[:, None] + STEPS * spacing[:, None]

    def shape(values: Array) -> Array:
        level, begin, length, soft = values
        return level * course * _braking(samples, begin, length, soft).mean(axis=1)

    longest = min(max(2.0 * (rest - half), 0.02), 0.3 * LONGEST)
    fits = [
        least_squares(
            lambda values: (shape(values) - v) / top,
            [top / float(np.median(course[before])), max(half - 0.5 * length, 0.001), length, soft],
            bounds=([0.01, -0.02, 1e-3, 1e-3], [100.0, LONGEST, LONGEST, 0.5]),
            x_scale=[1.0, 0.02, 0.1, 0.2],
        )
        for length, soft in itertools.product((longest, 1.5 * longest, 2.5 * longest), (0.05, 0.4))
    ]
    best = min(fits, key=lambda fit: float(fit.cost))
    level, begin, length, _ = map(float, best.x)
    misfit = math.sqrt(2.0 * float(best.cost) / len(v))
    speed = level * float(np.interp(begin, t, course))
    if speed < SLOWEST:
        return "the robot stood already"
    within = (t > begin) & (t < begin + length)
    if within.any() and level * course[within].min() < TURNING * speed:
        return "the robot was about to turn round"
    if misfit > MISFIT or begin > rest:
        return "its motion is no braking to rest"
    # what is left of the speed, without the noise of a robot that stands
    left = np.where(t < max(rest, begin + length), v, 0.0) / (level * course)
    whole = t - 0.5 * spacing >= begin  # samples, and the piece of one before them at full speed
    mean = float(np.sum((left * spacing)[whole])) + float((t - 0.5 * spacing)[whole][0]) - begin

    stopping = max(length, rest - begin, 2.0 * mean)
    return MeasuredStop(order.time, speed, begin, stopping, misfit, program is not None, payload)


def _braking(times: Array, begin: float, length: float, soft: float) -> Array:
    """Share of the speed that is left, where braking rises and falls in a share `soft` of it."""
    x = np.clip((times - begin) / length, 0.0, 1.0)
    edge = 2.0 * soft * (1.0 - soft)
    return np.where(
        x < soft,
        1.0 - x**2 / edge,
        np.where(x > 1.0 - soft, (1.0 - x) ** 2 / edge, 1.0 - (x - 0.5 * soft) / (1.0 - soft)),
    )


def reported(values: Sequence[float]) -> float:
    """What a safety distance reckons with: the worst, or the mean and three standard deviations.

    The larger of the two, as is usual where stopping times of machines are measured.
    """
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return max(float(np.max(values)), float(np.mean(values)) + 3.0 * spread)


@dataclass(frozen=True)
class MeasuredTable:
    """Stopping times over speed and payload, as the parameters of the safety node have them."""

    speeds: tuple[float, ...]
    payloads: tuple[float, ...]
    times: tuple[tuple[float, ...], ...]  # payload after payload


def stopping_table(stops: Sequence[MeasuredStop], margin: float) -> MeasuredTable:
    """Table that holds every stop, with a margin [s] on each time.

    Stops of about the same speed (within 15 %) make one entry: the highest of their speeds and the
    `reported` of their times. Below the slowest entry its time holds; where only one speed was
    measured, times above it grow in proportion.
    """
    tables: dict[float, StoppingTable] = {}
    for payload in sorted({stop.payload for stop in stops}):
        groups: list[list[MeasuredStop]] = []
        for stop in sorted((s for s in stops if s.payload == payload), key=lambda s: s.speed):
            if groups and stop.speed <= 1.15 * groups[-1][0].speed:
                groups[-1].append(stop)
            else:
                groups.append([stop])
        speeds = [group[-1].speed for group in groups]
        times = [reported([stop.stopping for stop in group]) + margin for group in groups]
        times = np.maximum.accumulate(times).tolist()
        if len(speeds) == 1:
            speeds, times = [speeds[0], 2.0 * speeds[0]], [times[0], 2.0 * times[0]]
        tables[payload] = StoppingTable.of(speeds, times)
    every = sorted({v for table in tables.values() for v in table.speeds if v > 0.0})
    # the time of each from a speed of four digits below it on, so that rounding costs no margin
    exact = {-round_up(-v, 4): v for v in every}
    rows = [
        tuple(round_up(float(t), 4) for t in table.time(list(exact.values())))
        for table in tables.values()
    ]
    return MeasuredTable(tuple(exact), tuple(tables), tuple(rows))


def round_up(value: float, digits: int = 3) -> float:
    """Rounded up, so that no margin is lost."""
    return math.ceil(value * 10**digits - 1e-9) / 10**digits
