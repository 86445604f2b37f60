"""Skeletons from what several cameras see at one instant: who is who, and where in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.association import Sighting, assign, costs_to_expected, group
from ses_gcn_ros.pose.limbs import LimbKeeper
from ses_gcn_ros.pose.multiview_config import FusionConfig
from ses_gcn_ros.pose.smoothing import OneEuroFilter
from ses_gcn_ros.pose.triangulation import Triangulated, triangulate
from ses_gcn_ros.skeleton import Skeleton, convert, get_layout

Array = NDArray[np.float64]

_DRIFT = 1.0  # m/s by which a joint may stray from constant velocity
_VELOCITY_TIME = 0.08  # s over which a joint's velocity is averaged
_GATE_GROWTH = 1.0  # m/s by which a person out of sight may stray
_HEIGHT = (0.4, 2.6)  # m, extent of what can be a person, crouching or reaching up
_AGREEING = 0.4  # share of a person's joints that a camera must support to be of that person
_ALONE = 0.5  # confidence of a joint that one camera alone sees, over what that camera says
_UNSEEN = 0.25  # confidence of a joint that is where it is expected, seen by none


@dataclass(eq=False)
class _Person:
    """Somebody followed."""

    person_id: str
    positions: Array  # (J, 3) m when last fused; NaN where unknown
    covariance: Array  # (J, 3, 3) m²
    velocity: Array  # (J, 3) m/s
    stamp: float  # s when last fused
    seen: float  # s when two cameras last saw the person
    smoother: OneEuroFilter
    limbs: LimbKeeper
    found: dict[int, int] = field(default_factory=dict)  # sighting → person in it, now

    def expected(self, stamp: float) -> tuple[Array, Array]:
        """Joints (J, 3) and covariance (J, 3, 3) at a time."""
        elapsed = stamp - self.stamp
        drift = (_DRIFT * elapsed) ** 2 * np.eye(3)
        return self.positions + self.velocity * elapsed, self.covariance + drift


class MultiviewFusion:
    """Fuse sightings of one instant, instant after instant.

    People known are looked for where they are expected in each picture; who is left over is matched
    across cameras by epipolar distance. A person comes into being when two cameras see one, and
    keeps the id while any camera sees enough, and for `track_memory` after.

    Parameters
    ----------
    config : FusionConfig
        Gates, noise and filters.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._people: list[_Person] = []
        self._named = 0
        self._stamp = -np.inf
        self.reprojection: dict[int, float] = {}  # by camera, median over the last instant [px]

    def forget(self) -> None:
        """Let go of everybody; names already given are not given again."""
        self._people, self._stamp = [], -np.inf

    def fuse(self, stamp: float, sightings: Mapping[int, Sighting]) -> list[Skeleton]:
        """Everybody at `stamp` [s], which is after the one before; positions in the cell [m].

        Parameters
        ----------
        stamp : float
            Time of all sightings [s].
        sightings : mapping of int to Sighting
            Pictures of that time by the number of their camera; cameras may be missing.

        Raises
        ------
        InputError
            If the stamp is not after the last one, or the sightings have different layouts.
        """
        if stamp <= self._stamp:
            raise InputError(f"stamp {stamp:.6f} s is not after the last one, {self._stamp:.6f} s")
        layouts = {sighting.layout for sighting in sightings.values()}
        if len(layouts) > 1:
            raise InputError(f"cameras send layouts {', '.join(sorted(layouts))}; use one for all")
        self._stamp = stamp
        config = self._config
        self._people = [p for p in self._people if stamp - p.seen <= config.track_memory]
        if not layouts:
            return []
        layout = layouts.pop()
        numbers = list(sightings)
        pictures = [self._trusted(sighting) for sighting in sightings.values()]
        self._follow(stamp, pictures)
        self._welcome(stamp, layout, pictures)
        visible = [person for person in self._people if person.found]
        if not visible:
            self.reprojection = {}
            return []
        placed = self._triangulate(stamp, visible, pictures)
        self._note_errors(placed, numbers, pictures)
        joints = len(get_layout(layout).joints)
        skeletons = []
        for index, person in enumerate(visible):
            part = slice(index * joints, (index + 1) * joints)
            skeletons.append(self._update(stamp, layout, person, placed, part, pictures))
        return [skeleton for skeleton in skeletons if skeleton is not None]

    def _trusted(self, sighting: Sighting) -> Sighting:
        sure = sighting.confidence >= max(self._config.min_confidence, 1e-6)
        return Sighting(
            sighting.view,
            sighting.layout,
            np.where(sure[..., None], sighting.pixels, np.nan),
            np.where(sure & np.isfinite(sighting.pixels).all(-1), sighting.confidence, 0.0),
            sighting.names,
        )

    def _follow(self, stamp: float, pictures: Sequence[Sighting]) -> None:
        """Find those who are known in each picture."""
        for person in self._people:
            person.found = {}
        if not self._people:
            return
        expected = np.stack([person.expected(stamp)[0] for person in self._people])
        away = max(stamp - min(person.stamp for person in self._people), 0.0)
        gate = self._config.track_gate + _GATE_GROWTH * away
        for number, picture in enumerate(pictures):
            for row, column in assign(costs_to_expected(expected, picture, gate)):
                self._people[row].found[number] = column

    def _welcome(self, stamp: float, layout: str, pictures: Sequence[Sighting]) -> None:
        """Find those who are new, among who is left over in the pictures."""
        taken = {(number, n) for p in self._people for number, n in p.found.items()}
        free = [
            [n for n in range(len(picture.pixels)) if (number, n) not in taken]
            for number, picture in enumerate(pictures)
        ]
        rest = [
            Sighting(p.view, p.layout, p.pixels[f], p.confidence[f], ())
            for p, f in zip(pictures, free, strict=True)
        ]
        for members in group(rest, self._config.epipolar_gate):
            found = {number: free[number][n] for number, n in members.items()}
            placed = _place([found], pictures, self._config.pixel_sigma)
            if not _is_human(placed.positions):
                continue
            known = self._reappeared(stamp, placed.positions)
            if known is not None:
                known.found = found | known.found
                known.positions, known.covariance = placed.positions, placed.covariance
                known.velocity, known.stamp = np.zeros_like(placed.positions), stamp
                continue
            self._named += 1
            person = _Person(
                f"p{self._named}",
                placed.positions,
                placed.covariance,
                np.zeros_like(placed.positions),
                stamp,
                stamp,
                OneEuroFilter(self._config.smoothing_cutoff, self._config.smoothing_beta),
                LimbKeeper(layout),
                found,
            )
            self._people.append(person)

    def _reappeared(self, stamp: float, positions: Array) -> _Person | None:
        """Who of those out of sight stands there again."""
        lost = [person for person in self._people if len(person.found) < 2]
        distance = [
            np.nanmedian(np.linalg.norm(person.expected(stamp)[0] - positions, axis=-1))
            - _GATE_GROWTH * (stamp - person.stamp)
            for person in lost
        ]
        if not distance or not np.nanmin(distance, initial=np.inf) <= self._config.track_gate:
            return None
        return lost[int(np.nanargmin(distance))]

    def _triangulate(
        self, stamp: float, people: Sequence[_Person], pictures: Sequence[Sighting]
    ) -> Triangulated:
        means, covariances = zip(*(person.expected(stamp) for person in people), strict=True)
        known = [person.stamp < stamp for person in people]  # who is new has no past
        mean = np.where(np.array(known)[:, None, None], np.stack(means), np.nan)
        return _place(
            [person.found for person in people],
            pictures,
            self._config.pixel_sigma,
            mean.reshape(-1, 3),
            np.stack(covariances).reshape(-1, 3, 3),
        )

    def _update(
        self,
        stamp: float,
        layout: str,
        person: _Person,
        placed: Triangulated,
        part: slice,
        pictures: Sequence[Sighting],
    ) -> Skeleton | None:
        """Take up what was measured of a person; None if it is not enough to say where."""
        config = self._config
        positions, covariance = placed.positions[part], placed.covariance[part]
        supports = placed.supports[:, part]
        sigma = np.sqrt(np.trace(covariance, axis1=-2, axis2=-1))
        certain = sigma <= config.max_sigma
        positions = np.where(certain[:, None], positions, np.nan)
        agreeing = 0
        for number, n in person.found.items():
            usable = (pictures[number].confidence[n] > 0.0) & certain
            agreeing += bool(usable.any() and supports[number, usable].mean() >= _AGREEING)
        elapsed = stamp - person.stamp
        if elapsed > 0.0:
            share = elapsed / (elapsed + _VELOCITY_TIME)
            velocity = (positions - person.positions) / elapsed
            change = share * (velocity - person.velocity)
            person.velocity = person.velocity + np.where(np.isfinite(change), change, 0.0)
        if agreeing >= 2:
            person.seen = stamp
        person.positions, person.covariance, person.stamp = positions, covariance, stamp
        if not agreeing or not certain.any():
            return None
        trust = np.array([pictures[number].confidence[n] for number, n in person.found.items()])
        upheld = supports[list(person.found)]
        count = upheld.sum(0)
        confidence = np.where(upheld, trust, 0.0).sum(0) / np.maximum(count, 1)
        confidence = np.where(count >= 2, confidence, _ALONE * confidence)
        confidence = np.where(count == 0, _UNSEEN, confidence)
        held = person.limbs.fit(positions, sigma)
        smooth = person.smoother.smooth(stamp, held)
        confidence = np.where(np.isfinite(smooth).all(-1), confidence, 0.0)
        return Skeleton(
            person.person_id, config.layout, *convert(smooth, confidence, layout, config.layout)
        )

    def _note_errors(
        self, placed: Triangulated, numbers: Sequence[int], pictures: Sequence[Sighting]
    ) -> None:
        self.reprojection = {
            number: float(np.nanmedian(row)) * self._config.pixel_sigma
            for number, row in zip(numbers, placed.residuals, strict=True)
            if np.isfinite(row).any()
        }


def _place(
    found: Sequence[Mapping[int, int]],
    pictures: Sequence[Sighting],
    pixel_sigma: float,
    expected: Array | None = None,
    covariance: Array | None = None,
) -> Triangulated:
    """Triangulate the joints of people, given where each is found in the pictures."""
    joints = pictures[0].pixels.shape[1]
    pixels = np.full((len(pictures), len(found), joints, 2), np.nan)
    weights = np.zeros((len(pictures), len(found), joints))
    for index, members in enumerate(found):
        for number, n in members.items():
            pixels[number, index] = pictures[number].pixels[n]
            weights[number, index] = pictures[number].confidence[n]
    flat = (len(pictures), -1)
    rays = np.stack(
        [
            picture.view.camera.normalise(np.nan_to_num(points))
            for picture, points in zip(pictures, pixels, strict=True)
        ]
    )
    return triangulate(
        rays.reshape(*flat, 2),
        (weights > 0.0).reshape(flat).astype(np.float64),
        np.stack([picture.view.camera_from_base for picture in pictures]),
        np.array([pixel_sigma / picture.view.camera.fx for picture in pictures]),
        expected,
        covariance,
    )


def _is_human(positions: Array) -> bool:
    """Whether points (J, 3) can be a person: most joints agree, and the whole has a body's size."""
    known = np.isfinite(positions).all(-1)
    if known.mean() < _AGREEING or known.sum() < 4:
        return False
    extent = float(np.linalg.norm(np.ptp(positions[known], axis=0)))
    return _HEIGHT[0] <= extent <= _HEIGHT[1]
