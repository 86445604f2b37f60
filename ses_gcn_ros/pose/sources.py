"""Where frames come from, colour and depth paired, and the thread that works on them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.images import decode_compressed, rgb_from_bgr

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

F = TypeVar("F")


@dataclass(frozen=True, eq=False)
class Frame:
    """An image (H, W, 3) uint8 RGB and when it was taken [s]."""

    stamp: float
    rgb: NDArray[np.uint8]


class NewestFrame(Generic[F]):
    """A slot for one frame: a newer frame replaces one that nobody took yet."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[F] = []
        self._closed = False
        self.dropped = 0

    def put(self, frame: F) -> None:
        """Leave a frame; returns at once."""
        with self._condition:
            self.dropped += len(self._waiting)
            self._waiting = [frame]
            self._condition.notify()

    def close(self) -> None:
        """End the iteration."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def __iter__(self) -> Iterator[F]:
        """Frames as they come, until closed."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                frame = self._waiting.pop()
            yield frame


class VideoFile:
    """Frames of a video file.

    Raises InputError if the file is missing or holds no video.

    `realtime`: play at the file's own pace and drop frames when the taker is late; otherwise give
    every frame as fast as it is taken.
    `clock`: gives, when the first frame is taken, the stamp [s] that the file's times count from.
    `loop`: begin again at the end, with stamps that go on.
    """

    def __init__(
        self,
        path: str,
        realtime: bool = False,
        clock: Callable[[], float] = lambda: 0.0,
        loop: bool = False,
    ) -> None:
        if not Path(path).is_file():
            what = "is a folder" if Path(path).is_dir() else "does not exist"
            raise InputError(f"video '{path}' {what}")
        self._path = path
        self._capture = cv2.VideoCapture(path)
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        if not self._capture.isOpened() or self.width < 1 or not 0.0 < self.fps <= 1000.0:
            self._capture.release()
            raise InputError(f"video '{path}' can't be read; is it a video that OpenCV knows?")
        self._clock = clock
        self._realtime, self._loop = realtime, loop
        self._stop = threading.Event()
        self.dropped = 0

    def close(self) -> None:
        """End the iteration; call it from any thread."""
        self._stop.set()

    def __iter__(self) -> Iterator[Frame]:
        """Frames to the end of the file; can be gone through once."""
        started, begin = time.monotonic(), self._clock()
        index, last, past = 0, -1.0, 0.0
        try:
            while not self._stop.is_set():
                if not self._capture.grab():
                    if not (self._loop and index and self._rewind()):
                        return
                    past, index = last + 1.0 / self.fps, 0
                    continue
                at = past + self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3
                # Some containers carry no times; then the frame rate has to do.
                at = at if at > last else max(past + index / self.fps, last + 0.5 / self.fps)
                index, last = index + 1, at
                if self._realtime:
                    ahead = started + at - time.monotonic()
                    if ahead < -1.0 / self.fps:
                        self.dropped += 1
                        continue
                    if ahead > 0.0 and self._stop.wait(ahead):
                        return
                good, bgr = self._capture.retrieve()
                if good:
                    yield Frame(begin + at, rgb_from_bgr(bgr))
        finally:
            self._capture.release()

    def _rewind(self) -> bool:
        """Go back to the first frame."""
        self._capture.release()
        return self._capture.open(self._path)


class Photo:
    """A picture file as a video of one frame, turned as its EXIF orientation says.

    Raises InputError if the file is missing or no picture.
    """

    fps, frames, dropped = 1.0, 1, 0

    def __init__(self, path: str, clock: Callable[[], float] = lambda: 0.0) -> None:
        try:
            self._rgb = decode_compressed(Path(path).read_bytes(), upright=True)
        except OSError as error:
            raise InputError(f"picture '{path}' can't be read: {error.strerror}") from error
        except InputError as error:
            raise InputError(f"picture '{path}': {error}") from error
        self.height, self.width = self._rgb.shape[:2]
        self._clock = clock

    def close(self) -> None:
        """There is nothing to end."""

    def __iter__(self) -> Iterator[Frame]:
        """The one frame."""
        yield Frame(self._clock(), self._rgb)


def open_pictures(path: str, clock: Callable[[], float] = lambda: 0.0) -> VideoFile | Photo:
    """A video, or a picture by its suffix."""
    is_picture = Path(path).suffix.lower() in PICTURES
    return Photo(path, clock) if is_picture else VideoFile(path, clock=clock)


class Webcam:
    """The newest frame of a webcam, read in a thread of its own.

    Raises InputError if there is no such device.

    `clock`: gives the stamps [s].
    """

    def __init__(self, index: int, clock: Callable[[], float] = time.time) -> None:
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise InputError(f"webcam {index} can't be opened; is it there and free?")
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self._clock = clock
        self._newest: NewestFrame[Frame] = NewestFrame()
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._read, name="webcam", daemon=True)
        self._reader.start()

    @property
    def dropped(self) -> int:
        """Frames that newer ones replaced."""
        return self._newest.dropped

    def close(self) -> None:
        """End the iteration; call it from any thread."""
        self._stop.set()
        self._newest.close()

    def __iter__(self) -> Iterator[Frame]:
        """Frames until closed or the device is gone."""
        return iter(self._newest)

    def _read(self) -> None:
        while not self._stop.is_set():
            good, bgr = self._capture.read()
            if not good:
                break
            self._newest.put(Frame(self._clock(), rgb_from_bgr(bgr)))
        self._capture.release()
        self._newest.close()


C = TypeVar("C")
D = TypeVar("D")

_WAITING = 5  # colour images that may wait for their depth
_KEPT = 10  # depth images that are kept for colour still to come
RESTART = 1.0  # s that a stamp may lie back before it means that the recording starts over


class Pairer(Generic[C, D]):
    """Pair each colour image with the depth image nearest in time, within a tolerance.

    A colour image waits until a depth image at or after its own time has come, since that may be
    the nearest; then it takes the nearer neighbour, or is given up if none is near enough. The
    newest depth image is never taken just because it is the newest.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._colour: deque[tuple[float, C]] = deque()
        self._depth: deque[tuple[float, D]] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self.unpaired = 0  # colour images given up

    def add_colour(self, stamp: float, image: C) -> list[tuple[C, D]]:
        """Take in a colour image; gives the pairs that are ready."""
        with self._lock:
            self._forget_after(stamp + RESTART)
            self._colour.append((stamp, image))
            pairs = self._ready()
            while len(self._colour) > _WAITING:
                self._colour.popleft()
                self.unpaired += 1
            return pairs

    def add_depth(self, stamp: float, image: D) -> list[tuple[C, D]]:
        """Take in a depth image; gives the pairs that are ready."""
        with self._lock:
            self._forget_after(stamp + RESTART)
            self._depth.append((stamp, image))
            return self._ready()

    def _forget_after(self, stamp: float) -> None:
        """Drop what is of a recording that has started over since."""
        while self._colour and self._colour[-1][0] >= stamp:
            self._colour.pop()
        while self._depth and self._depth[-1][0] >= stamp:
            self._depth.pop()

    def _ready(self) -> list[tuple[C, D]]:
        pairs = []
        while self._colour and self._depth:
            stamp, colour = self._colour[0]
            apart, nearest = min(
                ((abs(when - stamp), image) for when, image in self._depth), key=lambda e: e[0]
            )
            if apart > 0.0 and self._depth[-1][0] < stamp:
                break  # a nearer one may still come
            self._colour.popleft()
            if apart <= self._tolerance:
                pairs.append((colour, nearest))
            else:
                self.unpaired += 1
        return pairs


F_co = TypeVar("F_co", covariant=True)
R = TypeVar("R")


class Source(Protocol[F_co]):
    """What gives frames until it is closed or ends."""

    def __iter__(self) -> Iterator[F_co]:
        """Frames as they come."""
        ...

    def close(self) -> None:
        """End the iteration from any thread."""
        ...

    @property
    def dropped(self) -> int:
        """Frames that nobody had the time to take."""
        ...


@dataclass(frozen=True, eq=False)
class VideoOutcome(Generic[F, R]):
    """What came of a frame: a result, or the error that kept it from one."""

    frame: F
    result: R | None = None
    error: BaseException | None = None


class Worker(Generic[F, R]):
    """Begin `work` on each frame of a source; the owner takes the outcomes in their order.

    `source`: gives the frames; closed by `close`.
    `work`: begins to make a result of a frame and returns when another can be begun. What it or its
    future raises becomes the frame's outcome.
    `notify`: called, in any thread, whenever there is something to take, and at the end.
    """

    def __init__(
        self, source: Source[F], work: Callable[[F], Future[R]], notify: Callable[[], Any]
    ) -> None:
        self.source = source
        self._work = work
        self._notify = notify
        self._begun: deque[tuple[F, Future[R]]] = deque()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.ended = False  # the source has no more frames; outcomes may still be there to take

    def start(self) -> None:
        """Begin; the source is not touched before."""
        self._thread.start()

    def take(self) -> Iterator[VideoOutcome[F, R]]:
        """Outcomes so far, in order, each given once."""
        while self._begun and self._begun[0][1].done():
            frame, job = self._begun.popleft()
            error = job.exception()
            if error is None:
                yield VideoOutcome(frame, result=job.result())
            else:
                yield VideoOutcome(frame, error=error)

    def close(self, timeout: float = 1.5) -> None:
        """Close the source and wait for the frames in work, `timeout` seconds at most."""
        self.source.close()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        last: list[Future[R]] = []
        for frame in self.source:
            try:
                job = self._work(frame)
            except Exception as error:  # handed on: the owner reports it, the stream goes on
                job = Future()
                job.set_exception(error)
            self._begun.append((frame, job))
            job.add_done_callback(lambda _: self._notify())
            last = [job]
        wait(last)  # and so all before it
        self.ended = True
        self._notify()
