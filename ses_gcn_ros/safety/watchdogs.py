"""Watchdogs: what is missing, old, frozen or impossible, each as a limit with its reason."""

from __future__ import annotations

import math
from collections.abc import Set

from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.robot import RobotState
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.tracks import PeopleTracks

CLOCK_PATIENCE = 0.5  # s of real time that a simulated clock may stand still
TOO_FAST = 1.5  # times robot_speed_max; beyond it the poses jump or the parameter is wrong
NOTED = 0.999  # speed factor of what has to be said but is held down by other limits


def watch_people(config: SafetyConfig, tracks: PeopleTracks, now: float, age: float) -> list[Limit]:
    """Skeletons too old or stuck, people without a joint, people lost near the robot."""
    limits = _too_old("skeletons", age, config.skeleton_age_max, 0.0)
    limits += [
        Limit(0.0, f"skeletons frozen: person {track.person_id} unchanged for {track.same:.2f} s")
        for track in tracks.present.values()
        if 0.0 < config.frozen_time < track.same
    ]
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


class ClockWatch:
    """Holds the clock that stamps are compared with, and the node's own loop, against real time.

    Parameters
    ----------
    config : SafetyConfig
    now, steady : float
        The clock, and a clock that nobody sets [s].
    """

    def __init__(self, config: SafetyConfig, now: float, steady: float) -> None:
        self._config = config
        self._now = now
        self._steady = self._moved = steady

    def check(self, now: float, steady: float) -> dict[str, str]:
        """What is wrong, by source: "clock" and "loop". Call it once per state."""
        passed, real = now - self._now, steady - self._steady
        if passed != 0.0:
            self._moved = steady
        self._now, self._steady = now, steady
        faults = {}
        if real > self._config.loop_time_max:
            faults["loop"] = (
                f"safety node late: {real:.2f} s between two states > "
                f"{self._config.loop_time_max:.2f} s"
            )
        still = steady - self._moved
        if passed - real > self._config.clock_jump:
            faults["clock"] = f"clock jumped ahead {passed - real:.2f} s"
        elif still > CLOCK_PATIENCE:
            faults["clock"] = f"clock stands still for {still:.1f} s"
        return faults
