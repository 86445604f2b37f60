"""The demo cell's robot in a replay: sweeps, and obeys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.safety import DemoRobotConfig, RobotModel, Urdf
from ses_gcn_ros.safety.motion import SweepMotion

Array = NDArray[np.float64]

LONGEST_STEP = 0.1  # s; as the demo robot's node has it


class ObedientRobot:
    """Simulate the demo robot without ROS.

    Parameters
    ----------
    urdf : Urdf
    model : RobotModel
        Whose frames are asked for.
    """

    def __init__(self, urdf: Urdf, model: RobotModel) -> None:
        self._motion = SweepMotion(DemoRobotConfig(), urdf)
        self._urdf, self._model = urdf, model
        self._last: float | None = None

    def poses(self, now: float, factor: float) -> tuple[float, Array]:
        """Stamp [s] and world_from_frame (F, 4, 4), having been allowed `factor` until `now`."""
        passed = 0.0 if self._last is None else now - self._last
        self._last = now
        if passed > 0.0:
            self._motion.advance(min(passed, LONGEST_STEP), factor)
        angles = dict(zip(self._motion.joints, self._motion.positions.tolist(), strict=True))
        placed = self._urdf.forward(angles)
        return now, np.stack([placed[frame] for frame in self._model.frames])
