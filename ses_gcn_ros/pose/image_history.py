"""What a camera saw of each person in its last images."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

_SAME = 1.0  # mean distance of the joints, in units of the body's extent, that is still one person
_FAR = 1e6


@dataclass(eq=False)
class _Person:
    """Images of one person, oldest first."""

    stamps: list[float] = field(default_factory=list)
    rays: list[NDArray[np.float64]] = field(default_factory=list)
    confidence: list[NDArray[np.float64]] = field(default_factory=list)


class ImageHistory:
    """Rays to the joints of everybody in the last images, on a grid of times.

    People are followed by where they are in the picture. It need not be right for long: it looks
    back a third of a second, and who is taken for somebody new starts with an empty past.

    Parameters
    ----------
    frames : int
        Length F of the grid.
    fps : float
        Its frame rate [Hz]; each point of the grid has the image next to it in time, so that of
        somebody who has just come in the first image stands for what was before.
    """

    def __init__(self, frames: int, fps: float) -> None:
        self._frames, self._period = frames, 1.0 / fps
        self._people: list[_Person] = []

    def add(
        self, stamp: float, rays: NDArray[np.float64], confidence: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Take one more image; the pasts of the people in it.

        Parameters
        ----------
        stamp : float
            When it was taken [s]. One not after the last starts over.
        rays : NDArray, shape (N, J, 2)
            Joints, undistorted, at unit depth.
        confidence : NDArray, shape (N, J)
            0 where a joint is not seen.

        Returns
        -------
        rays : NDArray, shape (N, F, J, 2)
            The image itself last.
        confidence : NDArray, shape (N, F, J)
        """
        horizon = (self._frames - 0.5) * self._period
        self._people = [
            person for person in self._people if 0.0 < stamp - person.stamps[-1] <= horizon
        ]
        people = self._assign(np.where(confidence[..., None] > 0.0, rays, np.nan))
        for person, seen, trust in zip(people, rays, confidence, strict=True):
            person.stamps.append(stamp)
            person.rays.append(seen)
            person.confidence.append(trust)
            while stamp - person.stamps[0] > horizon:
                del person.stamps[0], person.rays[0], person.confidence[0]
        shape = (len(people), self._frames, rays.shape[1])
        past, trust_in_past = np.empty((*shape, 2)), np.empty(shape)
        grid = stamp - self._period * np.arange(self._frames)[::-1]
        for index, person in enumerate(people):
            apart = np.abs(grid[:, None] - np.array(person.stamps))
            nearest = len(person.stamps) - 1 - apart[:, ::-1].argmin(axis=1)  # the later of two
            past[index] = np.stack(person.rays)[nearest]
            trust_in_past[index] = np.stack(person.confidence)[nearest]
        return past, trust_in_past

    def _assign(self, rays: NDArray[np.float64]) -> list[_Person]:
        """Whose each sighting (N, J, 2) is; people not known before are made."""
        people: list[_Person | None] = [None] * len(rays)
        if self._people and len(rays):
            last = np.stack(
                [
                    np.where(person.confidence[-1][:, None] > 0.0, person.rays[-1], np.nan)
                    for person in self._people
                ]
            )
            apart = np.linalg.norm(rays[:, None] - last[None], axis=-1)  # (N, people, J)
            common = np.isfinite(apart)
            mean = np.where(common, apart, 0.0).sum(-1) / np.maximum(common.sum(-1), 1)
            extent = np.array([_extent(one) for one in rays])[:, None]
            cost = np.where(common.any(-1) & (mean <= _SAME * extent), mean, _FAR)
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if cost[row, column] < _FAR:
                    people[row] = self._people[column]
        found = [person or _Person() for person in people]
        self._people += [person for person in found if not person.stamps]
        return found


def _extent(rays: NDArray[np.float64]) -> float:
    """Mean distance of joints (J, 2) from their middle; NaN joints left out."""
    seen = rays[np.isfinite(rays).all(axis=-1)]
    if not len(seen):
        return 0.0
    return float(np.linalg.norm(seen - seen.mean(axis=0), axis=1).mean())
