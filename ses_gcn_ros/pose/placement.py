"""Where a person stands: the third dimension of landmarks, one placer per `mode`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.skeleton import get_layout

# Shank, thigh and trunk (hip to shoulder) are 0.246, 0.245 and 0.288 of stature
# (Drillis and Contini, Body segment parameters, 1966).
_CHAIN_OF_STATURE = 0.246 + 0.245 + 0.288
_REMEMBERED = 60  # frames that a person's size is taken from


def stature(positions: NDArray[np.floating], layout: str = "mediapipe33") -> NDArray[np.float64]:
    """Height of people standing upright [m], shape (...), from joints (..., J, 3) of a layout.

    From the lengths of trunk, thighs and shanks; needs all of them, hidden ones as estimated.
    """
    names = get_layout(layout).canonical

    def joint(name: str) -> NDArray[np.floating]:
        return positions[..., names.index(name), :]

    def length(a: str, b: str) -> NDArray[np.float64]:
        sides = [np.linalg.norm(joint(s + a) - joint(s + b), axis=-1) for s in ("l_", "r_")]
        return 0.5 * (sides[0] + sides[1])

    shoulders = 0.5 * (joint("l_shoulder") + joint("r_shoulder"))
    hips = 0.5 * (joint("l_hip") + joint("r_hip"))
    trunk = np.linalg.norm(shoulders - hips, axis=-1)
    return (trunk + length("hip", "knee") + length("knee", "ankle")) / _CHAIN_OF_STATURE


class BodyScaleEstimator:
    """Scale one person to a known height about the camera, which leaves the image as it is.

    The factor comes from the median of the heights estimated lately. Scaling every frame by its own
    estimate would be worse than none: where limbs point at the camera they are estimated too short,
    and somebody who squats would seem to step back.

    Parameters
    ----------
    height : float
        The person's height [m]; 0 leaves everything as estimated.
    """

    def __init__(self, height: float) -> None:
        self._height = height
        self._sizes: deque[float] = deque(maxlen=_REMEMBERED)

    def fit(
        self, positions: NDArray[np.float64], camera: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Joints (33, 3) [m] at the person's height; `camera` (3,) is the camera's place."""
        if self._height == 0.0:
            return positions
        self._sizes.append(float(stature(positions)))
        return camera + (positions - camera) * (self._height / float(np.median(self._sizes)))


MIN_JOINTS = 4  # well-spread joints that a fit is asked to stand on
_ITERATIONS = 8
_OUTLIER = 3.0  # residuals beyond this many standard deviations lose weight
_STATURE_SPREAD = 0.055  # standard deviation of adult stature over its mean, women and men together


@dataclass(frozen=True, eq=False)
class Placement:
    """People placed in the optical frame.

    Attributes
    ----------
    positions : NDArray
        Joints, shape (N, J, 3) [m]; NaN for a person that can't be placed.
    ray_sigma : NDArray
        Standard deviation of a person's distance along the viewing ray, shape (N,) [m].
    """

    positions: NDArray[np.float64]
    ray_sigma: NDArray[np.float64]


def place(
    world: NDArray[np.float64],
    rays: NDArray[np.float64],
    weights: NDArray[np.float64],
    size_known: bool = False,
    *,
    upright: bool = False,
) -> Placement:
    """Find the translation that makes each person's joints project to where they are seen.

    A linear solution is refined by Gauss-Newton on the reprojection error, with Cauchy weights
    against outliers. The landmarks come from a crop around the person, so their axes are those of a
    camera that looks straight at the person; they are turned by the viewing ray first (as in
    CLIFF, Li et al., ECCV 2022).

    Parameters
    ----------
    world : NDArray, shape (N, J, 3)
        Joints about the middle of the hips [m].
    rays : NDArray, shape (N, J, 2)
        The same joints in the image, undistorted and at unit depth.
    weights : NDArray, shape (N, J)
        Trust in each joint, 0 for one that is not seen.
    size_known : bool
        Whether the person's true size is known; else the spread of adult stature limits the depth.
    upright : bool
        Whether the landmarks' axes are the camera's own already, so that nothing is turned.
    """
    weights = np.where(np.isfinite(rays).all(-1), weights, 0.0)
    rays = np.where(np.isfinite(rays), rays, 0.0)
    enough = (weights > 0.0).sum(axis=1) >= MIN_JOINTS
    weights = np.where(enough[:, None], weights, 1.0)  # keeps the equations solvable; masked below

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        translation = _linear_fit(world, rays, weights)
        world = np.einsum("nab,njb->nja", facing(translation), world)
        translation = _linear_fit(world, rays, weights)
        for _ in range(_ITERATIONS):
            residuals, jacobian = _reprojection(world + translation[:, None], rays)
            trust = weights * _robust(residuals, weights)
            normal = np.einsum("njka,nj,njkb->nab", jacobian, trust, jacobian)
            slope = np.einsum("njka,nj,njk->na", jacobian, trust, residuals)
            translation = translation - _solve(normal, slope)
        residuals, jacobian = _reprojection(world + translation[:, None], rays)
        trust = weights * _robust(residuals, weights)
        ray_sigma = _ray_sigma(translation, residuals, jacobian, trust)
        depth = np.linalg.norm(translation, axis=1)
    if not size_known:
        ray_sigma = np.hypot(ray_sigma, _STATURE_SPREAD * depth)

    positions = world + translation[:, None]
    ahead = ((positions[..., 2] > 0.0) | (weights == 0.0)).all(axis=1)
    good = enough & np.isfinite(positions).all(axis=(1, 2)) & ahead
    return Placement(
        np.where(good[:, None, None], positions, np.nan), np.where(good, ray_sigma, np.nan)
    )


def _linear_fit(
    world: NDArray[np.float64], rays: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Translation (N, 3) with (X + t)_xy = u (X + t)_z in the least-squares sense."""
    equations = np.zeros((*rays.shape, 3))
    equations[..., 0, 0] = equations[..., 1, 1] = 1.0
    equations[..., 2] = -rays
    right = rays * world[..., 2:] - world[..., :2]
    normal = np.einsum("njka,nj,njkb->nab", equations, weights, equations)
    return _solve(normal, np.einsum("njka,nj,njk->na", equations, weights, right))


def facing(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shortest rotations (..., 3, 3) of the optical axis onto directions (..., 3)."""
    x, y, z = np.moveaxis(direction / np.linalg.norm(direction, axis=-1, keepdims=True), -1, 0)
    scale = 1.0 / (1.0 + z)
    rows = [
        [1.0 - x * x * scale, -x * y * scale, x],
        [-x * y * scale, 1.0 - y * y * scale, y],
        [-x, -y, z],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def _reprojection(
    points: NDArray[np.float64], rays: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Residuals (N, J, 2) at unit depth and their derivatives (N, J, 2, 3) by the translation."""
    depth = np.maximum(points[..., 2], 1e-2)
    projected = points[..., :2] / depth[..., None]
    jacobian = np.zeros((*rays.shape, 3))
    jacobian[..., 0, 0] = jacobian[..., 1, 1] = 1.0 / depth
    jacobian[..., 2] = -projected / depth[..., None]
    return projected - rays, jacobian


def _robust(residuals: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cauchy weights (N, J), their scale from the median residual of the joints that count."""
    length = np.linalg.norm(residuals, axis=-1)
    ordered = np.sort(np.where(weights > 0.0, length, np.inf), axis=1)
    counted = (weights > 0.0).sum(axis=1, keepdims=True)
    middle = np.concatenate(((counted - 1) // 2, counted // 2), axis=1)
    # numpy's nanmedian takes ten times as long, nine times per image.
    median = np.take_along_axis(ordered, middle, axis=1).mean(axis=1, keepdims=True)
    # The median of a Rayleigh-distributed length is 1.1774 standard deviations.
    sigma = median / 1.1774 + 1e-9
    return 1.0 / (1.0 + (length / (_OUTLIER * sigma)) ** 2)


def _ray_sigma(
    translation: NDArray[np.float64],
    residuals: NDArray[np.float64],
    jacobian: NDArray[np.float64],
    trust: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Standard deviation (N,) [m] along the ray, from the fit's covariance."""
    normal = np.einsum("njka,nj,njkb->nab", jacobian, trust, jacobian)
    freedom = np.maximum(2.0 * trust.sum(axis=1) - 3.0, 1.0)
    variance = (trust[..., None] * residuals**2).sum(axis=(1, 2)) / freedom
    ray = translation / np.linalg.norm(translation, axis=1, keepdims=True)
    along: NDArray[np.float64] = variance * np.einsum("na,na->n", ray, _solve(normal, ray))
    return np.sqrt(along)


def _solve(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solutions (N, 3) of N equations; a trace of damping keeps degenerate ones from failing."""
    damped = (
        matrix
        + 1e-9 * np.trace(matrix, axis1=1, axis2=2)[:, None, None] * np.eye(3)
        + 1e-15 * np.eye(3)
    )
    damped = np.where(np.isfinite(damped), damped, np.eye(3))
    return np.asarray(np.linalg.solve(damped, right[..., None])[..., 0], dtype=np.float64)
