"""How the robot moves: from its poses, its joints, and along what a planner said."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.safety.config import DemoRobotConfig
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.robot_model import RobotModel, Urdf
from ses_gcn_ros.skeleton import all_finite, to_seconds

Array = NDArray[np.float64]

TWIST_WINDOW = 0.04  # s between the poses that a twist is taken from; less lets stamp jitter in


@dataclass(frozen=True, eq=False)
class RobotState:
    """The robot's capsules at one instant and how they move.

    Attributes:
    - `stamp`: when the poses were measured [s].
    - `start`, `end` (M, 3): ends of the axes in the world [m].
    - `start_velocity`, `end_velocity` (M, 3): velocities of the ends [m/s]; NaN while unknown.
    - `start_turn`, `end_turn` (M, 3): angular velocities of the frames that the ends are fixed in
      [rad/s]; NaN while unknown.
    - `poses` (F, 4, 4): world_from_frame of the model's frames.
    - `since`: when the poses were measured that the velocities are taken from, too [s].
    """

    stamp: float
    start: Array
    end: Array
    start_velocity: Array
    end_velocity: Array
    start_turn: Array
    end_turn: Array
    poses: Array
    since: float = -math.inf

    def fastest(self, robot: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
        """Speed of the fastest end of each robot, and the capsule it belongs to.

        `robot` (M,): robot of each capsule, as in the model.
        Gives speeds (R,) [m/s], NaN where one is unknown, and numbers of capsules (R,).
        """
        return _fastest(self.start_velocity, self.end_velocity, robot)

    def across(self, robot: NDArray[np.int64]) -> Array:
        """Longest side of the box around each robot (R,) [m]; `robot` as for `fastest`."""
        extent = np.empty(int(robot.max()) + 1)
        kernel("motion").across(self.start, self.end, robot, extent)
        return extent

    def carried(self, times: ArrayLike) -> tuple[Array, Array]:
        """Where the robot is if it goes on at constant twist: screws, so arcs stay arcs.

        With angular velocity ω, p(t) = p + (t I + (1 − cos θt)/θ² W + (θt − sin θt)/θ³ W²) ṗ,
        W = [ω]×, θ = |ω| (Murray, Li, Sastry: A Mathematical Introduction to Robotic Manipulation,
        eq. 2.36). A robot whose motion is unknown is left where it is.

        `times` (H,): after the stamp [s].
        Gives the ends of the axes, each (H, M, 3) [m].
        """
        times = np.asarray(times, np.float64).reshape(-1)
        start, end = np.empty((2, len(times), *self.start.shape))
        kernel("motion").carry(
            (self.start, self.start_velocity, self.start_turn),
            (self.end, self.end_velocity, self.end_turn),
            *(times, start, end),
        )
        return start, end


def _fastest(
    start_velocity: Array, end_velocity: Array, robot: NDArray[np.int64]
) -> tuple[Array, NDArray[np.int64]]:
    robots = int(robot.max()) + 1
    speed, capsule = np.empty(robots), np.zeros(robots, np.int64)
    kernel("motion").fastest(start_velocity, end_velocity, robot, speed, capsule)
    return speed, capsule


class RobotMotion(Protocol):
    """A way that the robot may go on, such as a RobotState (at constant twist)."""

    @property
    def stamp(self) -> float:
        """When it begins [s]."""

    def carried(self, times: ArrayLike) -> tuple[Array, Array]:
        """Ends of the axes at `times` [s] after the stamp, each (H, M, 3) [m]."""


class RobotTracker:
    """Takes poses as they are measured and derives motion from them."""

    def __init__(self, model: RobotModel) -> None:
        self.model = model
        self.state: RobotState | None = None
        self._history: deque[tuple[float, Array]] = deque(maxlen=64)

    def observe(self, stamp: float, poses: ArrayLike) -> None:
        """Take the poses measured at `stamp`; one that is not newer than the last is ignored.

        Raises InputError if the poses have another shape or are not finite.

        `stamp` [s].
        `poses` (F, 4, 4): world_from_frame of each of the model's frames.
        """
        poses = np.ascontiguousarray(poses, np.float64)
        if poses.shape != (len(self.model.frames), 4, 4):
            raise InputError(
                f"poses are {poses.shape}; the robot takes {len(self.model.frames)} 4×4"
            )
        if not all_finite(poses):
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
            *(stamp, start, end, start_velocity, end_velocity, start_turn, end_turn),
            poses=new,
            since=old_stamp,
        )


OLDEST = 0.2  # s between joint states and poses that are still taken together
AT_END = 1e-3  # s before the end of a plan at which it is done
INSTANT = 1e-3  # s over which joint velocities are turned into speeds of links
ENDLESS = 1000.0  # s for which a motion at the present velocities goes on
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


def read_plan(message: Any) -> tuple[Sequence[str], list[float], list[Sequence[float]]]:
    """Joints, times [s] and positions of a JointTrajectory, for `JointMotion.observe_plan`.

    Of MoveIt's DisplayTrajectory, whose stages are one plan, the first, which is under way.
    """
    stages = [stage.joint_trajectory for stage in getattr(message, "trajectory", [])]
    plan = stages[0] if stages else message
    times = [to_seconds(point.time_from_start) for point in plan.points]
    return plan.joint_names, times, [point.positions for point in plan.points]


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

    def fastest(self, robot: NDArray[np.int64]) -> Array:
        """Speed of the fastest end of each robot now (R,) [m/s], by its joints' velocities."""
        (start, later), (end, later_end) = self.carried([0.0, INSTANT])
        return _fastest((later - start) / INSTANT, (later_end - end) / INSTANT, robot)[0]


class JointMotion:
    """Carries the robot's links forward through the joints of its description.

    Frames that are not links of the description, such as those of a second robot, go on at
    constant twist.
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

    def drop_future(self, latest: float) -> None:
        """Forget joints stamped after `latest` [s], which would hide all that come until then."""
        self._known = {name: joint for name, joint in self._known.items() if joint.stamp <= latest}
        if self.states is not None and self.states.stamp > latest:
            self.states = self._together()

    def observe(
        self,
        stamp: float,
        names: Sequence[str],
        positions: Sequence[float],
        velocities: Sequence[float] = (),
    ) -> None:
        """Take joint states; joints that the description doesn't have are left out.

        Without velocities they follow from the positions before.

        Raises InputError if there is not one finite position per name, or not one velocity.
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
        positions = dict(self._urdf.with_followers(positions))
        rates = dict(self._urdf.with_followers(rates, rates=True))
        return JointStates(newest, positions, rates)

    def observe_plan(self, names: Sequence[str], times: ArrayLike, positions: ArrayLike) -> None:
        """Take what a planner said; a plan without points, or of others' joints, ends the last one.

        Raises InputError if the shapes don't fit, a value is not finite or the times don't rise.

        `names`: J joints.
        `times` (P,): since the plan's beginning, rising [s].
        `positions` (P, J) [rad or m].
        """
        self._plan, self._phase = None, 0.0
        known = self._movable
        when = np.asarray(times, np.float64)
        if len(when) < 2 or not known.intersection(names):
            return
        try:
            where = np.asarray(positions, np.float64)
        except ValueError as error:
            raise InputError("a trajectory's points differ in their number of positions") from error
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

    def paths(self, robot: RobotState) -> list[JointPath]:
        """Motions to reckon with: at the present velocities, and along the plan if it is followed.

        Empty while joint states are missing, or older or newer than the poses of `robot`, at which
        the motions begin.
        """
        states = self.states
        if states is None or abs(robot.stamp - states.stamp) > OLDEST or not states.velocities:
            return []
        since = robot.stamp - states.stamp
        names = tuple(states.positions)
        rates = np.array([states.velocities.get(name, 0.0) for name in names])
        start = np.array(list(states.positions.values())) + since * rates
        times = np.array([0.0, ENDLESS])
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


class SweepMotion:
    """Move to and fro between two poses on a fixed path, at a pace between 0 and 1.

    The joints follow q = A + (B − A) (1 − cos 2πσ) / 2. Only the pace dσ/dt changes with the speed
    factor, with a bounded slope, so the robot never leaves its path and at factor 0 it stands.

    Raises ConfigError if a pose has another number of angles or leaves the limits, or the period is
    too short.

    `urdf`: description with as many movable joints as the poses have angles.

    Attributes:
    - `joints`: names of the joints.
    - `pace`: present share of the full speed, 0 to 1.
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
