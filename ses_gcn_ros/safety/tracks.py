"""Who is there: the last skeletons of each person, their speeds, and people lost from sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.people import (
    LIMB_LENGTH,
    LimbCapsules,
    body,
    joint_velocities,
    limb_capsules,
    path_lengths,
)
from ses_gcn_ros.skeleton import Skeleton, get_layout

Array = NDArray[np.float64]

VELOCITY_WINDOW = 0.17  # s of skeletons that a speed is taken from: 5 at 30 Hz
KEPT = 16  # skeletons at most
_NOBODY = np.empty((0, 3))
SAME_PERSON = 0.5  # m between a lost person's last place and that of a new one, both standing


class Track:
    """One person as last seen.

    Parameters
    ----------
    person_id, layout : str
    first_seen : float
        [s]

    Attributes
    ----------
    whole, blind : bool
        Whether the last skeleton showed every joint, or none at all.
    distance : float
        From the robot when last assessed [m].
    same : float
        For how long the joints have repeated to the bit, as no living person's do [s].
    """

    def __init__(self, person_id: str, layout: str, first_seen: float) -> None:
        self.person_id, self.layout, self.first_seen = person_id, layout, first_seen
        self.whole, self.blind = True, False
        self.distance, self.same = np.inf, 0.0
        shape = body(layout)
        self._edge_lengths = np.full(len(shape.edges), np.nan)  # longest seen so far [m]
        # what was seen lately lies between the two, in arrays that are never copied whole
        self._first = self._past = 0
        self._stamps = np.empty(2 * KEPT)
        self._positions = np.empty((2 * KEPT, len(get_layout(layout).joints), 3))

    @property
    def seen(self) -> bool:
        """Whether a joint was ever seen."""
        return self._past > 0

    @property
    def last_seen(self) -> float:
        return float(self._stamps[self._past - 1])

    @property
    def positions(self) -> Array:
        """Joints (J, 3) when last seen [m]."""
        last: Array = self._positions[self._past - 1]
        return last

    @property
    def centre(self) -> Array:
        return np.asarray(np.nanmean(self.positions, axis=0))

    def observe(self, stamp: float, positions: Array) -> None:
        """Take a skeleton (J, 3) in the world."""
        before = self.positions if self.seen else _NOBODY
        seen, repeated = kernel("people").look_at(
            positions, before, body(self.layout).edges, LIMB_LENGTH, self._edge_lengths
        )
        self.same = self.same + stamp - self.last_seen if repeated else 0.0
        self.blind = seen == 0
        if self.blind:
            return
        self.whole = seen == len(positions)
        if self._past == len(self._stamps):
            self._first, self._past = 0, KEPT - 1
            self._stamps[: self._past] = self._stamps[1 - KEPT :]
            self._positions[: self._past] = self._positions[1 - KEPT :]
        self._stamps[self._past], self._positions[self._past] = stamp, positions
        self._past += 1
        self._first = max(self._first, self._past - KEPT)
        while self._past - self._first > 2 and stamp - self._stamps[self._first] > VELOCITY_WINDOW:
            self._first += 1

    def velocities(self) -> Array:
        """Velocities (J, 3) of the joints [m/s], 0 where unknown."""
        lately = slice(self._first, self._past)
        return joint_velocities(self._stamps[lately], self._positions[lately])

    def paths(self) -> Array | None:
        """Path lengths (J, J) along this person's own limbs; None where they aren't needed."""
        if self.whole:
            return None
        own = np.where(np.isnan(self._edge_lengths), LIMB_LENGTH, self._edge_lengths)
        return path_lengths(self.layout, own)


@dataclass(frozen=True, eq=False)
class People:
    """Capsules of everybody, limb after limb.

    Attributes
    ----------
    limbs : LimbCapsules
        N limbs of all people, in the world, when last seen.
    start_velocity, end_velocity : ndarray, shape (N, 3)
        Velocities of the limbs' ends [m/s]; 0 where unknown.
    floor : ndarray, shape (N,)
        Least speed v_h that each limb must be expected to have [m/s].
    person : ndarray of int, shape (N,)
        Index of each limb's person.
    ids : tuple of str
        The people.
    last_seen : ndarray, shape (P,)
        When each of them was last seen [s].
    """

    limbs: LimbCapsules
    start_velocity: Array
    end_velocity: Array
    floor: Array
    person: NDArray[np.int64]
    ids: tuple[str, ...]
    last_seen: Array


class PeopleTracks:
    """Keeps the people of the skeleton stream, and for a while those who vanish near the robot.

    Parameters
    ----------
    config : SafetyConfig
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._config = config
        self.forget()

    def forget(self) -> None:
        """Start anew, as after a jump of the clock."""
        self.stamp: float | None = None
        self.present: dict[str, Track] = {}
        self.lost: dict[str, Track] = {}
        self._people: People | None = None

    def observe(self, stamp: float, skeletons: Sequence[Skeleton]) -> None:
        """Take everybody seen at `stamp`, in the world frame.

        Raises
        ------
        InputError
            If the stamp is not after the last one.
        """
        if self.stamp is not None and stamp <= self.stamp:
            raise InputError(
                f"skeletons stamped {stamp:.3f} s came after those of {self.stamp:.3f} s; "
                "repeated or out of order, not used"
            )
        self.stamp = stamp
        before, self.present = self.present, {}
        for skeleton in skeletons:
            name = skeleton.person_id
            track = before.pop(name, None) or self.lost.pop(name, None)
            if track is None or track.layout != skeleton.layout:
                track = Track(name, skeleton.layout, stamp)
            track.observe(stamp, np.asarray(skeleton.positions, np.float64))
            self.present[name] = track
        near = self._config.vanish_distance
        self.lost |= {name: t for name, t in before.items() if t.seen and t.distance <= near}
        self._recognise(stamp)
        self._people = None

    def expire(self, now: float) -> None:
        """Let go of people who were lost longer ago than the timeout."""
        keep = self._config.vanish_timeout
        gone = [name for name, t in self.lost.items() if now - t.last_seen > keep]
        for name in gone:
            del self.lost[name]
            self._people = None

    def note_distances(self, distances: Mapping[str, float]) -> None:
        """Remember how far from the robot each person is [m]."""
        for name, distance in distances.items():
            if name in self.present:
                self.present[name].distance = distance

    def people(self) -> People:
        """Everybody present, and the lost where they were last seen."""
        if self._people is None:
            self._people = self._gather()
        return self._people

    def _gather(self) -> People:
        tracks = [t for t in (*self.present.values(), *self.lost.values()) if t.seen]
        config = self._config
        arms, person = _limbs_of(tuple(track.layout for track in tracks))
        start_velocity, end_velocity = np.empty((2, len(arms), 3))
        parts, past = [], 0
        for _, group in groupby(tracks, key=_company):
            members = list(group)
            layout, shape = members[0].layout, body(members[0].layout)
            own = slice(past, past + len(members) * len(shape.names))
            past = own.stop
            velocity = np.array([track.velocities() for track in members])
            start_velocity[own] = velocity[:, shape.starts].reshape(-1, 3)
            end_velocity[own] = velocity[:, shape.ends].reshape(-1, 3)
            capsules = limb_capsules(
                np.array([track.positions for track in members]),
                layout,
                scale=config.body_scale,
                hand_reach=config.hand_reach,
                paths=members[0].paths(),
            )
            parts.append(capsules.in_a_row())
        return People(
            limbs=join(parts),
            start_velocity=start_velocity,
            end_velocity=end_velocity,
            floor=np.where(arms, config.arm_speed, config.human_speed),
            person=person,
            ids=tuple(track.person_id for track in tracks),
            last_seen=np.array([track.last_seen for track in tracks]),
        )

    def _recognise(self, stamp: float) -> None:
        """Drop the lost who stand there again under another identity."""
        new = [t for t in self.present.values() if t.first_seen == stamp and t.seen]
        for name, track in list(self.lost.items()):
            reach = SAME_PERSON + self._config.human_speed * (stamp - track.last_seen)
            if any(np.linalg.norm(other.centre - track.centre) <= reach for other in new):
                del self.lost[name]


@lru_cache(maxsize=64)
def _limbs_of(layouts: tuple[str, ...]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each limb of people with these layouts is an arm's, and the index of its person."""
    arms = [body(layout).arms for layout in layouts]
    whose = [np.full(len(own), number) for number, own in enumerate(arms)]
    limbs = np.concatenate([np.empty(0, bool), *arms]), np.concatenate([np.empty(0, int), *whose])
    for values in limbs:
        values.setflags(write=False)
    return limbs


def _company(track: Track) -> tuple[str, str | None]:
    """Whose capsules are made at once: whoever shows all joints needs no path lengths."""
    return track.layout, None if track.whole else track.person_id


def join(parts: Sequence[LimbCapsules]) -> LimbCapsules:
    """Lay the limbs of several people one after the other, along the axis of limbs."""
    if not parts:
        return LimbCapsules(np.empty((0, 3)), np.empty((0, 3)), np.empty(0), ())
    if len(parts) == 1:
        return parts[0]
    return LimbCapsules(
        start=np.concatenate([part.start for part in parts], axis=-2),
        end=np.concatenate([part.end for part in parts], axis=-2),
        radius=np.concatenate([part.radius for part in parts], axis=-1),
        names=tuple(name for part in parts for name in part.names),
    )
