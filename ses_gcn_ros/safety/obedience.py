"""Does the robot obey: its measured speed against what the speed factors that it was sent allow.

After a factor f the robot may go on as before for its reaction time; then it has to come down to
f · robot_speed_max no later than by the stopping table that the separation distance reckons with:
from v to rest in T_s(v), evenly, which is what S_s = ½ v T_s says. A rise is allowed at once. The
allowed speed so follows from the factors alone, and needs no measurement to begin with.

What is faster, or leaves its place while it has to stand, is disobedience, which stays a stop until
somebody has looked and calls ``~/reset``: nobody knows what such a robot does with the next factor.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.robot_motion import RobotState
from ses_gcn_ros.safety.separation import braking

Array = NDArray[np.float64]

DISOBEYS = "robot disobeys"  # begins the reason while it does; bridges answer with harder means
DISOBEYED = "robot disobeyed"  # begins the reason from then on, until ~/reset
CONFIRMED = 0.03  # s for which speed has to be measured too high; one pose may be wrong
JITTER = 0.15  # share that speed is measured wrong by stamps which are not those of the poses
INSTANTS = np.linspace(0.0, 1.0, 5)  # of a measurement at which the allowed speed is looked up
KEPT = 0.5  # s of what was allowed that is remembered
LEAST_WAY = 1e-3  # m that a standing robot may be measured to have moved, at least
AT_REST = 1e-3  # s in which the slowest table has to end, lest a division fails


class Obedience:
    """Holds each robot's speed against what it is allowed.

    `config`: `obedience_tolerance` 0, or `replay`, leaves everything be.
    """

    def __init__(self, config: SafetyConfig, model: RobotModel) -> None:
        self._config, self._model = config, model
        self.watches = config.obedience_tolerance > 0.0 and not config.replay
        self._tables = braking(config)
        self.fault = ""  # the latched one, with its number
        self._moving: float | None = None  # when it was first measured too fast [s]
        self.forget()

    def forget(self) -> None:
        """Start anew, as after a jump of the clock; a fault stays."""
        highest = np.full(len(self._tables), self._config.robot_speed_max)
        self._sent = deque([(-math.inf, 1.0)])  # time [s] and factor; before the first, any
        self._allowed: deque[tuple[float, Array]] = deque()  # time [s] and speeds (R,) [m/s]
        self._speeds = self._from = highest  # allowed now, and where braking began (R,) [m/s]
        self._braking, self._target = self._decelerations(highest), self._config.robot_speed_max
        self._stands: Array | None = None  # ends (2, M, 3) where it came to rest [m]
        self._seen = -math.inf
        self._moving = None

    def send(self, now: float, factor: float) -> None:
        """Note the factor that is sent at `now` [s]."""
        if not self.watches:
            return
        then = self._allowed[-1][0] if self._allowed else now
        reaction = self._config.robot_reaction_time
        self._sent.append((now, factor))
        # until the reaction time after the next one, the robot may go by a factor
        while len(self._sent) > 1 and (ended := self._sent[1][0] + reaction) <= now:
            self._brake(ended - then)
            self._sent.popleft()
            then = max(then, ended)
        self._brake(now - then)
        self._allowed.append((now, self._speeds))
        while len(self._allowed) > 2 and self._allowed[1][0] < now - KEPT:
            self._allowed.popleft()

    def _brake(self, seconds: float) -> None:
        """Lower the speeds that are allowed, no further than to the highest factor in force."""
        target = max(factor for _, factor in self._sent) * self._config.robot_speed_max
        if target < self._target:  # whoever was slower than allowed may begin to brake only now
            self._from, self._braking = self._speeds, self._decelerations(self._speeds)
        self._target = target
        braked = self._speeds - max(seconds, 0.0) * self._braking
        reached = braked <= target
        self._speeds = np.where(reached, target, braked)
        if (reached & (self._from != target)).any():
            self._from = np.where(reached, target, self._from)
            self._braking = self._decelerations(self._from)

    def _decelerations(self, speeds: Array) -> Array:
        """Of each robot that brakes from a speed (R,) [m/s²]."""
        times = [t.time(v) for t, v in zip(self._tables, speeds, strict=True)]
        return speeds / np.maximum(times, AT_REST)

    def observe(self, robot: RobotState) -> None:
        """Hold a measurement against what was allowed while it was made."""
        if not self.watches or robot.stamp <= self._seen or not self._allowed:
            return
        self._seen = robot.stamp
        if robot.stamp - robot.since > self._config.tf_age_max:
            # poses were missing, which is a stop by its own name; the robot may come back
            # elsewhere, and not have heard of anything meanwhile
            self.forget()
            return
        allowed = self._allowed_during(robot.since, robot.stamp)
        fault = self._too_fast(robot, allowed) or self._left_its_place(robot, allowed)
        if not fault:
            self._moving = None
        elif self._moving is None:
            self._moving = robot.stamp
        elif robot.stamp - self._moving >= CONFIRMED and not self.fault:
            self.fault = fault

    def limits(self) -> list[Limit]:
        """A stop where a robot disobeys, or has."""
        if not self.fault:
            return []
        if self._moving is not None:
            return [Limit(0.0, f"{DISOBEYS}: {self.fault}")]
        return [Limit(0.0, f"{DISOBEYED}: {self.fault}; call ~/reset")]

    def reset(self) -> bool:
        """Forget a fault of a robot that does as it is told again; says whether there was one."""
        if not self.fault or self._moving is not None:
            return False
        self.fault, self._stands = "", None
        return True

    def _allowed_during(self, since: float, until: float) -> Array:
        """Speeds allowed at instants of a measurement (R, I) [m/s]."""
        times, speeds = zip(*self._allowed, strict=True)
        instants = since + INSTANTS * (until - since)
        return np.array([np.interp(instants, times, own) for own in np.array(speeds).T])

    def _too_fast(self, robot: RobotState, allowed: Array) -> str:
        speeds, capsules = robot.fastest(self._model.robot)
        allowed = allowed.mean(axis=1)  # as the speeds are means
        most = (1.0 + JITTER) * allowed + self._config.obedience_tolerance
        for speed, limit, least, index in zip(speeds, most, allowed, capsules, strict=True):
            if speed > limit:  # False of NaN, which stands for unknown
                factor = self._sent[-1][1]
                return (
                    f"{self._model.names[index]} at {speed:.2f} m/s, {least:.2f} m/s allowed "
                    f"after factor {factor:.2f}"
                )
        return ""

    def _left_its_place(self, robot: RobotState, allowed: Array) -> str:
        if allowed.any():
            self._stands = None
            return ""
        ends = np.stack([robot.start, robot.end])
        if self._stands is None:
            self._stands = ends
        moved = np.linalg.norm(ends - self._stands, axis=-1).max(axis=0)
        farthest = int(moved.argmax())
        # named before Z_r, which the distance reckons with, is used up
        if moved[farthest] <= max(0.5 * self._config.robot_uncertainty, LEAST_WAY):
            return ""
        return f"{self._model.names[farthest]} moved {1e3 * moved[farthest]:.0f} mm while stopped"
