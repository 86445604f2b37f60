"""Pictures of ChArUco boards, rendered."""

from __future__ import annotations

import cv2
import numpy as np

from ses_gcn_ros.pose.calibration import Board
from ses_gcn_ros.pose.camera import View


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
