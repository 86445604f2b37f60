"""Costs of pose estimation, from the bytes of an image to everybody's skeleton, and its memory."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.bringup import check_ros, demo_environment, ros_arguments
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.pose.camera import camera_from_view
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import PoseEstimator
from ses_gcn_ros.pose.images import decode_image
from ses_gcn_ros.pose.landmarker import CHECKSUMS, locate_model
from ses_gcn_ros.pose.sources import VideoFile
from ses_gcn_ros.skeleton import Skeleton
from ses_gcn_ros.studies.benchmarks.harness import (
    Cell,
    Progress,
    Section,
    next_line,
    running,
)
from ses_gcn_ros.studies.soak import memory

SIZES = ((640, 360), (1280, 720))
MODELS = ("lite", "full", "heavy")
_KNOWN = {"max_people": 1}  # settings where it is known that there is one person at most
PERIOD = 0.04  # s between the frames' stamps
WARM_UP = 20  # frames
_STEADY = 0.2  # share of the frames before memory is compared: caches fill first
_HELD = 60  # frames of the video that are gone through again and again


def pose(
    quick: bool, progress: Progress, video: Path | None = None, models: Sequence[str] = MODELS
) -> Section:
    """Every model at 640×360 and 1280×720.

    `quick`: 40 frames each instead of 300.
    `video`: video of a person; without a person only the detector would be timed, so there is no
    measurement without a video.
    `models`: names or paths of pose landmarkers.
    """
    frames = 40 if quick else 300
    rows: list[dict[str, Cell]] = []
    notes: list[str] = []
    if video is None:
        notes.append("pose estimation was not measured: name a video of a person with --video")
        models = ()
    for model in models:
        for size in SIZES:
            progress(f"pose {model}, {size[0]}×{size[1]}")
            try:
                row = measure(str(video), model, size, frames)
                alone = measure(str(video), model, size, frames, **_KNOWN)
                row |= {f"{key}_alone": alone[key] for key in ("median", "p99")}
                rows.append(row | measure_node(str(video), model, size, frames))
            except ModelError as error:
                notes.append(f"{_name(model)} was not measured: {error}")
                break
    return Section("pose", rows, notes)


def measure(
    video: str, model: str, size: tuple[int, int], frames: int, **settings: Any
) -> dict[str, Cell]:
    """Time one model on one size of image.

    Raises InputError if the video can't be read; ModelError if the model can't be had.

    `**settings`: further fields of `PoseConfig`.
    Gives ``rate`` [1/s], ``median`` and ``p99`` [s] of the time from image to skeletons, ``seen``
    people and ``processor`` time [s] per image, ``memory_growth`` [bytes] of the process from a
    fifth of the way to the end, and ``memory`` [bytes] at the end; None where the system does not
    say.
    """
    width, height = size
    camera = camera_from_view(width, height, 60.0)
    shown = pictures(video, size)
    config = PoseConfig(model=model, **settings)
    estimator = PoseEstimator(config)
    begun, ended = np.zeros(WARM_UP + frames), np.zeros(WARM_UP + frames)
    seen = np.zeros(WARM_UP + frames)
    before, used = None, 0.0
    try:
        for number in range(WARM_UP + frames):
            data = next(shown)
            begun[number] = time.perf_counter()
            if number == WARM_UP:
                used = time.process_time()
            rgb = decode_image(data, height, width, "bgr8", 3 * width)

            def answer(people: list[Skeleton], number: int = number) -> None:
                ended[number], seen[number] = time.perf_counter(), len(people)

            job = estimator.begin(answer, 1.0 + PERIOD * number, rgb, camera)
            if number == WARM_UP + int(_STEADY * frames):
                before = resident_memory()
        job.result()
        used = time.process_time() - used
        after = resident_memory()
    finally:
        estimator.close()
    durations = (ended - begun)[WARM_UP:]
    return {
        "model": _name(model, locate_model(model)),
        "size": f"{width}×{height}",
        "frames": frames,
        "rate": float(frames / (ended[-1] - begun[WARM_UP])),
        "median": float(np.median(durations)),
        "p99": float(np.percentile(durations, 99)),
        "processor": used / frames,
        "seen": float(seen[WARM_UP:].mean()),
        "memory": after,
        "memory_growth": None if before is None or after is None else after - before,
    }


def measure_node(
    video: str, model: str, size: tuple[int, int], frames: int, **settings: Any
) -> dict[str, Cell]:
    """Time the pose node on one size of image, from an image's publication to its skeletons.

    An image is shown when the one before is answered.

    Gives ``node_rate`` [1/s], ``node_median`` and ``node_p99`` [s]; nothing where there is no ROS 2
    or the node does not answer.
    """
    try:
        check_ros()
    except ConfigError:
        return {}
    arguments = ros_arguments({"model": model, "subscribers": 1, **settings}, log_level="error")
    command = [
        "ses_gcn_ros.studies.probes",
        "images",
        video,
        *map(str, (*size, frames)),
        *arguments,
    ]
    with running([command], demo_environment()) as (child,):
        delays = np.array(json.loads(next_line(child) or "{}").get("delays", []))
    if not len(delays):
        return {}
    return {
        "node_rate": float(len(delays) / delays.sum()),
        "node_median": float(np.median(delays)),
        "node_p99": float(np.percentile(delays, 99)),
    }


def _name(model: str, file: Path | None = None) -> str:
    """What a model is called; with the start of its checksum where the file is no published one."""
    name = Path(model).stem.removeprefix("pose_landmarker_")
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file else None
    return name if digest in (None, *CHECKSUMS.values()) else f"{name} {digest:.8}"


def resident_memory() -> int | None:
    """Memory of this process that is in use [bytes]; None where the system does not say."""
    try:
        return int(memory(os.getpid())[0])
    except OSError:
        return None


def pictures(video: str, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Bytes of BGR images of a size: the video's first frames, forth and back without a leap."""
    frames: list[NDArray[np.uint8]] = []
    for frame in VideoFile(video):
        scaled = np.asarray(cv2.resize(frame.rgb, size), np.uint8)
        frames.append(np.ascontiguousarray(scaled[..., ::-1]).ravel())
        if len(frames) == _HELD:
            break
    return cycle(frames + frames[-2:0:-1])
