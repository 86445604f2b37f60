"""Reactive layer: speed and separation monitoring on what is measured now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.safety.capsules import capsule_distances
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.people import approach_floor
from ses_gcn_ros.safety.robot import RobotState
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.separation import Terms, allowed_speed, protective_terms
from ses_gcn_ros.safety.stopping import braking
from ses_gcn_ros.safety.tracks import People

Array = NDArray[np.float64]

STILL = 0.1  # m/s; a link slower than this may start in any direction


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
    limbs = people.limbs
    start, end = robot.carried(now - robot.stamp)
    met = capsule_distances(
        limbs.start[:, None],
        limbs.end[:, None],
        (limbs.radius + growth)[:, None],
        start,
        end,
        model.radius,
    )
    distance = np.where(np.isnan(met.distance), np.inf, met.distance)  # limbs that nobody placed

    human = _between(people.start_velocity[:, None], people.end_velocity[:, None], met.a_fraction)
    link = _between(robot.start_velocity, robot.end_velocity, met.b_fraction)
    approach = np.einsum("nmk,nmk->nm", human, met.normal)
    v_h = approach_floor(approach, people.floor[:, None], config.receding_credit)
    towards = -np.einsum("nmk,nmk->nm", link, met.normal)
    speed = np.linalg.norm(link, axis=-1)
    unknown = np.isnan(speed)
    towards = np.where(unknown, config.robot_speed_max, towards)
    speed = np.where(unknown, config.robot_speed_max, speed)
    # share of the link's speed that closes the gap; a standing link may start straight at it
    share = np.clip((towards + STILL) / (speed + STILL), 0.0, 1.0)
    held = share > 0.0

    kept = {
        "reaction_time": t_r,
        "intrusion": config.intrusion,
        "human_uncertainty": config.human_uncertainty,
        "robot_uncertainty": config.robot_uncertainty,
    }
    brakes = braking(config)
    terms = protective_terms(human_speed=v_h, robot_speed=towards, **kept, **brakes)
    required = np.where(held, terms.total, 0.0)
    allowed = allowed_speed(distance - margin_kept, human_speed=v_h, **kept, **brakes)
    factor = np.where(
        held, np.minimum(allowed / (config.robot_speed_max * np.maximum(share, 1e-9)), 1.0), 1.0
    )
    margin = distance - required
    factor = np.where(margin < 0.0, 0.0, factor)

    rank = factor + 1e-6 * margin  # the lowest factor, and among equals the least margin
    first = np.flatnonzero(np.diff(people.person, prepend=-1))  # limbs lie person after person
    slowest = np.minimum.reduceat(factor.min(axis=1), first)
    nearest = np.minimum.reduceat(distance.min(axis=1), first)
    present = [people.ids[number] for number in people.person[first]]
    limits = []
    for begin, past, person_id, least in zip(
        first, [*first[1:], len(rank)], present, slowest.tolist(), strict=True
    ):
        if least >= 1.0:
            continue
        n, m = divmod(int(rank[begin:past].argmin()), rank.shape[1])
        worst = int(begin) + n, m
        verb = (
            f"< {required[worst]:.2f} m protective distance"
            if margin[worst] < 0
            else f"allows {allowed[worst]:.2f} m/s"
        )
        place = describe(person_id, limbs.names[worst[0]], distance[worst], model.names[m])
        limits.append(Limit(float(factor[worst]), f"{place} {verb}"))
    n, m = divmod(int(margin.argmin()), margin.shape[1])
    deciding = met.at((n, m))
    return Reactive(
        limits=tuple(limits),
        pair=Pair(
            person_id=people.ids[people.person[n]],
            limb=limbs.names[n],
            frame=model.names[m],
            distance=float(distance[n, m]),
            human_point=deciding.a_point,
            robot_point=deciding.b_point,
        ),
        protective_distance=float(required[n, m]),
        breakdown=_breakdown(terms, v_h, np.maximum(towards, 0.0), held, t_r, (n, m)),
        distances=dict(zip(present, nearest.tolist(), strict=True)),
    )


def _between(start: Array, end: Array, fraction: Array) -> Array:
    return start + fraction[..., None] * (end - start)


def _breakdown(
    terms: Terms, v_h: Array, v_r: Array, held: NDArray[np.bool_], t_r: float, at: tuple[int, int]
) -> Breakdown:
    weight = float(held[at])
    return Breakdown(
        human_speed=float(v_h[at]),
        robot_speed=float(v_r[at]),
        reaction_time=t_r,
        stopping_time=float(np.broadcast_to(terms.stopping_time, v_r.shape)[at]),
        human_term=weight * float(terms.human[at]),
        reaction_term=weight * float(terms.reaction[at]),
        stopping_term=weight * float(terms.stopping[at]),
        intrusion=weight * float(terms.intrusion),
        human_uncertainty=weight * float(terms.human_uncertainty),
        robot_uncertainty=weight * float(terms.robot_uncertainty),
    )
