"""The robot's motion: where its capsules are, how they move, where they will be."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.robot_model import RobotModel

Array = NDArray[np.float64]

TWIST_WINDOW = 0.04  # s between the poses that a twist is taken from; less lets stamp jitter in


@dataclass(frozen=True, eq=False)
class RobotState:
    """The robot's capsules at one instant and how they move.

    Attributes
    ----------
    stamp : float
        When the poses were measured [s].
    start, end : ndarray, shape (M, 3)
        Ends of the axes in the world [m].
    start_velocity, end_velocity : ndarray, shape (M, 3)
        Velocities of the ends [m/s]; NaN while unknown.
    start_turn, end_turn : ndarray, shape (M, 3)
        Angular velocities of the frames that the ends are fixed in [rad/s]; NaN while unknown.
    poses : ndarray, shape (F, 4, 4)
        world_from_frame of the model's frames.
    """

    stamp: float
    start: Array
    end: Array
    start_velocity: Array
    end_velocity: Array
    start_turn: Array
    end_turn: Array
    poses: Array

    def fastest(self) -> tuple[float, int]:
        """Speed [m/s] of the fastest end, and the capsule it belongs to; (nan, 0) if unknown."""
        speed, index = kernel("motion").fastest(self.start_velocity, self.end_velocity)
        return speed, index

    def carried(self, times: ArrayLike) -> tuple[Array, Array]:
        """Where the robot is if it goes on at constant twist: screws, so arcs stay arcs.

        With angular velocity ω, p(t) = p + (t I + (1 − cos θt)/θ² W + (θt − sin θt)/θ³ W²) ṗ,
        W = [ω]×, θ = |ω| (Murray, Li, Sastry: A Mathematical Introduction to Robotic Manipulation,
        eq. 2.36). A robot whose motion is unknown is left where it is.

        Parameters
        ----------
        times : array_like, shape (H,)
            After the stamp [s].

        Returns
        -------
        tuple of ndarray
            Ends of the axes, each (H, M, 3) [m].
        """
        times = np.asarray(times, np.float64).reshape(-1)
        start, end = np.empty((2, len(times), *self.start.shape))
        kernel("motion").carry(
            (self.start, self.start_velocity, self.start_turn),
            (self.end, self.end_velocity, self.end_turn),
            *(times, start, end),
        )
        return start, end


class RobotTracker:
    """Takes poses as they are measured and derives motion from them.

    Parameters
    ----------
    model : RobotModel
    """

    def __init__(self, model: RobotModel) -> None:
        self.model = model
        self.state: RobotState | None = None
        self._history: deque[tuple[float, Array]] = deque(maxlen=64)

    def observe(self, stamp: float, poses: ArrayLike) -> None:
        """Take the poses measured at `stamp`; one that is not newer than the last is ignored.

        Parameters
        ----------
        stamp : float
            [s]
        poses : array_like, shape (F, 4, 4)
            world_from_frame of each of the model's frames.

        Raises
        ------
        InputError
            If the poses have another shape or are not finite.
        """
        poses = np.ascontiguousarray(poses, np.float64)
        if poses.shape != (len(self.model.frames), 4, 4):
            raise InputError(
                f"poses are {poses.shape}; the robot takes {len(self.model.frames)} 4×4"
            )
        if not np.isfinite(poses).all():
            bad = int(np.argmin(np.isfinite(poses).all(axis=(1, 2))))
            raise InputError(f"the pose of {self.model.frames[bad]} is not finite")
        if self._history and stamp <= self._history[-1][0]:
            return
        while len(self._history) > 1 and stamp - self._history[1][0] >= TWIST_WINDOW:
            self._history.popleft()
        self._history.append((stamp, poses))
        self.state = self._derive()

    def forget(self) -> None:
        """Start anew, as after a jump of the clock."""
        self._history.clear()
        self.state = None

    def _derive(self) -> RobotState:
        model = self.model
        (old_stamp, old), (stamp, new) = self._history[0], self._history[-1]
        # of a long silence only that something moved is known; a jump shows as speed all the same
        span = stamp - old_stamp if stamp - old_stamp >= TWIST_WINDOW else math.nan
        state = np.empty((6, *model.start.shape))
        kernel("motion").derive(old, new, span, model.starts, model.ends, state)
        start, end, start_velocity, end_velocity, start_turn, end_turn = state
        return RobotState(
            *(stamp, start, end, start_velocity, end_velocity, start_turn, end_turn), poses=new
        )
