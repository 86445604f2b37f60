"""Body landmarks of everybody in an image, from MediaPipe's pose landmarker."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.tracking import ON_BODY, SAME_PERSON, on_body, on_limbs, trunks_apart
from ses_gcn_ros.resources import cache_folder

_BASE = "https://storage.googleapis.com/mediapipe-models"
# SHA-256 of version 1 of each file; "latest" may change under us.
CHECKSUMS = {
    "lite": "59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a",
    "full": "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
    "heavy": "64437af838a65d18e5ba7a0d39b465540069bc8aae8308de3e318aad31fcbc7b",
    "hand": "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
}
_TIMEOUT = 10.0  # s without a byte


def model_url(name: str) -> str:
    """Where MediaPipe publishes the model of a name."""
    task = _task(name)
    return f"{_BASE}/{task.removesuffix(f'_{name}')}/{task}/float16/1/{task}.task"


def _task(name: str) -> str:
    return "hand_landmarker" if name == "hand" else f"pose_landmarker_{name}"


def locate_model(model: str, kind: str = "pose") -> Path:
    """File of a landmarker.

    Raises ModelError if there is no such file, it can't be fetched or its checksum is not the
    pinned one.

    `model`: "lite", "full" or "heavy" for bodies or "hand", downloaded to the cache when it is not
    there; or the path of a ``.task`` file, taken as it is.
    `kind`: what the error calls it.
    """
    if model in CHECKSUMS:
        path = cache_folder() / f"{_task(model)}.task"
        if not path.exists():
            download(model_url(model), CHECKSUMS[model], path)
        _verify(path, CHECKSUMS[model], path)
        return path
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelError(
            f"{kind} model '{model}' is neither a file nor one of {', '.join(CHECKSUMS)}; "
            f"the files are published at {model_url('lite')} and beside it"
        )
    return path


def download(url: str, checksum: str, path: Path) -> None:
    """Fetch a file; it appears at `path` whole and checked, or not at all.

    Raises ModelError if it can't be fetched or written, or has another SHA-256.
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
_HANDS, _FAR = 0, -1  # in place of a number of people: graphs for hands and for people far off
_TILE = 2 / 3  # of the shorter side of a picture, of its square parts that are searched by turns
_FAR_AFTER = 1.0  # s without anybody from which they are
_FAR_MARGIN = 0.1  # of a part, nearer to whose edge somebody is no longer followed in it
_FAR_CONFIDENCE = 0.5  # least score of who is found there, as large as in a picture of their own
_FAR_PATIENCE = 0.5  # s without anybody in a part before the next is searched
_UNSETTLED = 2.0  # s after somebody came or went in which every image is searched
# Points of a hand, and what they are on the left and on the right of a body: wrist, knuckles of the
# little finger and the forefinger, thumb.
_HAND_POINTS, _HAND_MIDDLE = [0, 17, 5, 2], 9
_HAND_JOINTS = {"left": [15, 17, 19, 21], "right": [16, 18, 20, 22]}
_WRISTS = [15, 16]
_OWN_HAND = 2.0  # palm lengths from a body's wrist within which a hand is that body's
_GPU_NODES = ("/dev/nvidia0", "/dev/dri/renderD128")
_ON_SECOND = 0.1  # of the joints of a body made of two lie on the one with the fewer of them
_NATIVE_LINE = re.compile(r"(INFO|WARNING): |[IWE]\d{4} |WARNING: All log|Logging before")
_STREAM = threading.Lock()  # landmarkers of several threads take turns at the error stream


@dataclass(frozen=True, eq=False)
class Landmarks:
    """What was found in one image: N people in layout mediapipe33."""

    # joints in the image, shape (N, 33, 2) [px]; they may lie outside of it
    pixels: NDArray[np.float64]
    # joints about the middle of the hips, shape (N, 33, 3) [m], axes as the optical frame's of a
    # camera that looks straight at the person; NaN, as the pixels, beside a hand without a body
    world: NDArray[np.float64]
    # probability that a joint is in the image and not hidden, shape (N, 33)
    visibility: NDArray[np.float64]
    layout: str = "mediapipe33"
    far: bool = False  # whether in a part of the image, where nobody is found in the whole


class PoseLandmarker:
    """MediaPipe's pose landmarker in video mode. Close it when done.

    MediaPipe searches an image for people whenever it follows fewer than it is to look for, which
    takes as long as following one. So, while nobody comes or goes, the image goes to a graph that
    looks for as many people as are known, and to the one that looks for `max_people` only every
    `search_period`, and whenever somebody is missing. MediaPipe's detector sees the whole picture
    224 px wide, so that it finds nobody whose height is less than a quarter of the picture's: once
    nobody has been found for a second, overlapping parts are searched, one per `search_period`, and
    who is found there is followed in that part until there is somebody in the whole. With a model
    for `hands`, a hand whose body is not in the picture is a person of four joints. Raises
    ModelError if a model can't be had, MediaPipe is not installed, does not take the file or can't
    use the GPU asked for.

    Attributes:
    - `delegate`: what it runs on, "cpu" or "gpu".

    Bazarevsky et al.: BlazePose, CVPR workshops 2020. Grishchenko et al.: BlazePose GHUM Holistic,
    2022 (the metric landmarks).
    """

    def __init__(self, config: PoseConfig) -> None:
        model = locate_model(config.model)
        hands = locate_model(config.hands, "hand") if config.hands else None
        with native_log():
            try:
                import mediapipe
                from mediapipe.tasks.python import BaseOptions, vision
            except ImportError as error:
                raise ModelError(
                    f"pose estimation needs mediapipe ({error}); install requirements/pose.txt"
                ) from error
        self._mediapipe: Any = mediapipe

        def graph_of(of: str, path: Path, delegate: str, **settings: float) -> Any:
            device = BaseOptions.Delegate[delegate.upper()]
            options = getattr(vision, f"{of}LandmarkerOptions")(
                base_options=BaseOptions(model_asset_path=str(path), delegate=device),
                running_mode=vision.RunningMode.VIDEO,
                **settings,
            )
            with native_log():
                return getattr(vision, f"{of}Landmarker").create_from_options(options)

        def create(delegate: str, people: int, least: float = 0.0) -> Any:
            return graph_of(
                "Pose",
                model,
                delegate,
                num_poses=people,
                min_pose_detection_confidence=max(least, config.detection_confidence),
                min_pose_presence_confidence=config.presence_confidence,
                min_tracking_confidence=config.tracking_confidence,
            )

        self._create = create
        self._most, self._search_period = config.max_people, config.search_period
        self.delegate, graph = _first_that_works(
            lambda delegate: create(delegate, self._most), config.delegate, model
        )
        self._graphs: dict[int, Any] = {self._most: graph}  # by the people they look for
        if hands:
            create_hands = partial(graph_of, "Hand", hands, num_hands=2 * config.max_people)
            _, self._graphs[_HANDS] = _first_that_works(create_hands, self.delegate, hands, "hand")
        self._followed: set[int] = set()  # those that have found somebody
        self._milliseconds = 0
        self._people = 0  # found in the last image
        self._searched = 0.0  # s since all people were looked for
        self._changed = 0.0  # s since their number changed
        self._tile = 0  # which part of the picture is searched next for people far off
        self._part: NDArray[np.intp] | None = None  # left and top [px] of the one that has some
        self._far_since = 0.0  # s since somebody was seen in it, or a part was searched

    def detect(self, elapsed: float, rgb: NDArray[np.uint8]) -> Landmarks:
        """Find everybody in an image (H, W, 3), `elapsed` seconds after the one before."""
        # MediaPipe takes rising whole milliseconds, nothing else.
        self._milliseconds += max(1, round(elapsed * 1000.0))
        self._searched += elapsed
        self._changed += elapsed
        found, known = None, self._people
        settled = self._changed > _UNSETTLED and self._searched < self._search_period
        if settled and 0 < known < self._most:
            found = self._detect(known, rgb)
        if found is None or len(found.pixels) < known:
            self._searched = 0.0
            found = self._detect(self._most, rgb)
        self._people = len(found.pixels)
        if self._people != known:
            self._changed = 0.0
        if self._people:
            self._part = None
        elif self._changed > _FAR_AFTER:
            found = self._look_far(elapsed, rgb) or found
        if _HANDS in self._graphs:
            found = with_lone_hands(found, self._run(_HANDS, rgb), rgb.shape[1::-1])
        return found

    def _detect(self, people: int, rgb: NDArray[np.uint8]) -> Landmarks:
        """What the graph that looks for so many people finds."""
        if people not in self._graphs:
            wanted = (self._most, _FAR_CONFIDENCE) if people == _FAR else (people,)
            self._graphs[people] = self._create(self.delegate, *wanted)
        result = self._run(people, rgb)
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

    def _look_far(self, elapsed: float, rgb: NDArray[np.uint8]) -> Landmarks | None:
        """Who is in one part of the image: in that where somebody was, or in the next one."""
        self._far_since += elapsed
        if self._part is not None and self._far_since > _FAR_PATIENCE:
            self._part = None
        if self._part is None and self._far_since < self._search_period:
            return None
        size = np.array(rgb.shape[1::-1])
        side = round(_TILE * size.min())
        part = self._part
        if part is None:
            self._tile, self._far_since = self._tile + 1, 0.0
            counts = np.ceil(2.0 * (size - side) / side).astype(int) + 1
            at = np.array((self._tile % counts[0], self._tile // counts[0] % counts[1]))
            part = (size - side) * at // np.maximum(counts - 1, 1)
        part = part.clip(0, size - side)
        left, top = part
        found = self._detect(_FAR, rgb[top : top + side, left : left + side])
        if not len(found.pixels):
            return None
        self._part, self._far_since = part, 0.0
        low, high = found.pixels.min(axis=(0, 1)), found.pixels.max(axis=(0, 1))
        if min(low.min(), side - high.max()) < _FAR_MARGIN * side:
            self._part = (part + 0.5 * (low + high - side)).astype(int).clip(0, size - side)
        return replace(found, pixels=found.pixels + part, far=True)

    def _run(self, graph: int, rgb: NDArray[np.uint8]) -> Any:
        """What MediaPipe says of an image."""
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        with nullcontext() if graph in self._followed else native_log():
            result = self._graphs[graph].detect_for_video(image, self._milliseconds)
        if result.pose_landmarks if graph != _HANDS else result.hand_landmarks:
            self._followed.add(graph)
        return result

    def lose(self, rgb: NDArray[np.uint8]) -> None:
        """Follow nobody from the image before, by a black one of the size of `rgb`."""
        self._milliseconds += 1
        for graph in self._followed:
            self._run(graph, np.zeros_like(rgb))

    def close(self) -> None:
        """End MediaPipe's threads."""
        with native_log():
            while self._graphs:
                self._graphs.popitem()[1].close()


@contextmanager
def native_log() -> Iterator[None]:
    """Send what native libraries write to the error stream meanwhile to the debug log.

    TensorFlow Lite and MediaPipe write some sixty lines at a start, past every logging setting.
    Lines of another form, from other threads for instance, are passed on afterwards.
    """
    with _STREAM, tempfile.TemporaryFile() as caught:
        try:
            stream = os.dup(2)
        except OSError:  # there is no error stream
            yield
            return
        sys.stderr.flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stream, 2)
            os.close(stream)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines():
                if _NATIVE_LINE.match(line):
                    logging.getLogger("mediapipe").debug(line)
                else:
                    print(line, file=sys.stderr)


def _first_that_works(
    create: Callable[[str], Any], wanted: str, model: Path, kind: str = "pose"
) -> tuple[str, Any]:
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
    raise ModelError(f"'{model}' is no {kind} landmarker: {failure}") from failure


def with_lone_hands(bodies: Landmarks, hands: Any, size: tuple[int, ...]) -> Landmarks:
    """Bodies, and as a person of four joints every hand that is none of theirs.

    `hands` is MediaPipe's HandLandmarkerResult of the same image of `size` (width, height) [px]; it
    names sides as in a mirror.
    """
    wrists = bodies.pixels[:, _WRISTS].reshape(-1, 2)
    people = np.full((len(hands.handedness), _JOINTS, 6), np.nan)
    people[..., 5] = 0.0
    alone = np.ones(len(people), bool)
    found = zip(hands.handedness, hands.hand_landmarks, hands.hand_world_landmarks, strict=True)
    for number, ([side], points, world) in enumerate(found):
        pixels = np.array([(point.x, point.y) for point in points]) * size
        palm = np.linalg.norm(pixels[_HAND_MIDDLE] - pixels[0])
        alone[number] = (np.linalg.norm(wrists - pixels[0], axis=-1) > _OWN_HAND * palm).all()
        joints = _HAND_JOINTS["left" if side.category_name == "Right" else "right"]
        people[number, joints, :2] = pixels[_HAND_POINTS]
        people[number, joints, 2:5] = [(world[n].x, world[n].y, world[n].z) for n in _HAND_POINTS]
        people[number, joints, 5] = side.score
    people = people[alone]
    return replace(
        bodies,
        pixels=np.concatenate((bodies.pixels, people[..., :2])),
        world=np.concatenate((bodies.world, people[..., 2:5])),
        visibility=np.concatenate((bodies.visibility, people[..., 5])),
    )


def distinct(pixels: NDArray[np.float64], visibility: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which findings are different people; of two on one body the larger and more visible stays.

    Two are one if their trunks lie on one another, whatever their limbs do (a second finding on a
    body often has another's legs, or left and right exchanged), or if most of the smaller one's
    joints lie on the other's limbs: a part of a body that was taken for a whole one. A body made
    of two, whose joints lie on the limbs of both, is nobody. Indices (M,) of the people, rising.
    """
    same = trunks_apart(pixels[:, None], pixels[None]) < SAME_PERSON
    extent = np.linalg.norm(np.ptp(pixels, axis=1), axis=-1)
    people = list(range(len(pixels)))
    for person in np.argsort(-extent, kind="stable").tolist():
        if _lies_on_two(person, [o for o in people if o != person], pixels, extent):
            people.remove(person)
    kept: list[int] = []
    for person in sorted(people, key=lambda p: -extent[p] * visibility[p].mean()):
        if not same[person, kept].any() and not any(
            on_body(pixels[person], pixels[other]) >= ON_BODY for other in kept
        ):
            kept.append(person)
    return np.array(sorted(kept), dtype=np.intp)


def _lies_on_two(
    person: int, others: list[int], pixels: NDArray[np.float64], extent: NDArray[np.float64]
) -> bool:
    """Whether most joints of somebody lie on the limbs of others, some on a second one's."""
    if len(others) < 2:
        return False
    on = [on_limbs(pixels[person], pixels[o], min(extent[person], extent[o])) for o in others]
    second = sorted(joints.mean() for joints in on)[-2]
    return bool(np.any(on, axis=0).mean() >= ON_BODY and second >= _ON_SECOND)
