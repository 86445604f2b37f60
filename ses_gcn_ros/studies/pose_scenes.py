"""Scenes for the eyes: recorded people before virtual cameras, alone and crossing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Recording, Sequence
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.association import Sighting
from ses_gcn_ros.pose.view import View
from ses_gcn_ros.pose.virtual_cameras import observe, sample_views

LAYOUT = "chico15"
FPS = 25.0
FRAMES = 75  # of a scene

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scene:
    """People before cameras.

    Attributes
    ----------
    stamps : NDArray, shape (T,)
        [s].
    people : NDArray, shape (T, N, J, 3)
        Joints in the cell [m].
    views : list of View
        The cameras.
    """

    stamps: Array
    people: Array
    views: list[View]

    def in_picture(self) -> NDArray[np.bool_]:
        """Which camera has which joint in its picture, shape (V, T, N, J)."""
        seen = []
        for view in self.views:
            pixels = view.project(self.people)
            size = (view.camera.width, view.camera.height)
            with np.errstate(invalid="ignore"):
                seen.append(np.all((pixels >= 0.0) & (pixels < size), axis=-1))
        return np.stack(seen)

    def sightings(self, rng: np.random.Generator) -> Iterator[dict[int, Sighting]]:
        """What the cameras find, frame by frame; people in any order, without names."""
        found = [observe(view, self.people, rng) for view in self.views]
        count = self.people.shape[1]
        for frame in range(len(self.stamps)):
            sightings = {}
            for number, (view, (pixels, confidence)) in enumerate(
                zip(self.views, found, strict=True)
            ):
                order = rng.permutation(count)
                sightings[number] = Sighting(
                    view, LAYOUT, pixels[frame][order], confidence[frame][order], ("",) * count
                )
            yield sightings


def draw_scene(recording: Recording, rng: np.random.Generator, cameras: int) -> Scene:
    """Three seconds of one person's recorded motion before cameras that look at its middle."""
    sequence = recording.sequences[rng.integers(len(recording.sequences))]
    people = _clip(sequence, rng)[:, None]
    low, high = people.min((0, 1, 2)), people.max((0, 1, 2))
    views = sample_views(rng, 0.5 * (low + high), cameras)
    return Scene(1.0 + np.arange(len(people)) / FPS, people, views)


def draw_crossing(
    recording: Recording, rng: np.random.Generator, cameras: int, gap: float = 0.5
) -> Scene:
    """Two recorded walkers who pass each other at `gap` metres, in the middle of the cell.

    Raises
    ------
    InputError
        If the recording has nobody who walks.
    """
    walks = [s for s in recording.sequences if "walk" in s.tags and len(s) >= FRAMES]
    if not walks:
        raise InputError(f"recording '{recording.name}' has no sequence with the tag 'walk'")
    heading = rng.uniform(0.0, 2.0 * math.pi)
    right = np.array([math.cos(heading), math.sin(heading), 0.0])
    forth = np.array([-right[1], right[0], 0.0])
    along = np.linspace(-1.5, 1.5, FRAMES)
    speeds = rng.uniform(0.8, 1.2, 2) * (1.0, -1.0)
    offset = rng.uniform(-0.3, 0.3)  # m from the middle at which they meet
    people = []
    for speed, side in zip(speeds.tolist(), (0.5, -0.5), strict=True):
        body = _clip(walks[rng.integers(len(walks))], rng)
        body = body - body[:, :1] * (1.0, 1.0, 0.0)  # the walk itself is laid along the line
        turned = _turned(body, math.atan2(right[1], right[0]) + (0.0 if speed > 0 else math.pi))
        path = (speed * along + offset)[:, None] * right + side * gap * forth
        people.append(turned + path[:, None])
    views = sample_views(rng, (0.0, 0.0, 0.9), cameras, distance=(3.0, 4.0))
    return Scene(1.0 + np.arange(FRAMES) / FPS, np.stack(people, axis=1), views)


def _clip(sequence: Sequence, rng: np.random.Generator) -> Array:
    """Some `FRAMES` of a sequence at `FPS`, shape (T, J, 3)."""
    step = sequence.fps / FPS
    length = min(FRAMES, int((len(sequence) - 1) / step) + 1)
    start = rng.uniform(0.0, len(sequence) - 1 - (length - 1) * step)
    at = start + step * np.arange(length)
    low = np.minimum(at.astype(int), len(sequence) - 2)
    part = (at - low)[:, None, None]
    positions = sequence.positions.astype(np.float64)
    return np.asarray((1.0 - part) * positions[low] + part * positions[low + 1])


def _turned(body: Array, heading: float) -> Array:
    """Body (T, J, 3) that faces a direction about the vertical [rad] in its first frame."""
    hips = body[0, 4] - body[0, 1]  # right hip to left hip
    angle = heading - math.atan2(-hips[0], hips[1])
    turn = np.array(
        [
            [math.cos(angle), -math.sin(angle), 0.0],
            [math.sin(angle), math.cos(angle), 0.0],
            [0.0, 0.0, 1.0],
        ]
    )
    return body @ turn.T
