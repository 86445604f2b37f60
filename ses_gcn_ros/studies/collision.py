"""The collision task of CHICO (Sampieri et al., ECCV 2022): does a forecast foresee the contact?

A person's limbs and a robot's links are segments. A window is a collision if any of them come
nearer than a threshold in any frame of the horizon. The robot's own motion is known; only the
person's is forecast. Windows of the recorded motion say what really happened.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.windows import window_starts
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.baselines import BASELINES
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.safety import capsule_distances
from ses_gcn_ros.skeleton import get_layout

THRESHOLD = 0.13  # m between the axes of limb and link, CHICO's
WITH_RADIUS = " with radius"
_BATCH = 128  # windows at once

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Encounter:
    """A person and a robot, or who stands for it, over time.

    Attributes
    ----------
    name : str
    person : NDArray, shape (T, J, 3)
        Joints [m].
    robot : NDArray, shape (T, P, 3)
        Points of the robot [m] in the same frame at the same times.
    """

    name: str
    person: Floats
    robot: Floats


@dataclass(frozen=True, eq=False)
class Gaps:
    """Least distance of person and robot in every frame of every window's horizon.

    Attributes
    ----------
    happened : NDArray, shape (W, H)
        As recorded [m].
    predicted : dict of str to NDArray, shape (W, H)
        By forecast [m]; under the model's name, followed by ``with radius``, less its radius.
    last_observed : NDArray, shape (W,)
        In the last frame that was observed [m].
    encounters : int
        How many there were.
    fps : float
        Frame rate [Hz].
    """

    happened: Floats
    predicted: dict[str, Floats]
    last_observed: Floats
    encounters: int
    fps: float


def chain(points: int) -> NDArray[np.int64]:
    """Links (P − 1, 2) that join points one after the other, as those of an arm."""
    return np.stack([np.arange(points - 1), np.arange(1, points)], axis=1)


def measure(
    engine: Engine,
    encounters: Iterable[Encounter],
    links: NDArray[np.int64],
    *,
    stride: int = 1,
) -> Gaps:
    """Forecast every window of every encounter, and measure how near it comes to the robot.

    Parameters
    ----------
    engine : Engine
        Its layout and frame rate are those of the encounters.
    encounters : iterable of Encounter
        Those shorter than a window are passed over.
    links : ndarray of int, shape (M, 2)
        Points of the robot that each link leads from and to.
    stride : int
        Frames from one window to the next.

    Raises
    ------
    InputError
        If a person has another number of joints, person and robot don't last equally long, or no
        encounter is as long as a window.
    """
    joints = len(get_layout(engine.layout).joints)
    limbs = np.asarray(get_layout(engine.layout).limbs)
    length = engine.observed + engine.horizon
    methods: dict[str, Callable[[Floats, int], Floats]] = dict(BASELINES)
    methods[engine.name] = lambda history, _: engine.predict(history)
    happened: list[Floats] = []
    last: list[Floats] = []
    predicted: dict[str, list[Floats]] = {name: [] for name in methods}
    count = 0
    for met in encounters:
        if met.person.shape[1:] != (joints, 3) or len(met.person) != len(met.robot):
            raise InputError(
                f"'{met.name}' has a person of shape {met.person.shape} and a robot of shape "
                f"{met.robot.shape}; it takes (T, {joints}, 3) and (T, points, 3)"
            )
        count += 1
        starts = window_starts(len(met.person), length, stride)
        for first in range(0, len(starts), _BATCH):
            rows = starts[first : first + _BATCH, None] + np.arange(length)
            person, robot = met.person[rows], met.robot[rows]
            start, end = robot[..., links[:, 0], :], robot[..., links[:, 1], :]
            now = engine.observed - 1
            real = _nearest(person[:, now:], limbs, start[:, now:], end[:, now:])
            last.append(real[:, 0])
            happened.append(real[:, 1:])
            history = np.ascontiguousarray(person[:, : engine.observed])
            ahead = start[:, engine.observed :], end[:, engine.observed :]
            for name, method in methods.items():
                forecast = method(history, engine.horizon)
                predicted[name].append(_nearest(forecast, limbs, *ahead))
                if name == engine.name and engine.radius is not None:
                    grown = _nearest(forecast, limbs, *ahead, engine.radius[:, limbs].max(axis=-1))
                    predicted.setdefault(name + WITH_RADIUS, []).append(grown)
    if not happened:
        raise InputError(f"none of {count} encounters is as long as a window of {length} frames")
    return Gaps(
        happened=np.concatenate(happened),
        predicted={name: np.concatenate(parts) for name, parts in predicted.items()},
        last_observed=np.concatenate(last),
        encounters=count,
        fps=engine.fps,
    )


def _nearest(
    person: Floats,
    limbs: NDArray[np.int64],
    start: Floats,
    end: Floats,
    growth: Floats | None = None,
) -> Floats:
    """Least distance (W, H) of the limbs (W, H, J, 3), each grown by (H, N), to the links."""
    radius = np.zeros(1) if growth is None else growth[:, :, None]
    met = capsule_distances(
        person[..., limbs[:, 0], None, :],
        person[..., limbs[:, 1], None, :],
        radius,
        start[..., None, :, :],
        end[..., None, :, :],
        0.0,
    )
    return met.distance.min(axis=(-2, -1)).astype(np.float32)


@dataclass(frozen=True)
class Score:
    """How well collisions are told from none.

    Attributes
    ----------
    hits, false_alarms, misses, rejections : int
        Windows.
    """

    hits: int
    false_alarms: int
    misses: int
    rejections: int

    @property
    def precision(self) -> float:
        """Share of the alarms that were right; NaN without any."""
        return _share(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """Share of the collisions that were foreseen; NaN without any."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def score(
    gaps: Gaps,
    method: str,
    frames: int,
    *,
    threshold: float = THRESHOLD,
    onsets: bool = False,
) -> Score:
    """Judge a method over the first `frames` of the horizon.

    Parameters
    ----------
    gaps : Gaps
    method : str
        One of ``gaps.predicted``.
    frames : int
        How far ahead is looked.
    threshold : float
        Distance under which it is a collision [m].
    onsets : bool
        Count only windows in which there was no contact yet when the forecast was made: seeing
        that a contact goes on is no foresight.
    """
    counted = gaps.last_observed >= threshold if onsets else np.ones(len(gaps.happened), bool)
    real = (gaps.happened[counted, :frames] < threshold).any(axis=1)
    said = (gaps.predicted[method][counted, :frames] < threshold).any(axis=1)
    return Score(
        hits=int((real & said).sum()),
        false_alarms=int((~real & said).sum()),
        misses=int((real & ~said).sum()),
        rejections=int((~real & ~said).sum()),
    )


def recall_by_lead(
    gaps: Gaps, method: str, edges: NDArray[np.int64], *, threshold: float = THRESHOLD
) -> list[tuple[int, float]]:
    """Share of coming contacts that are foreseen, by how far ahead they were.

    Parameters
    ----------
    gaps : Gaps
    method : str
    edges : ndarray of int, shape (B + 1,)
        Frames that part the bins: the first contact lies in frame ``edges[b] + 1`` to
        ``edges[b + 1]``.
    threshold : float
        [m]

    Returns
    -------
    list of (int, float)
        Windows and recall of each bin.
    """
    close = gaps.happened < threshold
    coming = (gaps.last_observed >= threshold) & close.any(axis=1)
    first = close.argmax(axis=1) + 1
    said = (gaps.predicted[method] < threshold).any(axis=1)
    bins = []
    for low, high in itertools.pairwise(edges.tolist()):
        inside = coming & (first > low) & (first <= high)
        bins.append((int(inside.sum()), _share(int((inside & said).sum()), int(inside.sum()))))
    return bins
