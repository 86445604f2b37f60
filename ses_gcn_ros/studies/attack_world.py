"""People within the floors of the standard, and a robot that obeys exactly as the monitor is told.

People are chico15 skeletons with two-bone arms and finger tips. Whatever they are ordered to do, no
point of them exceeds the floor that v_h has for it, nor the accelerations of the SARA shield.
"""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ses_gcn_ros.compiling import array, compiled, real
from ses_gcn_ros.safety import RobotModel, SafetyConfig, Urdf, braking
from ses_gcn_ros.studies import ASSETS

Array = NDArray[np.float64]

SPEEDS = np.linspace(0.0, 5.0, 1001)  # m/s, at which stopping times are known
TICK = 0.01  # s; robot, people and transforms advance by it
POINTS = 17  # joints of chico15 and two finger tips
_BODY_ACCELERATION = 5.6  # m/s² of the feet, each way; with lean and turn under SARA's 20
_HAND_ACCELERATION = 10.4  # m/s² of a wrist against its shoulder, each way; under SARA's 50

# A person --------------------------------------------------------------------------------------


@compiled(types.void(array(1), real, real[:, ::1]))
def pose(state: Any, size: float, points: Any) -> None:
    """Place the joints of chico15 and the two finger tips (17, 3) of a person.

    `state` is x, y, yaw, lean, then each hand's wrist against its shoulder (right, left), and the
    rates of all ten.
    """
    c, s = math.cos(state[2]), math.sin(state[2])
    lean_s, lean_c = math.sin(state[3]), math.cos(state[3])
    height = 0.95 * size
    for j in range(17):
        points[j, 0], points[j, 1], points[j, 2] = state[0], state[1], height
    for side in range(2):
        across = (0.1 if side else -0.1) * size
        first = 4 if side else 1
        for k in range(3):
            points[first + k, 0] -= s * across
            points[first + k, 1] += c * across
            points[first + k, 2] = height * (1.0 - 0.46 * k)
    trunk, head = 0.52 * size, 0.72 * size
    for j, length, ahead in ((8, trunk, 0.0), (7, head, 0.1 * size)):
        forward = length * lean_s + ahead * lean_c
        points[j, 0] += c * forward
        points[j, 1] += s * forward
        points[j, 2] += length * lean_c - ahead * lean_s
    upper, lower, reach = 0.3 * size, 0.27 * size, 0.18
    for side in range(2):
        shoulder, elbow, wrist = (12, 13, 14) if side else (9, 10, 11)
        across = (0.2 if side else -0.2) * size
        points[shoulder, 0] = points[8, 0] - s * across
        points[shoulder, 1] = points[8, 1] + c * across
        points[shoulder, 2] = points[8, 2]
        h = 7 if side else 4
        x, y, z = state[h], state[h + 1], state[h + 2]
        far = max(math.sqrt(x * x + y * y + z * z), 1e-6)
        d = min(max(far, 0.15 * size), 0.99 * (upper + lower))
        x, y, z = x / far, y / far, z / far
        along = (upper * upper - lower * lower + d * d) / (2.0 * d)
        out = math.sqrt(max(upper * upper - along * along, 0.0))
        px, py, pz = -0.4 * c - s * across * 2.0, -0.4 * s + c * across * 2.0, -1.0
        dot = px * x + py * y + pz * z
        px, py, pz = px - dot * x, py - dot * y, pz - dot * z
        norm = max(math.sqrt(px * px + py * py + pz * pz), 1e-6)
        for k, unit, pole in ((0, x, px / norm), (1, y, py / norm), (2, z, pz / norm)):
            points[elbow, k] = points[shoulder, k] + along * unit + out * pole
            points[wrist, k] = points[shoulder, k] + d * unit
        fx = points[wrist, 0] - points[elbow, 0]
        fy = points[wrist, 1] - points[elbow, 1]
        fz = points[wrist, 2] - points[elbow, 2]
        forearm = reach / max(math.sqrt(fx * fx + fy * fy + fz * fz), 1e-6)
        points[15 + side, 0] = points[wrist, 0] + forearm * fx
        points[15 + side, 1] = points[wrist, 1] + forearm * fy
        points[15 + side, 2] = points[wrist, 2] + forearm * fz


@compiled(types.boolean(array(2), array(2), real, real, real))
def slow_enough(before: Any, after: Any, trunk: float, arm: float, dt: float) -> bool:
    """Whether no point of the body went faster than its floor [m/s]."""
    for j in range(17):
        limit = arm if j in (10, 11, 13, 14, 15, 16) else trunk
        moved = 0.0
        for k in range(3):
            moved += (after[j, k] - before[j, k]) ** 2
        if moved > (limit * dt) ** 2:
            return False
    return True


@compiled(types.void(real[::1], array(1), real, real, real, real, real[:, ::1], real[:, ::1]))
def step(
    state: Any, order: Any, size: float, trunk: float, arm: float, dt: float, points: Any, new: Any
) -> None:
    """Advance a person towards an order, never faster than the floors; fills `points` (17, 3).

    `order` is goal x, y, speed; yaw; lean; then for each hand its goal x, y, z and its speed, with
    speed 0 for a hand that hangs.
    """
    trial = state.copy()
    dx, dy = order[0] - state[0], order[1] - state[1]
    far = max(math.sqrt(dx * dx + dy * dy), 1e-9)
    want = min(order[2], math.sqrt(2.0 * 4.0 * far), far / dt) / far
    for k, wanted in ((0, want * dx), (1, want * dy)):
        most = _BODY_ACCELERATION * dt
        trial[10 + k] += min(max(wanted - state[10 + k], -most), most)
        trial[k] += trial[10 + k] * dt
    turn = (order[3] - state[2] + math.pi) % (2.0 * math.pi) - math.pi
    for k, error, fastest in ((2, turn, 1.5), (3, order[4] - state[3], 1.2)):
        wanted = min(max(4.0 * error, -fastest), fastest)
        trial[10 + k] += min(max(wanted - state[10 + k], -10.0 * dt), 10.0 * dt)
        trial[k] += trial[10 + k] * dt
    c, s = math.cos(trial[2]), math.sin(trial[2])
    pose(trial, size, new)
    for side in range(2):
        h, shoulder = 4 + 3 * side, 12 if side else 9
        o = 5 + 4 * side
        across = (0.06 if side else -0.06) * size
        if order[o + 3] > 0.0:
            gx, gy, gz = (
                order[o] - new[shoulder, 0],
                order[o + 1] - new[shoulder, 1],
                order[o + 2] - new[shoulder, 2],
            )
            length = max(math.sqrt(gx * gx + gy * gy + gz * gz), 1e-6)
            share = min(max(length - 0.18, 0.2 * size), 0.56 * size) / length
            gx, gy, gz, fastest = share * gx, share * gy, share * gz, order[o + 3]
        else:
            gx, gy, gz = 0.08 * c - s * across, 0.08 * s + c * across, -0.52 * size
            fastest = 1.0
        ex, ey, ez = gx - state[h], gy - state[h + 1], gz - state[h + 2]
        far = max(math.sqrt(ex * ex + ey * ey + ez * ez), 1e-9)
        want = min(fastest, far / dt) / far
        most = _HAND_ACCELERATION * dt
        for k, wanted in ((0, want * ex), (1, want * ey), (2, want * ez)):
            change = wanted - state[10 + h + k]
            trial[10 + h + k] += min(max(change, -most), most)
            trial[h + k] += trial[10 + h + k] * dt
    pose(trial, size, new)
    if not slow_enough(points, new, trunk, arm, dt):
        # the hands give way first, then everything
        for first, halvings in ((4, 6), (0, 7)):
            wanted_step = trial.copy()
            low, high = 0.0, 1.0
            for _ in range(halvings):
                share = 0.5 * (low + high)
                for h in range(first, 10):
                    trial[h] = state[h] + share * (wanted_step[h] - state[h])
                pose(trial, size, new)
                if slow_enough(points, new, trunk, arm, dt):
                    low = share
                else:
                    high = share
            for h in range(first, 10):
                trial[h] = state[h] + low * (wanted_step[h] - state[h])
            pose(trial, size, new)
            if slow_enough(points, new, trunk, arm, dt):
                break
        for h in range(10):
            trial[10 + h] = (trial[h] - state[h]) / dt
    for h in range(20):
        state[h] = trial[h]
    for j in range(17):
        for k in range(3):
            points[j, k] = new[j, k]


# Robots -----------------------------------------------------------------------------------------


# Description of each robot, and the joints that its path goes through.
PATHS: dict[str, tuple[str, list[list[float]]]] = {
    "demo arm": ("demo", [[-0.5, 0.65, 0, 1.15, 0, 0.7, 0], [0.5, 0.55, 0, 1.05, 0, 0.75, 0]]),
    "demo arm, reaching": (
        "demo",
        [
            [-1.2, 0.2, 0, 1.6, 0, 0.4, 0],
            [0.1, 1.2, 0, 0.2, 0, 0.2, 0],
            [1.3, 0.4, 0.5, 1.2, 0, 1, 0],
        ],
    ),
    "linear axis": (f"{ASSETS}/linear_axis.urdf", [[-0.8], [0.8]]),
    "gantry": (
        f"{ASSETS}/gantry.urdf",
        [[0.2, -0.7, 0.0], [0.8, 0.6, -0.1], [0.9, -0.3, -0.5]],
    ),
    "UR5e": (
        f"{ASSETS}/ur5e.urdf",
        [
            [-0.9, 0.5, 1.2, 0.3, 0.2, 0],
            [0.2, 1.1, 0.3, 0.2, 0, 0],
            [1.2, 0.2, 1.7, -0.4, 0.4, 1],
        ],
    ),
}  # fmt: skip


class Path:
    """A closed path of a robot's links over the way of its fastest point."""

    def __init__(self, kind: str) -> None:
        description, corners = PATHS[kind]
        self.urdf = Urdf.load(description)
        self.model = RobotModel.from_urdf(self.urdf)
        joints = [joint.name for joint in self.urdf.movable]
        self.joints = tuple(joints)
        shares = np.linspace(0.0, 1.0, 80, endpoint=False)[:, None]
        legs = np.array([*corners, *corners[-2::-1]])  # there and back
        between = [(1 - shares) * a + shares * b for a, b in itertools.pairwise(legs)]
        angles = np.concatenate([*between, legs[-1:]])
        poses, ends = [], []
        for row in angles:
            placed = self.urdf.forward(dict(zip(joints, row.tolist(), strict=True)))
            poses.append(np.stack([placed[frame] for frame in self.model.frames]))
            ends.append(np.stack(self.model.place(poses[-1])))
        step = np.linalg.norm(np.diff(np.stack(ends), axis=0), axis=-1).max(axis=(1, 2))
        way = np.concatenate([[0.0], np.cumsum(step)])
        self.length = float(way[-1])
        self.corners = way[::80]
        grid = np.linspace(0.0, self.length, max(int(self.length / 0.004), 2))
        self._spacing = grid[1] - grid[0]
        flat = np.concatenate([np.stack(poses).reshape(len(angles), -1), angles], axis=1)
        self._table = np.stack([np.interp(grid, way, column) for column in flat.T], axis=1)

    def at(self, way: float) -> tuple[Array, Array]:
        """Poses (F, 4, 4) of the model's frames, and the joints, at a way [m] along the path."""
        place = (way % self.length) / self._spacing
        low = min(int(place), len(self._table) - 2)
        row = self._table[low] + (place - low) * (self._table[low + 1] - self._table[low])
        frames = len(self.model.frames)
        return row[: frames * 16].reshape(frames, 4, 4), row[frames * 16 :]

    def room(self, way: float) -> tuple[float, float]:
        """Way to the corners before and behind [m], at which the robot turns round."""
        way %= self.length
        index = min(int(np.searchsorted(self.corners, way, side="right")), len(self.corners) - 1)
        return way - float(self.corners[index - 1]), float(self.corners[index]) - way


@cache
def path(kind: str) -> Path:
    """The path of a robot, made once."""
    return Path(kind)


class Robot:
    """Moves along its path no faster than ordered, and brakes just as the monitor is told."""

    def __init__(self, kind: str, config: SafetyConfig, pace: float, rate: float, way: float):
        self.path = path(kind)
        self._times = braking(config)[0].time(SPEEDS)
        self._fastest = pace * config.robot_speed_max
        self._acceleration = rate
        self.way, self.speed, self.factor = way * self.path.length, 0.0, 0.0
        self._braking_from = 0.0
        self.lost = 0.0  # s
        self.poses, self.joints = self.path.at(self.way)
        self.ends = np.stack(self.path.model.place(self.poses))
        self.velocities = np.zeros_like(self.ends)
        self.joint_rates = np.zeros_like(self.joints)

    @property
    def link_speeds(self) -> Array:
        """Speed of each link: of the faster of its ends, (M,) [m/s]."""
        return np.asarray(np.sqrt((self.velocities**2).sum(axis=-1)).max(axis=0))

    def advance(self) -> None:
        """Go on by a tick."""
        behind, ahead = self.path.room(self.way)
        rate = self._acceleration
        programmed = min(
            self._fastest, math.sqrt(2 * rate * behind) + 0.02, math.sqrt(2 * rate * ahead) + 0.005
        )
        target = min(max(self.factor, 0.0), 1.0) * programmed
        self.speed = min(self.speed, programmed)
        if target < self.speed:
            self._braking_from = max(self._braking_from, self.speed)
            self.speed = max(target, self.speed - self._deceleration() * TICK)
        else:
            self._braking_from = 0.0
            self.speed = min(target, self.speed + rate * TICK)
        self.lost += (1.0 - self.speed / programmed) * TICK if programmed > 0 else 0.0
        self.way += self.speed * TICK
        before, joints = self.ends, self.joints
        self.poses, self.joints = self.path.at(self.way)
        self.ends = np.stack(self.path.model.place(self.poses))
        self.velocities = (self.ends - before) / TICK
        self.joint_rates = (self.joints - joints) / TICK

    def joint_state(self) -> tuple[tuple[str, ...], list[float], list[float]]:
        """Names, positions and velocities of the joints."""
        return self.path.joints, self.joints.tolist(), self.joint_rates.tolist()

    def _deceleration(self) -> float:
        """What the parameters say of a stop from the speed that it began at [m/s²]."""
        speed = self._braking_from
        return speed / max(float(np.interp(speed, SPEEDS, self._times)), 1e-3)
