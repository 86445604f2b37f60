"""Where frames come from: a slot that the newest image waits in, a video file, a webcam."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.images import rgb_from_bgr

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

    Parameters
    ----------
    path : str
        The file.
    realtime : bool
        Play at the file's own pace and drop frames when the taker is late; otherwise give every
        frame as fast as it is taken.
    clock : callable
        Gives, when the first frame is taken, the stamp [s] that the file's times count from.

    Raises
    ------
    InputError
        If the file is missing or holds no video.
    """

    def __init__(
        self, path: str, realtime: bool = False, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        if not Path(path).is_file():
            raise InputError(f"video '{path}' does not exist")
        self._capture = cv2.VideoCapture(path)
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        if not self._capture.isOpened() or self.width < 1 or not 0.0 < self.fps <= 1000.0:
            self._capture.release()
            raise InputError(f"video '{path}' can't be read; is it a video that OpenCV knows?")
        self._clock = clock
        self._realtime = realtime
        self._stop = threading.Event()
        self.dropped = 0

    def close(self) -> None:
        """End the iteration; call it from any thread."""
        self._stop.set()

    def __iter__(self) -> Iterator[Frame]:
        """Frames to the end of the file; can be gone through once."""
        started, begin = time.monotonic(), self._clock()
        index, last = 0, -1.0
        try:
            while not self._stop.is_set() and self._capture.grab():
                at = self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3
                # Some containers carry no times; then the frame rate has to do.
                at = at if at > last else max(index / self.fps, last + 0.5 / self.fps)
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


class Webcam:
    """The newest frame of a webcam, read in a thread of its own.

    Parameters
    ----------
    index : int
        Device number.
    clock : callable
        Gives the stamps [s].

    Raises
    ------
    InputError
        If there is no such device.
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
