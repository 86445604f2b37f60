"""Whether a camera that should stand still has been moved, from what rests in its picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_PERIOD = 1.0  # s between looks
_WIDTH = 640  # px that pictures are scaled down to
_CORNERS, _NEEDED = 300, 30  # of the first picture; found again, to say anything
_SHARE = 0.5  # of them that must move alike
_SHIFT = 1.5  # px of `_WIDTH` that is no motion: 0.15° or a centimetre at 4 m before 60°
_PATIENCE = 5  # looks in a row that must agree
_MARGIN = 0.15  # of a person's box that is left out around it
_BACK = 0.5  # px that a corner may miss itself by, followed there and back


class CameraMotionDetector:
    """Follow the corners of the first picture that lie beside people.

    Attributes
    ----------
    moved : bool
        Whether the camera has been moved since the first picture; stays so.
    shift : float
        Median way of the corners that move alike, in the last picture [px].

    References
    ----------
    Lucas, Kanade: An iterative image registration technique, IJCAI 1981.
    """

    def __init__(self) -> None:
        self.moved, self.shift = False, 0.0
        self._reference: NDArray[np.uint8] | None = None
        self._corners = np.zeros((0, 1, 2), np.float32)
        self._looked, self._agreed, self._lost = -np.inf, 0, 0

    def update(self, stamp: float, rgb: NDArray[np.uint8], people: NDArray[np.float64]) -> None:
        """Look at the picture (H, W, 3) of `stamp` [s] with people (N, J, 2) [px], if it's time."""
        if 0.0 <= stamp - self._looked < _PERIOD:
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
            return
        before, after = self._follow(grey, free)
        if len(before) < _NEEDED:
            self._lost += 1  # the light went out, or much was moved about
            return
        self._lost = 0
        model, alike = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=1.0)
        if model is None or alike is None or alike.mean() < _SHARE:
            return
        way = np.linalg.norm(after - before, axis=-1)[alike.ravel() > 0]
        self.shift = float(np.median(way)) / scale
        self._agreed = self._agreed + 1 if self.shift * scale > _SHIFT else 0
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
