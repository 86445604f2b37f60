"""Every limb against every link: the arithmetic of the reactive layer, compiled with numba.

The formulae are those of `separation` and `capsules`, pair by pair; `reactive` explains them.
Imported on first use, because numba takes half a second.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from ses_gcn_ros.compiling import array, compiled, real, whole

CROSSING = 1e-9  # m between axes that cross: what lies between them has no direction
PARALLEL = 1e-15  # sin² of the angle under which the interior solution is rounding noise
TINY = 1e-300  # keeps 0 / 0 of a segment without length at 0


class Case(NamedTuple):
    """What holds for all pairs; SI units, the symbols are those of ISO/TS 15066."""

    reaction_time: float  # T_r
    intrusion: float  # C
    human_uncertainty: float  # Z_d
    robot_uncertainty: float  # Z_r
    robot_speed_max: float
    receding_credit: float
    margin_kept: float
    still: float  # m/s; a link slower than this may start in any direction
    deceleration: float  # a; 0 where stopping times are given
    stopping_time: float  # T_s at any speed; used where no table is given


class Judged(NamedTuple):
    """What is known of one pair, `Reactive` and `Breakdown` explain it; all are real numbers."""

    limb: float
    link: float
    factor: float
    margin: float
    distance: float
    required: float
    allowed: float
    human_speed: float
    robot_speed: float
    stopping_time: float
    human_term: float
    reaction_term: float
    stopping_term: float
    held: float  # 1, or 0 for a link that moves away
    human_x: float
    human_y: float
    human_z: float
    robot_x: float
    robot_y: float
    robot_z: float


# left to LLVM, half the time goes into handing tuples over
inline = numba.njit(error_model="numpy", inline="always")


@inline
def _interval(knots: Any, value: float) -> int:
    last = 0
    for k in range(len(knots) - 1):
        if knots[k] <= value:
            last = k
    return last


@inline
def _stopping_time(speed: float, case: Any, speeds: Any, times: Any) -> float:
    """T_s of a speed [s]."""
    if case.deceleration > 0.0:
        return speed / case.deceleration
    if len(speeds) == 0:
        return case.stopping_time
    k = _interval(speeds, speed)
    slope = (times[k + 1] - times[k]) / (speeds[k + 1] - speeds[k])
    return times[k] + slope * (speed - speeds[k])


@inline
def _allowed_speed(room: float, v_h: float, case: Any, speeds: Any, times: Any) -> float:
    """Highest speed whose protective distance, but for C, Z_d and Z_r, fits into `room` [m]."""
    t_r = case.reaction_time
    if case.deceleration > 0.0:
        rate = case.deceleration
        room = max(room - v_h * t_r, 0.0)
        linear = v_h + rate * t_r
        root = math.sqrt(linear * linear + 2.0 * rate * room) + linear
        return 2.0 * rate * room / max(root, TINY)
    if len(speeds) == 0:
        room = max(room - v_h * (t_r + case.stopping_time), 0.0)
        return room / (t_r + 0.5 * case.stopping_time) if room > 0.0 else 0.0
    k, start = -1, 0.0
    for i in range(len(speeds)):
        knot = v_h * (t_r + times[i]) + speeds[i] * (t_r + 0.5 * times[i])
        if knot <= room and i < len(speeds) - 1:
            k, start = i, knot
    if k < 0:
        return 0.0
    slope = (times[k + 1] - times[k]) / (speeds[k + 1] - speeds[k])
    linear = v_h * slope + t_r + 0.5 * (times[k] + slope * speeds[k])
    root = linear + math.sqrt(linear * linear + 2.0 * slope * (room - start))
    return speeds[k] + 2.0 * (room - start) / max(root, TINY)


@inline
def _unit(x: float) -> float:
    return min(max(x, 0.0), 1.0)


@inline
def _point(rows: Any, index: int) -> Any:
    return rows[index, 0], rows[index, 1], rows[index, 2]


@inline
def _minus(a: Any, b: Any) -> Any:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@inline
def _along(a: Any, share: float, b: Any) -> Any:
    return a[0] + share * b[0], a[1] + share * b[1], a[2] + share * b[2]


@inline
def _dot(a: Any, b: Any) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inline
def _cross(a: Any, b: Any) -> Any:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


@inline
def _closest(p: Any, u: Any, q: Any, v: Any) -> Any:
    """Where on two segments the closest points lie, each 0 to 1; as in `capsules`."""
    r = _minus(p, q)
    aa, ee = _dot(u, u), _dot(v, v)
    bb, cc, ff = _dot(u, v), _dot(u, r), _dot(v, r)
    sine = aa * ee - bb * bb
    s = _unit((bb * ff - cc * ee) / (sine if sine > PARALLEL * aa * ee else math.inf))
    t = _unit((bb * s + ff) / (ee + TINY))
    return _unit((bb * t - cc) / (aa + TINY)), t


@inline
def _common_normal(u: Any, v: Any) -> Any:
    """Unit vector at right angles to two directions; any to the longer one if they are parallel.

    (0, 0, 1) for two points.
    """
    normal = _cross(u, v)
    if math.sqrt(_dot(normal, normal)) < 1e-12:
        x, y, z = u if _dot(u, u) >= _dot(v, v) else v
        if abs(x) <= abs(y) and abs(x) <= abs(z):
            axis = (1.0, 0.0, 0.0)
        elif abs(y) <= abs(z):
            axis = (0.0, 1.0, 0.0)
        else:
            axis = (0.0, 0.0, 1.0)
        normal = _cross((x, y, z), axis)
    length = math.sqrt(_dot(normal, normal))
    if length == 0.0:
        return 0.0, 0.0, 1.0
    return normal[0] / length, normal[1] / length, normal[2] / length


@inline
def approach_floor(approach: float, floor: float, receding_credit: float) -> float:
    """Speed v_h to reckon with [m/s], from the measured speed towards the robot.

    Never below the floor while the person stands or approaches. A person who recedes (a negative
    speed) has to lose that speed first, so the share `receding_credit` of it is taken off the
    floor; v_h is continuous and never falls as the approach rises.
    """
    return max(approach, max(floor + receding_credit * min(approach, 0.0), 0.0))


@inline
def _judge(n: int, m: int, limbs: Any, links: Any, case: Any, speeds: Any, times: Any) -> Judged:
    start, end, reach, start_velocity, end_velocity, floor = limbs
    link_start, link_end, link_start_velocity, link_end_velocity, link_radius = links
    t_r = case.reaction_time
    fixed = case.intrusion + case.human_uncertainty + case.robot_uncertainty

    p, q = _point(start, n), _point(link_start, m)
    u, v = _minus(_point(end, n), p), _minus(_point(link_end, m), q)
    s, t = _closest(p, u, q, v)
    human_axis, robot_axis = _along(p, s, u), _along(q, t, v)
    normal = _minus(robot_axis, human_axis)
    gap = math.sqrt(_dot(normal, normal))
    distance = gap - (reach[n] + link_radius[m])
    if gap > CROSSING:
        normal = normal[0] / gap, normal[1] / gap, normal[2] / gap
    else:
        normal = _common_normal(u, v)

    first = _point(start_velocity, n)
    approach = _dot(_along(first, s, _minus(_point(end_velocity, n), first)), normal)
    v_h = approach_floor(approach, floor[n], case.receding_credit)
    first = _point(link_start_velocity, m)
    link = _along(first, t, _minus(_point(link_end_velocity, m), first))
    towards, speed = -_dot(link, normal), math.sqrt(_dot(link, link))
    if math.isnan(speed):
        towards = speed = case.robot_speed_max
    # share of the link's speed that closes the gap; a standing link may start straight at it
    share = _unit((towards + case.still) / (speed + case.still))
    held = share > 0.0

    v_r = max(towards, 0.0)
    t_s = _stopping_time(v_r, case, speeds, times)
    human_term, reaction_term, stopping_term = v_h * (t_r + t_s), v_r * t_r, 0.5 * v_r * t_s
    required = human_term + reaction_term + stopping_term + fixed if held else 0.0
    allowed = _allowed_speed(distance - case.margin_kept - fixed, v_h, case, speeds, times)
    factor = min(allowed / (case.robot_speed_max * max(share, 1e-9)), 1.0) if held else 1.0
    margin = distance - required
    if margin < 0.0:
        factor = 0.0
    if math.isnan(distance):  # a limb that nobody could place
        distance, margin, factor, allowed = math.inf, math.inf, 0.0, 0.0
    weight = 1.0 if held else 0.0
    speeds_and_terms = v_h, v_r, t_s, human_term, reaction_term, stopping_term, weight
    human_point = _along(human_axis, reach[n], normal)
    robot_point = _along(robot_axis, -link_radius[m], normal)
    pair = float(n), float(m), factor, margin, distance, required, allowed
    return Judged(*(pair + speeds_and_terms + human_point + robot_point))


@inline
def _note(row: Any, judged: Judged) -> None:
    for column in range(len(judged)):
        row[column] = judged[column]


_LIMBS = types.Tuple((array(2), array(2), array(1), array(2), array(2), array(1)))
_LINKS = types.Tuple((array(2), array(2), array(2), array(2), array(1)))
_CASE = types.NamedUniTuple(real, len(Case._fields), Case)
_ANSWER = (real[:, ::1], real[::1], real[::1])


@compiled(types.void(_LIMBS, array(1, whole), _LINKS, _CASE, array(1), array(1), *_ANSWER))
def react(
    limbs: Any,
    person: Any,
    links: Any,
    case: Any,
    speeds: Any,
    times: Any,
    worst: Any,
    nearest: Any,
    deciding: Any,
) -> None:
    """Judge all pairs.

    Parameters
    ----------
    limbs : tuple
        Ends (N, 3), radii (N,), velocities of the ends (N, 3) and floors of v_h (N,).
    person : ndarray of int, shape (N,)
        Number of each limb's person.
    links : tuple
        Ends (M, 3), velocities of the ends (M, 3), NaN where unknown, and radii (M,).
    case : Case
    speeds, times : ndarray, shape (K,)
        Table of stopping times; empty without one.
    worst : ndarray, shape (P, len(Judged._fields))
        Filled with the pair of each person that has the lowest factor, and among equals the least
        margin.
    nearest : ndarray, shape (P,)
        Filled with the least distance of each person [m].
    deciding : ndarray, shape (len(Judged._fields),)
        Filled with the pair that has the least margin of all.
    """
    rank = np.full(len(nearest), math.inf)
    nearest[:] = math.inf
    least = math.inf
    for n in range(len(person)):
        who = person[n]
        for m in range(len(links[0])):
            judged = _judge(n, m, limbs, links, case, speeds, times)
            nearest[who] = min(nearest[who], judged.distance)
            placed = judged.factor + 1e-6 * judged.margin
            if judged.distance == math.inf or math.isnan(placed):  # not to be outdone
                placed = -math.inf
            if placed < rank[who]:
                rank[who] = placed
                _note(worst[who], judged)
            if judged.margin < least or (n == 0 and m == 0):
                least = judged.margin
                _note(deciding, judged)
