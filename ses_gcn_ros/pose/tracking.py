"""Who is who from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ses_gcn_ros.pose.config import PoseConfig

_LATERAL_SIGMA = 0.05  # m, noise across the viewing ray that the noise along it is held against
_VELOCITY_TIME = 0.2  # s over which a person's velocity is averaged
_GATE_GROWTH = 1.0  # m/s by which a person out of sight may stray from a straight path
_SETTLED = 5  # detections after which a person is no newcomer
_BARRED = 1e6  # cost of an assignment beyond the gate

M = TypeVar("M")


@dataclass(eq=False)
class Track(Generic[M]):
    """One identity.

    Attributes
    ----------
    person_id : str
        Name, never given to anybody else by this tracker.
    memory : M
        What the tracker's owner keeps about the person (filters, for instance).
    """

    person_id: str
    memory: M
    positions: NDArray[np.float64]  # (J, 3) m when last seen
    velocity: NDArray[np.float64]  # (3,) m/s
    stamp: float  # s when last seen
    detections: int = 1


class Tracker(Generic[M]):
    """Give identities to the people of each frame.

    People are assigned to where constant velocity expects them, all at once and at the least total
    distance. Nobody is assigned beyond a gate, which grows while a person is out of sight. Someone
    new is a person from the first frame on, because a watch must not wait; someone out of sight
    keeps the id for a while and gets it back on coming into view near the expected place.

    Parameters
    ----------
    config : PoseConfig
        Gate and memory.
    make_memory : callable
        Makes the memory of a new person.
    """

    def __init__(self, config: PoseConfig, make_memory: Callable[[], M]) -> None:
        self._config = config
        self._make_memory = make_memory
        self._tracks: list[Track[M]] = []
        self._named = 0

    def forget(self) -> None:
        """Let go of everybody; names already given are not given again."""
        self._tracks = []

    def assign(
        self,
        stamp: float,
        people: NDArray[np.float64],
        camera: NDArray[np.float64],
        ray_sigma: NDArray[np.float64],
    ) -> list[Track[M]]:
        """Tracks of the people seen, in their order.

        Parameters
        ----------
        stamp : float
            Time of the frame [s], after the one before.
        people : NDArray, shape (N, J, 3)
            Joints [m]; NaN where unseen.
        camera : NDArray, shape (3,)
            Place of the camera [m]: differences along the ray from it count less.
        ray_sigma : NDArray, shape (N,)
            Standard deviation of each person's distance from the camera [m].
        """
        memory = self._config.track_memory
        self._tracks = [track for track in self._tracks if stamp - track.stamp <= memory]
        assigned: list[Track[M] | None] = [None] * len(people)
        # Who is known for a while chooses first, so that a phantom can't take over an identity.
        settled = [track for track in self._tracks if track.detections >= _SETTLED]
        newcomers = [track for track in self._tracks if track.detections < _SETTLED]
        for tracks in (settled, newcomers):
            free = [index for index, track in enumerate(assigned) if track is None]
            if not tracks or not free:
                continue
            cost = self._costs(stamp, tracks, people[free], camera, ray_sigma[free])
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if cost[row, column] < _BARRED:
                    assigned[free[column]] = tracks[row]
                    _follow(tracks[row], stamp, people[free[column]])
        return [track or self._begin(stamp, people[index]) for index, track in enumerate(assigned)]

    def _costs(
        self,
        stamp: float,
        tracks: list[Track[M]],
        people: NDArray[np.float64],
        camera: NDArray[np.float64],
        ray_sigma: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Distances (tracks, people) [m], `_BARRED` beyond the gate."""
        elapsed = np.array([stamp - track.stamp for track in tracks])
        velocity = np.stack([track.velocity for track in tracks])
        last = np.stack([track.positions for track in tracks])
        expected = last + (velocity * elapsed[:, None])[:, None]

        offset = people[None] - expected[:, None]  # (tracks, people, J, 3)
        ray = np.nanmean(people, axis=1) - camera
        ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
        along = np.einsum("tpjc,pc->tpj", offset, ray)
        across = np.sum(offset**2, axis=-1) - along**2
        doubt = np.maximum(1.0, ray_sigma / _LATERAL_SIGMA)
        apart = np.sqrt(np.maximum(across, 0.0) + (along / doubt[:, None]) ** 2)
        common = np.isfinite(apart)
        cost = np.where(common, apart, 0.0).sum(-1) / np.maximum(common.sum(-1), 1)
        gate = self._config.track_gate + _GATE_GROWTH * elapsed
        return np.where((cost <= gate[:, None]) & common.any(-1), cost, _BARRED)

    def _begin(self, stamp: float, positions: NDArray[np.float64]) -> Track[M]:
        self._named += 1
        track = Track(f"p{self._named}", self._make_memory(), positions, np.zeros(3), stamp)
        self._tracks.append(track)
        return track


def _follow(track: Track[M], stamp: float, positions: NDArray[np.float64]) -> None:
    elapsed = stamp - track.stamp
    moved = positions - track.positions
    seen = np.isfinite(moved).all(axis=-1)
    velocity = moved[seen].mean(axis=0) / elapsed
    share = elapsed / (elapsed + _VELOCITY_TIME)
    track.velocity = track.velocity + share * (velocity - track.velocity)
    track.positions, track.stamp = positions, stamp
    track.detections += 1
