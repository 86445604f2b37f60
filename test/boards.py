"""Pictures of ChArUco boards, rendered, and a cell whose cameras saw one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml

from ses_gcn_ros.pose.calibration import Board
from ses_gcn_ros.pose.camera import View, camera_from_view
from ses_gcn_ros.pose.virtual_cameras import look_at

PLACES = {"left": (0.2, -1.2, 1.2), "right": (0.9, -1.0, 1.1)}


def picture_of(board: Board, view: View, blur: float = 0.8) -> np.ndarray:
    """A board that lies in the plane z = 0 of the cell, its lower left corner at the origin."""
    scale = 1000.0  # px per m of the print
    width, height = board.columns * board.square, board.rows * board.square
    print_ = board.opencv().generateImage((round(scale * width), round(scale * height)))
    corners = np.array([(0, height, 0), (width, height, 0), (width, 0, 0), (0, 0, 0)])
    goal = view.project(corners).astype(np.float32)
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) * scale
    warp = cv2.getPerspectiveTransform(source - 0.5, goal - 0.5)
    size = (view.camera.width, view.camera.height)
    picture = cv2.warpPerspective(print_, warp, size, flags=cv2.INTER_AREA, borderValue=128)
    picture = cv2.GaussianBlur(picture, (0, 0), blur)
    return np.repeat(picture[..., None], 3, axis=2)


def film_board(folder: Path) -> None:
    """Pictures of a board from two cameras at `PLACES`, and their intrinsics."""
    camera = camera_from_view(1280, 720, 65.0)
    for name, place in PLACES.items():
        view = View(camera, look_at(place, (0.35, 0.25, 0.0)))
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / "0.png"), picture_of(Board(7, 5, 0.1, 0.075), view))
        intrinsics = {
            "image_width": 1280,
            "image_height": 720,
            "distortion_model": "plumb_bob",
            "camera_matrix": {"data": [camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1]},
            "distortion_coefficients": {"data": [0.0] * 5},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(intrinsics), "utf-8")
