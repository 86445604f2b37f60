"""Skeletons drawn over the image that they come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.skeleton import Skeleton, get_layout

# One colour per person in turn, told apart by the colour-blind too (Okabe and Ito, 2008); RGB.
_COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)
_GROUND = (0, 0, 0)


def draw_skeletons(
    rgb: NDArray[np.uint8],
    people: Sequence[Skeleton],
    camera: Camera,
    target_from_camera: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Copy of the image (H, W, 3) with limbs, joints and the name and distance of everybody.

    `rgb` (H, W, 3): the image.
    `people`: whom to draw, by their metric positions: what is off here is off in space.
    `target_from_camera` (4, 4): camera's optical frame in the frame of the skeletons; by default
    that frame itself.
    """
    picture = rgb.copy()
    transform = np.eye(4) if target_from_camera is None else np.linalg.inv(target_from_camera)
    width = max(1, round(camera.height / 240))
    for person in people:
        points = person.positions @ transform[:3, :3].T + transform[:3, 3]
        pixels = camera.project(points)
        known = np.all(np.isfinite(pixels), axis=-1)
        if not known.any():
            continue
        colour = _COLOURS[int(person.person_id.strip("p") or 0) % len(_COLOURS)]
        corners = [
            (round(u), round(v)) if ok else (0, 0) for (u, v), ok in zip(pixels, known, strict=True)
        ]
        for a, b in get_layout(person.layout).limbs:
            if known[a] and known[b]:
                cv2.line(picture, corners[a], corners[b], colour, 2 * width, cv2.LINE_AA)
        for corner, ok in zip(corners, known, strict=True):
            if ok:
                cv2.circle(picture, corner, 2 * width, (255, 255, 255), cv2.FILLED, cv2.LINE_AA)
        left, top = int(np.nanmin(pixels[:, 0])), int(np.nanmin(pixels[:, 1]))
        label = f"{person.person_id} {np.nanmedian(points[:, 2]):.1f} m"
        place = (max(0, left), max(12 * width, top - 6 * width))
        font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width
        (long, high), below = cv2.getTextSize(label, font, size, width)
        corner, opposite = (place[0], place[1] + below), (place[0] + long, place[1] - high)
        cv2.rectangle(picture, corner, opposite, _GROUND, cv2.FILLED)
        cv2.putText(picture, label, place, font, size, colour, width, cv2.LINE_AA)
    return picture


class OverlayVideo:
    """Write pictures to an MP4 file, which appears under its name when it is whole.

    Use it as a context manager; leaving it with an error leaves no file. Raises InputError if the
    file can't be written.

    `path`: file to write; an existing one is replaced.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self._path = path
        self._part = path.with_name(f".{path.stem}.incomplete.mp4")
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._part), code, fps, (width, height))
        if not self._writer.isOpened():
            raise InputError(
                f"overlay '{path}' can't be written; name an .mp4 in a folder that exists"
            )

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Append a picture (height, width, 3)."""
        self._writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> OverlayVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.release()
        if kind is None:
            os.replace(self._part, self._path)
        else:
            self._part.unlink(missing_ok=True)
