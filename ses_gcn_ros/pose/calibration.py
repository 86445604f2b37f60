"""Where cameras stand, from a ChArUco board or a person who walks, and the files that say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.sparse import lil_matrix
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import MISSHAPEN, ConfigError, InputError
from ses_gcn_ros.pose.camera import (
    BODY_FROM_OPTICAL,
    Camera,
    camera_from_calibration,
    inverse,
    rigid,
    triangulate,
)
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.placement import ANKLE_HEIGHT, stature
from ses_gcn_ros.pose.sources import VideoFile
from ses_gcn_ros.resources import parse_yaml, write_atomically
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]

_DICTIONARIES = {name: getattr(cv2.aruco, name) for name in dir(cv2.aruco) if name[:5] == "DICT_"}
_CORNERS = 6  # of the board, that a picture must show


@dataclass(frozen=True)
class Board:
    """A ChArUco board."""

    # squares
    columns: int
    rows: int
    # length of their sides [m]
    square: float
    marker: float
    dictionary: str = "DICT_4X4_50"  # OpenCV's name of the markers' dictionary

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 3 or not 0.0 < self.marker < self.square:
            raise ConfigError(
                f"board of {self.columns}×{self.rows} squares of {self.square:g} m with markers "
                f"of {self.marker:g} m; it takes 3×3 at least, and markers smaller than squares"
            )
        if self.dictionary not in _DICTIONARIES:
            raise ConfigError(
                f"there is no dictionary '{self.dictionary}'; OpenCV has {', '.join(_DICTIONARIES)}"
            )

    def opencv(self) -> cv2.aruco.CharucoBoard:
        """OpenCV's object; z points into the board, x along a row, y down a column."""
        dictionary = cv2.aruco.getPredefinedDictionary(_DICTIONARIES[self.dictionary])
        return cv2.aruco.CharucoBoard(
            (self.columns, self.rows), self.square, self.marker, dictionary
        )


@dataclass(frozen=True, eq=False)
class BoardPose:
    """A board seen by a camera."""

    # (4, 4): board in the optical frame; x along a row, y up a column, z out of the board
    camera_from_board: Array
    error: float  # root mean square of the reprojection errors [px]
    pictures: int  # number of pictures that it was seen in


def locate_board(pictures: Iterable[NDArray[np.uint8]], camera: Camera, board: Board) -> BoardPose:
    """Find a board that lies still, from all pictures (H, W, 3) [RGB] together.

    Raises InputError if no picture shows enough of the board, one is of another size than the
    camera's, or the board was moved.
    """
    model = board.opencv()
    detector = cv2.aruco.CharucoDetector(model)
    corners = np.asarray(model.getChessboardCorners(), np.float64)
    points, pixels, views = [], [], 0
    count = 0
    for picture in pictures:
        count += 1
        if picture.shape[1::-1] != (camera.width, camera.height):
            raise InputError(
                f"a picture is {picture.shape[1]}×{picture.shape[0]} px, but the intrinsics are "
                f"for {camera.width}×{camera.height}; calibrate at the size that is sent"
            )
        found, ids, _, _ = detector.detectBoard(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
        if ids is None or len(ids) < _CORNERS:
            continue
        views += 1
        points.append(corners[np.ravel(ids)])
        pixels.append(np.reshape(found, (-1, 2)).astype(np.float64))
    if not views:
        raise InputError(
            f"none of {count} pictures shows {_CORNERS} corners of a {board.columns}×{board.rows} "
            f"board of {board.dictionary}; check the board's numbers, the light and the focus"
        )
    seen, places = np.concatenate(points), np.concatenate(pixels)
    rays = camera.normalise(places)
    good, turn, shift = cv2.solvePnP(seen, rays, np.eye(3), np.zeros(4), flags=cv2.SOLVEPNP_SQPNP)
    if good:
        turn, shift = cv2.solvePnPRefineLM(seen, rays, np.eye(3), np.zeros(4), turn, shift)
    if not good or float(np.ravel(shift)[2]) <= 0.0:
        raise InputError("the corners found don't fit a board before the camera")
    pose = rigid(cv2.Rodrigues(turn)[0], np.ravel(shift))
    projected = camera.project(seen @ pose[:3, :3].T + pose[:3, 3])
    error = float(np.sqrt(np.mean(np.sum((projected - places) ** 2, axis=-1))))
    if error > 0.01 * camera.width:
        raise InputError(
            f"the board does not lie still: its corners are {error:.1f} px off their mean place; "
            "leave it in one place for all pictures"
        )
    upright = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenCV's board has y down and z into it
    upright[1, 3] = board.rows * board.square
    return BoardPose(pose @ upright, error, views)


_MOMENTS = 60  # of the walk that enter the bundle adjustment
_COMMON = 40  # joints that two cameras must have seen at the same moments
_SIGMA = 4.0  # px of a landmark; beyond it errors count less and less
_ROUNDS = 3  # of leaving out what does not fit
_SPREAD = 0.35  # m that a walk must spread in a direction for the floor to have a slope there
_LEAN = np.radians(10.0)  # a floor is taken for one if it is no more inclined to the bodies


@dataclass(frozen=True, eq=False)
class Walk:
    """What one camera saw of the walk, at T moments that are the same for all cameras."""

    camera: Camera  # its intrinsics
    pixels: Array  # (T, J, 2): joints [px]; NaN where unseen
    # (T, J, 3): joints in the optical frame as this camera alone places them [m]; NaN where it
    # can't
    positions: Array


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Cameras in the frame of the cell."""

    # (V, 4, 4): Optical frames. The origin is on the floor where the walk began, z is up, and x
    # points from there to the first camera.
    base_from_camera: Array
    errors: Array  # (V,): median reprojection error of each camera [px]
    joints: int  # number of joints that the cameras were arranged by


def arrange_cameras(walks: Sequence[Walk], height: float, layout: str) -> Arrangement:
    """Arrange cameras around a walk of a person of a height [m], by bundle adjustment.

    The cameras' own estimates of the person are laid over one another for a start; then poses and
    joints are adjusted to the landmarks in all pictures, the size of the whole to the person's.
    Raises InputError if there are fewer than two cameras, or two that saw too little of the same.
    """
    if len(walks) < 2:
        raise InputError(f"{len(walks)} camera saw the walk; arranging takes two at least")
    chosen = _moments(walks)
    pixels = np.stack([walk.pixels[chosen] for walk in walks])  # (V, M, J, 2)
    alone = np.stack([walk.positions[chosen] for walk in walks])
    poses = [np.eye(4)]
    for number, positions in enumerate(alone[1:], start=1):
        both = np.isfinite(positions).all(-1) & np.isfinite(alone[0]).all(-1)
        if both.sum() < _COMMON:
            raise InputError(
                f"cameras 1 and {number + 1} have {int(both.sum())} joints in common; "
                f"{_COMMON} are needed: walk where all cameras see you"
            )
        poses.append(_overlay(alone[0][both], positions[both]))
    first_from_camera = np.stack(poses)
    flat = pixels.reshape(len(walks), -1, 2)
    rays = np.stack(
        [
            walk.camera.normalise(np.nan_to_num(points))
            for walk, points in zip(walks, flat, strict=True)
        ]
    )
    seen = np.isfinite(flat).all(-1)
    focal = np.array([walk.camera.fx for walk in walks])
    for factor in np.linspace(4.0, 1.0, _ROUNDS):  # the start is rough: strict only at last
        sigma = factor * _SIGMA / focal
        placed = triangulate(rays, seen.astype(float), inverse(first_from_camera), sigma)
        first_from_camera = _adjust(
            first_from_camera, placed.positions, rays, placed.supports, focal
        )
    placed = triangulate(rays, seen.astype(float), inverse(first_from_camera), sigma)
    points = placed.positions.reshape(len(chosen), -1, 3)

    size = float(np.nanmedian(stature(points, layout)))
    if not np.isfinite(size) or size <= 0.0:
        raise InputError("the cameras never saw shoulders, hips, knees and ankles together")
    scale = height / size
    first_from_camera[:, :3, 3] *= scale
    base_from_first = _cell_from_walk(scale * points, layout)
    errors = np.nanmedian(placed.residuals, axis=1) * sigma * focal
    return Arrangement(
        base_from_first @ first_from_camera, errors, int(placed.supports.any(0).sum())
    )


def _moments(walks: Sequence[Walk]) -> NDArray[np.intp]:
    """Moments at which most cameras saw most, spread over the walk."""
    seen = np.stack([np.isfinite(walk.pixels).all(-1).sum(-1) for walk in walks])
    good = np.flatnonzero((seen >= 6).sum(0) >= 2)
    if len(good) < 5:
        raise InputError(
            f"two cameras saw the person together at {len(good)} moments; 5 are needed at least"
        )
    return good[np.linspace(0, len(good) - 1, min(_MOMENTS, len(good))).astype(int)]


def _overlay(goal: Array, source: Array) -> Array:
    """Rigid transform (4, 4) that lays points (N, 3) over others, outliers left out (Kabsch)."""
    keep = np.ones(len(goal), bool)
    for _ in range(_ROUNDS):
        middle_goal, middle_source = goal[keep].mean(0), source[keep].mean(0)
        rotation, _ = Rotation.align_vectors(goal[keep] - middle_goal, source[keep] - middle_source)
        turn = rotation.as_matrix()
        shift = middle_goal - turn @ middle_source
        off = np.linalg.norm(source @ turn.T + shift - goal, axis=-1)
        keep = off <= 2.0 * np.median(off) + 1e-9
    return rigid(turn, shift)


def _adjust(
    first_from_camera: Array,
    points: Array,
    rays: Array,
    supports: NDArray[np.bool_],
    focal: Array,
) -> Array:
    """Bundle adjustment of all cameras but the first, and of the points that two support."""
    views = len(rays)
    used = supports.sum(0) >= 2
    camera, point = np.nonzero(supports & used)
    number = np.cumsum(used) - 1
    camera_from_first = inverse(first_from_camera)
    turns = Rotation.from_matrix(camera_from_first[:, :3, :3])
    span = float(np.linalg.norm(camera_from_first[1:, :3, 3], axis=1).mean())  # held: size is free
    start = np.concatenate(
        (
            np.column_stack((np.zeros((views - 1, 3)), camera_from_first[1:, :3, 3])).ravel(),
            points[used].ravel(),
        )
    )
    pose_size = 6 * (views - 1)

    def unpack(values: Array) -> tuple[Array, Array, Array]:
        poses = values[:pose_size].reshape(-1, 6)
        rotation = np.concatenate(
            (np.eye(3)[None], (Rotation.from_rotvec(poses[:, :3]) * turns[1:]).as_matrix())
        )
        shift = np.concatenate((np.zeros((1, 3)), poses[:, 3:]))
        return rotation, shift, values[pose_size:].reshape(-1, 3)

    def residuals(values: Array) -> Array:
        rotation, shift, spots = unpack(values)
        local = np.einsum("nab,nb->na", rotation[camera], spots[number[point]]) + shift[camera]
        off = local[:, :2] / np.maximum(local[:, 2:], 0.1) - rays[camera, point]
        size = np.linalg.norm(shift[1:], axis=1).mean() / span - 1.0
        return np.append((off * focal[camera, None] / _SIGMA).ravel(), 1e3 * size)

    rows = 2 * len(camera)
    sparsity = lil_matrix((rows + 1, len(start)), dtype=int)
    sparsity[rows, :pose_size] = 1
    for axis in range(2):
        each = 2 * np.arange(len(camera)) + axis
        for column in range(3):
            sparsity[each, pose_size + 3 * number[point] + column] = 1
        moving = camera > 0
        for column in range(6):
            sparsity[each[moving], 6 * (camera[moving] - 1) + column] = 1
    found = least_squares(
        residuals, start, jac_sparsity=sparsity, loss="soft_l1", x_scale="jac", max_nfev=30
    )
    rotation, shift, _ = unpack(found.x)
    return inverse(rigid(rotation, shift))


def _cell_from_walk(points: Array, layout: str) -> Array:
    """Cell's frame (4, 4) from the first camera's, by a walk (T, J, 3) seen there."""
    names = get_layout(layout).canonical
    ankles = points[:, [names.index("r_ankle"), names.index("l_ankle")]]
    shoulders = points[:, [names.index("r_shoulder"), names.index("l_shoulder")]]
    whole = np.isfinite(ankles).all((1, 2)) & np.isfinite(shoulders).all((1, 2))
    if not whole.any():
        raise InputError("the cameras never saw both shoulders and both ankles at one moment")
    ankles, shoulders = ankles[whole], shoulders[whole]
    upright = shoulders.mean(1) - ankles.mean(1)
    up = upright.sum(0) / np.linalg.norm(upright.sum(0))
    level = ankles @ up
    lower = ankles[np.arange(len(ankles)), level.argmin(1)]
    up = _floor_normal(lower, up)
    floor = float(np.percentile(lower @ up, 10.0)) - ANKLE_HEIGHT
    origin = lower[0] + up * (floor - lower[0] @ up)
    toward = -origin - up * (-origin @ up)  # to the first camera, level
    x = toward / np.linalg.norm(toward)
    rotation = np.stack((x, np.cross(up, x), up))
    return rigid(rotation, -rotation @ origin)


def _floor_normal(lower: Array, up: Array) -> Array:
    """Normal (3,) of the floor under the lower ankles (T, 3).

    Along the walk, the floor tells; across it, where a straight walk leaves the floor's slope
    open, how the body stands does, since people lean forwards but hardly sideways.
    """
    keep = np.ones(len(lower), bool)
    normal = up
    for _ in range(_ROUNDS):
        middle = lower[keep].mean(0)
        _, spread, axes = np.linalg.svd(lower[keep] - middle, full_matrices=False)
        wide = spread / np.sqrt(keep.sum()) >= _SPREAD
        if len(spread) < 3 or not wide[0]:
            return up
        if wide[1]:
            normal = axes[2] * np.sign(axes[2] @ up)
        else:
            normal = up - axes[0] * (axes[0] @ up)
            normal = normal / np.linalg.norm(normal)
        off = np.abs((lower - middle) @ normal)
        keep = off <= 2.0 * np.median(off) + 1e-9
    return normal if normal @ up > np.cos(_LEAN) else up


LAYOUT = "mediapipe33"
_MAX_GAP = 0.12  # s between two frames to interpolate over


def watch_walk(
    video: str, camera: Camera, config: PoseConfig, progress: Callable[[], None] = lambda: None
) -> tuple[NDArray[np.float64], Walk]:
    """Times of a video's frames [s], and what it shows of the one person in it.

    Raises InputError if the video can't be read, is of another size than the camera's, or shows
    nobody.
    """
    from ses_gcn_ros.pose.estimator import PoseEstimator  # only who watches people loads models

    settings = replace(config, max_people=1, layout=LAYOUT, mode="monocular", smoothing_cutoff=0.0)
    joints = len(get_layout(LAYOUT).joints)
    nobody = np.full((joints, 2), np.nan), np.full((joints, 3), np.nan)
    estimator = PoseEstimator(settings)
    stamps, pixels, positions = [], [], []
    try:
        for frame in VideoFile(video):
            people = estimator.process(frame.stamp, frame.rgb, camera)
            seen, placed = nobody
            if people and estimator.detections is not None:
                placed = people[0].positions.astype(np.float64)
                found = np.isfinite(placed).all(-1)
                seen = np.where(found[:, None], estimator.detections.pixels[0], np.nan)
            stamps.append(frame.stamp)
            pixels.append(seen)
            positions.append(placed)
            progress()
    finally:
        estimator.close()
    if not np.isfinite(positions).any():
        raise InputError(f"video '{video}' shows nobody")
    return np.array(stamps), Walk(camera, np.stack(pixels), np.stack(positions))


def align_walks(
    walks: Sequence[tuple[NDArray[np.float64], Walk]],
) -> list[Walk]:
    """Walks at the times of the first one's frames, interpolated; the videos start together."""
    goal = walks[0][0]
    return [
        Walk(walk.camera, _at(goal, times, walk.pixels), _at(goal, times, walk.positions))
        for times, walk in walks
    ]


def _at(
    goal: NDArray[np.float64], times: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values (T, J, C) at other times; NaN beyond the ends, in long gaps and beside unknowns."""
    after = np.clip(np.searchsorted(times, goal), 1, len(times) - 1)
    before = after - 1
    gap = times[after] - times[before]
    part = (goal - times[before]) / gap
    good = (part >= 0.0) & (part <= 1.0) & (gap <= _MAX_GAP)
    part = part[:, None, None]
    mixed = (1.0 - part) * values[before] + part * values[after]
    return np.where(good[:, None, None], mixed, np.nan)


_LAUNCH = '''"""Where the cameras are, as `ses-gcn calibrate` found it."""

from launch import LaunchDescription
from launch_ros.actions import Node

TRANSFORMS = {transforms}


def generate_launch_description() -> LaunchDescription:
    """One static transform per camera."""
    return LaunchDescription(
        Node(
            package="tf2_ros",
            executable="static_transform_publisher",
            arguments=[word for pair in transform.items() for word in pair],
        )
        for transform in TRANSFORMS
    )
'''


@dataclass(frozen=True, eq=False)
class CameraPlace:
    """Where a camera is."""

    name: str  # the camera's name, its pose node's namespace
    frame: str  # its optical frame
    base_from_camera: Array  # (4, 4): that frame in the frame of the cell
    error: float  # how far off the projections are [px]


def read_intrinsics(path: Path) -> Camera:
    """Camera of a file that ROS's camera_calibration writes.

    Raises InputError if the file is missing or no such calibration.
    """
    content = _read_yaml(path)
    try:
        return camera_from_calibration(
            int(content["image_width"]),
            int(content["image_height"]),
            content["camera_matrix"]["data"],
            [float(value) for value in content["distortion_coefficients"]["data"]],
            str(content["distortion_model"]),
        )
    except MISSHAPEN as error:
        raise InputError(
            f"'{path}' is no camera calibration ({error!r}); ROS's camera_calibration writes one"
        ) from error


def write_calibration(path: Path, base: str, places: Sequence[CameraPlace], method: str) -> None:
    """Write where cameras are; the file appears whole or not at all."""
    cameras = []
    for place in places:
        turn, shift = place.base_from_camera[:3, :3], place.base_from_camera[:3, 3]
        body = Rotation.from_matrix(turn @ BODY_FROM_OPTICAL.T).as_euler("xyz")
        cameras.append(
            {
                "name": place.name,
                "optical_frame": place.frame,
                "translation": _rounded(shift),
                "rotation_xyzw": _rounded(Rotation.from_matrix(turn).as_quat()),
                "camera_pose": _rounded((*shift, *body)),  # as pose_node's parameter
                "reprojection_error_px": round(float(place.error), 3),
            }
        )
    content = {"frame": base, "method": method, "cameras": cameras}
    write_atomically(path, yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def write_launch_file(path: Path, base: str, places: Sequence[CameraPlace]) -> None:
    """Write a launch file that publishes where cameras are as static transforms."""
    entries = []
    for place in places:
        shift = _rounded(place.base_from_camera[:3, 3])
        turn = _rounded(Rotation.from_matrix(place.base_from_camera[:3, :3]).as_quat())
        keys = ("--x", "--y", "--z", "--qx", "--qy", "--qz", "--qw")
        entry = {key: str(value) for key, value in zip(keys, shift + turn, strict=True)}
        entries.append(entry | {"--frame-id": base, "--child-frame-id": place.frame})
    lines = ["["] + [f"    {entry!r}," for entry in entries] + ["]"]
    write_atomically(path, _LAUNCH.format(transforms="\n".join(lines)))


def read_calibration(path: Path) -> tuple[str, Mapping[str, Array]]:
    """The cell's frame, and each optical frame (4, 4) in it, of a file of `write_calibration`.

    Raises ConfigError if the file is missing or no such calibration.
    """
    try:
        content = _read_yaml(path)
        transforms = {}
        for entry in content["cameras"]:
            turn = Rotation.from_quat(np.asarray(entry["rotation_xyzw"], float)).as_matrix()
            transforms[str(entry["optical_frame"])] = rigid(turn, entry["translation"])
        return str(content["frame"]), transforms
    except (*MISSHAPEN, InputError) as error:
        raise ConfigError(
            f"'{path}' says not where cameras are ({error}); `ses-gcn calibrate` writes such a file"
        ) from error


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]


def _read_yaml(path: Path) -> Any:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"'{path}' can't be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"'{path}' is no YAML file: {error}") from error
