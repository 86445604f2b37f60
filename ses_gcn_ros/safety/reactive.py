"""Reactive layer: speed and separation monitoring on what is measured now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.robot import RobotState
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.stopping import braking
from ses_gcn_ros.safety.tracks import People

Array = NDArray[np.float64]

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
    loops = kernel("reactive")
    limbs = people.limbs
    start, end = robot.carried(now - robot.stamp)
    reach = limbs.radius + growth
    worst = np.empty((len(people.ids), len(loops.Judged._fields)))
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
        judged = loops.Judged(*row)
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
    closest = loops.Judged(*deciding.tolist())
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
