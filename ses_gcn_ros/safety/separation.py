"""Speed and separation monitoring: how the robot stops, what distance that takes, who is nearer.

ISO/TS 15066:2016, 5.5.4.2.3 (since 2025 in ISO 10218-2), with constant speeds over the reaction
time and constant deceleration after it:

    S_p = S_h + S_r + S_s + C + Z_d + Z_r
    S_h = v_h (T_r + T_s)     the person walks on until the robot stands
    S_r = v_r T_r             the robot comes nearer until it reacts
    S_s = ½ v T_s             the robot brakes

T_s is the time from which the whole robot stands: that of its fastest point, of speed v, whatever
the direction of the closest one. (Taken from the speed towards the person, a link that moves
across is reckoned to stop at once.) Direction counts in v_r alone, plus what the robot can turn
towards the person within T_r.

The second model, `reachable`, holds the sets that people and links can reach until then against
each other, as SARA shields do: Schepp, Thumm, Liu, Althoff, "SaRA: A Tool for Safe Human-Robot
Coexistence and Collaboration through Reachability Analysis" (ICRA 2022).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety.config import SafetyConfig, read_entries
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.people import VELOCITY_WINDOW, WHOLE_BODY, People
from ses_gcn_ros.safety.robot_model import FurtherRobot, RobotModel
from ses_gcn_ros.safety.robot_motion import RobotMotion, RobotState

Array = NDArray[np.float64]

STILL = 0.1  # m/s; a robot slower than this may start in any direction
REFINEMENTS = 5  # halvings in search of the highest speed under which reachable sets stay apart
REACH_STEPS = 12  # instants until standstill at which reachable sets are held against each other
SPEED_ERROR = 0.1  # m/s that a measured velocity may be off besides what acceleration explains


@dataclass(frozen=True, eq=False)
class StoppingTable:
    """Stopping times T_s over the speed, linear in between, and going on as in the last interval.

    Every kind of brakes is one: a deceleration a is the line 1/a, one time for all speeds is flat.
    """

    speeds: Array  # (K,): rising from 0 [m/s]
    times: Array  # (K,): never falling [s]

    @classmethod
    def of(cls, speeds: Sequence[float], times: Sequence[float]) -> StoppingTable:
        """Check and make a table.

        Raises ConfigError if there are not as many times as speeds, at least two, the speeds don't
        rise or the times fall.
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

    def time(self, speed: ArrayLike) -> Array:
        """T_s [s] at speeds (...) [m/s]."""
        of_speed = kernel("separation").stopping_time
        found = [of_speed(v, self.speeds, self.times) for v in np.ravel(speed).tolist()]
        return np.reshape(found, np.shape(speed))

    def speed_stopping_within(self, time: float) -> float:
        """Highest speed [m/s] whose stopping time is within `time` [s]; 0 if none is."""
        if not time >= self.times[0]:
            return 0.0
        later = min(bisect_right(self.times, time), len(self.times) - 1)
        (before, after), (low, high) = (
            values[later - 1 : later + 1].tolist() for values in (self.times, self.speeds)
        )
        slope = (after - before) / (high - low)
        return low + (time - before) / slope if slope > 0.0 else math.inf


@lru_cache(maxsize=16)
def braking(config: SafetyConfig) -> tuple[StoppingTable, ...]:
    """Stopping times of each robot: that of the parameters, then those of `more_robots`.

    Raises ConfigError if a table of stopping times can't be used, or does not reach the payload.
    """
    first = _braking_of(config, config.stopping_payloads, config.payload)
    tables = [first]
    for robot in read_entries("more_robots", config.more_robots, FurtherRobot):
        own = robot.deceleration or robot.stopping_time or robot.stopping_speeds
        tables.append(_braking_of(robot, (), 0.0) if own else first)
    return tuple(tables)


def _braking_of(
    given: SafetyConfig | FurtherRobot, payloads: Sequence[float], payload: float
) -> StoppingTable:
    if given.stopping_speeds:
        return _table(given.stopping_speeds, given.stopping_times, payloads or (payload,), payload)
    if given.stopping_times or payloads:
        raise ConfigError("stopping_times is given without stopping_speeds; give both")
    if given.stopping_time > 0:
        return StoppingTable(np.array([0.0, 1.0]), np.full(2, given.stopping_time))
    return StoppingTable(np.array([0.0, 1.0]), np.array([0.0, 1.0 / given.deceleration]))


def _table(
    speeds: Sequence[float], times: Sequence[float], payloads: Sequence[float], payload: float
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
            "stopping times with more"
        )
    rows = np.asarray(times, np.float64).reshape(len(payloads), columns)
    between = [np.interp(payload, payloads, rows[:, column]) for column in range(columns)]
    return StoppingTable.of(speeds, between)


def protective_distance(
    *,
    human_speed: float,
    robot_speed: float,
    reaction_time: float,
    table: StoppingTable,
    intrusion: float = 0.0,
    human_uncertainty: float = 0.0,
    robot_uncertainty: float = 0.0,
) -> float:
    """S_p [m] of a person and a robot that come straight at each other.

    `human_speed`, `robot_speed`: v_h and v_r [m/s].
    `reaction_time`: T_r [s]: from the image to the moment the robot begins to brake.
    `table`: T_s over the speed; `braking` gives it.
    `intrusion`, `human_uncertainty`, `robot_uncertainty`: C, Z_d and Z_r [m].
    """
    loops = kernel("separation")
    t_s = loops.stopping_time(robot_speed, table.speeds, table.times)
    moving = loops.moving_distance(human_speed, robot_speed, robot_speed, reaction_time, t_s)
    return float(moving + intrusion + human_uncertainty + robot_uncertainty)


def allowed_speed(
    distance: float, *, human_speed: float, reaction_time: float, table: StoppingTable
) -> float:
    """Highest speed straight at a person [m/s] that `distance` [m] has room for, C and Z apart.

    The inverse of `protective_distance` over the robot's speed; 0 where even a standing robot is
    too near.
    """
    case = human_speed, 1.0, reaction_time, table.speeds, table.times
    return float(kernel("separation").allowed(distance, *case))


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
    """Answer of the reactive layer."""

    limits: tuple[Limit, ...]  # one per person that holds the robot down
    pair: Pair  # the pair with the least margin
    protective_distance: float  # s_p of that pair [m]; 0 for a link that moves away
    breakdown: Breakdown  # its terms
    distances: Mapping[str, float]  # least distance of each person [m]


def describe(person_id: str, limb: str, distance: float, frame: str) -> str:
    """A pair in words; the points on its surfaces, which take long to find, aren't in them."""
    return f"person {person_id}: {limb} at {distance:.2f} m from {frame}"


def reaction_time(
    config: SafetyConfig, skeleton_age: float = 0.0, least: float | None = None
) -> float:
    """T_r [s]: age of the skeletons, one period until the next decision, the robot's own delay.

    Where the factor falls along a ramp (`ramp_down`), its time counts as well. `least` is
    `config.reaction_time`, which begins with an image; 0 where none is waited for.
    """
    measured = skeleton_age + 1.0 / config.rate + config.robot_reaction_time
    ramp = 1.0 / config.ramp_down if config.ramp_down > 0.0 else 0.0
    return max(config.reaction_time if least is None else least, measured) + ramp


@dataclass(frozen=True, eq=False)
class RobotSpeeds:
    """Of R robots, as the kernels take it: how fast each is, and what it takes to come to rest."""

    # (R,): speed of the fastest point of any link now [m/s]; the highest where it is unknown
    fastest: Array
    rest: Array  # (R,): t_s of that speed [s]
    # (R,): acceleration that the robot is capable of [m/s²]: that of its brakes from full speed
    agility: Array
    top: Array  # (R,): speed at factor 1 [m/s]
    # (R, K): tables of stopping times
    speeds: Array
    times: Array

    @classmethod
    def of(cls, config: SafetyConfig, fastest: Array) -> RobotSpeeds:
        """Of measured speeds (R,) [m/s], NaN where unknown."""
        speeds, times, agility, top = _tables(config)
        known, rest = np.empty((2, len(fastest)))
        loops = kernel("separation")
        loops.come_to_rest(fastest, config.robot_speed_max, speeds, times, known, rest)
        return cls(known, rest, agility, top, speeds, times)

    def as_tuple(self) -> tuple[Array, ...]:
        """In the order of the kernels' arguments."""
        return self.fastest, self.rest, self.agility, self.top, self.speeds, self.times


@lru_cache(maxsize=16)
def _tables(config: SafetyConfig) -> tuple[Array, Array, Array, Array]:
    """Tables of all robots, the shorter ones drawn out to the longest; agility, highest speed."""
    tables = braking(config)
    longest = max(len(table.speeds) for table in tables)
    speeds, times = np.empty((2, len(tables), longest))
    for row, table in enumerate(tables):
        more = table.speeds[-1] + 1.0 + np.arange(longest - len(table.speeds))
        speeds[row] = np.append(table.speeds, more)
        times[row] = table.time(speeds[row])
    full = config.robot_speed_max
    with np.errstate(divide="ignore"):  # of brakes that take no time: any turn at once
        agility = full / np.array([float(table.time(full)) for table in tables])
    return speeds, times, agility, np.full(len(tables), full)


def assess_now(
    config: SafetyConfig,
    people: People,
    growth: Array,
    model: RobotModel,
    robot: RobotState,
    speeds: RobotSpeeds,
    now: float,
    t_r: float,
    margin_kept: float,
) -> Reactive:
    """Hold every limb against every link.

    `people`: with at least one limb.
    `growth` (N,): how far each limb may have moved unseen [m].
    `robot`: carried from its stamp to `now` along its own motion.
    `now` [s].
    `t_r`: reaction time [s].
    `margin_kept`: distance kept above the protective one while the robot moves [m].
    """
    loops = kernel("separation")
    limbs, age = people.limbs, max(now - robot.stamp, 0.0)
    start, end = robot.carried(now - robot.stamp)
    agility = float(speeds.agility.max())
    drift = 0.5 * agility * age * age if np.isfinite(agility) else config.robot_speed_max * age
    worst = np.empty((len(people.ids), len(loops.PairResult._fields)))
    nearest, deciding = np.empty(len(worst)), np.empty(worst.shape[1])
    case = loops.Case(
        reaction_time=t_r,
        intrusion=config.intrusion,
        robot_uncertainty=config.robot_uncertainty + drift,
        receding_credit=config.receding_credit,
        margin_kept=margin_kept,
        still=STILL,
    )
    loops.react(
        (
            limbs.start,
            limbs.end,
            limbs.radius + growth,
            people.start_velocity,
            people.end_velocity,
            people.floor,
            people.uncertainty,
            people.receding,
        ),
        people.person,
        (start[0], end[0], robot.start_velocity, robot.end_velocity, model.radius, model.robot),
        speeds.as_tuple(),
        case,
        worst,
        nearest,
        deciding,
    )
    limits = []
    for person_id, judged in zip(
        people.ids, map(loops.PairResult._make, worst.tolist()), strict=True
    ):
        if judged.factor >= 1.0:
            continue
        limb, factor = limbs.names[int(judged.limb)], judged.factor
        if judged.distance < 0.0 and limb == WHOLE_BODY:
            limits.append(Limit(factor, f"person {person_id} may have got to the robot unseen"))
            continue
        place = describe(person_id, limb, judged.distance, model.names[int(judged.link)])
        verb = f"allows {judged.allowed:.2f} m/s"
        if judged.margin < 0:
            verb = f"< {judged.required:.2f} m protective distance"
        limits.append(Limit(factor, f"{place} {verb}"))
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
        breakdown=Breakdown(
            human_speed=closest.human_speed,
            robot_speed=closest.robot_speed,
            reaction_time=t_r,
            stopping_time=closest.stopping_time,
            human_term=closest.human_term,
            reaction_term=closest.reaction_term,
            stopping_term=closest.stopping_term,
            intrusion=config.intrusion,
            human_uncertainty=closest.human_uncertainty,
            robot_uncertainty=case.robot_uncertainty,
        ),
        distances=dict(zip(people.ids, nearest.tolist(), strict=True)),
    )


def assess_reachable(
    config: SafetyConfig,
    people: People,
    growth: Array,
    model: RobotModel,
    paths: Sequence[RobotMotion],
    speeds: RobotSpeeds,
    now: float,
    t_r: float,
    age: float,
    margin_kept: float,
) -> list[Limit] | None:
    """Limits from what people and one robot can reach until the robot stands.

    The robot goes on along each of its `paths` at a speed, brakes after T_r and stands after T_s;
    it is off the path by no more than what it is capable of accelerating. People move at no more
    than the floors, or at what they are measured at, and accelerate by no more than
    `arm_acceleration` and `trunk_acceleration`. The highest speed under which the sets stay apart
    is allowed; a present speed under which they don't is a stop.

    None where the model can't be applied: a standing robot has no path yet, and several robots
    brake in different times.

    `paths`: ways that the robot may go on, beginning at one pose.
    `age`: since people were seen, part of `t_r` [s].
    """
    speed = float(speeds.fastest[0])
    if len(speeds.fastest) != 1 or speed < STILL:
        return None
    highest = np.maximum(people.floor, people.fastest + SPEED_ERROR)
    limbs = people.limbs
    bodies = (
        limbs.start,
        limbs.end,
        limbs.radius + growth,
        people.start_velocity,
        people.end_velocity,
        highest,
        people.acceleration,
    )
    fixed = config.intrusion + people.uncertainty + config.robot_uncertainty

    def margins(at: float) -> Array:
        """Least distances (P,) [m] that are kept if the robot goes at a speed [m/s]."""
        braking_time = float(
            kernel("separation").stopping_time(at, speeds.speeds[0], speeds.times[0])
        )
        react = max(t_r - age, 0.0)
        times = np.linspace(0.0, react + braking_time, REACH_STEPS + 1)
        late = np.maximum(times - react, 0.0)
        slowed = 0.5 * late**2 / max(braking_time, 1e-9)
        way = at * (np.minimum(times, react) + late - slowed)
        # between two instants nothing is left out: people are where they get until the later one,
        # links in the middle of their way, half of it to either side
        until, middle = times[1:], 0.5 * (way[:-1] + way[1:])
        deviation = np.minimum(0.5 * speeds.agility[0] * until**2, 2.0 * way[1:])
        steps = np.column_stack(
            [
                age + until,
                age + until + 0.5 * VELOCITY_WINDOW,
                way[1:],
                deviation + 0.5 * np.diff(way),
            ]
        )
        least = np.full(len(people.ids), np.inf)
        for path in paths:
            start, end = path.carried(now - path.stamp + np.append(0.0, middle) / speed)
            found = np.empty(len(least))
            links = start, end, model.radius
            kernel("separation").reach(bodies, people.person, links, steps, fixed, found)
            least = np.minimum(least, found)
        return least

    present = margins(speed)
    who = int(present.argmin())
    gap, factor = float(present[who]), 0.0
    if gap >= 0.0:
        kept = margins(config.robot_speed_max)
        if (kept >= margin_kept).all():
            return []
        who, low, high = int(kept.argmin()), 0.0, 1.0
        for _ in range(REFINEMENTS):
            middle = 0.5 * (low + high)
            kept = margins(middle * config.robot_speed_max)
            if (kept >= margin_kept).all():
                low = middle
            else:
                who, high = int(kept.argmin()), middle
        factor = low
    reason = f"reachable sets {gap:.2f} m apart at {speed:.2f} m/s"
    return [Limit(factor, f"person {people.ids[who]}: {reason}")]
