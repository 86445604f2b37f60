"""Capsules around people, their distances to links and what follows, compiled with numba.

`people`, `geometry`, `separation` and `prediction` explain the formulae.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import boolean, types

from ses_gcn_ros.compiling import array, compiled, of_its_file, one_at_a_time, real, whole

PARALLEL = 1e-15  # sin² of the angle under which the interior solution is rounding noise
TINY = 1e-300  # keeps 0 / 0 of a segment without length at 0
LEAST_GROWTH = 1e-6  # m
ROUNDING = 1e-9  # m by which a bound on distances is lowered
REORDERED = {"nsz", "arcp", "contract", "reassoc"}

# rows of the links: where they start and lead, the square of their length and its inverse, and
# their radius; then rows that are answered in: distance from the limb's axis, and both fractions
_START, _ALONG, _SQUARE, _INVERSE, _RADIUS, _GAP, _ON_LIMB, _ON_LINK = 0, 3, 6, 7, 8, 9, 10, 11
_ROWS = 12

# left to LLVM, half the time goes into handing tuples over
inline = numba.njit(error_model="numpy", inline="always")


@inline
def _lay_out(start: Any, end: Any, radius: Any, row: Any) -> None:
    """Copy links (M, 3) to rows."""
    for m in range(len(start)):
        for k in range(3):
            row[_START + k, m] = start[m, k]
            row[_ALONG + k, m] = end[m, k] - start[m, k]
        row[_SQUARE, m] = row[3, m] ** 2 + row[4, m] ** 2 + row[5, m] ** 2
        row[_INVERSE, m] = 1.0 / (row[_SQUARE, m] + TINY)
        row[_RADIUS, m] = radius[m]


@inline
def _closest(r: Any, u: Any, v: Any, aa: float, ee: float, over_aa: float, over_ee: float) -> Any:
    """Where on two segments the closest points lie, each 0 to 1; `geometry` has the derivation.

    From the start of the second segment to that of the first, both directions, the squares of
    their lengths and the inverses of these.
    """
    bb = u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
    cc = u[0] * r[0] + u[1] * r[1] + u[2] * r[2]
    ff = v[0] * r[0] + v[1] * r[1] + v[2] * r[2]
    area = aa * ee
    sine = area - bb * bb
    sine = sine if sine > PARALLEL * area else math.inf
    # cut off at 0 before the division and at 1 after it: two instructions instead of seven
    over = bb * ff - cc * ee
    s = (over if over > 0.0 else 0.0) / sine
    s = s if s < 1.0 else 1.0
    over = bb * s + ff
    t = (over if over > 0.0 else 0.0) * over_ee
    t = t if t < 1.0 else 1.0
    over = bb * t - cc
    s = (over if over > 0.0 else 0.0) * over_aa
    s = s if s < 1.0 else 1.0
    return s, t


@inline
def _gap_of(start: Any, end: Any, row: Any, m: int) -> float:
    """Distance of a limb's axis from the surface of one link laid out in rows."""
    u = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    v = row[3, m], row[4, m], row[5, m]
    r = start[0] - row[0, m], start[1] - row[1, m], start[2] - row[2, m]
    aa = u[0] * u[0] + u[1] * u[1] + u[2] * u[2]
    s, t = _closest(r, u, v, aa, row[_SQUARE, m], 1.0 / (aa + TINY), row[_INVERSE, m])
    x, y, z = (
        r[0] + s * u[0] - t * v[0],
        r[1] + s * u[1] - t * v[1],
        r[2] + s * u[2] - t * v[2],
    )
    return math.sqrt(x * x + y * y + z * z) - row[_RADIUS, m]


@inline
def _answer(start: Any, end: Any, row: Any) -> None:
    """Answer of all links to one limb's axis (3,)."""
    px, py, pz = start[0], start[1], start[2]
    u = end[0] - px, end[1] - py, end[2] - pz
    aa = u[0] * u[0] + u[1] * u[1] + u[2] * u[2]
    over_aa = 1.0 / (aa + TINY)
    for m in range(row.shape[1]):
        v = row[3, m], row[4, m], row[5, m]
        r = px - row[0, m], py - row[1, m], pz - row[2, m]
        s, t = _closest(r, u, v, aa, row[_SQUARE, m], over_aa, row[_INVERSE, m])
        x = r[0] + s * u[0] - t * v[0]
        y = r[1] + s * u[1] - t * v[1]
        z = r[2] + s * u[2] - t * v[2]
        row[_GAP, m] = math.sqrt(x * x + y * y + z * z) - row[_RADIUS, m]
        row[_ON_LIMB, m] = s
        row[_ON_LINK, m] = t


@of_its_file
def _pairs(
    a_start: Any,
    a_end: Any,
    a_radius: Any,
    b_start: Any,
    b_end: Any,
    b_radius: Any,
    distance: Any,
    a_fraction: Any,
    b_fraction: Any,
) -> None:
    """Fill (limbs, links) from (limbs, 3) and (links, 3)."""
    limbs, links = distance.shape
    row = np.empty((_ROWS, links))
    _lay_out(b_start, b_end, b_radius, row)
    for n in range(limbs):
        _answer(a_start[n], a_end[n], row)
        for m in range(links):
            distance[n, m] = row[_GAP, m] - a_radius[n]
            a_fraction[n, m] = row[_ON_LIMB, m]
            b_fraction[n, m] = row[_ON_LINK, m]


def _compile_pairs() -> Any:
    """As a generalised ufunc it broadcasts all other axes and takes arrays of any strides."""
    points, values = real[:, :], real[:]
    signature = types.void(points, points, values, points, points, values, *[points] * 3)
    options = {"nopython": True, "fastmath": REORDERED}
    axes = "(n,k),(n,k),(n),(m,k),(m,k),(m)->(n,m),(n,m),(n,m)"
    try:
        with one_at_a_time():
            return numba.guvectorize([signature], axes, cache=True, **options)(_pairs)
    except RuntimeError:  # neither the package's nor the user's cache folder can be written
        return numba.guvectorize([signature], axes, **options)(_pairs)


pairs = _compile_pairs()


@inline
def _around(start: Any, end: Any, radius: Any) -> Any:
    """Centre and radius of a sphere that holds links (M, 3)."""
    links = len(start)
    x, y, z, reach = 0.0, 0.0, 0.0, 0.0
    for m in range(links):
        x += 0.5 * (start[m, 0] + end[m, 0]) / links
        y += 0.5 * (start[m, 1] + end[m, 1]) / links
        z += 0.5 * (start[m, 2] + end[m, 2]) / links
    for m in range(links):
        for point in (start[m], end[m]):
            away = (point[0] - x) ** 2 + (point[1] - y) ** 2 + (point[2] - z) ** 2
            reach = max(reach, math.sqrt(away) + radius[m])
    return x, y, z, reach


@inline
def _no_nearer(start: Any, end: Any, sphere: Any) -> float:
    """Distance that a limb's axis has at least from all links in a sphere; NaN if it is."""
    x = 0.5 * (start[0] + end[0]) - sphere[0]
    y = 0.5 * (start[1] + end[1]) - sphere[1]
    z = 0.5 * (start[2] + end[2]) - sphere[2]
    along = (end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2 + (end[2] - start[2]) ** 2
    return math.sqrt(x * x + y * y + z * z) - 0.5 * math.sqrt(along) - sphere[3] - ROUNDING


_PATHS = types.Tuple((array(4), array(4), array(3)))
_LINKS_AT_STEPS = types.Tuple((array(3), array(3), array(1)))


@compiled(
    types.void(
        *(_PATHS, _LINKS_AT_STEPS, array(2), whole, real),
        *(real[::1], whole[:, ::1], real[:, ::1]),
    )
)
def min_distances(
    paths: Any,
    links: Any,
    growth: Any,
    first: int,
    farthest: float,
    nearest: Any,
    pair: Any,
    urgency: Any,
) -> None:
    """Fill the least distance at H steps, and how many radii of the forecasts lie between.

    `paths`: ends (K, S, N, 3) and radii (K, S, N) of the limbs on K ways that people may go.
    `links`: ends (H, M, 3) and radii (M,).
    `growth` (S, N): part of each limb's radius that stands for uncertainty [m].
    `first`: which of the S steps is the first of the H.
    `farthest`: urgency from which on nothing is told apart on ways after the first.
    `nearest` (H,): filled with the least distance of each step on the first way [m]; inf where no
    limb is known.
    `pair` (H, 3): filled with the limb and the link that it is the distance of, and the limb of the
    urgency.
    `urgency` (K, H): filled with the least, over all pairs, of the distance without the growth, in
    growths; below 0 where the expected limb itself touches, inf or `farthest` where no limb is
    known.
    """
    start, end, radius = paths
    link_start, link_end, link_radius = links
    ways, limbs = len(start), start.shape[2]
    row = np.empty((_ROWS, link_start.shape[1]))
    likely = np.zeros(ways, np.int64)
    for h in range(len(nearest)):
        s = first + h
        _lay_out(link_start[h], link_end[h], link_radius, row)
        sphere = _around(link_start[h], link_end[h], link_radius)
        nearest[h], pair[h, 0], pair[h, 1], pair[h, 2] = math.inf, 0, 0, 0
        for k in range(ways):
            least = farthest if k else math.inf
            # the limb that was nearest is likely to be, and then others are seen to be too far
            before, closest = likely[k], 0
            for turn in range(-1, limbs):
                n = before if turn < 0 else turn
                if turn == before or n >= limbs:
                    continue
                beyond = _no_nearer(start[k, s, n], end[k, s, n], sphere) - radius[k, s, n]
                radii = 1.0 + beyond / max(growth[s, n], LEAST_GROWTH)
                if radii > least and (k > 0 or beyond > nearest[h]):
                    continue
                _answer(start[k, s, n], end[k, s, n], row)
                gap = math.inf
                for m in range(row.shape[1]):
                    # false for NaN: nobody placed the limb
                    gap = row[_GAP, m] if row[_GAP, m] < gap else gap
                distance = gap - radius[k, s, n]
                if k == 0 and distance < nearest[h]:
                    nearest[h], pair[h, 0] = distance, n
                    for m in range(row.shape[1]):
                        if row[_GAP, m] == gap:
                            pair[h, 1] = m
                radii = 1.0 + distance / max(growth[s, n], LEAST_GROWTH)
                if radii < least:
                    least, closest = radii, n
            if k == 0:
                pair[h, 2] = closest
            urgency[k, h], likely[k] = least, closest if k else pair[h, 0]


@compiled(types.Tuple((whole, real, real))(array(2), array(2, whole)))
def measure(positions: Any, edges: Any) -> Any:
    """Number of joints seen of (J, 3), the longest edge of (E, 2) and the diagonal of all [m]."""
    seen, longest, size = 0, 0.0, 0.0
    for e in range(len(edges)):
        square = 0.0
        for k in range(3):
            square += (positions[edges[e, 0], k] - positions[edges[e, 1], k]) ** 2
        longest = square if square > longest else longest  # false for NaN: an end is unseen
    for k in range(3):
        seen, low, high = 0, math.inf, -math.inf
        for j in range(len(positions)):
            if not math.isnan(positions[j, k]):
                seen, low, high = seen + 1, min(low, positions[j, k]), max(high, positions[j, k])
        size += (high - low) ** 2 if seen else 0.0
    return seen, math.sqrt(longest), math.sqrt(size)


HAIR = 1e-5  # m; no living person measured by a camera moves less from frame to frame
DYING = 0.99  # share of a speed that is left a frame later, at most, where a filter dies away
SHORT = 0.05  # m; a forearm shorter than this has no direction that the hand could go on in

_POINTS, _VALUES = real[:, :, ::1], real[:, ::1]
_SHAPE = types.Tuple((array(1, whole), array(1, whole), array(1), array(1)))


@compiled(types.void(array(3), array(2), array(2), _SHAPE, real, real, _POINTS, _POINTS, _VALUES))
def surround(
    positions: Any,
    growth: Any,
    paths: Any,
    shape: Any,
    scale: float,
    hand_reach: float,
    start: Any,
    end: Any,
    radius: Any,
) -> None:
    """Fill the capsules of N limbs of B bodies.

    `positions` (B, J, 3): joints [m]; NaN where unseen.
    `growth` (B, J): radius around each joint that holds it [m]; NaN counts as unseen.
    `paths` (J, J): path lengths along the body [m].
    `shape`: joints at which each limb starts and ends, its radius [m], the share of a hand beyond
    it.
    `scale`: factor on the radii.
    `hand_reach`: length of a hand [m].
    `start`, `end` (B, N, 3): filled with the ends of the axes [m]; NaN where a limb can't be
    placed.
    `radius` (B, N): filled with the radii [m].
    """
    starts, ends, radii, hands = shape
    joints, limbs = positions.shape[1], len(starts)
    seen = np.empty(joints, np.bool_)
    place = np.empty(joints, np.int64)  # joint that each one is put on; -1: none
    slack = np.empty(joints)
    for b in range(len(positions)):
        largest = 0.0
        for j in range(joints):
            x = positions[b, j, 0] + positions[b, j, 1] + positions[b, j, 2] + growth[b, j]
            seen[j] = math.isfinite(x)
            if growth[b, j] > largest:
                largest = growth[b, j]
        for j in range(joints):
            own = 0.0 if math.isnan(growth[b, j]) else growth[b, j]
            place[j], slack[j] = j, own
            if seen[j]:
                continue
            # somewhere within the limbs that tie it to the nearest joint that is seen
            away, place[j] = math.inf, -1
            for k in range(joints):
                if seen[k] and paths[j, k] < away:
                    away, place[j] = paths[j, k], k
            if place[j] >= 0:
                # whose own radius it shares; the largest covers that
                slack[j] = away + largest if away > 0.0 else own
        for n in range(limbs):
            first, last = starts[n], ends[n]
            radius[b, n] = scale * radii[n] + max(slack[first], slack[last])
            for k in range(3):
                start[b, n, k] = positions[b, place[first], k] if place[first] >= 0 else math.nan
                end[b, n, k] = positions[b, place[last], k] if place[last] >= 0 else math.nan
            beyond = hands[n] * hand_reach
            if beyond > 0.0:
                x, y, z = end[b, n, 0], end[b, n, 1], end[b, n, 2]
                x, y, z = x - start[b, n, 0], y - start[b, n, 1], z - start[b, n, 2]
                length = math.sqrt(x * x + y * y + z * z)
                if length > SHORT:
                    end[b, n, 0] += beyond / length * x
                    end[b, n, 1] += beyond / length * y
                    end[b, n, 2] += beyond / length * z
                else:
                    radius[b, n] += beyond


_MOTION = types.Tuple((array(3), array(3), array(2)))


@compiled(types.void(array(4), array(3), _MOTION, real[:, :, :, :, ::1], real[:, :, :, ::1]))
def lay_ways(expected: Any, radius: Any, motion: Any, ways: Any, growth: Any) -> None:
    """Fill the three ways of P people, `ways` (3, H, P, J, 3) [m] and `growth` (3, H, P, J) [m].

    They are as `expected` (P, H, J, 3), at constant velocity and where they were; as expected where
    that isn't known. `radius` (P, H, J) is of all; `motion` is the last positions (P, J, 3) [m],
    velocities (P, J, 3) [m/s] and the time since then at each step (H, P) [s].
    """
    last, velocity, elapsed = motion
    people, steps, joints, _ = expected.shape
    for h in range(steps):
        for p in range(people):
            for j in range(joints):
                for way in range(3):
                    growth[way, h, p, j] = radius[p, h, j]
                for k in range(3):
                    there = expected[p, h, j, k]
                    straight = last[p, j, k] + elapsed[h, p] * velocity[p, j, k]
                    known = not math.isnan(straight)
                    ways[0, h, p, j, k] = there
                    ways[1, h, p, j, k] = straight if known else there
                    ways[2, h, p, j, k] = last[p, j, k] if known else there


@compiled(real(array(2), array(2)))
def median_way(before: Any, now: Any) -> float:
    """Median of how far the joints (J, 3) seen both times have moved [m]; NaN if none was."""
    ways, count = np.empty(len(now)), 0
    for j in range(len(now)):
        x, y, z = now[j, 0] - before[j, 0], now[j, 1] - before[j, 1], now[j, 2] - before[j, 2]
        way = math.sqrt(x * x + y * y + z * z)
        if not math.isnan(way):
            ways[count] = way
            count += 1
    if count == 0:
        return math.nan
    ways = np.sort(ways[:count])
    return 0.5 * (ways[(count - 1) // 2] + ways[count // 2])


@compiled(types.void(array(1), array(3), _VALUES))
def median_slopes(stamps: Any, positions: Any, velocity: Any) -> None:
    """Fill `velocity` (J, 3) with the median slope over all pairs of frames (T, J, 3).

    0 where fewer than two frames show a joint.
    """
    frames = len(stamps)
    slopes = np.empty(frames * (frames - 1) // 2)
    for j in range(positions.shape[1]):
        for k in range(3):
            count = 0
            for first in range(frames):
                for second in range(first + 1, frames):
                    slope = (positions[second, j, k] - positions[first, j, k]) / (
                        stamps[second] - stamps[first]
                    )
                    if math.isnan(slope):
                        continue
                    at = count  # into the sorted ones before
                    while at > 0 and slopes[at - 1] > slope:
                        slopes[at] = slopes[at - 1]
                        at -= 1
                    slopes[at] = slope
                    count += 1
            half = count // 2
            if count == 0:
                velocity[j, k] = 0.0
            elif count % 2:
                velocity[j, k] = slopes[half]
            else:
                velocity[j, k] = 0.5 * (slopes[half - 1] + slopes[half])


@compiled(
    types.Tuple((whole, boolean))(
        array(2), array(2), array(2), real, array(2, whole), array(1), real[::1]
    )
)
def look_at(
    positions: Any, before: Any, earlier: Any, pace: float, edges: Any, longest: Any, lengths: Any
) -> Any:
    """Number of joints seen (J, 3), and whether two in three or more of them tell nothing new.

    A joint tells nothing new where it was `before`, to a hair, and where it goes on as it went from
    `earlier` to `before`, ever slower: so the output of a filter dies away over a picture that
    stands still. `pace` is the time since `before` over the time between the two. Other joints may
    be means of such, which turn on their way.

    Raises `lengths` (E,) [m] to those of the edges between joints (E, 2), up to the `longest` (E,);
    NaN are those that nobody has seen yet.
    """
    seen = 0
    for j in range(len(positions)):
        if math.isfinite(positions[j, 0] + positions[j, 1] + positions[j, 2]):
            seen += 1
    for e in range(len(edges)):
        first, last = positions[edges[e, 0]], positions[edges[e, 1]]
        x, y, z = last[0] - first[0], last[1] - first[1], last[2] - first[2]
        length = min(math.sqrt(x * x + y * y + z * z), longest[e])
        if length > lengths[e] or (math.isnan(lengths[e]) and not math.isnan(x + y + z)):
            lengths[e] = length
    if len(before) != len(positions):
        return seen, False
    known, new = 0, 0
    for j in range(len(positions)):
        if math.isnan(positions[j, 0]) and math.isnan(before[j, 0]):
            continue
        along, square = 0.0, 0.0
        for k in range(3):
            then = pace * (before[j, k] - earlier[j, k])
            along += then * (positions[j, k] - before[j, k])
            square += then * then
        share = min(max(along / square, 0.0), DYING) if square > 0.0 else 0.0
        off = 0.0
        for k in range(3):
            then = pace * (before[j, k] - earlier[j, k]) if share > 0.0 else 0.0
            off += (positions[j, k] - before[j, k] - share * then) ** 2
        known += 1
        new += not off <= HAIR * HAIR  # true of NaN: it was unseen before, or is now
    return seen, 3 * new <= known


CROSSING = 1e-9  # m between axes that cross: what lies between them has no direction


class Case(NamedTuple):
    """What holds for all pairs; SI units, the symbols are those of ISO/TS 15066."""

    reaction_time: float  # T_r
    intrusion: float  # C
    robot_uncertainty: float  # Z_r
    receding_credit: float
    margin_kept: float
    still: float  # m/s; a robot slower than this may start in any direction


class PairResult(NamedTuple):
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
    human_uncertainty: float
    human_x: float
    human_y: float
    human_z: float
    robot_x: float
    robot_y: float
    robot_z: float


@inline
def _stopping_time(speed: float, speeds: Any, times: Any) -> float:
    """T_s of a speed [s], linear between the entries of a table, its last slope beyond them."""
    k = 0
    for i in range(1, len(speeds) - 1):
        if speeds[i] <= speed:
            k = i
    slope = (times[k + 1] - times[k]) / (speeds[k + 1] - speeds[k])
    return times[k] + slope * (speed - speeds[k])


@compiled(types.void(array(1), real, array(2), array(2), real[::1], real[::1]))
def come_to_rest(
    fastest: Any, highest: float, speeds: Any, times: Any, known: Any, rest: Any
) -> None:
    """Fill the speeds (R,) [m/s], the highest where NaN, and the times (R,) [s] to rest from them.

    By tables (R, K) of R robots.
    """
    for r in range(len(fastest)):
        known[r] = highest if math.isnan(fastest[r]) else fastest[r]
        rest[r] = _stopping_time(known[r], speeds[r], times[r])


@compiled(real(real, array(1), array(1)))
def stopping_time(speed: float, speeds: Any, times: Any) -> float:
    """T_s [s] of a speed [m/s] by a table of stopping times (K,) over speeds (K,)."""
    return _stopping_time(speed, speeds, times)


@inline
def _moving_terms(v_h: float, towards: float, speed: float, t_r: float, t_s: float) -> Any:
    """S_h, S_r and S_s [m]."""
    return v_h * (t_r + t_s), towards * t_r, 0.5 * speed * t_s


@compiled(real(real, real, real, real, real))
def moving_distance(v_h: float, towards: float, speed: float, t_r: float, t_s: float) -> float:
    """S_h + S_r + S_s [m] of a person and a robot that comes `towards` it at part of its speed."""
    human, reaction, stopping = _moving_terms(v_h, towards, speed, t_r, t_s)
    return human + reaction + stopping


@inline
def _allowed(room: float, v_h: float, share: float, t_r: float, speeds: Any, times: Any) -> float:
    """Highest speed v with v_h (T_r + T_s) + share v T_r + ½ v T_s = room; 0 if none fits.

    Within an interval of the table that begins at v_k with T_k and slope b, w = v − v_k solves
    ½ b w² + (b v_h + share T_r + ½ T_k + ½ b v_k) w = room − S(v_k).
    """
    k, start = -1, 0.0
    for i in range(len(speeds) - 1):
        knot = v_h * (t_r + times[i]) + speeds[i] * (share * t_r + 0.5 * times[i])
        if knot <= room:
            k, start = i, knot
    if k < 0:
        return 0.0
    slope = (times[k + 1] - times[k]) / (speeds[k + 1] - speeds[k])
    linear = v_h * slope + share * t_r + 0.5 * (times[k] + slope * speeds[k])
    # conjugate of √(linear² + 2 slope rest) − linear, which would cancel for little room
    root = linear + math.sqrt(linear * linear + 2.0 * slope * (room - start))
    return speeds[k] + 2.0 * (room - start) / max(root, TINY)


@compiled(real(real, real, real, real, array(1), array(1)))
def allowed(room: float, v_h: float, share: float, t_r: float, speeds: Any, times: Any) -> float:
    """Highest speed [m/s] whose moving distance fits into `room` [m], by a table of stopping times.

    `share` of the speed closes the gap; 0 if not even a standing robot fits.
    """
    return _allowed(room, v_h, share, t_r, speeds, times)


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
def approach_floor(approach: float, floor: float, credit: float) -> float:
    """Speed v_h to reckon with [m/s], from the measured speed towards the robot.

    Never below the floor, less a credit for who surely moves away; continuous, and it never falls
    as the approach rises.
    """
    return max(approach, max(floor - credit, 0.0))


@inline
def _closest_points(n: int, m: int, limbs: Any, links: Any) -> Any:
    """Closest points on both axes, which share of them lies before these, what lies between."""
    p, q = _point(limbs[0], n), _point(links[0], m)
    u, v = _minus(_point(limbs[1], n), p), _minus(_point(links[1], m), q)
    aa, ee = _dot(u, u), _dot(v, v)
    s, t = _closest(_minus(p, q), u, v, aa, ee, 1.0 / (aa + TINY), 1.0 / (ee + TINY))
    human_axis, robot_axis = _along(p, s, u), _along(q, t, v)
    between = _minus(robot_axis, human_axis)
    return human_axis, robot_axis, s, t, u, v, between, math.sqrt(_dot(between, between))


@inline
def _at_least(distance: float, n: int, r: int, limbs: Any, robots: Any, case: Case) -> Any:
    """What factor and margin [m] of a pair are no lower than, from its distance; NaN if unplaced.

    As if the limb moved straight at the link at its highest speed, and the link at the robot's.
    """
    _, _, _, start_velocity, end_velocity, floor, uncertainty, _ = limbs
    fastest, rest, _, top, speeds, times = robots
    t_r = case.reaction_time
    first, last = _point(start_velocity, n), _point(end_velocity, n)
    v_h = max(floor[n], math.sqrt(max(_dot(first, first), _dot(last, last)))) + ROUNDING
    human, reaction, stopping = _moving_terms(v_h, fastest[r], fastest[r], t_r, rest[r])
    room = distance - (case.intrusion + uncertainty[n] + case.robot_uncertainty) - ROUNDING
    margin = room - (human + reaction + stopping)
    if not margin >= 0.0:
        return 0.0, margin
    may = _allowed(room - case.margin_kept, v_h, 1.0, t_r, speeds[r], times[r])
    return min(may / top[r], 1.0) - ROUNDING, margin


@inline
def _judge(n: int, m: int, closest: Any, limbs: Any, links: Any, robots: Any, case: Case) -> Any:
    _, _, reach, start_velocity, end_velocity, floor, uncertainty, receding = limbs
    _, _, link_start_velocity, link_end_velocity, link_radius, owner = links
    fastest, rest, agility, top, speeds, times = robots
    human_axis, robot_axis, s, t, u, v, normal, gap = closest
    t_r, r = case.reaction_time, owner[m]
    fixed = case.intrusion + uncertainty[n] + case.robot_uncertainty
    distance = gap - (reach[n] + link_radius[m])
    if gap > CROSSING:
        normal = normal[0] / gap, normal[1] / gap, normal[2] / gap
    else:
        normal = _common_normal(u, v)

    first = _point(start_velocity, n)
    approach = _dot(_along(first, s, _minus(_point(end_velocity, n), first)), normal)
    # what the limb and the whole body both recede with, beyond what noise can make of standing
    away = min(-approach, -_dot(_point(receding, n), normal)) - receding[n, 3]
    v_h = approach_floor(approach, floor[n], case.receding_credit * max(away, 0.0))

    # The whole robot has to come to rest, so T_s and S_s are those of its fastest point. Direction
    # counts in S_r alone: nothing turns towards the person faster than it brakes.
    speed, t_s = fastest[r], rest[r]
    first = _point(link_start_velocity, m)
    towards = -_dot(_along(first, t, _minus(_point(link_end_velocity, m), first)), normal)
    if math.isnan(towards):
        towards = speed
    turned = 0.5 * agility[r] * t_r  # m/s, on the mean over T_r
    v_r = min(max(towards, 0.0) + turned, speed)
    human_term, reaction_term, stopping_term = _moving_terms(v_h, v_r, speed, t_r, t_s)
    required = human_term + reaction_term + stopping_term + fixed
    room = distance - case.margin_kept - fixed
    share = min(max((towards + case.still) / (speed + case.still), 0.0), 1.0)
    may = _allowed(room, v_h, 1.0, t_r, speeds[r], times[r])
    if share < 1.0 and may < top[r]:
        may = max(may, _allowed(room - turned * t_r, v_h, share, t_r, speeds[r], times[r]))
    factor, margin = min(may / top[r], 1.0), distance - required
    if margin < 0.0:
        factor = 0.0
    if math.isnan(distance):  # a limb that nobody could place
        distance, margin, factor, may = math.inf, math.inf, 0.0, 0.0
    speeds_and_terms = v_h, v_r, t_s, human_term, reaction_term, stopping_term, uncertainty[n]
    human_point = _along(human_axis, reach[n], normal)
    robot_point = _along(robot_axis, -link_radius[m], normal)
    pair = float(n), float(m), factor, margin, distance, required, may
    return PairResult(*(pair + speeds_and_terms + human_point + robot_point))


@inline
def _note(row: Any, judged: PairResult) -> None:
    for column in range(len(judged)):
        row[column] = judged[column]


_LIMBS = types.Tuple(
    (array(2), array(2), array(1), array(2), array(2), array(1), array(1), array(2))
)
_LINKS = types.Tuple((array(2), array(2), array(2), array(2), array(1), array(1, whole)))
_ROBOTS = types.Tuple((array(1), array(1), array(1), array(1), array(2), array(2)))
_CASE = types.NamedUniTuple(real, len(Case._fields), Case)
_ANSWER = (real[:, ::1], real[::1], real[::1])


@compiled(types.void(_LIMBS, array(1, whole), _LINKS, _ROBOTS, _CASE, *_ANSWER))
def react(
    limbs: Any,
    person: Any,
    links: Any,
    robots: Any,
    case: Any,
    worst: Any,
    nearest: Any,
    deciding: Any,
) -> None:
    """Judge all pairs.

    `limbs`: ends (N, 3), radii (N,), velocities of the ends (N, 3), floors of v_h (N,), Z_d (N,),
    and the velocity of each limb's whole body with what noise can make of standing (N, 4).
    `person` (N,): number of each limb's person.
    `links`: ends (M, 3), velocities of the ends (M, 3), NaN where unknown, radii (M,) and robots
    (M,).
    `robots`: of R robots: speed of the fastest point now, its stopping time, the acceleration that
    the robot is capable of, its highest speed (R,), and its table of stopping times: speeds and
    times (R, K).
    `worst` (P, len(PairResult._fields)): filled with the pair of each person that has the lowest
    factor, and among equals the least margin.
    `nearest` (P,): filled with the least distance of each person [m].
    `deciding` (len(PairResult._fields),): filled with the pair that has the least margin of all.
    """
    rank = np.full(len(nearest), math.inf)
    nearest[:] = math.inf
    least = math.inf
    for n in range(len(person)):
        who = person[n]
        for m in range(len(links[0])):
            closest = _closest_points(n, m, limbs, links)
            distance = closest[-1] - (limbs[2][n] + links[4][m])
            if distance < nearest[who]:
                nearest[who] = distance
            # most pairs lie too far apart to matter, which is seen in a third of the time
            factor, margin = _at_least(distance, n, links[5][m], limbs, robots, case)
            if margin >= least and factor + 1e-6 * margin >= rank[who]:
                continue
            judged = _judge(n, m, closest, limbs, links, robots, case)
            placed = judged.factor + 1e-6 * judged.margin
            if judged.distance == math.inf or math.isnan(placed):  # not to be outdone
                placed = -math.inf
            if placed < rank[who]:
                rank[who] = placed
                _note(worst[who], judged)
            if judged.margin < least or (n == 0 and m == 0):
                least = judged.margin
                _note(deciding, judged)


_WAY = types.Tuple((array(3), array(3), array(1)))
_BODIES = types.Tuple((array(2), array(2), array(1), array(2), array(2), array(1), array(1)))


@compiled(types.void(_BODIES, array(1, whole), _WAY, array(2), array(1), real[::1]))
def reach(bodies: Any, person: Any, links: Any, steps: Any, fixed: Any, margin: Any) -> None:
    """Least distance that people and robot keep for sure until the robot stands.

    At each step a limb is within a ball around where it was seen and within another around where
    its measured velocity takes it; a link likewise around where it is and where its path takes it.
    The distance of two intersections is no less than the greatest of their parts' distances.

    `bodies`: ends (N, 3), radii (N,), velocities of the ends (N, 3), highest speeds (N,) [m/s] and
    accelerations (N,) [m/s²].
    `person` (N,).
    `links`: ends now and at H steps (1 + H, M, 3), and radii (M,).
    `steps` (H, 4): time since people were seen and since their velocity was measured [s], how far a
    link gets from where it is and how far from its path [m].
    `fixed` (N,): C, Z_d and Z_r [m].
    `margin` (P,): filled with the least distance less what is fixed [m]; −inf for a limb not
    placed.
    """
    start, end, radius, start_velocity, end_velocity, highest, agility = bodies
    link_start, link_end, link_radius = links
    here = np.empty((_ROWS, link_start.shape[1]))
    there = np.empty((_ROWS, link_start.shape[1]))
    ahead_start, ahead_end = np.empty(3), np.empty(3)
    _lay_out(link_start[0], link_end[0], link_radius, here)
    margin[:] = math.inf
    for h in range(len(steps)):
        seen, measured, travel, deviation = steps[h, 0], steps[h, 1], steps[h, 2], steps[h, 3]
        _lay_out(link_start[h + 1], link_end[h + 1], link_radius, there)
        for n in range(len(radius)):
            for k in range(3):
                ahead_start[k] = start[n, k] + seen * start_velocity[n, k]
                ahead_end[k] = end[n, k] + seen * end_velocity[n, k]
            walked = highest[n] * seen
            turned = 0.5 * agility[n] * measured * measured
            kept = radius[n] + fixed[n]
            for m in range(len(link_radius)):
                least = -math.inf
                for body_moves in range(2):
                    grown = turned if body_moves else walked
                    for link_moves in range(2):
                        row = there if link_moves else here
                        away = deviation if link_moves else travel
                        a = ahead_start if body_moves else start[n]
                        b = ahead_end if body_moves else end[n]
                        gap = _gap_of(a, b, row, m) - grown - away
                        least = gap if gap > least or math.isnan(gap) else least
                least = least - kept
                if not least >= margin[person[n]]:
                    margin[person[n]] = least if not math.isnan(least) else -math.inf
