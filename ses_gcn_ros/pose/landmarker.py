"""Body landmarks of everybody in an image, from MediaPipe's pose landmarker."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.tracking import ON_BODY, SAME_PERSON, on_body, on_limbs, trunks_apart
from ses_gcn_ros.resources import cache_folder
from ses_gcn_ros.skeleton import get_layout

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
_LIMBS = np.array(get_layout("mediapipe33").limbs)
_TRUNK, _FACE = [11, 12, 24, 23], slice(0, 11)
_STALE = 0.5  # s between images after which where people were tells nothing
# Who is followed.
_ASIDE = 0.5  # of the body's extent, beside it, that a follower is shown of an image
_BLIND = 128  # grey of the rest
_FINE = 960  # px of an image's longer side, of which every second is taken if it has twice as many
_FOLLOW_CONFIDENCE = 0.15  # least score of who was just found there; the landmarks judge
_SETTLED = 5  # images, after which somebody stays before who comes up on the same body, and is
_PATIENCE = 1.0  # s looked for about where they were, once missing
_AS_LARGE = 1.5  # times, of bodies that may be one
# Who is found beside others.
_BESIDE_CONFIDENCE = 0.4  # least score
_CLEAR = 0.8  # mean visibility of all joints that a whole body has; of such a one, the
_CLEAR_AFTER = 0.1  # s followed before being given, of another
_SURE_AFTER, _ALONE_AFTER = 0.75, 0.4  # beside somebody given, and where that one is missing
# Who is far off.
_TILE = 2 / 3  # of the shorter side of a picture, of its square parts that are searched by turns
_FAR_AFTER = 1.0  # s without anybody from which they are
_FAR_CONFIDENCE = 0.5  # least score of who is found there, as large as in a picture of their own
_NEAR_EDGE = 0.1  # of a part, nearer to whose edge somebody is no longer followed in it
# What is painted over who is known.
_COVER = 0.14  # width over a limb, in extents of the body
_HEAD = 1.6  # radius over a head, in widths of the face
_CANVAS = 160  # px, longer side of the picture that the colours are taken from
_AROUND = (9, 25, 75)  # px of it around a place, the nearest of which
_ENOUGH = 0.02  # are not painted over
_SOFT = 3.0  # px by which they are blurred
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
    # (N,): who was found in a part of the image while nobody was in the whole; None: nobody
    far: NDArray[np.bool_] | None = None


class _Graph:
    """A landmarker of MediaPipe's, quiet until it has found somebody."""

    def __init__(self, graph: Any, mediapipe: Any) -> None:
        self._graph, self._mediapipe, self._quiet = graph, mediapipe, True

    def run(self, rgb: NDArray[np.uint8], milliseconds: int | None = None) -> Any:
        """What MediaPipe says of an image (H, W, 3); of a video's with its time."""
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        with native_log() if self._quiet else nullcontext():
            if milliseconds is None:
                result = self._graph.detect(image)
            else:
                result = self._graph.detect_for_video(image, milliseconds)
        found = (
            result.hand_landmarks if hasattr(result, "hand_landmarks") else result.pose_landmarks
        )
        self._quiet &= not found
        return result

    def people(
        self, rgb: NDArray[np.uint8], milliseconds: int | None = None
    ) -> NDArray[np.float64]:
        """Joints (N, 33, 6) of everybody in an image: u, v [px], x, y, z [m], visibility."""
        result = self.run(rgb, milliseconds)
        found = np.array(
            [
                [(p.x, p.y, w.x, w.y, w.z, p.visibility * p.presence) for p, w in zip(*person)]  # noqa: B905
                for person in zip(result.pose_landmarks, result.pose_world_landmarks, strict=True)
            ],
            dtype=np.float64,
        ).reshape(-1, _JOINTS, 6)
        found[..., :2] *= rgb.shape[1::-1]
        return found

    def close(self) -> None:
        """End MediaPipe's threads."""
        self._graph.close()


class _Finding(NamedTuple):
    """Somebody whom a search has found."""

    person: NDArray[np.float64]  # (33, 6): joints, as `_Graph.people` gives them
    part: NDArray[np.intp]  # (4,): left, top, width and height [px] of what was searched
    sure: bool = True  # whether nothing else speaks against it
    far: bool = False  # whether nobody was in the whole image


class _Follower:
    """Follows one person from image to image, blind for what is farther from them."""

    def __init__(self, graph: _Graph) -> None:
        self.graph = graph
        self._other = False  # whether MediaPipe is on somebody else

    def begin(self, finding: _Finding) -> None:
        """Follow somebody from where a search has found them, in that part of the image only."""
        self.person = self.before = finding.person  # as last seen, and the time before
        self.part, self.sure, self.far = finding.part.copy(), finding.sure, finding.far
        self.seen, self.age = 1, 0.0  # images, and the time [s] since the first of them
        self.visibility = float(finding.person[:, 5].mean())  # of all joints, in these images

    def take(self, person: NDArray[np.float64], elapsed: float) -> None:
        """Take over where the person is now."""
        self.before, self.person = self.person, person
        self.seen, self.age = self.seen + 1, self.age + elapsed
        self.visibility += (float(person[:, 5].mean()) - self.visibility) / self.seen

    def leave(self) -> None:
        """Let go of whoever was seen last."""
        self._other = True

    def look(self, milliseconds: int, rgb: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Joints (33, 6) of the person in the next image (H, W, 3); None if there is none.

        Takes `milliseconds` and the one before it.
        """
        low, high = self.person[:, :2].min(axis=0), self.person[:, :2].max(axis=0)
        size, image = self.part[2:], np.array(rgb.shape[1::-1])
        edge = np.minimum(low - self.part[:2], self.part[:2] + size - high)
        if (edge < _NEAR_EDGE * size).any() and (size < image).any():
            place = (0.5 * (low + high - size)).astype(int).clip(0, image - size)
            self._other |= bool((place != self.part[:2]).any())
            self.part[:2] = place
        if self._other:
            self.graph.run(np.zeros((64, 64, 3), np.uint8), milliseconds - 1)
            self._other = False
        origin, step = self.part[:2], max(1, int(size.max()) // _FINE)
        shown = np.full((*(size[::-1] // step), 3), _BLIND, np.uint8)
        first, last = (
            ((corner - origin) // step).astype(int).clip(0, shown.shape[1::-1])
            for corner in _about(self.person)
        )
        (x, y), (end_x, end_y) = origin + first * step, origin + last * step
        shown[first[1] : last[1], first[0] : last[0]] = rgb[y:end_y:step, x:end_x:step]
        for person in self.graph.people(shown, milliseconds):
            person[:, :2] = person[:, :2] * step + origin
            return np.asarray(person)
        return None


class PoseLandmarker:
    """MediaPipe's pose landmarker, one for each person. Close it when done.

    Everybody who is known is followed by a graph of their own that is shown the image about them,
    all at once. Another graph searches the image with them painted over, every `search_period`,
    and about where somebody is missing: MediaPipe's landmarker for several people gives up
    somebody who stands near another, and its detector takes as long for people known as for new
    ones. It sees the whole image 224 px wide, so that it finds nobody whose height is less than a
    quarter of the image's: once nobody has been found for a second, overlapping parts are searched,
    too. Who is found beside others is given once followed for some images, sooner if the whole body
    is in sight, since what is left of an image without its people passes for one now and then. With
    a model for `hands`, a hand whose body is not in the image is a person of four joints. Raises
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

        def graph_of(of: str, path: Path, mode: str, delegate: str, **settings: float) -> _Graph:
            device = BaseOptions.Delegate[delegate.upper()]
            options = getattr(vision, f"{of}LandmarkerOptions")(
                base_options=BaseOptions(model_asset_path=str(path), delegate=device),
                running_mode=vision.RunningMode[mode],
                **settings,
            )
            with native_log():
                graph = getattr(vision, f"{of}Landmarker").create_from_options(options)
            return _Graph(graph, mediapipe)

        def create(mode: str, delegate: str, people: int, least: float) -> _Graph:
            return graph_of(
                "Pose",
                model,
                mode,
                delegate,
                num_poses=people,
                min_pose_detection_confidence=least,
                min_pose_presence_confidence=config.presence_confidence,
                min_tracking_confidence=config.tracking_confidence,
            )

        self._most, self._search_period = config.max_people, config.search_period
        least = config.detection_confidence
        self.delegate, lone = _first_that_works(
            lambda delegate: create("IMAGE", delegate, self._most, least), config.delegate, model
        )
        # Graphs that search, by the least score: of somebody alone, beside others, far off.
        self._lone, self._beside = least, max(least, _BESIDE_CONFIDENCE)
        self._far = max(least, _FAR_CONFIDENCE)
        self._search_graphs = {least: lone}
        self._create_search = partial(create, "IMAGE", self.delegate, self._most)
        self._create_follower = partial(create, "VIDEO", self.delegate, 1, _FOLLOW_CONFIDENCE)
        self._followed: list[_Follower] = []
        self._missing: list[tuple[NDArray[np.float64], float]] = []  # and for how long [s]
        self._free = [_Follower(self._create_follower())]
        self._hands: _Graph | None = None
        if hands:
            _, self._hands = _first_that_works(
                lambda d: graph_of("Hand", hands, "VIDEO", d, num_hands=2 * config.max_people),
                self.delegate,
                hands,
                "hand",
            )
        # Everybody's at once: two processors share three alike tasks better than one after another.
        self._pool = ThreadPoolExecutor(self._most + 2, "landmarks")
        self._milliseconds = 0
        self._shape: tuple[int, ...] = ()  # of the last image
        self._searched = math.inf  # s since the image was searched
        self._empty = 0.0  # s since somebody near was followed
        self._tile = 0  # which part of the picture is searched next for people far off

    def detect(self, elapsed: float, rgb: NDArray[np.uint8]) -> Landmarks:
        """Find everybody in an image (H, W, 3), `elapsed` seconds after the one before."""
        if elapsed > _STALE or rgb.shape != self._shape:
            self.lose()
        self._shape = rgb.shape
        # MediaPipe takes rising whole milliseconds, nothing else; a follower may need two.
        self._milliseconds += max(2, round(elapsed * 1000.0))
        self._searched += elapsed
        self._missing = [(p, ago + elapsed) for p, ago in self._missing if ago < _PATIENCE]
        followed, now = self._followed, self._milliseconds
        search = None
        near = sum(not one.far for one in followed)
        if near < self._most and (self._searched >= self._search_period or not followed):
            self._searched = 0.0
            # where they are now is only told while this is searched
            expected = [2.0 * one.person - one.before for one in followed]
            known = [one.person for one in followed] + expected
            search = self._pool.submit(self._search, rgb, known, whole=True)
        hands = self._pool.submit(self._hands.run, rgb, now) if self._hands else None
        looks = [self._pool.submit(one.look, now, rgb) for one in followed]
        wait(looks + [job for job in (search, hands) if job])  # also where one of them fails
        seen = {
            one: person
            for one, look in zip(followed, looks, strict=True)
            if (person := look.result()) is not None
        }
        missing = len(self._missing)
        self._keep(seen, elapsed)
        self._add(search.result() if search else [])
        if len(self._missing) > missing:  # who is lost is looked for at once
            self._add(self._search(rgb, [one.person for one in self._followed]))
        near = sum(not one.far for one in self._followed)
        self._empty = 0.0 if near else self._empty + elapsed
        if self._empty > _FAR_AFTER and search and not self._followed:
            self._add(self._search_next_part(rgb))
        alone = not any(one.sure for one in self._followed)
        for one in self._followed:
            clear = one.visibility >= _CLEAR and one.age >= _CLEAR_AFTER
            one.sure |= clear or one.age >= (_ALONE_AFTER if alone else _SURE_AFTER)
        people = [one for one in self._followed if one.sure]
        joints = np.array([one.person for one in people]).reshape(-1, _JOINTS, 6)
        landmarks = Landmarks(joints[..., :2], joints[..., 2:5], np.clip(joints[..., 5], 0.0, 1.0))
        if hands:
            landmarks = with_lone_hands(landmarks, hands.result(), rgb.shape[1::-1])
        far = np.zeros(len(landmarks.pixels), bool)
        far[: len(people)] = [one.far for one in people]
        return replace(landmarks, far=far)

    def _keep(self, seen: dict[_Follower, NDArray[np.float64]], elapsed: float) -> None:
        """Go on following who is `seen`, each once."""
        joints = np.array(list(seen.values())).reshape(-1, _JOINTS, 6)
        rank = [one.seen < _SETTLED for one in seen]
        keep = distinct(joints[..., :2], joints[..., 5], rank).tolist()
        kept = [one for index, one in enumerate(seen) if index in keep]
        for one in [one for one in self._followed if one not in kept]:
            if one.seen >= _SETTLED:
                self._missing.append((one.person, 0.0))
            self._release(one, left=one not in seen)
        for one in kept:
            one.take(seen[one], elapsed)

    def _add(self, found: list[_Finding]) -> None:
        """Follow who was found, too, unless they are followed already."""
        if not found:
            return
        known = self._followed
        people = [one.person for one in known] + [finding.person for finding in found]
        joints = np.array(people).reshape(-1, _JOINTS, 6)
        # What is left of a body, or lies on two, is found now and then, and may be larger.
        rank = [index >= len(known) for index in range(len(joints))]
        keep = distinct(joints[..., :2], joints[..., 5], rank).tolist()
        for finding in [found[index - len(known)] for index in keep if index >= len(known)]:
            missing = [
                (lost, ago)
                for lost, ago in self._missing
                if not _maybe_the_same(finding.person[:, :2], lost[:, :2])
            ]
            if len(missing) < len(self._missing):  # who came up meanwhile was none
                self._missing, finding = missing, finding._replace(sure=True)
                self._release(*(one for one in self._followed if not one.sure))
            if not finding.far:
                self._release(*(one for one in self._followed if one.far))
            if len(self._followed) < self._most:
                if not self._free:
                    self._free.append(_Follower(self._create_follower()))
                self._followed.append(self._free.pop())
                self._followed[-1].begin(finding)

    def _release(self, *followers: _Follower, left: bool = False) -> None:
        """Follow some no longer, whom MediaPipe still sees unless they have `left`."""
        for one in followers:
            if not left:
                one.leave()
            self._followed.remove(one)
            self._free.append(one)

    def _search(
        self, rgb: NDArray[np.uint8], known: list[NDArray[np.float64]], *, whole: bool = False
    ) -> list[_Finding]:
        """Who is in an image beside the `known`: where somebody is missing, or in the `whole`."""
        image = without(rgb, [person[:, :2] for person in known])
        size = np.array(rgb.shape[1::-1])
        found = []
        if whole:
            part = np.array((0, 0, *size))
            least = self._beside if known else self._lone
            found += self._search_part(image, part, least, sure=not (known or self._missing))
        for person, _ in self._missing:
            low, high = _about(person)
            first = low.clip(0, size - 1).astype(int)
            last = high.clip(first + 1, size).astype(int)
            part = np.concatenate((first, last - first))
            found += self._search_part(image, part, self._lone, sure=False)
        return found

    def _search_next_part(self, rgb: NDArray[np.uint8]) -> list[_Finding]:
        """Who is in the next part of an image, where people far off are looked for."""
        size = np.array(rgb.shape[1::-1])
        side = round(_TILE * size.min())
        counts = np.ceil(2.0 * (size - side) / side).astype(int) + 1
        at = np.array((self._tile % counts[0], self._tile // counts[0] % counts[1]))
        place = (size - side) * at // np.maximum(counts - 1, 1)
        found = self._search_part(rgb, np.array((*place, side, side)), self._far, far=True)
        self._tile += not found  # it is searched again as soon as who is there is lost
        return found

    def _search_part(
        self,
        rgb: NDArray[np.uint8],
        part: NDArray[np.intp],
        least: float,
        *,
        sure: bool = True,
        far: bool = False,
    ) -> list[_Finding]:
        if least not in self._search_graphs:
            self._search_graphs[least] = self._create_search(least)
        left, top, width, height = part.tolist()
        found = self._search_graphs[least].people(rgb[top : top + height, left : left + width])
        found[..., :2] += (left, top)
        return [_Finding(person, part, sure, far) for person in found]

    def lose(self) -> None:
        """Follow nobody of the image before."""
        self._release(*self._followed)
        self._missing = []

    def close(self) -> None:
        """End MediaPipe's threads."""
        self._pool.shutdown()
        followers = [one.graph for one in self._followed + self._free]
        self._followed, self._free = [], []
        with native_log():
            for graph in (*self._search_graphs.values(), *followers):
                graph.close()
            if self._hands:
                self._hands.close()


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


def _about(person: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Upper left and lower right corner [px] of the box about somebody's joints (33, 6)."""
    low, high = person[:, :2].min(axis=0), person[:, :2].max(axis=0)
    beside = _ASIDE * float((high - low).max())
    return low - beside, high + beside


def _maybe_the_same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two bodies (33, 2) [px] are one on another, or as large and near one another."""
    extents = [float(np.ptp(body, axis=0).max()) for body in (one, other)]
    apart = float(np.linalg.norm(one[_TRUNK].mean(axis=0) - other[_TRUNK].mean(axis=0)))
    alike = max(extents) < _AS_LARGE * min(extents) and apart < max(extents)
    return alike or bool(on_body(one, other) >= ON_BODY)


def without(rgb: NDArray[np.uint8], bodies: Sequence[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """An image (H, W, 3) without people, in whose place are the colours from around them.

    `bodies` are joints (33, 2) [px]. In one colour, they would still have the shape of a person.
    """
    if not len(bodies):
        return rgb
    height, width = rgb.shape[:2]
    shrink = max(1.0, max(height, width) / _CANVAS)
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    covered = np.zeros(size[::-1], np.uint8)
    for body in bodies:
        thick = max(1, round(_COVER * float(np.linalg.norm(np.ptp(body, axis=0))) / shrink))
        joints = (body / shrink).clip(-_CANVAS, 2 * _CANVAS).astype(np.int32)
        cv2.polylines(covered, list(joints[_LIMBS]), False, 255, thick)
        cv2.fillConvexPoly(covered, cv2.convexHull(joints[_TRUNK]), 255)
        face = joints[_FACE]
        radius = max(thick, round(_HEAD * float(np.ptp(face, axis=0).max())))
        cv2.circle(covered, face.mean(axis=0).astype(int).tolist(), radius, 255, -1)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    kept = (covered == 0).astype(np.float32)
    fill, bare = small * kept[..., None], covered > 0
    for around in _AROUND:
        share = cv2.blur(kept, (around, around))
        now = bare & (share > _ENOUGH)
        fill[now] = cv2.blur(small * kept[..., None], (around, around))[now] / share[now, None]
        bare &= ~now
    painted = cv2.resize(cv2.GaussianBlur(fill, (0, 0), _SOFT).astype(np.uint8), (width, height))
    whole = cv2.resize(covered, (width, height))
    return np.asarray(cv2.copyTo(painted, whole, rgb.copy()), np.uint8)


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


def distinct(
    pixels: NDArray[np.float64], visibility: NDArray[np.float64], rank: Sequence[bool] = ()
) -> NDArray[np.intp]:
    """Which findings are different people; of two on one body the larger and more visible stays.

    One whose `rank` is False stays before those of True.

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
    ranks = np.array(rank) if len(rank) else np.zeros(len(pixels))
    order = np.lexsort((-extent * visibility.mean(axis=-1), ranks))
    for person in (number for number in order.tolist() if number in people):
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
