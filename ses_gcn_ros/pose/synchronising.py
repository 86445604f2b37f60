"""Several cameras at one instant: frames that come at their own times, late, or not at all."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.association import Sighting
from ses_gcn_ros.pose.multiview_config import FusionConfig

_KEPT = 16  # frames of a camera
_RESTART = 1.0  # s that a stamp may lie back before it means that the recording starts over
_SAME = 2e-3  # s within which two stamps are one


class Synchroniser:
    """Collect the frames of cameras and give sightings of one instant.

    The instants are the stamps of the first camera that is alive. One is given once every living
    camera has a frame at or after it, or when it has waited for `max_wait`. A camera without a
    frame at the instant is interpolated between its neighbours, person by person, if they are
    no more than `max_gap` apart; else it is left out.

    Parameters
    ----------
    config : FusionConfig
        Limits.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._frames: dict[int, deque[tuple[float, Sighting]]] = {}
        self._waiting: deque[tuple[float, float]] = deque()  # stamp and when it came
        self._last = -np.inf
        self._heard: dict[int, float] = {}  # when each camera was last heard, steady clock
        self.restarted = False  # whether stamps have gone back since the last `take`

    def add(self, camera: int, stamp: float, sighting: Sighting, now: float) -> None:
        """Take in a frame.

        Parameters
        ----------
        camera : int
            Number of the camera.
        stamp : float
            When the picture was taken [s].
        sighting : Sighting
            Who is in it.
        now : float
            Steady clock [s].

        Raises
        ------
        InputError
            If the stamp is not after the camera's last one, unless it starts over.
        """
        frames = self._frames.setdefault(camera, deque(maxlen=_KEPT))
        if frames and stamp <= frames[-1][0] - _RESTART:
            self._restart()
            frames = self._frames.setdefault(camera, deque(maxlen=_KEPT))
        elif frames and stamp <= frames[-1][0]:
            raise InputError(
                f"camera {camera} sent stamp {stamp:.6f} s, which is not after its last one, "
                f"{frames[-1][0]:.6f} s; frame ignored"
            )
        frames.append((stamp, sighting))
        self._heard[camera] = now
        if camera == min(self.alive(now)) and stamp > self._last + _SAME:
            self._waiting.append((stamp, now))

    def alive(self, now: float) -> list[int]:
        """Cameras heard lately, in order."""
        return sorted(
            camera
            for camera, heard in self._heard.items()
            if now - heard <= self._config.camera_timeout
        )

    def take(self, now: float) -> list[tuple[float, dict[int, Sighting]]]:
        """Instants that are ready: stamp [s] and sightings by camera, in order of time."""
        ready = []
        while self._waiting:
            stamp, came = self._waiting[0]
            alive = self.alive(now)
            complete = all(self._frames[c] and self._frames[c][-1][0] >= stamp for c in alive)
            if not complete and now - came < self._config.max_wait:
                break
            self._waiting.popleft()
            if stamp <= self._last + _SAME:
                continue  # another camera took the lead meanwhile
            self._last = stamp
            found = {camera: self._at(camera, stamp) for camera in self._frames}
            ready.append((stamp, {c: sighting for c, sighting in found.items() if sighting}))
        return ready

    def _restart(self) -> None:
        self._frames.clear()
        self._waiting.clear()
        self._last = -np.inf
        self.restarted = True

    def _at(self, camera: int, stamp: float) -> Sighting | None:
        """What a camera sees at a time between two of its frames; None if it does not say."""
        before = after = None
        for frame in self._frames[camera]:
            if abs(frame[0] - stamp) <= _SAME:
                return frame[1]
            if frame[0] < stamp:
                before = frame
            elif after is None:
                after = frame
        if before is None or after is None or after[0] - before[0] > self._config.max_gap:
            return None
        part = (stamp - before[0]) / (after[0] - before[0])
        return _between(before[1], after[1], part)


def _between(before: Sighting, after: Sighting, part: float) -> Sighting | None:
    """People who are in both frames, each joint moved `part` of the way."""
    common = [name for name in before.names if name in after.names]
    if before.layout != after.layout:
        return None
    first = [before.names.index(name) for name in common]
    second = [after.names.index(name) for name in common]
    pixels = (1.0 - part) * before.pixels[first] + part * after.pixels[second]
    confidence = np.minimum(before.confidence[first], after.confidence[second])
    return replace(after, pixels=pixels, confidence=confidence, names=tuple(common))
