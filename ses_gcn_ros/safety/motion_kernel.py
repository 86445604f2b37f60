"""How the robot's capsules move, compiled with numba; `robot` and `joint_motion` explain it."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import types

from ses_gcn_ros.compiling import array, compiled, real, whole

SMALL_ANGLE = 1e-4  # rad under which the series takes the place of the quotients of a screw
_POINTS, _WAYS = real[:, ::1], real[:, :, ::1]
_ENDS = types.Tuple((array(1, whole), array(2)))

inline = numba.njit(error_model="numpy")


@inline
def _place(poses: Any, frame: Any, points: Any, placed: Any) -> None:
    for m in range(len(points)):
        pose = poses[frame[m]]
        for i in range(3):
            placed[m, i] = (
                pose[i, 0] * points[m, 0]
                + pose[i, 1] * points[m, 1]
                + pose[i, 2] * points[m, 2]
                + pose[i, 3]
            )


@compiled(types.void(array(3), _ENDS, _ENDS, _POINTS, _POINTS))
def place(poses: Any, starts: Any, ends: Any, start: Any, end: Any) -> None:
    """Fill `start` and `end` (M, 3) with the ends of M capsules.

    `starts` and `ends` are tuples: frame (M,) of each end, and where it is in that frame (M, 3);
    `poses` are those of the frames (F, 4, 4).
    """
    _place(poses, starts[0], starts[1], start)
    _place(poses, ends[0], ends[1], end)


@compiled(types.void(array(2), array(2), array(1, whole), real[::1], whole[::1]))
def fastest(start_velocity: Any, end_velocity: Any, robot: Any, most: Any, index: Any) -> None:
    """Fill the speed [m/s] of the fastest of M pairs of ends (M, 3) of each robot, and which.

    NaN if any of a robot's is NaN. `robot` (M,) says whose each pair is.
    """
    most[:] = -1.0
    for m in range(len(start_velocity)):
        r = robot[m]
        for velocity in (start_velocity[m], end_velocity[m]):
            speed = math.sqrt(velocity[0] ** 2 + velocity[1] ** 2 + velocity[2] ** 2)
            if math.isnan(most[r]):
                continue
            if math.isnan(speed) or speed > most[r]:
                most[r], index[r] = speed, m


@compiled(types.void(array(2), array(2), array(1, whole), real[::1]))
def across(start: Any, end: Any, robot: Any, extent: Any) -> None:
    """Fill the longest side of the box around the ends (M, 3) of each robot's capsules [m]."""
    for r in range(len(extent)):
        extent[r] = 0.0
        for k in range(3):
            low, high = math.inf, -math.inf
            for m in range(len(start)):
                if robot[m] == r:
                    low = min(low, start[m, k], end[m, k])
                    high = max(high, start[m, k], end[m, k])
            extent[r] = max(extent[r], high - low)


@inline
def _turn_rates(old: Any, new: Any, span: float, rates: Any) -> None:
    """Fill `rates` (F, 3) with the angular velocities [rad/s] between poses (F, 4, 4).

    Through the unit quaternion of the turn, by the largest of its parts (Shepperd 1978), so that no
    angle is lost to rounding.
    """
    turn = np.empty((3, 3))
    for f in range(len(old)):
        for i in range(3):
            for j in range(3):
                turn[i, j] = (
                    new[f, i, 0] * old[f, j, 0]
                    + new[f, i, 1] * old[f, j, 1]
                    + new[f, i, 2] * old[f, j, 2]
                )
        trace = turn[0, 0] + turn[1, 1] + turn[2, 2]
        x, y, z = turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]
        w = 1.0 + trace
        if trace <= max(turn[0, 0], max(turn[1, 1], turn[2, 2])):
            i = 0
            if turn[1, 1] > turn[i, i]:
                i = 1
            if turn[2, 2] > turn[i, i]:
                i = 2
            j, k = (i + 1) % 3, (i + 2) % 3
            w = turn[k, j] - turn[j, k]
            part = np.empty(3)
            part[i] = 1.0 + turn[i, i] - turn[j, j] - turn[k, k]
            part[j] = turn[j, i] + turn[i, j]
            part[k] = turn[k, i] + turn[i, k]
            x, y, z = part[0], part[1], part[2]
        if w < 0.0:
            w, x, y, z = -w, -x, -y, -z
        length = math.sqrt(x * x + y * y + z * z)
        angle = 2.0 * math.atan2(length, w)
        # of a small turn the axis is lost but angle / length is not: 2 / w
        rate = (angle / length if length > 1e-12 * w else 2.0 / w) / span
        rates[f, 0], rates[f, 1], rates[f, 2] = rate * x, rate * y, rate * z


@compiled(types.void(array(3), array(3), real, _ENDS, _ENDS, _WAYS))
def derive(old: Any, new: Any, span: float, starts: Any, ends: Any, state: Any) -> None:
    """Fill `state` (6, M, 3) with what `robot.RobotState` says of M capsules' ends.

    Where the starts and the ends of the axes are, their velocities and the angular velocities of
    their frames, from poses (F, 4, 4) that lie `span` [s] apart; NaN makes the motion unknown.
    `starts` and `ends` as for `place`.
    """
    rates = np.empty((len(new), 3))
    _turn_rates(old, new, span, rates)
    for end, fixed in ((0, starts), (1, ends)):
        frame, points = fixed
        _place(old, frame, points, state[2 + end])
        _place(new, frame, points, state[end])
        for m in range(len(points)):
            for i in range(3):
                state[2 + end, m, i] = (state[end, m, i] - state[2 + end, m, i]) / span
                state[4 + end, m, i] = rates[frame[m], i]


@inline
def _carry(points: Any, velocity: Any, turn: Any, times: Any, moved: Any) -> None:
    for m in range(len(points)):
        ax, ay, az = turn[m, 0], turn[m, 1], turn[m, 2]
        vx, vy, vz = velocity[m, 0], velocity[m, 1], velocity[m, 2]
        if math.isnan(vx):
            for h in range(len(times)):
                moved[h, m] = points[m]
            continue
        bx, by, bz = ay * vz - az * vy, az * vx - ax * vz, ax * vy - ay * vx
        cx, cy, cz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        rate = math.sqrt(ax * ax + ay * ay + az * az)
        for h in range(len(times)):
            t = times[h]
            angle = rate * t
            if abs(angle) < SMALL_ANGLE:
                second, third = 0.5 * t * t, t * t * t / 6.0
            else:
                second = (1.0 - math.cos(angle)) / (rate * rate)
                third = (angle - math.sin(angle)) / (rate * rate * rate)
            moved[h, m, 0] = points[m, 0] + t * vx + second * bx + third * cx
            moved[h, m, 1] = points[m, 1] + t * vy + second * by + third * cy
            moved[h, m, 2] = points[m, 2] + t * vz + second * bz + third * cz


_MOVING = types.Tuple((array(2), array(2), array(2)))


@compiled(types.void(_MOVING, _MOVING, array(1), _WAYS, _WAYS))
def carry(starts: Any, ends: Any, times: Any, start: Any, end: Any) -> None:
    """Fill the ends (H, M, 3) of M capsules at constant twist; `RobotState.carried` has the law.

    `starts` and `ends` are tuples: positions, velocities and turn rates (M, 3) each; a point whose
    velocity is NaN stays.
    """
    _carry(starts[0], starts[1], starts[2], times, start)
    _carry(ends[0], ends[1], ends[2], times, end)


@inline
def _compose(a: Any, b: Any, product: Any) -> None:
    """Fill a pose (4, 4) with the product of two."""
    for i in range(3):
        for j in range(4):
            product[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]
        product[i, 3] += a[i, 3]
        product[3, i] = 0.0
    product[3, 3] = 1.0


@inline
def _undone(pose: Any, inverse: Any) -> None:
    """Fill a pose with the inverse of one that turns and shifts."""
    inverse[:] = np.eye(4)
    for i in range(3):
        inverse[i, 3] = 0.0
        for j in range(3):
            inverse[i, j] = pose[j, i]
            inverse[i, 3] -= pose[j, i] * pose[j, 3]


_CHAIN = types.Tuple((array(3), array(3), array(3), array(3), array(1, whole)))


@inline
def _forward(values: Any, chain: Any, links: Any) -> None:
    origins, sines, cosines, slides, parent = chain
    moved = np.empty((4, 4))
    links[0] = np.eye(4)
    for j in range(len(parent)):
        q = values[j]
        if q == 0.0:  # of a joint at rest, or a fixed one
            _compose(links[parent[j]], origins[j], links[j + 1])
            continue
        sine, rest = math.sin(q), 1.0 - math.cos(q)
        for a in range(3):
            for b in range(4):
                turned = sine * sines[j, a, b] + rest * cosines[j, a, b]
                moved[a, b] = origins[j, a, b] + turned + q * slides[j, a, b]
        _compose(links[parent[j]], moved, links[j + 1])


@compiled(types.void(array(1), _CHAIN, _WAYS))
def forward(values: Any, chain: Any, links: Any) -> None:
    """Fill root_from_link (J + 1, 4, 4) from the values of J joints; `follow` has the chain."""
    _forward(values, chain, links)


_PATH = types.Tuple((array(1), array(2), array(1, whole)))


@compiled(
    types.void(_PATH, array(1), _CHAIN, array(1, whole), array(3), _ENDS, _ENDS, _WAYS, _WAYS)
)
def follow(
    path: Any,
    times: Any,
    chain: Any,
    frame_link: Any,
    measured: Any,
    starts: Any,
    ends: Any,
    start: Any,
    end: Any,
) -> None:
    """Fill the ends of M capsules at H times while the joints go along a path.

    `path`: times (P,) [s] and positions (P, K) of K joints, and for each of the J joints of the
    description its column there, -1 for one that stays at 0. Linear in between.
    `times` (H,) [s].
    `chain`: of the J joints, parents first: the poses (J, 4, 4) at 0; what the sine, one less the
    cosine and the value itself add to them, (J, 4, 4) each; and each one's parent link. Link 0 is
    the root, link j + 1 is moved by joint j.
    `frame_link` (F,): link of each frame of the model; -1 for one that stays where it is.
    `measured` (F, 4, 4): world_from_frame when the path begins.
    `starts`, `ends`: frame (M,) of each end, and where it is in that frame (M, 3) [m].
    `start`, `end` (H, M, 3): filled with the ends in the world [m].
    """
    knots, values, column = path
    joints, frames = len(column), len(frame_link)
    here, links = np.zeros(joints), np.empty((joints + 1, 4, 4))
    back, from_link = np.empty((4, 4)), np.empty((frames, 4, 4))
    poses = measured.copy()
    for h in range(-1, len(times)):
        time = times[h] if h >= 0 else 0.0
        k = 0
        while k < len(knots) - 2 and knots[k + 1] <= time:
            k += 1
        share = min(max((time - knots[k]) / (knots[k + 1] - knots[k]), 0.0), 1.0)
        for j in range(joints):
            if column[j] >= 0:
                first, second = values[k, column[j]], values[k + 1, column[j]]
                here[j] = first + share * (second - first)
        _forward(here, chain, links)
        for f in range(frames):
            if frame_link[f] < 0:
                continue
            if h < 0:  # from where the description has a frame at first to where it is measured
                _undone(links[frame_link[f]], back)
                _compose(measured[f], back, from_link[f])
            else:
                _compose(from_link[f], links[frame_link[f]], poses[f])
        if h >= 0:
            _place(poses, starts[0], starts[1], start[h])
            _place(poses, ends[0], ends[1], end[h])
