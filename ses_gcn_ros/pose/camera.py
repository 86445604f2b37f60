"""Cameras: intrinsics with distortion, where they stand, and points in space that several see."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import InputError

_COEFFICIENTS = {  # numbers of coefficients by distortion model
    "": (0,),
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}
_SHORTEST, _LONGEST = 0.1, 30.0  # focal lengths over the image's longer side, fisheye to telephoto
_SOUND = 2.0  # px that a pixel may be off after the way to its ray and back
# Camera body axes (x forward, y left, z up; REP-103) from the optical ones (x right, y down).
BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Camera:
    """Pinhole camera with lens distortion; optical frame x right, y down, z forward."""

    # image size [px]
    width: int
    height: int
    # focal lengths and principal point [px]
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()  # coefficients of the distortion model, in OpenCV's order
    # "plumb_bob", "rational_polynomial" or "equidistant" (fisheye), as in CameraInfo
    model: str = "plumb_bob"
    assumed: bool = False  # whether this is a guess from an angle of view and not a calibration

    def normalise(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Undistorted image coordinates at unit depth, shape (..., 2), of pixels (..., 2)."""
        points = np.asarray(pixels, dtype=np.float64)
        if not any(self.distortion):
            return (points - (self.cx, self.cy)) / (self.fx, self.fy)
        undistort = cv2.fisheye.undistortPoints if self._fisheye else cv2.undistortPoints
        flat = undistort(points.reshape(-1, 1, 2), self._matrix, np.asarray(self.distortion))
        return np.asarray(flat, dtype=np.float64).reshape(points.shape)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of points (..., 3) [m] in the optical frame; NaN behind the camera."""
        given = np.asarray(points, dtype=np.float64)
        flat = given.reshape(-1, 3)
        pixels = np.full((len(flat), 2), np.nan)
        ahead = flat[:, 2] > 0.0
        if ahead.any():
            project = cv2.fisheye.projectPoints if self._fisheye else cv2.projectPoints
            still = np.zeros(3)
            distortion = np.asarray(self.distortion or (0.0,) * 4)
            seen = flat[ahead].reshape(-1, 1, 3)
            found, _ = project(seen, still, still, self._matrix, distortion)
            pixels[ahead] = found.reshape(-1, 2)
        return pixels.reshape(*given.shape[:-1], 2)

    def shows(self, pixels: ArrayLike) -> NDArray[np.bool_]:
        """Which pixels (..., 2) are in the picture, shape (...); NaN ones are not."""
        points = np.asarray(pixels)
        with np.errstate(invalid="ignore"):
            return np.all((points >= 0.0) & (points < (self.width, self.height)), axis=-1)

    def rays(self, pixels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Rays (..., 2) at unit depth of pixels (..., 2), and which of these the picture shows.

        The others get the optical axis: a lens may have no ray for them.
        """
        shown = self.shows(pixels)
        return self.normalise(np.where(shown[..., None], pixels, (self.cx, self.cy))), shown

    def sound(self) -> bool:
        """Whether the pixels of the middle half have rays that lead back to them."""
        share = np.linspace(0.25, 0.75, 5)
        pixels = np.stack(np.meshgrid(share * self.width, share * self.height), -1)
        rays = self.normalise(pixels)
        if not np.isfinite(rays).all() or np.abs(rays).max() > 1.0 / _SHORTEST:
            return False
        back = self.project(homogeneous(rays))
        return bool(np.abs(back - pixels).max() <= _SOUND)

    @property
    def _matrix(self) -> NDArray[np.float64]:
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def _fisheye(self) -> bool:
        return self.model == "equidistant"


def rigid(rotation: ArrayLike, shift: ArrayLike) -> NDArray[np.float64]:
    """Transforms (..., 4, 4) that turn by rotations (..., 3, 3), then shift by (..., 3) [m]."""
    transform = np.zeros((*np.shape(shift)[:-1], 4, 4))
    transform[..., :3, :3], transform[..., :3, 3], transform[..., 3, 3] = rotation, shift, 1.0
    return transform


def inverse(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverses (..., 4, 4) of transforms (..., 4, 4)."""
    return np.asarray(np.linalg.inv(transforms), np.float64)


def homogeneous(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (..., 3) at unit depth on rays (..., 2)."""
    return np.concatenate((rays, np.ones_like(rays[..., :1])), axis=-1)


def camera_from_view(width: int, height: int, field_of_view: float) -> Camera:
    """Distortion-free camera of a horizontal angle of view [deg], its centre the image's."""
    focal = 0.5 * width / math.tan(math.radians(field_of_view) / 2.0)
    return Camera(width, height, focal, focal, width / 2.0, height / 2.0, assumed=True)


def camera_from_calibration(
    width: int,
    height: int,
    matrix: ArrayLike,
    distortion: Sequence[float],
    model: str,
    *,
    cropped: bool = False,
) -> Camera:
    """Camera of a calibration as CameraInfo carries it: K (9 values, row by row) and D.

    Raises InputError if the camera is not calibrated, its distortion model is unknown, or no lens
    is like that.

    `distortion`: d, in OpenCV's order; zeros behind the coefficients that a model has are left out.
    `cropped`: whether the image is a part of the camera's, which may lie beside the principal
    point.
    """
    k = np.asarray(matrix, dtype=np.float64).reshape(3, 3)
    fx, fy, cx, cy = (float(v) for v in (k[0, 0], k[1, 1], k[0, 2], k[1, 2]))
    if not (np.isfinite(k).all() and fx > 0.0 and fy > 0.0):
        raise InputError(
            f"camera_info has focal lengths {fx:g} and {fy:g} px; calibrate the camera"
        )
    size = max(width, height)
    if not (_SHORTEST * size <= min(fx, fy) and max(fx, fy) <= _LONGEST * size):
        raise InputError(
            f"camera_info has focal lengths {fx:g} and {fy:g} px, which no lens before "
            f"{width}×{height} px has; calibrate the camera"
        )
    if not cropped and not (0.0 <= cx <= width and 0.0 <= cy <= height):
        raise InputError(
            f"camera_info has its principal point at {cx:g}, {cy:g} px, outside of the image of "
            f"{width}×{height} px; calibrate the camera at the size that is sent"
        )
    if model not in _COEFFICIENTS:
        raise InputError(
            f"camera_info has distortion model '{model[:40]}'; "
            f"known are {', '.join(name for name in _COEFFICIENTS if name)}"
        )
    coefficients = tuple(float(value) for value in distortion)
    most = max(_COEFFICIENTS[model])
    if len(coefficients) > most and not any(coefficients[most:]):
        coefficients = coefficients[:most]
    if len(coefficients) not in _COEFFICIENTS[model] or not np.isfinite(coefficients).all():
        raise InputError(
            f"camera_info has {len(distortion)} distortion coefficients; model '{model}' takes "
            f"{' or '.join(str(n) for n in _COEFFICIENTS[model])} finite ones"
        )
    camera = Camera(width, height, fx, fy, cx, cy, coefficients, model or "plumb_bob")
    if not cropped and not camera.sound():
        raise InputError(
            f"camera_info has distortion coefficients {', '.join(f'{c:g}' for c in coefficients)}, "
            "with which no pixel about the middle has a ray; calibrate the camera"
        )
    return camera


def camera_from_info(info: Any) -> Camera:
    """Camera of a sensor_msgs/CameraInfo (its fields), binning and region of interest included.

    Raises InputError as `camera_from_calibration`, and if the region of interest is not in the
    image.
    """
    whole = camera_from_calibration(info.width, info.height, info.k, info.d, info.distortion_model)
    bins = max(1, int(info.binning_x)), max(1, int(info.binning_y))
    roi = info.roi
    left, top = int(roi.x_offset), int(roi.y_offset)
    width, height = int(roi.width) or info.width, int(roi.height) or info.height
    if bins == (1, 1) and (left, top, width, height) == (0, 0, info.width, info.height):
        return whole
    if left + width > info.width or top + height > info.height:
        raise InputError(
            f"camera_info has a region of interest of {width}×{height} px at {left}, {top}, which "
            f"is not in the image of {info.width}×{info.height} px"
        )
    return replace(
        whole,
        width=width // bins[0],
        height=height // bins[1],
        fx=whole.fx / bins[0],
        fy=whole.fy / bins[1],
        cx=(whole.cx - left) / bins[0],
        cy=(whole.cy - top) / bins[1],
    )


def target_from_optical(pose: Sequence[float]) -> NDArray[np.float64]:
    """Optical frame in the target frame, 4×4, of a camera at x, y, z [m], roll, pitch, yaw [rad].

    The angles turn the camera's body (x forward, y left, z up), about fixed axes x, y, z in turn.
    """
    turn = Rotation.from_euler("xyz", pose[3:]).as_matrix()
    return rigid(turn @ BODY_FROM_OPTICAL, pose[:3])


@dataclass(frozen=True, eq=False)
class View:
    """A camera and where it stands."""

    camera: Camera  # its intrinsics
    base_from_camera: NDArray[np.float64]  # (4, 4): its optical frame in the frame of the cell

    @cached_property
    def camera_from_base(self) -> NDArray[np.float64]:
        """Frame of the cell in the optical frame, shape (4, 4)."""
        return inverse(self.base_from_camera)

    @property
    def place(self) -> NDArray[np.float64]:
        """Where the camera is in the cell, shape (3,) [m]."""
        return self.base_from_camera[:3, 3]

    def to_camera(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the cell in the optical frame."""
        transform = self.camera_from_base
        return np.asarray(np.asarray(points) @ transform[:3, :3].T + transform[:3, 3])

    def to_base(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the optical frame in the cell."""
        transform = self.base_from_camera
        return np.asarray(np.asarray(points) @ transform[:3, :3].T + transform[:3, 3])

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of points (..., 3) of the cell; NaN behind the camera."""
        return self.camera.project(self.to_camera(points))


@dataclass(frozen=True, eq=False)
class Detections:
    """Everybody in one picture."""

    view: View  # the camera and its place
    layout: str  # joint layout
    pixels: NDArray[np.float64]  # (N, J, 2): joints [px]; NaN where unseen
    confidence: NDArray[np.float64]  # (N, J): confidence per joint, 0 where unseen
    # what the camera's own node calls them; tells who is who from one frame to the next
    names: tuple[str, ...]


_SMALL, _BLOCKS = (64, 36), (8, 4)  # px of a picture made small, and parts of it, across and down
_PLAIN = 25.0  # grey values that a part must differ from its mean, all pixels together, to say much
_SCENE = 0.4  # least correlation of the middle part; 0.6 of a shaken hand, 0.25 of another scene
_STILL = 0.5  # the same of a camera that stands, whatever the light


def _small(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture (H, W, 3) grey and small."""
    step = max(1, min(rgb.shape[1] // _SMALL[0], rgb.shape[0] // _SMALL[1]) // 2)
    thin = np.ascontiguousarray(rgb[::step, ::step])
    small = cv2.resize(thin, _SMALL, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)


def _parts_alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Median correlation of the parts of two grey pictures; NaN where too few have texture.

    Of that about each part's mean and that about each of its rows' the greater counts, since lamps
    that flicker make bands of a rolling shutter's rows.
    """
    across, down = _BLOCKS
    parts = np.stack((one, other)).reshape(2, down, _SMALL[1] // down, across, -1)
    found = []
    for axes in ((2, 4), (4,)):
        about = parts - parts.mean(axes, keepdims=True)
        length = np.sqrt(np.sum(about**2, axis=(2, 4)))
        told = (length > _PLAIN).all(0)
        if told.sum() >= told.size / 4:
            both = np.sum(about[0] * about[1], axis=(1, 3))
            found.append(float(np.median(both[told] / length.prod(0)[told])))
    return max(found, default=math.nan)


_PERIOD = 1.0  # s between looks
_WIDTH = 640  # px that pictures are scaled down to
_CORNERS, _NEEDED = 300, 30  # of the first picture; found again, to say anything
_SHARE = 0.5  # of them that must move alike
_SHIFT = 0.7 / 640  # of the width that is no motion: 0.07° or 5 mm at 4 m before 60°
_PATIENCE = 5  # looks in a row that must agree
_MARGIN = 0.15  # of a person's box that is left out around it
_BACK = 0.5  # px that a corner may miss itself by, followed there and back


class CameraMotionDetector:
    """Follow the corners of the first picture that lie beside people.

    Attributes:
    - `moved`: whether the camera has been moved since the first picture; stays so.
    - `shift`: median way of the corners that move alike, in the last picture [px]; infinite where
      another scene came to stay, of a camera that was turned away.

    Lucas, Kanade: An iterative image registration technique, IJCAI 1981.
    """

    def __init__(self) -> None:
        self.moved, self.shift = False, 0.0
        self._reference: NDArray[np.uint8] | None = None
        self._scene: NDArray[np.float32] | None = None  # the reference, small
        self._corners = np.zeros((0, 1, 2), np.float32)
        self._looked, self._agreed, self._lost = -np.inf, 0, 0

    def update(self, stamp: float, rgb: NDArray[np.uint8], people: NDArray[np.float64]) -> None:
        """Look at the picture (H, W, 3) of `stamp` [s] with people (N, J, 2) [px], if it's time."""
        if 0.0 <= stamp - self._looked < _PERIOD or not np.isfinite(self.shift):
            return
        self._looked = stamp
        scale = min(1.0, _WIDTH / rgb.shape[1])
        size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
        grey = np.asarray(cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), size), np.uint8)
        free = np.full(grey.shape, 255, np.uint8)
        for person in people * scale:
            low, high = np.nanmin(person, axis=0), np.nanmax(person, axis=0)
            border = _MARGIN * (high - low).max()
            left, top = np.clip(low - border, 0, size).astype(int)
            right, bottom = np.clip(high + border, 0, size).astype(int)
            free[top:bottom, left:right] = 0
        if self._reference is None or self._lost > _PATIENCE:
            found = cv2.goodFeaturesToTrack(grey, _CORNERS, 0.01, 8, mask=free)
            self._corners = (
                np.zeros((0, 1, 2), np.float32) if found is None else np.asarray(found, np.float32)
            )
            self._reference, self._lost = grey, 0
            small = _small(rgb)
            same = 1.0 if self._scene is None else _parts_alike(self._scene, small)
            if same < _STILL:
                self.moved, self.shift = True, np.inf
            elif np.isfinite(same):  # not when the light is out
                self._scene = small
            return
        before, after = self._follow(grey, free)
        if len(before) < _NEEDED:
            self._lost += 1  # the light went out, or much was moved about
            return
        self._lost = 0
        model, alike = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=1.0)
        if model is None or alike is None or alike.mean() < _SHARE:
            return
        # Of the model, not of the corners: their noise makes ways longer.
        way = before @ model[:, :2].T + model[:, 2] - before
        self.shift = float(np.median(np.linalg.norm(way, axis=-1))) / scale
        self._agreed = self._agreed + 1 if self.shift > _SHIFT * rgb.shape[1] else 0
        self.moved |= self._agreed >= _PATIENCE

    def _follow(
        self, grey: NDArray[np.uint8], free: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Corners (K, 2) of the reference that are found again, and where."""
        nothing = np.zeros((0, 2), np.float32)
        if not len(self._corners) or self._reference is None:
            return nothing, nothing
        there, _, _ = cv2.calcOpticalFlowPyrLK(self._reference, grey, self._corners, None)
        back, _, _ = cv2.calcOpticalFlowPyrLK(grey, self._reference, there, None)
        before, after = self._corners[:, 0], there[:, 0]
        column, row = np.clip(after, 0, np.array(grey.shape[::-1]) - 1).astype(int).T
        good = np.linalg.norm(back[:, 0] - before, axis=-1) < _BACK
        good &= free[row, column] > 0
        return before[good], after[good]


class SceneCutDetector:
    """Tell when a picture shows another scene than the one before.

    Videos are cut, and a switch shows one camera after the other. Half of the parts of a picture,
    brightness left out, are then unlike before even if they are shifted (phase correlation); people
    and covers that come, light and a camera that shakes leave more of them as they were.

    Kuglin, Hines: The phase correlation image alignment method, 1975.
    """

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def update(self, rgb: NDArray[np.uint8]) -> bool:
        """Whether the picture (H, W, 3) begins a scene; never of one without texture."""
        grey = _small(rgb)
        alike = 1.0 if self._before is None else _parts_alike(self._before, grey)
        if alike < _SCENE and self._before is not None:
            shift, _ = cv2.phaseCorrelate(
                self._before, grey, cv2.createHanningWindow(_SMALL, cv2.CV_32F)
            )
            move = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
            moved = cv2.warpAffine(self._before, move, _SMALL, borderMode=cv2.BORDER_REPLICATE)
            alike = _parts_alike(np.asarray(moved, np.float32), grey)
        if np.isfinite(alike):
            self._before = grey
        return alike < _SCENE


_SINCE, _LONG_SINCE = 0.3, 2.0  # s between pictures that are compared, at least and at most
_BLUR = (5, 5)  # px over which the noise of a picture is averaged
_CHANGE, _OVER_USUAL = 10.0, 4.0  # grey values that are a change, and over the picture's median one
_CHANGED = 0.05  # of the pixels about somebody who moves


class PictureChange:
    """Tell where a picture changes: a figure on a poster moves no joint, whatever is made of it."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, NDArray[np.uint8]]] = deque()

    def update(
        self, stamp: float, rgb: NDArray[np.uint8], pixels: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Whether the picture (H, W, 3) has changed about each of the people (N, J, 2) [px].

        Since a third of a second ago, and more than by noise or light elsewhere. False in the first
        pictures.
        """
        grey = np.asarray(cv2.blur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), _BLUR), np.uint8)
        self._past.append((stamp, grey))
        while len(self._past) > 1 and self._past[1][0] <= stamp - _SINCE:
            self._past.popleft()
        then, before = self._past[0]
        if not _SINCE <= stamp - then <= _LONG_SINCE or before.shape != grey.shape:
            return np.zeros(len(pixels), bool)
        change = cv2.absdiff(grey, before)
        least = max(_CHANGE, _OVER_USUAL * float(np.median(change)))
        low = np.nanmin(pixels, axis=1).clip(0).astype(int)
        high = np.nanmax(pixels, axis=1).clip(0).astype(int) + 1
        boxes = [change[y:bottom, x:r] for (x, y), (r, bottom) in zip(low, high, strict=True)]
        return np.array([box.size > 0 and (box > least).mean() > _CHANGED for box in boxes], bool)


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

    `rays` (V, P, 2): observations, undistorted and at unit depth.
    `weights` (V, P): trust in each, 0 where there is none; divides its variance.
    `camera_from_base` (V, 4, 4): the cell's frame in each optical frame.
    `sigma` (V,): standard deviation of observations at unit depth: pixels over the focal length.
    `expected` (P, 3): where points are expected [m]; NaN where nothing is known.
    `expected_covariance` (P, 3, 3): of the expectation [m²].
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
    direction = np.einsum("vba,vpb->vpa", rotation, homogeneous(rays))
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
