"""The demo robot's motion: a sweep between two poses whose pace obeys a speed factor."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety.config import DemoRobotConfig
from ses_gcn_ros.safety.urdf import Urdf

Array = NDArray[np.float64]


class SweepMotion:
    """Move to and fro between two poses on a fixed path, at a pace between 0 and 1.

    The joints follow q = A + (B − A) (1 − cos 2πσ) / 2. Only the pace dσ/dt changes with the speed
    factor, with a bounded slope, so the robot never leaves its path and at factor 0 it stands.

    Parameters
    ----------
    config : DemoRobotConfig
    urdf : Urdf
        Description with as many movable joints as the poses have angles.

    Attributes
    ----------
    joints : tuple of str
        Names of the joints.
    pace : float
        Present share of the full speed, 0 to 1.

    Raises
    ------
    ConfigError
        If a pose has another number of angles or leaves the limits, or the period is too short.
    """

    def __init__(self, config: DemoRobotConfig, urdf: Urdf) -> None:
        self.joints = tuple(joint.name for joint in urdf.movable)
        self._a = _pose(urdf, "pose_a", config.pose_a)
        self._b = _pose(urdf, "pose_b", config.pose_b)
        for joint, span in zip(urdf.movable, np.abs(self._b - self._a), strict=True):
            peak = float(span) * math.pi / config.period
            if peak > joint.velocity:
                raise ConfigError(
                    f"period is {config.period} s, which takes {joint.name} to {peak:.2f} rad/s; "
                    f"its limit is {joint.velocity} rad/s: make the period longer"
                )
        self._period = config.period
        self._slope = 1.0 / config.stop_time
        self._phase = 0.0
        self.pace = 0.0

    @property
    def positions(self) -> Array:
        """Joint positions, shape (joints,) [rad or m]."""
        share = 0.5 * (1.0 - math.cos(2.0 * math.pi * self._phase))
        return self._a + share * (self._b - self._a)

    @property
    def velocities(self) -> Array:
        """Joint velocities, shape (joints,) [rad/s or m/s]."""
        rate = math.pi * math.sin(2.0 * math.pi * self._phase) * self.pace / self._period
        return rate * (self._b - self._a)

    def advance(self, seconds: float, factor: float) -> None:
        """Move on by `seconds` towards the pace `factor`; anything but a number in (0, 1] stops."""
        target = min(factor, 1.0) if factor > 0.0 else 0.0
        before = self.pace
        change = self._slope * seconds
        self.pace += min(max(target - before, -change), change)
        # the pace ramps within the step: the ramp's part at its mean, the rest at the new pace
        ramp = abs(self.pace - before) / self._slope
        path = 0.5 * (before + self.pace) * ramp + self.pace * (seconds - ramp)
        self._phase = (self._phase + path / self._period) % 1.0


def _pose(urdf: Urdf, name: str, angles: tuple[float, ...]) -> Array:
    if len(angles) != len(urdf.movable):
        raise ConfigError(
            f"{name} has {len(angles)} values; the robot has {len(urdf.movable)} movable joints"
        )
    for joint, angle in zip(urdf.movable, angles, strict=True):
        if not joint.lower <= angle <= joint.upper:
            raise ConfigError(
                f"{name} puts {joint.name} at {angle}; its limits are {joint.lower} to "
                f"{joint.upper}"
            )
    return np.asarray(angles, dtype=np.float64)
