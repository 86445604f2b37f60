"""Where a camera stands, from a ChArUco board that lies still in its view."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.pose.camera import Camera

Array = NDArray[np.float64]

_DICTIONARIES = {name: getattr(cv2.aruco, name) for name in dir(cv2.aruco) if name[:5] == "DICT_"}
_CORNERS = 6  # of the board, that a picture must show


@dataclass(frozen=True)
class Board:
    """A ChArUco board.

    Attributes
    ----------
    columns, rows : int
        Squares.
    square, marker : float
        Length of their sides [m].
    dictionary : str
        OpenCV's name of the markers' dictionary.
    """

    columns: int
    rows: int
    square: float
    marker: float
    dictionary: str = "DICT_4X4_50"

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
    """A board seen by a camera.

    Attributes
    ----------
    camera_from_board : NDArray, shape (4, 4)
        Board in the optical frame; x along a row, y up a column, z out of the board.
    error : float
        Root mean square of the reprojection errors [px].
    pictures : int
        Number of pictures that it was seen in.
    """

    camera_from_board: Array
    error: float
    pictures: int


def locate_board(pictures: Iterable[NDArray[np.uint8]], camera: Camera, board: Board) -> BoardPose:
    """Find a board that lies still, from all pictures together.

    Parameters
    ----------
    pictures : iterable of NDArray, shape (H, W, 3)
        Pictures, RGB.
    camera : Camera
        Its intrinsics.
    board : Board
        What to look for.

    Raises
    ------
    InputError
        If no picture shows enough of the board, one is of another size than the camera's, or the
        board was moved.
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
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(turn)[0]
    pose[:3, 3] = np.ravel(shift)
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
