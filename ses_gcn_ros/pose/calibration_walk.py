"""A walk as several videos show it: everybody's landmarks at common moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.calibration_person import Walk
from ses_gcn_ros.pose.camera import Camera
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import PoseEstimator
from ses_gcn_ros.pose.sources import VideoFile
from ses_gcn_ros.skeleton import get_layout

LAYOUT = "mediapipe33"
_MAX_GAP = 0.12  # s between two frames to interpolate over


def watch_walk(
    video: str, camera: Camera, config: PoseConfig, progress: Callable[[], None] = lambda: None
) -> tuple[NDArray[np.float64], Walk]:
    """Times of a video's frames [s], and what it shows of the one person in it.

    Raises
    ------
    InputError
        If the video can't be read, is of another size than the camera's, or shows nobody.
    """
    settings = replace(config, max_people=1, layout=LAYOUT, mode="monocular", smoothing_cutoff=0.0)
    joints = len(get_layout(LAYOUT).joints)
    nobody = np.full((joints, 2), np.nan), np.full((joints, 3), np.nan)
    estimator = PoseEstimator(settings)
    stamps, pixels, positions = [], [], []
    try:
        for frame in VideoFile(video):
            people = estimator.process(frame.stamp, frame.rgb, camera)
            seen, placed = nobody
            if people and estimator.sighting is not None:
                placed = people[0].positions.astype(np.float64)
                found = np.isfinite(placed).all(-1)
                seen = np.where(found[:, None], estimator.sighting.pixels[0], np.nan)
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
