"""Where a person stands: landmarks placed before a camera, and the distance filtered."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.pose.camera import homogeneous
from ses_gcn_ros.skeleton import get_layout

# Shank, thigh and trunk (hip to shoulder) are 0.246, 0.245 and 0.288 of stature
# (Drillis and Contini, Body segment parameters, 1966).
_CHAIN_OF_STATURE = 0.246 + 0.245 + 0.288
_REMEMBERED = 500  # frames that a person's size is taken from, and
UPRIGHT, _UPRIGHT_SIGMAS = 75.0, 0.674  # the percentile of theirs that it is, if they are normal


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


MIN_JOINTS = 2  # joints that a fit is asked to stand on
_FEW = 6  # joints below which the fit's residuals say nothing of its noise: then it is
_USUAL_NOISE = 0.01  # at unit depth, some pixels
_ITERATIONS = 8
_OUTLIER = 3.0  # residuals beyond this many standard deviations lose weight
_STATURE_SPREAD = 0.055  # standard deviation of adult stature over its mean, women and men together
_HEIGHT_SPREAD = 0.018  # what is left of it where the height is given
_FIT_NOISE = 0.04  # share by which the size of the landmarks errs with posture, and
_FIT_TIME = 0.5  # s that such an error lasts,
_FIT_WHITE = 0.01  # and from picture to picture
_FIT_DELAY = 0.15  # s that the filter is late where the landmarks alone tell the distance
_FLOOR_TIME = 0.2  # s that an ankle's error in the picture lasts
ANKLE_HEIGHT, _ANKLE_SIGMA = 0.08, 0.017  # m of the ankle's centre above the sole
_LEAST_MOUNTING = 0.3  # m of the camera above the plane of the ankles, and
_LEAST_SLOPE = 0.05  # of the ray to the floor, for the floor to be a cue
_REST = 0.06  # m/s across the picture that is no motion of the feet
_FEET_STRAY, _TRUNK_STRAY = 0.01, 0.15  # m/s along the ray of what rests in the picture
_STRAY_SHARE, _STRAY_TIME = 2.5, 0.5  # motion along the ray over that across it, and how long [s]
_FOOT = ("ankle", "heel", "toe")
_GAP = 0.5  # s unseen after which people may have walked on, at 1 m/s
_MOST_STRAY = 1.5  # m/s, a brisk walk
_DRIFT_TIME = 0.2  # s over which motion across the picture is averaged
_SHAPE_SIGMA = 0.06  # m, depth of one joint against another's as the landmarks give it
_UNLIKELY = 2.0  # standard deviations of stature from which a size is the floor's error
_DOUBT = 16.0  # squared standard deviations from which a cue counts less
_FIT_DOUBT = 2.0  # of the landmarks' size, which crouching changes by a quarter
_MISMATCH_TIME, _MOST_MISMATCH = 1.0, 0.25  # s, log size: beyond it, the floor is not there


@dataclass(frozen=True, eq=False)
class Placement:
    """People placed in the optical frame."""

    # joints, shape (N, J, 3) [m]; NaN for a person that can't be placed
    positions: NDArray[np.float64]
    # standard deviation of a person's distance along the viewing ray, shape (N,) [m]
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

    `world` (N, J, 3): joints about the middle of the hips, or any other point of the person's [m];
    NaN where there is none, as of a hand whose body is not in the picture.
    `rays` (N, J, 2): the same joints in the image, undistorted and at unit depth.
    `weights` (N, J): trust in each joint, 0 for one that is not seen.
    `size_known`: whether the person's true size is known; else the spread of adult stature limits
    the depth.
    `upright`: whether the landmarks' axes are the camera's own already, so that nothing is turned.
    """
    known = np.isfinite(world).all(-1)
    weights = np.where(known & np.isfinite(rays).all(-1), weights, 0.0)
    world, rays = (np.where(np.isfinite(values), values, 0.0) for values in (world, rays))
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
        np.where((good[:, None] & known)[..., None], positions, np.nan),
        np.where(good, ray_sigma, np.nan),
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
    median = nanmedian(np.where(weights > 0.0, length, np.nan))[:, None]
    # The median of a Rayleigh-distributed length is 1.1774 standard deviations.
    sigma = median / 1.1774 + 1e-9
    return 1.0 / (1.0 + (length / (_OUTLIER * sigma)) ** 2)


def nanmedian(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over the last axis, NaN left out and NaN where all are.

    numpy's takes ten times as long, and is asked nine times per image.
    """
    ordered = np.sort(values, axis=-1)  # NaN last
    count = np.isfinite(ordered).sum(-1)
    pair = np.stack((np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2), -1)
    return np.asarray(np.take_along_axis(ordered, pair, -1).mean(-1))


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
    few = (trust > 0.0).sum(axis=1) < _FEW
    variance = np.where(few, np.maximum(variance, _USUAL_NOISE**2), variance)
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


@dataclass(frozen=True, eq=False)
class Floor:
    """The floor in a camera's optical frame: points x with ``normal · x + offset = 0``."""

    normal: NDArray[np.float64]  # (3,): unit vector, up
    offset: float  # the camera's height above the floor [m]
    tilt: float = 0.005  # standard deviations, of the normal [rad]
    sigma: float = 0.0  # and of the offset [m]


def floor_of(
    target_from_camera: NDArray[np.float64], height: float, tilt: float = 0.005, sigma: float = 0.0
) -> Floor | None:
    """The floor, level and at `height` [m] in a target frame whose z is up; None from below it."""
    floor = Floor(target_from_camera[2, :3], float(target_from_camera[2, 3]) - height, tilt, sigma)
    return floor if floor.offset > _LEAST_MOUNTING else None


class DepthFilter:
    """Hold one person's distance from the camera, which a single picture tells only roughly.

    A Kalman filter on the logarithms of the depth z of the feet (of the hips, where no ankle is
    seen), of the person's size over the one that the landmarks assume, and of what they err by for
    about half a second (Gauss-Markov; told from motion because it fades). It weighs three cues:

    - the landmarks' own fit, whose size errs by the spread of stature (a constant of the person)
      and by those few per cent that depend on posture;
    - the floor, where its place is known: an ankle's ray meets the plane of the ankles. A foot in
      the air seems farther, so the nearer foot counts, and a sudden step away counts little. If it
      asks for a size that people hardly have, the certainty stated includes such an error;
    - rest: feet that stay on their pixels stay where they are, whatever the body above them does.

    `height`: the person's height [m]; 0 if unknown.

    Attributes:
    - `sigma`: standard deviation of the depth as a share of it.
    - `on_floor`: whether the floor agrees with the person's size; False says that it is somewhere
      else.
    - `resting` (J,), bool: joints of feet that rest.

    Criminisi, Reid, Zisserman: Single view metrology, IJCV 2000.
    """

    def __init__(self, layout: str, height: float = 0.0) -> None:
        names = get_layout(layout).canonical
        self._layout, self._height = layout, height
        self._ankles = [names.index(f"{side}_ankle") for side in "lr"]
        self._trunk = [names.index(f"{s}_{part}") for part in ("hip", "shoulder") for s in "lr"]
        self._statures: deque[float] = deque(maxlen=_REMEMBERED)
        self._state = np.zeros(3)  # log depth of the anchor, log size, the landmarks' error of it
        self._spread = _HEIGHT_SPREAD if height else _STATURE_SPREAD
        self._covariance = np.diag([4.0, self._spread**2, _FIT_NOISE**2])
        self._fit_noise = _FIT_NOISE
        self._stamp = -math.inf
        self._anchor: tuple[int, ...] = ()
        self._rays = np.zeros((0, 2))  # of the anchor's joints
        self._drift = np.zeros((0, 2))  # of each of them across the picture [1/s at unit depth]
        # log of the right ankle's depth over the left one's, and its variance
        self._stance: tuple[float, float] | None = None
        sides = [(name[:2] == "r_") * 1.0 - (name[:2] == "l_") for name in names]
        self._feet = np.array(sides) * [name[2:] in _FOOT for name in names]
        self._mismatch = 0.0  # mean of the log size that the floor asks for
        self._systematic = self._late = 0.0
        self.sigma, self.on_floor = math.inf, True
        self.resting = np.zeros(len(names), bool)

    def update(
        self,
        stamp: float,
        positions: NDArray[np.float64],
        rays: NDArray[np.float64],
        seen: NDArray[np.bool_],
        floor: Floor | None = None,
        ray_noise: float = 0.005,
        fit_sigma: float = 0.0,
    ) -> NDArray[np.float64]:
        """Factors (J,) that bring a person to the filtered distance, about the camera.

        They are the same for all joints, but that each foot that rests keeps its own distance.

        `stamp`: time of the picture [s].
        `positions` (J, 3): joints as `place` gives them, optical frame [m].
        `rays` (J, 2): the same joints in the picture, undistorted, at unit depth.
        `seen` (J,): which of them are in the picture and not hidden.
        `floor`: where the floor is; by default it is not known.
        `ray_noise`: standard deviation of the rays: pixels over the focal length.
        `fit_sigma`: standard deviation of the fitted distance as a share of it, as `place` states
        it.
        """
        known = 1.0
        if self._height and seen[self._trunk].any():
            self._statures.append(float(stature(positions, self._layout)))
        if self._statures:
            # Limbs that point at the camera look short; none looks long, but by landmarks' noise.
            size, spread = float(np.mean(self._statures)), float(np.std(self._statures))
            of_posture = math.sqrt(max(spread**2 - (_FIT_NOISE * size) ** 2, 0.0))
            known = self._height / (size + _UPRIGHT_SIGMAS * of_posture)
            self._fit_noise = max(spread / size, _FIT_WHITE)  # now that it is held against these
        ankles = [joint for joint in self._ankles if seen[joint]]
        trunk = [joint for joint in self._trunk if seen[joint]] or list(np.flatnonzero(seen))
        anchor = tuple(ankles or trunk)
        fitted = math.log(max(float(positions[list(anchor), 2].mean()) * known, 1e-3))
        elapsed = stamp - self._stamp
        strays = self._predict(elapsed, anchor, positions, rays[list(anchor)], bool(ankles))
        planted = self._plant(elapsed, positions, strays)
        beyond = max(0.0, fit_sigma**2 - _STATURE_SPREAD**2)  # what few or scattered joints add
        kept = math.exp(-elapsed / _FIT_TIME)
        fading = np.array([1.0, 1.0, kept])
        self._state *= fading
        self._covariance *= np.outer(fading, fading)
        self._covariance[2, 2] += self._fit_noise**2 * (1.0 - kept**2)
        row, often = np.array([1.0, -1.0, 1.0]), max(1.0, 2.0 * _FIT_TIME / max(elapsed, 1e-3))
        off, noise = fitted - float(row @ self._state), _FIT_WHITE**2 + often * beyond
        doubt = off**2 / (row @ self._covariance @ row + noise)
        noise += often * self._fit_noise**2 * doubt / _FIT_DOUBT
        self._correct(off, row, noise)
        self._systematic = 0.0
        if floor is not None and ankles:
            self._stand(elapsed, fitted, known, ankles, positions, rays, floor, ray_noise)
        self._stamp = stamp
        # Who is followed is known no worse than one picture tells, late as it is.
        alone = self._covariance[1, 1] + self._fit_noise**2 + beyond + self._late
        self.sigma = math.sqrt(min(self._covariance[0, 0], alone) + self._systematic**2)
        return np.asarray(known * np.exp(self._state[0] - fitted + planted))

    def _plant(
        self, elapsed: float, positions: NDArray[np.float64], strays: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Logarithms (J,) of the factors by which feet are moved along their rays.

        A Kalman filter on how much farther one foot is than the other, as far as each has stayed.
        """
        if self._anchor != tuple(self._ankles):
            self._stance = None
            return np.zeros(len(self._feet))
        left, right = positions[self._ankles, 2].clip(1e-3)
        apart = math.log(right / left)
        shape = 2.0 * (_SHAPE_SIGMA / left) ** 2
        if self._stance is None or elapsed > _GAP:
            self._stance = apart, shape
        before, variance = self._stance
        variance += strays.sum()
        gain = variance / (variance + shape * max(1.0, 2.0 * _FIT_TIME / max(elapsed, 1e-3)))
        stance = before + gain * (apart - before)
        self._stance = stance, (1.0 - gain) * variance
        left_rests, right_rests = self.resting[self._ankles].tolist()
        # Of a pair of which one rests, the middle goes half as far as the other.
        self._state[0] += 0.5 * (stance - before) * (left_rests - right_rests)
        return 0.5 * (stance - apart) * self._feet

    def _predict(
        self,
        elapsed: float,
        anchor: tuple[int, ...],
        positions: NDArray[np.float64],
        rays: NDArray[np.float64],
        feet: bool,
    ) -> NDArray[np.float64]:
        """Let the anchor's depth become less certain, the more so the faster it moves.

        Gives by how much (variances of log depths) each of its joints may have gone by itself.
        """
        before, self._rays = self._rays, rays
        changed = anchor != self._anchor
        if not (math.isfinite(elapsed) and self._anchor):
            self._anchor, self._drift = anchor, np.zeros_like(rays)
            return np.zeros(len(anchor))
        depth = math.exp(self._state[0])
        if changed:  # the depth is now another joint's
            shift = np.log(
                positions[list(anchor), 2].mean() / positions[list(self._anchor), 2].mean()
            )
            self._state[0] += shift if np.isfinite(shift) else 0.0
            self._covariance[0, 0] += (_SHAPE_SIGMA / depth) ** 2
            depth = math.exp(self._state[0])
            self._anchor = anchor
            self._drift = np.tile(self._drift.mean(axis=0), (len(anchor), 1))
        else:
            share = elapsed / (elapsed + _DRIFT_TIME)
            self._drift += share * ((rays - before) / elapsed - self._drift)
        if elapsed > _GAP:  # nobody knows what the feet did meanwhile
            self._covariance[0, 0] += (elapsed / depth) ** 2
        moving = np.vstack((self._drift.mean(axis=0), self._drift))
        speeds = np.maximum(np.linalg.norm(moving, axis=1) * depth - _REST, 0.0)
        stray = (_FEET_STRAY if feet else _TRUNK_STRAY) + np.minimum(
            _STRAY_SHARE * speeds, _MOST_STRAY
        )
        self._late = (_FIT_DELAY * stray[0] / depth) ** 2
        variances = (stray / depth) ** 2 * elapsed * _STRAY_TIME
        self._covariance[0, 0] += 2.0 * variances[0]
        self.resting = np.zeros(len(self._feet), bool)
        self.resting[list(anchor)] = feet & (speeds[1:] == 0.0)
        return variances[1:]

    def _stand(
        self,
        elapsed: float,
        fitted: float,
        known: float,
        ankles: list[int],
        positions: NDArray[np.float64],
        rays: NDArray[np.float64],
        floor: Floor,
        ray_noise: float,
    ) -> None:
        """Correct by the place where the ankles' rays meet the plane that ankles move in."""
        toward = homogeneous(rays[ankles]) @ floor.normal
        above = floor.offset - ANKLE_HEIGHT
        if above < _LEAST_MOUNTING or not (toward < -_LEAST_SLOPE).all():
            return  # the camera looks along the floor
        scales = np.log(above / -toward / (positions[ankles, 2] * known))
        slope = float(np.abs(toward).min())
        noise = ray_noise / slope
        nearer = float(scales.min())
        if np.ptp(scales) < 2.0 * noise:
            nearer = float(scales.mean())
        share = min(1.0, elapsed / _MISMATCH_TIME) if math.isfinite(elapsed) else 1.0
        self._mismatch += share * (nearer - self._mismatch)
        self.on_floor = abs(self._mismatch) <= _MOST_MISMATCH
        if not self.on_floor:
            return
        height = math.hypot(_ANKLE_SIGMA, floor.sigma)
        self._systematic = math.hypot(height / above, floor.tilt / slope)
        off = fitted + nearer - self._state[0]
        variance = noise**2 * max(1.0, 2.0 * _FLOOR_TIME / max(elapsed, 1e-3)) + self._systematic**2
        ratio = off**2 / (self._covariance[0, 0] + variance)
        variance *= 1.0 + ratio / _DOUBT
        # In the air, the feet seem farther and the body as large as before; off a step, nearer.
        grown = nearer - self._state[1]
        doubt = grown**2 / (self._covariance[1, 1] + _FIT_NOISE**2 + noise**2)
        variance *= (1.0 + doubt) ** 2
        self._correct(off, np.array([1.0, 0.0, 0.0]), variance)
        size = abs(float(self._state[1]))
        if size > _UNLIKELY * self._spread:  # what the spread of sizes leaves is the floor's
            self._systematic = max(self._systematic, math.sqrt(size**2 - self._spread**2))

    def _correct(self, off: float, row: NDArray[np.float64], variance: float) -> None:
        gain = self._covariance @ row / (row @ self._covariance @ row + variance)
        self._state = self._state + gain * off
        self._covariance = self._covariance - np.outer(gain, row @ self._covariance)
