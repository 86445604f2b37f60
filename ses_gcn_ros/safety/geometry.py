"""Distances between capsules, boxes and upright cylinders; poses as descriptions give them.

The closest points of two segments minimise a convex quadratic over the unit square, solved in
closed form after C. Ericson, Real-Time Collision Detection (2005), section 5.1.9, with one more
projection at the end. That projection makes the answer independent of the interior solution where
the segments are (nearly) parallel and that solution is lost to rounding.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, sin
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety.kernels import kernel

Array = NDArray[np.float64]


def pose_from_xyz_rpy(xyz: ArrayLike, rpy: ArrayLike) -> NDArray[np.float64]:
    """Pose from a position and angles about fixed axes, as in URDF.

    `xyz` (3,): position [m].
    `rpy` (3,): turns about the parent's x, then y, then z [rad].
    Gives parent_from_child (4, 4).
    """
    roll, pitch, yaw = np.asarray(rpy, np.float64).tolist()
    about_x = [[1.0, 0.0, 0.0], [0.0, cos(roll), -sin(roll)], [0.0, sin(roll), cos(roll)]]
    about_y = [[cos(pitch), 0.0, sin(pitch)], [0.0, 1.0, 0.0], [-sin(pitch), 0.0, cos(pitch)]]
    about_z = [[cos(yaw), -sin(yaw), 0.0], [sin(yaw), cos(yaw), 0.0], [0.0, 0.0, 1.0]]
    pose = np.eye(4)
    pose[:3, :3] = np.array(about_z) @ about_y @ about_x
    pose[:3, 3] = xyz
    return pose


PARALLEL = 1e-15  # sin² of the angle under which the interior solution is rounding noise
TINY = 1e-300  # keeps 0 / 0 of a segment without length at 0


def within(points: Array, corners: ArrayLike) -> NDArray[np.bool_]:
    """Whether points (N, 2 or more) lie within a floor plan, of corners x1, y1, x2, y2, … [m]."""
    x, y = points[:, :2].T[..., None]
    first = np.reshape(corners, (-1, 2))
    (x1, y1), (x2, y2) = first.T, np.roll(first, -1, axis=0).T
    between = (y1 > y) != (y2 > y)  # edges that a ray along x may cross
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = between & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return np.asarray(crossed.sum(axis=1) % 2 == 1)


@dataclass(frozen=True, eq=False)
class CapsuleDistances:
    """Distances of capsule pairs, and on request the points where they are reached.

    Attributes:
    - `distance` (...): distance between the surfaces [m]; negative is the depth of penetration. NaN
      where an input is NaN.
    - `a_fraction`, `b_fraction` (...): where on its segment the closest point lies: 0 at the start,
      1 at the end.
    - `a_axis`, `b_axis` (..., 3): closest points on the segments [m].
    - `normal` (..., 3): unit vector from a to b. Where the segments cross, a normal of both.
    - `a_point`, `b_point` (..., 3): closest points on the surfaces [m].
    """

    distance: Array
    a_fraction: Array
    b_fraction: Array
    _a: tuple[Array, Array, Array]
    _b: tuple[Array, Array, Array]

    @functools.cached_property
    def a_axis(self) -> Array:
        return _along(self._a, self.a_fraction)

    @functools.cached_property
    def b_axis(self) -> Array:
        return _along(self._b, self.b_fraction)

    @functools.cached_property
    def normal(self) -> Array:
        between = self.b_axis - self.a_axis
        length = np.linalg.norm(between, axis=-1, keepdims=True)
        meet = length <= 1e-9  # false for NaN: a normal must not hide an unknown position
        if not meet.any():
            return between / length
        crossing = _common_normal(self._a[1] - self._a[0], self._b[1] - self._b[0])
        return np.where(meet, crossing, between / np.where(meet, 1.0, length))

    @property
    def a_point(self) -> Array:
        return self.a_axis + self._a[2][..., None] * self.normal

    @property
    def b_point(self) -> Array:
        return self.b_axis - self._b[2][..., None] * self.normal

    def nearest(self) -> CapsuleDistances:
        """Only the pair at the least known distance; NaN if none is known."""
        known = np.where(np.isnan(self.distance), np.inf, self.distance)
        return self.at(tuple(map(int, np.unravel_index(known.argmin(), known.shape))))

    def at(self, index: tuple[int, ...]) -> CapsuleDistances:
        """Only the pair at an index: its points cost nothing for all the others."""
        return CapsuleDistances(
            self.distance[index],
            self.a_fraction[index],
            self.b_fraction[index],
            self._pick(self._a, index),
            self._pick(self._b, index),
        )

    def _pick(self, capsules: tuple[Array, Array, Array], index: tuple[int, ...]) -> Any:
        start, end, radius = capsules
        return (
            _broadcast_at(start, 1, index),
            _broadcast_at(end, 1, index),
            _broadcast_at(radius, 0, index),
        )


def _broadcast_at(values: Array, inner: int, index: tuple[int, ...]) -> Array:
    """Entry of an array broadcast over its leading axes, all but the last `inner`."""
    lead = values.shape[: values.ndim - inner]
    own = index[len(index) - len(lead) :]
    # a copy, or whoever keeps the pair would keep all the others
    picked = np.array(
        values[tuple(at if size > 1 else 0 for at, size in zip(own, lead, strict=True))]
    )
    return picked


def capsule_distances(
    a_start: ArrayLike,
    a_end: ArrayLike,
    a_radius: ArrayLike,
    b_start: ArrayLike,
    b_end: ArrayLike,
    b_radius: ArrayLike,
    *,
    backend: str = "auto",
) -> CapsuleDistances:
    """Distance between the surfaces of capsules, with the closest points.

    Leading axes broadcast, so every limb meets every link with ``a`` shaped (people, steps, limbs,
    1, 3) and ``b`` shaped (steps, 1, links, 3). Exact for parallel, touching, crossing and
    overlapping capsules, and for spheres (start = end).

    Raises ConfigError if the backend is unknown or not installed.

    `a_start`, `a_end`, `b_start`, `b_end` (..., 3): ends of the segments [m], all in one frame.
    `a_radius`, `b_radius` (...): radii [m].
    `backend`: both give the same distances; auto takes numba where it is installed.
    Gives arrays of the broadcast leading shape.
    """
    solve = _backend(backend)
    a = (_floats(a_start), _floats(a_end), _floats(a_radius))
    b = (_floats(b_start), _floats(b_end), _floats(b_radius))
    distance, a_fraction, b_fraction = solve(a, b)
    return CapsuleDistances(distance, a_fraction, b_fraction, a, b)


Capsules = tuple[Array, Array, Array]
Solver = Callable[[Capsules, Capsules], tuple[Array, Array, Array]]


def _floats(values: ArrayLike) -> Array:
    return np.asarray(values, np.float64)


@functools.cache
def _backend(name: str) -> Solver:
    if name not in ("auto", "numba", "numpy"):
        raise ConfigError(f"backend '{name}' is unknown; it is auto, numba or numpy")
    installed = importlib.util.find_spec("numba") is not None
    if name == "numba" and not installed:
        raise ConfigError("backend 'numba' needs the numba package; install it or take 'numpy'")
    if name == "numpy" or not installed:
        return _solve_numpy
    return _solve_compiled


def _lead(capsules: Capsules) -> tuple[int, ...]:
    start, end, radius = capsules
    lead = start.shape[:-1]
    if start.shape == end.shape and radius.shape == lead[len(lead) - radius.ndim :]:
        return lead  # what broadcast_shapes takes ten times as long for
    return np.broadcast_shapes(start.shape[:-1], end.shape[:-1], radius.shape)


def _along(capsules: Capsules, fraction: Array) -> Array:
    start, end, _ = capsules
    return start + fraction[..., None] * (end - start)


def _common_normal(d1: Array, d2: Array) -> Array:
    """Return unit vectors at right angles to both directions, for segments that cross."""
    normal = np.cross(d1, d2)
    # parallel or without length: any vector at right angles to the longer one
    first_longer = (d1 * d1).sum(-1, keepdims=True) >= (d2 * d2).sum(-1, keepdims=True)
    longer = np.where(first_longer, d1, d2)
    smallest = np.eye(3)[np.argmin(np.abs(longer), axis=-1)]
    lost = np.linalg.norm(normal, axis=-1, keepdims=True) < 1e-12
    normal = np.where(lost, np.cross(longer, smallest), normal)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 0, normal / np.maximum(length, TINY), np.array([0.0, 0.0, 1.0]))


def _solve_numpy(a: Capsules, b: Capsules) -> tuple[Array, Array, Array]:
    """Solve by coordinate: contiguous x, y and z are twice as fast as rows of three."""
    p, q = _coordinates(a[0]), _coordinates(b[0])
    u, v = _coordinates(a[1]) - p, _coordinates(b[1]) - q
    r = [p[k] - q[k] for k in range(3)]
    aa, ee = _dot(u, u), _dot(v, v)
    bb, cc, ff = _dot(u, v), _dot(u, r), _dot(v, r)
    area = aa * ee
    sine = area - bb * bb
    s = _unit((bb * ff - cc * ee) / np.where(sine > PARALLEL * area, sine, np.inf))
    t = _unit((bb * s + ff) / (ee + TINY))
    s = _unit((bb * t - cc) / (aa + TINY))
    gap = [r[k] + s * u[k] - t * v[k] for k in range(3)]
    return np.sqrt(_dot(gap, gap)) - (a[2] + b[2]), s, t


def _coordinates(points: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(points, -1, 0))


def _dot(x: Sequence[Array] | Array, y: Sequence[Array] | Array) -> Array:
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


def _unit(x: Array) -> Array:
    return np.minimum(np.maximum(x, 0.0), 1.0)


def _solve_compiled(a: Capsules, b: Capsules) -> tuple[Array, Array, Array]:
    """Hand the pairs over as (limbs) × (links), the form that the kernel is fast in."""
    solve = kernel("separation").pairs
    a_lead, b_lead = _lead(a), _lead(b)
    crossed = max(len(a_lead), len(b_lead)) >= 2 and a_lead[-1:] in ((), (1,))
    with np.errstate(all="ignore"):  # unknown positions give unknown distances
        if crossed and b_lead[-2:-1] in ((), (1,)):
            a = _spread(a, (*(a_lead[-2:-1] or (1,)), 1))
            b = _spread(b, (1, *(b_lead[-1:] or (1,))))
            limbs = a[0][..., 0, :], a[1][..., 0, :], a[2][..., 0]
            links = b[0][..., 0, :, :], b[1][..., 0, :, :], b[2][..., 0, :]
            return solve(*limbs, *links)
        limbs = a[0][..., None, :], a[1][..., None, :], a[2][..., None]
        links = b[0][..., None, :], b[1][..., None, :], b[2][..., None]
        distance, s, t = solve(*limbs, *links)
    return distance[..., 0, 0], s[..., 0, 0], t[..., 0, 0]


def _spread(capsules: Capsules, core: tuple[int, ...]) -> Capsules:
    """Give each part the last axes `core`; the kernel broadcasts the axes before them."""
    start, end, radius = capsules
    points = (*core, 3)
    return _with_axes(start, points), _with_axes(end, points), _with_axes(radius, core)


def _with_axes(part: Array, axes: tuple[int, ...]) -> Array:
    if part.ndim < len(axes):
        part = part[(None,) * (len(axes) - part.ndim)]
    if part.shape[-len(axes) :] != axes:
        part = np.broadcast_to(part, np.broadcast_shapes(part.shape, axes))
    return part


HALVINGS = 30  # of the segment in search of its nearest point: a billionth of its length


@dataclass(frozen=True, eq=False)
class Solids:
    """Z boxes and cylinders, each centred in a frame of its own."""

    # (Z, 3): half the edges of a box [m]; of a cylinder along z, radius, radius and half the height
    half: Array
    round: NDArray[np.bool_]  # (Z,): which are cylinders


def solid_distances(
    solids: Solids,
    solid_from_world: Array,
    start: Array,
    end: Array,
    within: ArrayLike = np.inf,
) -> tuple[Array, Array, Array]:
    """Distances between Z solids and N segments.

    The distance to a convex body is convex along a segment, so its nearest point is found by
    bisection on the sign of the derivative.

    `solid_from_world` (Z, 4, 4).
    `start`, `end` (N, 3): ends of the segments in the world [m].
    `within` (N,): distance beyond which nobody asks [m]: what is surely farther is not solved, its
    distance is a lower bound.
    Gives the distances (Z, N) [m], 0 where they touch, NaN where a segment is unknown; where on the
    segment the nearest point is (Z, N), 0 to 1; and the direction in the world from the segment to
    the solid (Z, N, 3), 0 where they touch.
    """
    turn, shift = solid_from_world[:, :3, :3], solid_from_world[:, None, :3, 3]
    first = np.einsum("zij,nj->zni", turn, start) + shift
    along = np.einsum("zij,nj->zni", turn, end - start)
    half = np.broadcast_to(solids.half[:, None], first.shape)
    is_round = np.broadcast_to(solids.round[:, None], first.shape[:2])

    fraction = np.full(first.shape[:2], 0.5)
    gap = _gap(half, is_round, first + 0.5 * along)
    distance = np.linalg.norm(gap, axis=-1) - 0.5 * np.linalg.norm(along, axis=-1)
    near = distance <= within
    if near.any():
        fraction[near] = _nearest(half[near], is_round[near], first[near], along[near])
        point = first[near] + fraction[near][:, None] * along[near]
        gap[near] = _gap(half[near], is_round[near], point)
        distance[near] = np.linalg.norm(gap[near], axis=-1)
    length = np.linalg.norm(gap, axis=-1, keepdims=True)
    normal = -gap / np.maximum(length, 1e-12)
    return distance, fraction, np.einsum("zji,znj->zni", turn, normal)


def _nearest(half: Array, is_round: NDArray[np.bool_], first: Array, along: Array) -> Array:
    """Fractions (K,) at which K segments are nearest to K solids, in the solids' frames."""
    low, high = np.zeros(len(first)), np.ones(len(first))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        gap = _gap(half, is_round, first + middle[:, None] * along)
        rising = np.einsum("kj,kj->k", gap, along) > 0.0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    # of both ends of the bracket one is the nearest point itself where it is an end of the segment
    ends = [
        np.linalg.norm(_gap(half, is_round, first + f[:, None] * along), axis=-1)
        for f in (low, high)
    ]
    return np.where(ends[0] <= ends[1], low, high)


def _gap(half: Array, is_round: NDArray[np.bool_], points: Array) -> Array:
    """Vectors (..., 3) from the nearest points of solids to points in their frames."""
    gap = np.sign(points) * np.maximum(np.abs(points) - half, 0.0)
    if is_round.any():
        flat = points[..., :2]
        radius = np.linalg.norm(flat, axis=-1, keepdims=True)
        out = flat * (1.0 - np.minimum(half[..., :1] / np.maximum(radius, 1e-12), 1.0))
        gap[..., :2] = np.where(is_round[..., None], out, gap[..., :2])
    return gap
