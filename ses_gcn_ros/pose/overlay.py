"""Skeletons drawn over the image that they come from."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.skeleton import Skeleton, get_layout

# One colour per person in turn, told apart by the colour-blind too (Okabe and Ito, 2008); RGB.
_COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66))


def draw_skeletons(
    rgb: NDArray[np.uint8],
    people: Sequence[Skeleton],
    camera: Camera,
    camera_from_target: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Copy of the image (H, W, 3) with limbs, joints and the name and distance of everybody.

    Parameters
    ----------
    rgb : NDArray, shape (H, W, 3), uint8
        The image.
    people : sequence of Skeleton
        Whom to draw, by their metric positions: what is off here is off in space.
    camera : Camera
        Intrinsics of the image.
    camera_from_target : NDArray, shape (4, 4), optional
        Frame of the skeletons in the camera's optical frame; by default that frame itself.
    """
    picture = rgb.copy()
    transform = np.eye(4) if camera_from_target is None else camera_from_target
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
        cv2.putText(
            picture, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width, colour, width, cv2.LINE_AA
        )
    return picture
