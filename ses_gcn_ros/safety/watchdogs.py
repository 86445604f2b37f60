"""Watchdogs: what is missing, old, frozen or impossible, each as a limit with its reason."""

from __future__ import annotations

import math
from collections.abc import Set

from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.robot import RobotState
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.tracks import PeopleTracks

TOO_FAST = 1.5  # times robot_speed_max; beyond it the poses jump or the parameter is wrong
NOTED = 0.999  # speed factor of what has to be said but is held down by other limits


def watch_people(config: SafetyConfig, tracks: PeopleTracks, now: float, age: float) -> list[Limit]:
    """Skeletons too old or stuck, people without a joint, people lost near the robot."""
    limits = _too_old("skeletons", age, config.skeleton_age_max, 0.0)
    same = 0.0
    if tracks.same_since is not None and tracks.stamp is not None:
        same = tracks.stamp - tracks.same_since
    if 0.0 < config.frozen_time < same:
        limits.append(Limit(0.0, f"skeletons frozen: unchanged for {same:.2f} s"))
    limits += [
        Limit(0.0, f"person {track.person_id}: no joint seen")
        for track in tracks.present.values()
        if track.blind
    ]
    limits += [
        Limit(
            NOTED,
            f"person {track.person_id} lost at {track.distance:.2f} m, "
            f"held for {now - track.last_seen:.2f} s",
        )
        for track in tracks.lost.values()
    ]
    return limits


def watch_robot(
    config: SafetyConfig, model: RobotModel, robot: RobotState | None, age: float
) -> list[Limit]:
    """Poses too old, from the future or jumping."""
    limits = _too_old("tf of the robot", age, config.tf_age_max, 0.0)
    if age < -config.future_tolerance:
        limits.append(Limit(0.0, f"tf from the future: {-age:.2f} s ahead of the clock"))
    if robot is not None:
        speed, index = robot.fastest()
        if speed > TOO_FAST * config.robot_speed_max:
            limits.append(
                Limit(
                    0.0,
                    f"tf jumps: {model.names[index]} at {speed:.2f} m/s, "
                    f"robot_speed_max is {config.robot_speed_max:.2f}",
                )
            )
    return limits


def watch_forecasts(
    config: SafetyConfig, tracks: PeopleTracks, ids: Set[str], now: float, age: float
) -> list[Limit]:
    """Forecasts too old, or none for somebody who has been there long enough to have one."""
    factor = config.forecast_lost_factor
    stale = _too_old("forecasts", age, config.forecast_age_max, factor)
    return stale or [
        Limit(factor, f"person {track.person_id} has no forecast")
        for track in tracks.present.values()
        if track.person_id not in ids and now - track.first_seen > config.forecast_age_max
    ]


def _too_old(what: str, age: float, oldest: float, factor: float) -> list[Limit]:
    if age <= oldest:
        return []
    if math.isinf(age):
        return [Limit(factor, f"no {what} yet")]
    return [Limit(factor, f"{what} stale: {age:.2f} s > {oldest:.2f} s")]
