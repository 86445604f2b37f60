"""Where the robot will be, from its joints: at their velocities, or along what a planner said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.robot import RobotState
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.urdf import Urdf

Array = NDArray[np.float64]

OLDEST = 0.2  # s between joint states and poses that are still taken together
AT_END = 1e-3  # s before the end of a plan at which it is done
ON_PLAN = 0.2  # rad or m; a robot farther from every point of a plan doesn't follow it


@dataclass(frozen=True, eq=False)
class JointStates:
    """Positions and velocities of joints by name, measured at `stamp` [s]; rad or m, and per s."""

    stamp: float
    positions: dict[str, float]
    velocities: dict[str, float]


class _Joint(NamedTuple):
    """Position [rad or m] and rate [1/s] of a joint, if known, at a stamp [s]."""

    stamp: float
    position: float
    rate: float | None


@dataclass(frozen=True, eq=False)
class Plan:
    """Joint positions (P, J) at times (P,) [s] from its beginning."""

    joints: tuple[str, ...]
    times: Array
    positions: Array

    def phase(self, now: Array, since: float) -> float | None:
        """Time [s], not before `since`, at which the plan is nearest to positions (J,).

        None if it comes no nearer than `ON_PLAN`, or only at its end.
        """
        first, step = self.positions[:-1], np.diff(self.positions, axis=0)
        share = np.einsum("pj,pj->p", now - first, step) / np.maximum(
            np.einsum("pj,pj->p", step, step), 1e-12
        )
        span = np.diff(self.times)
        earliest = np.clip((since - self.times[:-1]) / span, 0.0, 1.0)
        share = np.maximum(np.clip(share, 0.0, 1.0), earliest)
        off = np.abs(first + share[:, None] * step - now).max(axis=1)
        off[self.times[1:] < since] = np.inf
        nearest = int(off.argmin())
        time = float(self.times[nearest] + share[nearest] * span[nearest])
        done = time > self.times[-1] - AT_END
        return None if done or off[nearest] > ON_PLAN else time


@dataclass(frozen=True, eq=False)
class JointPath:
    """A motion of the robot to come, with the interface of `RobotState`."""

    stamp: float
    robot: RobotState
    motion: JointMotion
    joints: tuple[str, ...]
    times: Array  # (P,) s after the stamp
    positions: Array  # (P, J)

    def carried(self, times: ArrayLike) -> tuple[Array, Array]:
        """Ends of the axes at `times` [s] after the stamp, each (H, M, 3) [m]."""
        return self.motion.place(self, np.asarray(times, np.float64).reshape(-1))


class JointMotion:
    """Carries the robot's links forward through the joints of its description.

    Frames that are not links of the description, such as those of a second robot, go on at
    constant twist.

    Parameters
    ----------
    urdf : Urdf
    model : RobotModel
    """

    def __init__(self, urdf: Urdf, model: RobotModel) -> None:
        self._urdf = urdf
        self._model = model
        self._movable = frozenset(joint.name for joint in urdf.movable)
        described = np.array([frame in urdf.links for frame in model.frames])
        self._by_joints = described[model.start_frame] & described[model.end_frame]
        self._all_by_joints = bool(self._by_joints.all())
        self._joints = tuple(joint.name for joint in urdf.joints)
        self._link = np.array([urdf.numbers.get(frame, -1) for frame in model.frames])
        self.forget()

    def forget(self) -> None:
        """Start anew, as after a jump of the clock."""
        self.states: JointStates | None = None
        self._known: dict[str, _Joint] = {}
        self._plan: Plan | None = None
        self._phase = 0.0

    def observe(
        self,
        stamp: float,
        names: Sequence[str],
        positions: Sequence[float],
        velocities: Sequence[float] = (),
    ) -> None:
        """Take joint states; joints that the description doesn't have are left out.

        Without velocities they follow from the positions before.

        Raises
        ------
        InputError
            If there is not one finite position per name, or not one velocity.
        """
        if len(positions) != len(names) or len(velocities) not in (0, len(names)):
            raise InputError(
                f"joint states have {len(names)} names, {len(positions)} positions and "
                f"{len(velocities)} velocities; they take one of each per name"
            )
        if not (all(map(math.isfinite, positions)) and all(map(math.isfinite, velocities))):
            raise InputError("joint states hold a value that is not finite (not used)")
        rates: Sequence[float | None] = velocities if len(velocities) else [None] * len(names)
        for name, q, rate in zip(names, positions, rates, strict=True):
            if name not in self._movable:
                continue
            before = self._known.get(name)
            if before is not None and stamp <= before.stamp:
                continue
            if rate is None and before is not None:
                rate = (q - before.position) / (stamp - before.stamp)
            self._known[name] = _Joint(stamp, float(q), None if rate is None else float(rate))
        self.states = self._together()

    def _together(self) -> JointStates | None:
        """All joints at the stamp of the newest; those of an arm and a gripper may come apart."""
        newest = max((joint.stamp for joint in self._known.values()), default=None)
        if newest is None:
            return None
        positions, rates = {}, {}
        for name, (stamp, position, rate) in self._known.items():
            lag = newest - stamp
            if lag <= OLDEST:
                positions[name] = position + lag * (rate or 0.0)
                if rate is not None:
                    rates[name] = rate
        return JointStates(newest, positions, rates)

    def observe_plan(self, names: Sequence[str], times: ArrayLike, positions: ArrayLike) -> None:
        """Take what a planner said; a plan without points, or of others' joints, ends the last one.

        Parameters
        ----------
        names : sequence of str
            J joints.
        times : array_like, shape (P,)
            Since the plan's beginning, rising [s].
        positions : array_like, shape (P, J)
            [rad or m]

        Raises
        ------
        InputError
            If the shapes don't fit, a value is not finite or the times don't rise.
        """
        when, where = np.asarray(times, np.float64), np.asarray(positions, np.float64)
        self._plan, self._phase = None, 0.0
        known = self._movable
        if len(when) < 2 or not known.intersection(names):
            return
        if where.shape != (len(when), len(names)):
            raise InputError(
                f"a trajectory of {len(names)} joints and {len(when)} times has positions "
                f"{where.shape}; they take {(len(when), len(names))}"
            )
        if not (np.isfinite(where).all() and np.isfinite(when).all()):
            raise InputError("a trajectory holds a value that is not finite (not used)")
        if (np.diff(when) <= 0).any():
            raise InputError("a trajectory's times do not rise (not used)")
        kept = [index for index, name in enumerate(names) if name in known]
        self._plan = Plan(tuple(names[index] for index in kept), when, where[:, kept])

    def paths(self, robot: RobotState, horizon: float) -> list[JointPath]:
        """Motions to reckon with: at the present velocities, and along the plan if it is followed.

        Empty while joint states are missing, or older or newer than the poses.

        Parameters
        ----------
        robot : RobotState
            The poses that the motion begins at.
        horizon : float
            How far ahead [s].
        """
        states = self.states
        if states is None or abs(robot.stamp - states.stamp) > OLDEST or not states.velocities:
            return []
        since = robot.stamp - states.stamp
        names = tuple(states.positions)
        rates = np.array([states.velocities.get(name, 0.0) for name in names])
        start = np.array(list(states.positions.values())) + since * rates
        times = np.array([0.0, horizon])
        ahead = start + times[:, None] * rates
        paths = [JointPath(robot.stamp, robot, self, names, times, ahead)]
        plan = self._plan
        if plan is not None and set(plan.joints) <= set(names):
            now = dict(zip(names, start.tolist(), strict=True))
            here = np.array([now[name] for name in plan.joints])
            phase = plan.phase(here, self._phase)
            if phase is not None:
                self._phase = phase
                later = plan.times > phase
                times = np.append(0.0, plan.times[later] - phase)
                where = np.vstack([here, plan.positions[later]])
                rest = [name for name in names if name not in plan.joints]
                held = np.tile([now[name] for name in rest], (len(times), 1))
                joints = (*plan.joints, *rest)
                positions = np.hstack([where, held])
                paths.append(JointPath(robot.stamp, robot, self, joints, times, positions))
        return paths

    def place(self, path: JointPath, times: Array) -> tuple[Array, Array]:
        """Ends of the axes along a path, each (H, M, 3) [m]."""
        model, robot = self._model, path.robot
        start, end = np.empty((2, len(times), *model.start.shape))
        kernel("motion").follow(
            (path.times, path.positions, _columns(self._joints, path.joints)),
            times,
            self._urdf.chain,
            self._link,
            robot.poses,
            *(model.starts, model.ends),
            *(start, end),
        )
        if not self._all_by_joints:
            other = robot.carried(times)
            start = np.where(self._by_joints[:, None], start, other[0])
            end = np.where(self._by_joints[:, None], end, other[1])
        return start, end


@lru_cache(maxsize=16)
def _columns(joints: tuple[str, ...], named: tuple[str, ...]) -> NDArray[np.int64]:
    """Column of each joint among those named; -1 for the others."""
    column = {name: index for index, name in enumerate(named)}
    return np.array([column.get(name, -1) for name in joints], np.int64)
