"""Points in space from what several cameras see of them, wrong observations left out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_GATE = 3.5  # standard deviations within which an observation supports a point
_ITERATIONS = 4
_NEAREST = 0.1  # m ahead of a camera; what is nearer is not seen by it


@dataclass(frozen=True, eq=False)
class Triangulated:
    """P points and how sure they are."""

    # (P, 3): [m]; NaN where neither two cameras nor a camera and the expectation agree
    positions: Array
    covariance: Array  # (P, 3, 3): of the positions [m²]
    supports: NDArray[np.bool_]  # (V, P): which observations a position stands on
    # (V, P): distances of the observations from the positions' projections, in the observations'
    # standard deviations; NaN where there is no observation or no position
    residuals: Array


def triangulate(
    rays: Array,
    weights: Array,
    camera_from_base: Array,
    sigma: Array,
    expected: Array | None = None,
    expected_covariance: Array | None = None,
) -> Triangulated:
    """Place points by the observations that agree.

    Every pair of observations is a hypothesis, and so is the place where a point is expected, by
    itself and moved onto each observation. The one that the others contradict least (truncated
    squares) decides which observations count; Gauss-Newton on their reprojection errors, held by
    the expectation, gives the position.

    Parameters
    ----------
    rays : NDArray, shape (V, P, 2)
        Observations, undistorted and at unit depth.
    weights : NDArray, shape (V, P)
        Trust in each, 0 where there is none; divides its variance.
    camera_from_base : NDArray, shape (V, 4, 4)
        The cell's frame in each optical frame.
    sigma : NDArray, shape (V,)
        Standard deviation of observations at unit depth: pixels over the focal length.
    expected : NDArray, shape (P, 3), optional
        Where points are expected [m]; NaN where nothing is known.
    expected_covariance : NDArray, shape (P, 3, 3), optional
        Of the expectation [m²].

    References
    ----------
    Torr, Zisserman: MLESAC (the truncated score), CVIU 2000. Hartley, Sturm: Triangulation, 1997.
    """
    points = weights.shape[1]
    seen = (weights > 0.0) & np.isfinite(rays).all(-1)
    rays = np.where(seen[..., None], rays, 0.0)
    scale = np.where(seen, np.sqrt(weights), 0.0) / sigma[:, None]
    known: NDArray[np.bool_] = np.zeros(points, bool)
    prior, information = np.zeros((points, 3)), np.zeros((points, 3, 3))
    if expected is not None and expected_covariance is not None:
        known = np.asarray(np.isfinite(expected).all(-1))
        prior = np.where(known[:, None], expected, 0.0)
        information[known] = np.linalg.inv(expected_covariance[known])

    hypotheses = _hypotheses(rays, seen, camera_from_base)
    alone = _carried(prior, information, rays, scale, seen & known, camera_from_base)
    expectation = np.where(known[:, None], prior, np.nan)[None]
    hypotheses = np.concatenate((hypotheses, alone, expectation))
    chosen, best = _choose(hypotheses, rays, scale, seen, camera_from_base, prior, information)

    error = _errors(chosen[None], rays, scale, camera_from_base)[0]
    supports = seen & (error <= _GATE)
    held = known & (_mahalanobis(chosen, prior, information) <= _GATE**2)
    placed: NDArray[np.bool_] = np.asarray(np.isfinite(best) & (supports.sum(0) + held >= 2), bool)
    placed |= held & (supports.sum(0) == 0)  # nothing seen: the expectation stands
    position = np.where(placed[:, None], chosen, 0.0)
    pull = np.where(held[:, None, None], information, 0.0)
    for _ in range(_ITERATIONS):
        position, normal = _step(position, rays, scale, supports, camera_from_base, prior, pull)
    residuals = _errors(position[None], rays, scale, camera_from_base)[0]
    covariance = np.linalg.inv(np.where(placed[:, None, None], normal, np.eye(3)))
    placed &= np.isfinite(position).all(-1) & np.isfinite(covariance).all((-1, -2))
    return Triangulated(
        np.where(placed[:, None], position, np.nan),
        np.where(placed[:, None, None], covariance, np.nan),
        supports & placed,
        np.where(seen & placed, residuals, np.nan),
    )


def _hypotheses(rays: Array, seen: NDArray[np.bool_], camera_from_base: Array) -> Array:
    """Points nearest to the rays of each pair of cameras, shape (pairs, P, 3); NaN if not seen."""
    rotation, shift = camera_from_base[:, :3, :3], camera_from_base[:, :3, 3]
    origin = -np.einsum("vba,vb->va", rotation, shift)
    direction = np.einsum(
        "vba,vpb->vpa", rotation, np.concatenate((rays, np.ones_like(rays[..., :1])), -1)
    )
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    first, second = np.array(list(combinations(range(len(rays)), 2)), int).reshape(-1, 2).T
    between = (origin[second] - origin[first])[:, None]
    a, b = direction[first], direction[second]
    cosine = np.einsum("hpi,hpi->hp", a, b)
    along_a = np.einsum("hpi,hpi->hp", a, np.broadcast_to(between, a.shape))
    along_b = np.einsum("hpi,hpi->hp", b, np.broadcast_to(between, b.shape))
    sine = np.maximum(1.0 - cosine**2, 1e-6)
    s = (along_a - cosine * along_b) / sine
    t = (cosine * along_a - along_b) / sine
    middle = 0.5 * (
        origin[first][:, None] + s[..., None] * a + origin[second][:, None] + t[..., None] * b
    )
    both = seen[first] & seen[second] & (s > _NEAREST) & (t > _NEAREST)
    return np.where(both[..., None], middle, np.nan)


def _carried(
    prior: Array,
    information: Array,
    rays: Array,
    scale: Array,
    seen: NDArray[np.bool_],
    camera_from_base: Array,
) -> Array:
    """Expectations moved onto each camera's observation alone, shape (V, P, 3); NaN if not seen."""
    moved = np.full((*seen.shape, 3), np.nan)
    for view in range(len(rays)):
        only = np.zeros_like(seen)
        only[view] = seen[view]
        position, _ = _step(prior, rays, scale, only, camera_from_base, prior, information)
        moved[view] = np.where(seen[view][:, None], position, np.nan)
    return moved


def _errors(points: Array, rays: Array, scale: Array, camera_from_base: Array) -> Array:
    """Reprojection errors (H, V, P) of points (H, P, 3), in standard deviations."""
    local = np.einsum("vab,hpb->hvpa", camera_from_base[:, :3, :3], points)
    local += camera_from_base[None, :, None, :3, 3]
    ahead = local[..., 2] > _NEAREST
    depth = np.where(ahead, local[..., 2], 1.0)
    off = np.linalg.norm(local[..., :2] / depth[..., None] - rays, axis=-1) * scale
    return np.where(ahead, off, np.where(np.isnan(local[..., 2]), np.nan, np.inf))


def _mahalanobis(points: Array, prior: Array, information: Array) -> Array:
    away = points - prior
    return np.asarray(np.einsum("...pa,pab,...pb->...p", away, information, away))


def _choose(
    hypotheses: Array,
    rays: Array,
    scale: Array,
    seen: NDArray[np.bool_],
    camera_from_base: Array,
    prior: Array,
    information: Array,
) -> tuple[Array, Array]:
    """The hypothesis (P, 3) that is contradicted least, and its score (P,); inf for none."""
    error = _errors(hypotheses, rays, scale, camera_from_base)
    score = np.where(seen, np.minimum(error**2, _GATE**2), 0.0).sum(1)
    score += np.minimum(_mahalanobis(hypotheses, prior, information), _GATE**2)
    score = np.where(np.isfinite(score), score, np.inf)
    best = score.argmin(0)
    every = np.arange(len(best))
    chosen = np.nan_to_num(hypotheses[best, every])
    return chosen, score[best, every]


def _step(
    position: Array,
    rays: Array,
    scale: Array,
    supports: NDArray[np.bool_],
    camera_from_base: Array,
    prior: Array,
    pull: Array,
) -> tuple[Array, Array]:
    """One Gauss-Newton step: new positions (P, 3) and the normal matrices (P, 3, 3)."""
    rotation = camera_from_base[:, :3, :3]
    local = np.einsum("vab,pb->vpa", rotation, position) + camera_from_base[:, None, :3, 3]
    depth = np.maximum(local[..., 2], _NEAREST)
    projected = local[..., :2] / depth[..., None]
    inner = np.zeros((*projected.shape, 3))
    inner[..., 0, 0] = inner[..., 1, 1] = 1.0 / depth
    inner[..., 2] = -projected / depth[..., None]
    jacobian = np.einsum("vpka,vab->vpkb", inner, rotation)
    squared = np.where(supports, scale, 0.0) ** 2
    weighted = jacobian * squared[..., None, None]
    normal = np.einsum("vpka,vpkb->pab", weighted, jacobian) + pull
    slope = np.einsum("vpka,vpk->pa", weighted, projected - rays)
    slope += np.einsum("pab,pb->pa", pull, position - prior)
    normal += (1e-6 + 1e-9 * np.trace(normal, axis1=1, axis2=2))[:, None, None] * np.eye(3)
    return position - np.linalg.solve(normal, slope[..., None])[..., 0], normal
