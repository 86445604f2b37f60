"""The demo cell's robot in a replay: sweeps, and obeys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import RobotError
from ses_gcn_ros.safety import DemoRobotConfig, Urdf
from ses_gcn_ros.safety.robot_motion import SweepMotion

Array = NDArray[np.float64]

LONGEST_STEP = 0.1  # s; as the demo robot's node has it


class ObedientRobot:
    """Simulate the demo robot without ROS.

    Parameters
    ----------
    urdf : Urdf
    """

    def __init__(self, urdf: Urdf) -> None:
        self._motion = SweepMotion(DemoRobotConfig(), urdf)
        self._urdf = urdf
        self._last: float | None = None

    def advance(self, now: float, factor: float) -> None:
        """Move on until `now` [s], having been allowed `factor` until then."""
        passed = 0.0 if self._last is None else now - self._last
        self._last = now
        if passed > 0.0:
            self._motion.advance(min(passed, LONGEST_STEP), factor)

    def poses(self, frames: Sequence[str]) -> Array:
        """world_from_frame (F, 4, 4); the robot stands at the world's origin."""
        numbers = self._urdf.numbers
        try:
            wanted = [numbers[frame] for frame in frames]
        except KeyError as error:
            (frame,) = error.args
            raise RobotError(f"tf of {frame} missing: the demo robot has no such frame") from None
        angles = dict(zip(self._motion.joints, self._motion.positions.tolist(), strict=True))
        placed: Array = self._urdf.place(angles)[wanted]
        return placed

    def joint_states(self) -> tuple[Sequence[str], Sequence[float], Sequence[float]]:
        """Names, positions [rad] and velocities [rad/s] of the joints."""
        motion = self._motion
        return motion.joints, motion.positions.tolist(), motion.velocities.tolist()
