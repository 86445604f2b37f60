"""Distances between capsules: segments with a radius, for limbs and robot links.

The closest points of two segments minimise a convex quadratic over the unit square, solved in
closed form after C. Ericson, Real-Time Collision Detection (2005), section 5.1.9, with one more
projection at the end. That projection makes the answer independent of the interior solution where
the segments are (nearly) parallel and that solution is lost to rounding.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import ConfigError

Array = NDArray[np.float64]

PARALLEL = 1e-15  # sin² of the angle under which the interior solution is rounding noise
TINY = 1e-300  # keeps 0 / 0 of a segment without length at 0


@dataclass(frozen=True, eq=False)
class CapsuleDistances:
    """Distances of capsule pairs, and on request the points where they are reached.

    Attributes
    ----------
    distance : ndarray, shape (...)
        Distance between the surfaces [m]; negative is the depth of penetration. NaN where an
        input is NaN.
    a_fraction, b_fraction : ndarray, shape (...)
        Where on its segment the closest point lies: 0 at the start, 1 at the end.
    a_axis, b_axis : ndarray, shape (..., 3)
        Closest points on the segments [m].
    normal : ndarray, shape (..., 3)
        Unit vector from a to b. Where the segments cross, a normal of both.
    a_point, b_point : ndarray, shape (..., 3)
        Closest points on the surfaces [m].
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
        shape = self.distance.shape
        start, end, radius = capsules
        return (
            np.broadcast_to(start, (*shape, 3))[index],
            np.broadcast_to(end, (*shape, 3))[index],
            np.broadcast_to(radius, shape)[index],
        )


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

    Parameters
    ----------
    a_start, a_end, b_start, b_end : array_like, shape (..., 3)
        Ends of the segments [m], all in one frame.
    a_radius, b_radius : array_like, shape (...)
        Radii [m].
    backend : {"auto", "numba", "numpy"}
        Both give the same distances; auto takes numba where it is installed.

    Returns
    -------
    CapsuleDistances
        Its arrays have the broadcast leading shape.

    Raises
    ------
    ConfigError
        If the backend is unknown or not installed.
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
    return functools.partial(_solve_compiled, _compile())


def _lead(capsules: Capsules) -> tuple[int, ...]:
    start, end, radius = capsules
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


def _solve_compiled(
    kernel: Callable[..., tuple[Array, Array, Array]], a: Capsules, b: Capsules
) -> tuple[Array, Array, Array]:
    """Hand the pairs over as (limbs) × (links), the form that the kernel is fast in."""
    a_lead, b_lead = _lead(a), _lead(b)
    crossed = max(len(a_lead), len(b_lead)) >= 2 and a_lead[-1:] in ((), (1,))
    if crossed and b_lead[-2:-1] in ((), (1,)):
        limbs, links = a_lead[-2:-1] or (1,), b_lead[-1:] or (1,)
        return kernel(
            *_core(a, (*limbs, 1), np.s_[..., 0]), *_core(b, (1, *links), np.s_[..., 0, :])
        )
    solved = kernel(*_core(a, (), np.s_[..., None]), *_core(b, (), np.s_[..., None]))
    distance, s, t = (part[..., 0, 0] for part in solved)
    return distance, s, t


def _core(capsules: Capsules, lead: tuple[int, ...], pick: Any) -> list[Array]:
    """Spread each part over the axes `lead`, then pick from them; other axes broadcast later."""
    picked = []
    for part, tail in zip(capsules, ((3,), (3,), ()), strict=True):
        core = lead + tail
        if part.shape[part.ndim - len(core) :] != core:
            part = np.broadcast_to(part, np.broadcast_shapes(part.shape, core))
        picked.append(part[(*pick, slice(None))] if tail else part[pick])
    return picked


def _compile() -> Callable[..., tuple[Array, Array, Array]]:
    """Compile the kernel on first use: importing numba takes half a second.

    As a generalised ufunc it broadcasts all other axes itself and takes arrays of any strides,
    also those that may not be written, with this one compilation.
    """
    import numba

    rows, radii = numba.float64[:, :], numba.float64[:]
    compiled: Any = functools.partial(
        numba.guvectorize,
        [numba.void(rows, rows, radii, rows, rows, radii, rows, rows, rows)],
        "(n,k),(n,k),(n),(m,k),(m,k),(m)->(n,m),(n,m),(n,m)",
        nopython=True,
        fastmath={"nsz", "arcp", "contract", "reassoc"},
    )
    try:
        kernel = compiled(cache=True)(_pairs)
    except RuntimeError:  # neither the package's nor the user's cache folder can be written
        kernel = compiled()(_pairs)
    solve: Callable[..., tuple[Array, Array, Array]] = kernel
    return solve


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
    """Fill (limbs, links) from (limbs, 3) and (links, 3); for numba.

    Links are copied to one row per coordinate, answers go to rows first, and the inner loop over
    rows has no branches, so that the compiler turns it into vector instructions.
    """
    limbs, links = distance.shape
    row = np.empty((11, links))
    for m in range(links):
        for k in range(3):
            row[k, m] = b_start[m, k]
            row[3 + k, m] = b_end[m, k] - b_start[m, k]
        row[6, m] = row[3, m] ** 2 + row[4, m] ** 2 + row[5, m] ** 2
        row[7, m] = b_radius[m]
    for n in range(limbs):
        px, py, pz = a_start[n, 0], a_start[n, 1], a_start[n, 2]
        ux, uy, uz = a_end[n, 0] - px, a_end[n, 1] - py, a_end[n, 2] - pz
        aa = ux * ux + uy * uy + uz * uz
        inverse_aa = 1.0 / (aa + TINY)
        radius = a_radius[n]
        for m in range(links):
            vx, vy, vz, ee = row[3, m], row[4, m], row[5, m], row[6, m]
            rx, ry, rz = px - row[0, m], py - row[1, m], pz - row[2, m]
            bb = ux * vx + uy * vy + uz * vz
            cc = ux * rx + uy * ry + uz * rz
            ff = vx * rx + vy * ry + vz * rz
            area = aa * ee
            sine = area - bb * bb
            sine = sine if sine > PARALLEL * area else math.inf
            s = (bb * ff - cc * ee) / sine
            s = s if s > 0.0 else 0.0
            s = s if s < 1.0 else 1.0
            t = (bb * s + ff) / (ee + TINY)
            t = t if t > 0.0 else 0.0
            t = t if t < 1.0 else 1.0
            s = (bb * t - cc) * inverse_aa
            s = s if s > 0.0 else 0.0
            s = s if s < 1.0 else 1.0
            x, y, z = rx + s * ux - t * vx, ry + s * uy - t * vy, rz + s * uz - t * vz
            row[8, m] = math.sqrt(x * x + y * y + z * z) - radius - row[7, m]
            row[9, m] = s
            row[10, m] = t
        for m in range(links):
            distance[n, m] = row[8, m]
            a_fraction[n, m] = row[9, m]
            b_fraction[n, m] = row[10, m]
