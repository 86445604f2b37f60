"""Protective separation distance of speed and separation monitoring, and its inverse.

ISO/TS 15066:2016, 5.5.4.2.3 (since 2025 in ISO 10218-2), with constant speeds over the reaction
time and constant deceleration after it:

    S_p = S_h + S_r + S_s + C + Z_d + Z_r
    S_h = v_h (T_r + T_s)     the person walks on until the robot stands
    S_r = v_r T_r             the robot moves on until it reacts
    S_s = v_r² / 2a           the robot brakes; T_s = v_r / a
        = ½ v_r T_s           or with a given stopping time T_s, which may depend on v_r
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.stopping import StoppingTable

Array = NDArray[np.float64]


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
