"""Body landmarks of everybody in an image, from MediaPipe's pose landmarker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.pose.config import PoseConfig

_JOINTS = 33
_GPU_NODES = ("/dev/nvidia0", "/dev/dri/renderD128")
_SHOULDERS, _HIPS = [11, 12], [23, 24]
_SAME_PERSON = 0.3  # mean joint distance, in trunk lengths, below which two findings are one


@dataclass(frozen=True, eq=False)
class Landmarks:
    """What was found in one image: N people in layout mediapipe33.

    Attributes
    ----------
    pixels : NDArray
        Joints in the image, shape (N, 33, 2) [px]; they may lie outside of it.
    world : NDArray
        Joints about the middle of the hips, shape (N, 33, 3) [m], axes as the optical frame's
        of a camera that looks straight at the person.
    visibility : NDArray
        Probability that a joint is in the image and not hidden, shape (N, 33).
    """

    pixels: NDArray[np.float64]
    world: NDArray[np.float64]
    visibility: NDArray[np.float64]


class PoseLandmarker:
    """MediaPipe's pose landmarker in video mode. Close it when done.

    Parameters
    ----------
    model : Path
        A ``.task`` file.
    config : PoseConfig
        Number of people, least scores and what to run on.

    Attributes
    ----------
    delegate : str
        What it runs on, "cpu" or "gpu".

    Raises
    ------
    ModelError
        If MediaPipe is not installed, does not take the file or can't use the GPU asked for.

    References
    ----------
    Bazarevsky et al.: BlazePose, CVPR workshops 2020. Grishchenko et al.: BlazePose GHUM Holistic,
    2022 (the metric landmarks).
    """

    def __init__(self, model: Path, config: PoseConfig) -> None:
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise ModelError(
                f"pose estimation needs mediapipe ({error}); install requirements/pose.txt"
            ) from error
        self._mediapipe: Any = mediapipe

        def create(delegate: str) -> Any:
            options = vision.PoseLandmarkerOptions(
                base_options=BaseOptions(
                    model_asset_path=str(model), delegate=BaseOptions.Delegate[delegate.upper()]
                ),
                running_mode=vision.RunningMode.VIDEO,
                num_poses=config.max_people,
                min_pose_detection_confidence=config.detection_confidence,
                min_pose_presence_confidence=config.presence_confidence,
                min_tracking_confidence=config.tracking_confidence,
            )
            return vision.PoseLandmarker.create_from_options(options)

        self.delegate, self._landmarker = _first_that_works(create, config.delegate, model)
        self._milliseconds = 0

    def detect(self, elapsed: float, rgb: NDArray[np.uint8]) -> Landmarks:
        """Find everybody in an image (H, W, 3), `elapsed` seconds after the one before."""
        # MediaPipe takes rising whole milliseconds, nothing else.
        self._milliseconds += max(1, round(elapsed * 1000.0))
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        result = self._landmarker.detect_for_video(image, self._milliseconds)
        found = np.array(
            [
                [(p.x, p.y, w.x, w.y, w.z, p.visibility * p.presence) for p, w in zip(*person)]  # noqa: B905
                for person in zip(result.pose_landmarks, result.pose_world_landmarks, strict=True)
            ],
            dtype=np.float64,
        ).reshape(-1, _JOINTS, 6)
        height, width = rgb.shape[:2]
        pixels = found[..., :2] * (width, height)
        keep = distinct(pixels, found[..., 5])
        return Landmarks(pixels[keep], found[keep, :, 2:5], np.clip(found[keep, :, 5], 0.0, 1.0))

    def close(self) -> None:
        """End MediaPipe's threads."""
        self._landmarker.close()


def _first_that_works(create: Callable[[str], Any], wanted: str, model: Path) -> tuple[str, Any]:
    """Name of a delegate and what `create` made with it."""
    candidates = [wanted]
    if wanted == "auto":  # without a GPU, MediaPipe would compute in software and say nothing
        candidates = ["gpu", "cpu"] if any(Path(node).exists() for node in _GPU_NODES) else ["cpu"]
    failure: Exception | None = None
    for delegate in candidates:
        try:
            return delegate, create(delegate)
        except (RuntimeError, ValueError, OSError, NotImplementedError) as error:
            failure = error
    if wanted == "gpu":
        raise ModelError(
            f"the GPU delegate does not run '{model}' ({failure}); set 'delegate' to cpu or auto"
        ) from failure
    raise ModelError(f"'{model}' is no pose landmarker: {failure}") from failure


def distinct(pixels: NDArray[np.float64], visibility: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which findings are different people; of two on the same body the more visible one stays.

    Parameters
    ----------
    pixels : NDArray, shape (N, 33, 2)
        Joints in the image.
    visibility : NDArray, shape (N, 33)
        Their visibility.

    Returns
    -------
    NDArray, shape (M,)
        Indices of the people, rising.
    """
    trunk = np.linalg.norm(pixels[:, _SHOULDERS].mean(1) - pixels[:, _HIPS].mean(1), axis=-1)
    apart = np.linalg.norm(pixels[:, None] - pixels[None], axis=-1).mean(-1)
    same = apart < _SAME_PERSON * np.maximum(trunk[:, None], trunk[None])
    kept: list[int] = []
    for person in np.argsort(-visibility.mean(axis=-1), kind="stable"):
        if not same[person, kept].any():
            kept.append(int(person))
    return np.array(sorted(kept), dtype=np.intp)
