"""The robot's motion: where its capsules are, how they move, where they will be."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

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
        """Ends of the axes at `times` [s] after the stamp, each (H, M, 3), at constant twist.

        A robot whose motion is unknown is left where it is.
        """
        times = np.asarray(times, np.float64).reshape(-1)
        if not self.moves:
            still = (len(times), 1, 1)
            return np.tile(self.start, still), np.tile(self.end, still)
        return (
            carry(self.start, self.start_velocity, self.start_turn, times),
            carry(self.end, self.end_velocity, self.end_turn, times),
        )

    @cached_property
    def moves(self) -> bool:
        """Whether its motion is known."""
        return not (np.isnan(self.start_velocity).any() or np.isnan(self.end_velocity).any())


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
        start, end = model.place(new)
        if stamp - old_stamp < TWIST_WINDOW:
            unknown = np.full_like(start, np.nan)
            return RobotState(stamp, start, end, unknown, unknown, unknown, unknown, new)
        # of a long silence only that something moved is known; a jump shows as speed all the same
        span = stamp - old_stamp
        old_start, old_end = model.place(old)
        turn_rate = np.empty((len(new), 3))
        kernel("motion").turn_rates(old, new, span, turn_rate)
        return RobotState(
            stamp=stamp,
            start=start,
            end=end,
            start_velocity=(start - old_start) / span,
            end_velocity=(end - old_end) / span,
            start_turn=turn_rate[model.start_frame],
            end_turn=turn_rate[model.end_frame],
            poses=new,
        )


def carry(points: Array, velocity: Array, turn: Array, times: ArrayLike) -> Array:
    """Points fixed in frames that move on at constant twist: screws, so arcs stay arcs.

    With angular velocity ω, p(t) = p + (t I + (1 − cos θt)/θ² W + (θt − sin θt)/θ³ W²) ṗ, W = [ω]×,
    θ = |ω| (Murray, Li, Sastry: A Mathematical Introduction to Robotic Manipulation, eq. 2.36).

    Parameters
    ----------
    points, velocity, turn : ndarray, shape (M, 3)
        Positions [m], velocities [m/s] and angular velocities [rad/s].
    times : array_like, shape (H,)
        [s]

    Returns
    -------
    ndarray, shape (H, M, 3)
    """
    times = np.asarray(times, np.float64).reshape(-1)
    moved = np.empty((len(times), *points.shape))
    kernel("motion").carry(points, velocity, turn, times, moved)
    return moved
