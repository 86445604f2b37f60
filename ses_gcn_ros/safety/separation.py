"""Speed and separation monitoring: how the robot stops, what distance that takes, who is nearer.

ISO/TS 15066:2016, 5.5.4.2.3 (since 2025 in ISO 10218-2), with constant speeds over the reaction
time and constant deceleration after it:

    S_p = S_h + S_r + S_s + C + Z_d + Z_r
    S_h = v_h (T_r + T_s)     the person walks on until the robot stands
    S_r = v_r T_r             the robot moves on until it reacts
    S_s = v_r² / 2a           the robot brakes; T_s = v_r / a
        = ½ v_r T_s           or with a given stopping time T_s, which may depend on v_r
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.people import People
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.robot_motion import RobotState

Array = NDArray[np.float64]


class Braking(TypedDict, total=False):
    """Braking model of the robot, as the functions of `separation` take it."""

    deceleration: float
    stopping_time: float
    stopping_table: StoppingTable


@dataclass(frozen=True, eq=False)
class StoppingTable:
    """Stopping times T_s over the speed, linear in between.

    Below the first speed the time is the first one, beyond the last it rises as in the last
    interval.

    Attributes
    ----------
    speeds : ndarray, shape (K,)
        Rising from 0 [m/s].
    times : ndarray, shape (K,)
        Never falling [s].
    """

    speeds: Array
    times: Array

    @classmethod
    def of(cls, speeds: Sequence[float], times: Sequence[float]) -> StoppingTable:
        """Check and make a table.

        Raises
        ------
        ConfigError
            If there are not as many times as speeds, at least two, the speeds don't rise or the
            times fall.
        """
        v, t = np.asarray(speeds, np.float64), np.asarray(times, np.float64)
        if len(v) < 2 or len(v) != len(t):
            raise ConfigError(
                f"the stopping table has {len(v)} speeds and {len(t)} times for them; it takes at "
                "least two, as many of each"
            )
        if v[0] < 0 or (np.diff(v) <= 0).any():
            raise ConfigError(f"stopping_speeds is {v.tolist()}; the speeds must rise")
        if t[0] < 0 or (np.diff(t) < 0).any():
            raise ConfigError(
                f"stopping_times has {t.tolist()}; a faster robot doesn't stop sooner: "
                "the times must not fall"
            )
        if v[0] > 0:
            v, t = np.append(0.0, v), np.append(t[0], t)
        return cls(v, t)

    @property
    def slopes(self) -> Array:
        """dT_s/dv of each interval, (K - 1,) [s²/m]."""
        return np.asarray(np.diff(self.times) / np.diff(self.speeds))

    def time(self, speed: ArrayLike) -> Array:
        """T_s [s] at speeds (...) [m/s]."""
        v = np.asarray(speed, np.float64)
        interval = self._interval(self.speeds, v)
        return self.times[interval] + self.slopes[interval] * (v - self.speeds[interval])

    def speed_stopping_within(self, time: ArrayLike) -> Array:
        """Highest speed [m/s] whose stopping time is within `time` (...) [s]; 0 if none is."""
        t = np.asarray(time, np.float64)
        interval = self._interval(self.times, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            more = (t - self.times[interval]) / self.slopes[interval]
        speed = self.speeds[interval] + np.where(np.isnan(more), np.inf, more)
        return np.where(t >= self.times[0], speed, 0.0)

    def speed_for(self, room: ArrayLike, human_speed: ArrayLike, reaction_time: ArrayLike) -> Array:
        """Highest speed v with v_h (T_r + T_s) + v T_r + ½ v T_s = room [m/s]; 0 if none fits.

        Within an interval that begins at v_k with T_k and slope b, w = v − v_k solves
        ½ b w² + (b v_h + T_r + ½ T_k + ½ b v_k) w = room − S(v_k).
        """
        d, v_h, t_r = (
            np.asarray(value, np.float64)[..., None]
            for value in np.broadcast_arrays(room, human_speed, reaction_time)
        )
        knots = v_h * (t_r + self.times) + self.speeds * (t_r + 0.5 * self.times)
        interval = np.clip((knots <= d).sum(axis=-1) - 1, 0, len(self.slopes) - 1)
        first, slope = self.speeds[interval], self.slopes[interval]
        linear = v_h[..., 0] * slope + t_r[..., 0] + 0.5 * (self.times[interval] + slope * first)
        start = np.take_along_axis(knots, interval[..., None], axis=-1)[..., 0]
        rest = np.maximum(d[..., 0] - start, 0.0)
        root = linear + np.sqrt(linear * linear + 2.0 * slope * rest)
        more = 2.0 * rest / np.maximum(root, 1e-300)
        return np.where(d[..., 0] >= start, first + more, 0.0)

    def _interval(self, knots: Array, value: Array) -> NDArray[np.intp]:
        found = np.searchsorted(knots, value, side="right") - 1
        return np.asarray(np.clip(found, 0, len(knots) - 2))


def braking(config: SafetyConfig) -> Braking:
    """Braking model that the parameters ask for.

    Raises
    ------
    ConfigError
        If the table of stopping times can't be used, or does not reach the payload.
    """
    if not config.stopping_speeds:
        if config.stopping_times or config.stopping_payloads:
            raise ConfigError("stopping_times is given without stopping_speeds; give both")
        if config.stopping_time > 0:
            return {"stopping_time": config.stopping_time}
        return {"deceleration": config.deceleration}
    payloads = config.stopping_payloads or (config.payload,)
    table = config.stopping_speeds, config.stopping_times, payloads, config.payload
    return {"stopping_table": _table(*table)}


@cache
def _table(
    speeds: tuple[float, ...],
    times: tuple[float, ...],
    payloads: tuple[float, ...],
    payload: float,
) -> StoppingTable:
    """Table for a payload [kg], between the measured ones."""
    columns = len(speeds)
    if len(times) != columns * len(payloads):
        raise ConfigError(
            f"stopping_times has {len(times)} values; {len(payloads)} payloads of "
            f"{columns} speeds take {columns * len(payloads)}, payload after payload"
        )
    if (np.diff(payloads) <= 0).any():
        raise ConfigError(f"stopping_payloads is {list(payloads)}; the payloads must rise")
    if payload > payloads[-1]:
        raise ConfigError(
            f"payload is {payload} kg; stopping_payloads ends at {payloads[-1]} kg: measure "
            "the stopping times of that load"
        )
    rows = np.reshape(times, (len(payloads), columns))
    between = [np.interp(payload, payloads, rows[:, column]) for column in range(columns)]
    return StoppingTable.of(speeds, [float(time) for time in between])


def speed_stopping_within(config: SafetyConfig, time: float) -> float:
    """Highest speed from which the robot is at rest within `time` [m/s]; inf if any is."""
    model = braking(config)
    if "stopping_table" in model:
        return float(model["stopping_table"].speed_stopping_within(time))
    if "stopping_time" in model:
        return float("inf") if time >= model["stopping_time"] else 0.0
    return max(model["deceleration"] * time, 0.0)


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of the protective separation distance [m], each of the broadcast shape (...)."""

    human: Array  # S_h
    reaction: Array  # S_r
    stopping: Array  # S_s
    intrusion: Array  # C
    human_uncertainty: Array  # Z_d
    robot_uncertainty: Array  # Z_r
    stopping_time: Array  # T_s [s], behind S_h and S_s

    @property
    def total(self) -> Array:
        return (
            self.human
            + self.reaction
            + self.stopping
            + self.intrusion
            + self.human_uncertainty
            + self.robot_uncertainty
        )


def protective_terms(
    *,
    human_speed: ArrayLike,
    robot_speed: ArrayLike,
    reaction_time: ArrayLike,
    deceleration: ArrayLike | None = None,
    stopping_time: ArrayLike | None = None,
    stopping_table: StoppingTable | None = None,
    intrusion: ArrayLike = 0.0,
    human_uncertainty: ArrayLike = 0.0,
    robot_uncertainty: ArrayLike = 0.0,
) -> Terms:
    """Terms of `protective_distance`, which explains the parameters."""
    v_h = np.maximum(np.asarray(human_speed, np.float64), 0.0)
    v_r = np.maximum(np.asarray(robot_speed, np.float64), 0.0)
    t_r = _not_negative("reaction_time", reaction_time)
    braking_rate, t_s = _braking(deceleration, stopping_time, stopping_table)
    if braking_rate is not None:
        t_s = v_r / braking_rate
    elif stopping_table is not None:
        t_s = stopping_table.time(v_r)
    return Terms(
        human=v_h * (t_r + t_s),
        reaction=v_r * t_r,
        stopping=0.5 * v_r * t_s,
        intrusion=_not_negative("intrusion", intrusion),
        human_uncertainty=_not_negative("human_uncertainty", human_uncertainty),
        robot_uncertainty=_not_negative("robot_uncertainty", robot_uncertainty),
        stopping_time=t_s,
    )


def protective_distance(
    *,
    human_speed: ArrayLike,
    robot_speed: ArrayLike,
    reaction_time: ArrayLike,
    deceleration: ArrayLike | None = None,
    stopping_time: ArrayLike | None = None,
    stopping_table: StoppingTable | None = None,
    intrusion: ArrayLike = 0.0,
    human_uncertainty: ArrayLike = 0.0,
    robot_uncertainty: ArrayLike = 0.0,
) -> Array:
    """Protective separation distance S_p between a person and the robot [m].

    All arguments broadcast. Give the deceleration, the stopping time or the table of them.

    Parameters
    ----------
    human_speed, robot_speed : array_like, shape (...)
        Speeds towards each other, v_h and v_r [m/s]; a negative one (moving away) counts as 0.
    reaction_time : array_like, shape (...)
        T_r [s]: from the image to the moment the robot begins to brake.
    deceleration : array_like, shape (...), optional
        a [m/s²] of the braking robot; its stopping time is v_r / a.
    stopping_time : array_like, shape (...), optional
        T_s [s], whatever the speed.
    stopping_table : StoppingTable, optional
        T_s over the speed.
    intrusion : array_like, shape (...)
        C [m]: how far a body part reaches before it is detected (ISO 13855).
    human_uncertainty, robot_uncertainty : array_like, shape (...)
        Z_d and Z_r [m]: uncertainty of the positions of person and robot.

    Returns
    -------
    ndarray, shape (...)
        S_p [m].

    Raises
    ------
    InputError
        If a time, distance or deceleration is negative, or not exactly one braking model is given.
    """
    return protective_terms(
        human_speed=human_speed,
        robot_speed=robot_speed,
        reaction_time=reaction_time,
        deceleration=deceleration,
        stopping_time=stopping_time,
        stopping_table=stopping_table,
        intrusion=intrusion,
        human_uncertainty=human_uncertainty,
        robot_uncertainty=robot_uncertainty,
    ).total


def allowed_speed(
    distance: ArrayLike,
    *,
    human_speed: ArrayLike,
    reaction_time: ArrayLike,
    deceleration: ArrayLike | None = None,
    stopping_time: ArrayLike | None = None,
    stopping_table: StoppingTable | None = None,
    intrusion: ArrayLike = 0.0,
    human_uncertainty: ArrayLike = 0.0,
    robot_uncertainty: ArrayLike = 0.0,
) -> Array:
    """Highest robot speed whose protective distance fits into `distance`.

    The inverse of `protective_distance` over the robot's speed, which is the positive root of
    v² + 2 (v_h + a T_r) v + 2a (v_h T_r + C + Z_d + Z_r − d) = 0.

    Parameters
    ----------
    distance : array_like, shape (...)
        Distance d between person and robot [m].
    human_speed, reaction_time, deceleration, stopping_time : array_like, shape (...)
    stopping_table : StoppingTable
    intrusion, human_uncertainty, robot_uncertainty : array_like, shape (...)
        As for `protective_distance`.

    Returns
    -------
    ndarray, shape (...)
        Speed towards the person [m/s]; 0 where even a standing robot is too near.

    Raises
    ------
    InputError
        As `protective_distance`.
    """
    v_h = np.maximum(np.asarray(human_speed, np.float64), 0.0)
    t_r = _not_negative("reaction_time", reaction_time)
    braking_rate, t_s = _braking(deceleration, stopping_time, stopping_table)
    kept = (
        _not_negative("intrusion", intrusion)
        + _not_negative("human_uncertainty", human_uncertainty)
        + _not_negative("robot_uncertainty", robot_uncertainty)
    )
    distance = np.asarray(distance, np.float64) - kept
    if stopping_table is not None:
        return stopping_table.speed_for(distance, v_h, t_r)
    room = np.maximum(distance - v_h * (t_r + t_s), 0.0)
    if braking_rate is None:
        with np.errstate(all="ignore"):  # no time to react or stop at all: any speed
            return np.where(room > 0, room / (t_r + 0.5 * t_s), room)
    linear = v_h + braking_rate * t_r
    # conjugate of √(linear² + 2a room) − linear, which would cancel for little room
    root = np.sqrt(linear * linear + 2.0 * braking_rate * room) + linear
    return 2.0 * braking_rate * room / np.maximum(root, 1e-300)


def _braking(
    deceleration: ArrayLike | None,
    stopping_time: ArrayLike | None,
    stopping_table: StoppingTable | None,
) -> tuple[Array | None, Array]:
    if sum(model is not None for model in (deceleration, stopping_time, stopping_table)) != 1:
        raise InputError(
            "give the robot's braking as one of deceleration, stopping_time and stopping_table"
        )
    if stopping_time is not None:
        return None, _not_negative("stopping_time", stopping_time)
    if deceleration is None:
        return None, np.zeros(())
    rate = np.asarray(deceleration, np.float64)
    if (rate <= 0).any():
        raise InputError(f"deceleration is {rate.min()} m/s²; it must be above 0")
    return rate, np.zeros(())


def _not_negative(name: str, value: ArrayLike) -> Array:
    checked = np.asarray(value, np.float64)
    if (checked < 0).any():
        raise InputError(f"{name} is {checked.min()}; it must not be negative")
    return checked


STILL = 0.1  # m/s; a link slower than this may start in any direction
_NO_TABLE = np.empty(0)


@dataclass(frozen=True, eq=False)
class Pair:
    """A limb and a link: who, where on the surfaces (3,) in the world, how far apart [m]."""

    person_id: str
    limb: str
    frame: str
    distance: float
    human_point: Array
    robot_point: Array

    def __str__(self) -> str:
        return describe(self.person_id, self.limb, self.distance, self.frame)


@dataclass(frozen=True)
class Breakdown:
    """What the protective distance of a pair is made of, with the symbols of ISO/TS 15066."""

    human_speed: float  # v_h, m/s
    robot_speed: float  # v_r, m/s
    reaction_time: float  # T_r, s
    stopping_time: float  # T_s, s
    human_term: float  # S_h, m
    reaction_term: float  # S_r, m
    stopping_term: float  # S_s, m
    intrusion: float  # C, m
    human_uncertainty: float  # Z_d, m
    robot_uncertainty: float  # Z_r, m

    @property
    def total(self) -> float:
        """S_p [m]."""
        return (
            self.human_term
            + self.reaction_term
            + self.stopping_term
            + self.intrusion
            + self.human_uncertainty
            + self.robot_uncertainty
        )


@dataclass(frozen=True, eq=False)
class Reactive:
    """Answer of the reactive layer.

    Attributes
    ----------
    limits : tuple of Limit
        One per person that holds the robot down.
    pair : Pair
        The pair with the least margin.
    protective_distance : float
        S_p of that pair [m]; 0 for a link that moves away.
    breakdown : Breakdown
        Its terms.
    distances : mapping of str to float
        Least distance of each person [m].
    """

    limits: tuple[Limit, ...]
    pair: Pair
    protective_distance: float
    breakdown: Breakdown
    distances: Mapping[str, float]


def describe(person_id: str, limb: str, distance: float, frame: str) -> str:
    """A pair in words; the points on its surfaces, which take long to find, aren't in them."""
    return f"person {person_id}: {limb} at {distance:.2f} m from {frame}"


def reaction_time(config: SafetyConfig, skeleton_age: float) -> float:
    """T_r [s]: age of the skeletons, one period until the next decision, the robot's own delay."""
    measured = skeleton_age + 1.0 / config.rate + config.robot_reaction_time
    return max(config.reaction_time, measured)


def assess_now(
    config: SafetyConfig,
    people: People,
    growth: Array,
    model: RobotModel,
    robot: RobotState,
    now: float,
    t_r: float,
    margin_kept: float,
) -> Reactive:
    """Hold every limb against every link.

    Parameters
    ----------
    config : SafetyConfig
    people : People
        With at least one limb.
    growth : ndarray, shape (N,)
        How far each limb may have moved unseen [m].
    model : RobotModel
    robot : RobotState
        Carried from its stamp to `now` along its own motion.
    now : float
        [s]
    t_r : float
        Reaction time [s].
    margin_kept : float
        Distance kept above the protective one while the robot moves [m].

    Returns
    -------
    Reactive
    """
    loops = kernel("separation")
    limbs = people.limbs
    start, end = robot.carried(now - robot.stamp)
    reach = limbs.radius + growth
    worst = np.empty((len(people.ids), len(loops.PairResult._fields)))
    nearest, deciding = np.empty(len(worst)), np.empty(worst.shape[1])
    brakes = braking(config)
    table = brakes.get("stopping_table")
    loops.react(
        (limbs.start, limbs.end, reach, people.start_velocity, people.end_velocity, people.floor),
        people.person,
        (start[0], end[0], robot.start_velocity, robot.end_velocity, model.radius),
        loops.Case(
            reaction_time=t_r,
            intrusion=config.intrusion,
            human_uncertainty=config.human_uncertainty,
            robot_uncertainty=config.robot_uncertainty,
            robot_speed_max=config.robot_speed_max,
            receding_credit=config.receding_credit,
            margin_kept=margin_kept,
            still=STILL,
            deceleration=brakes.get("deceleration", 0.0),
            stopping_time=brakes.get("stopping_time", 0.0),
        ),
        table.speeds if table else _NO_TABLE,
        table.times if table else _NO_TABLE,
        *(worst, nearest, deciding),
    )
    limits = []
    for person_id, row in zip(people.ids, worst.tolist(), strict=True):
        judged = loops.PairResult(*row)
        if judged.factor >= 1.0:
            continue
        verb = (
            f"< {judged.required:.2f} m protective distance"
            if judged.margin < 0
            else f"allows {judged.allowed:.2f} m/s"
        )
        limb, link = limbs.names[int(judged.limb)], model.names[int(judged.link)]
        place = describe(person_id, limb, judged.distance, link)
        limits.append(Limit(judged.factor, f"{place} {verb}"))
    closest = loops.PairResult(*deciding.tolist())
    return Reactive(
        limits=tuple(limits),
        pair=Pair(
            person_id=people.ids[people.person[int(closest.limb)]],
            limb=limbs.names[int(closest.limb)],
            frame=model.names[int(closest.link)],
            distance=closest.distance,
            human_point=np.array([closest.human_x, closest.human_y, closest.human_z]),
            robot_point=np.array([closest.robot_x, closest.robot_y, closest.robot_z]),
        ),
        protective_distance=closest.required,
        breakdown=_breakdown(config, closest, t_r),
        distances=dict(zip(people.ids, nearest.tolist(), strict=True)),
    )


def _breakdown(config: SafetyConfig, judged: Any, t_r: float) -> Breakdown:
    held = judged.held
    return Breakdown(
        human_speed=judged.human_speed,
        robot_speed=judged.robot_speed,
        reaction_time=t_r,
        stopping_time=judged.stopping_time,
        human_term=held * judged.human_term,
        reaction_term=held * judged.reaction_term,
        stopping_term=held * judged.stopping_term,
        intrusion=held * config.intrusion,
        human_uncertainty=held * config.human_uncertainty,
        robot_uncertainty=held * config.robot_uncertainty,
    )
