"""Body landmarks of everybody in an image, from MediaPipe's pose landmarker."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.resources import cache_folder

_BASE = "https://storage.googleapis.com/mediapipe-models/pose_landmarker"
# SHA-256 of version 1 of each file; "latest" may change under us.
CHECKSUMS = {
    "lite": "59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a",
    "full": "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
    "heavy": "64437af838a65d18e5ba7a0d39b465540069bc8aae8308de3e318aad31fcbc7b",
}
_TIMEOUT = 10.0  # s without a byte


def model_url(name: str) -> str:
    """Where MediaPipe publishes the model of a name."""
    return f"{_BASE}/pose_landmarker_{name}/float16/1/pose_landmarker_{name}.task"


def locate_model(model: str) -> Path:
    """File of a pose landmarker.

    Parameters
    ----------
    model : str
        "lite", "full" or "heavy", downloaded to the cache when it is not there; or the path of a
        ``.task`` file, taken as it is.

    Raises
    ------
    ModelError
        If there is no such file, it can't be fetched or its checksum is not the pinned one.
    """
    if model in CHECKSUMS:
        path = cache_folder() / f"pose_landmarker_{model}.task"
        if not path.exists():
            download(model_url(model), CHECKSUMS[model], path)
        _verify(path, CHECKSUMS[model], path)
        return path
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelError(
            f"pose model '{model}' is neither a file nor one of {', '.join(CHECKSUMS)}; "
            f"the files are published at {model_url('lite')} and beside it"
        )
    return path


def download(url: str, checksum: str, path: Path) -> None:
    """Fetch a file; it appears at `path` whole and checked, or not at all.

    Raises
    ------
    ModelError
        If it can't be fetched or written, or has another SHA-256.
    """
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        part = Path(name)
        with (
            os.fdopen(handle, "wb") as file,
            urllib.request.urlopen(url, timeout=_TIMEOUT) as answer,
        ):
            while block := answer.read(1 << 16):
                file.write(block)
        _verify(part, checksum, url)
        os.replace(part, path)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelError(
            f"could not fetch the pose model ({reason}); download {url} and put it at {path}, "
            "or give the path of a .task file"
        ) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _verify(path: Path, checksum: str, origin: Path | str) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != checksum:
        raise ModelError(
            f"{origin} has SHA-256 {digest}, not {checksum}; delete it so that it is fetched anew, "
            "or use it as it is by giving its path under another name"
        )


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
