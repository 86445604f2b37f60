"""Who is there: capsules around people of any layout, their speeds, and people lost from sight.

A joint that nobody sees is somewhere within the length of the limbs that tie it to the nearest seen
joint. So it is put there and its limbs grow by that length: the true limb lies inside, always.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.skeleton import Skeleton, get_layout

Array = NDArray[np.float64]

LIMB_LENGTH = 0.6  # m; no limb of a tall adult is longer, nor is the trunk from hip to shoulder
ARM = re.compile("elbow|wrist|hand|thumb|index|middle|ring|pinky")  # at the end of an arm's limbs


@dataclass(frozen=True, eq=False)
class LimbCapsules:
    """Capsules of N limbs, of one person or several, at one instant or at H steps.

    Attributes
    ----------
    start, end : ndarray, shape (..., N, 3)
        Ends of the axes [m]; NaN where a limb can't be placed.
    radius : ndarray, shape (..., N)
        Radii [m].
    names : tuple of str
        Names of the N limbs.
    """

    start: Array
    end: Array
    radius: Array
    names: tuple[str, ...]

    def in_a_row(self) -> LimbCapsules:
        """Capsules (..., P, N) of P people as those of P N limbs, one person after the other."""
        *lead, people, _ = self.radius.shape
        points = (*lead, -1, 3)
        return LimbCapsules(
            self.start.reshape(points),
            self.end.reshape(points),
            self.radius.reshape(*lead, -1),
            self.names * people,
        )


@dataclass(frozen=True, eq=False)
class Body:
    """What the capsules of a layout are made from.

    Attributes
    ----------
    starts, ends : ndarray of int, shape (N,)
        Joints of each limb.
    radii : ndarray, shape (N,)
        Radii of a large adult [m].
    hands : ndarray of bool, shape (N,)
        Limbs that end in a wrist beyond which the layout has no joint.
    edges : ndarray of int, shape (E, 2)
        Joints tied by a limb or by the kinematic tree.
    arms : ndarray of bool, shape (N,)
        Limbs from the shoulder outwards, which are faster than a walking body.
    names : tuple of str
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    radii: Array
    hands: NDArray[np.bool_]
    edges: NDArray[np.int64]
    arms: NDArray[np.bool_]
    names: tuple[str, ...]


@cache
def body(layout_name: str) -> Body:
    """Make the body of a layout.

    Raises
    ------
    InputError
        If no layout has that name.
    """
    layout = get_layout(layout_name)
    limbs = np.asarray(layout.limbs, dtype=np.int64)
    with_child = {parent for parent in layout.parents if parent >= 0}
    hands = [
        layout.canonical[end].endswith("wrist") and end not in with_child for _, end in layout.limbs
    ]
    tree = [(parent, child) for child, parent in enumerate(layout.parents) if parent >= 0]
    return Body(
        starts=limbs[:, 0].copy(),
        ends=limbs[:, 1].copy(),
        radii=np.asarray(layout.limb_radii, dtype=np.float64),
        hands=np.asarray(hands),
        arms=np.asarray([ARM.search(layout.canonical[end]) is not None for _, end in limbs]),
        edges=np.asarray(sorted(set(layout.limbs) | set(tree)), dtype=np.int64),
        names=layout.limb_names(),
    )


def path_lengths(layout_name: str, edge_lengths: Array) -> Array:
    """Lengths of the shortest ways along the body between any two joints.

    Parameters
    ----------
    layout_name : str
    edge_lengths : ndarray, shape (E,)
        Length of each edge of `body` [m].

    Returns
    -------
    ndarray, shape (J, J)
        Path lengths [m]; inf between joints that nothing ties.
    """
    joints = len(get_layout(layout_name).joints)
    edges = body(layout_name).edges
    lengths = np.full((joints, joints), np.inf)
    np.fill_diagonal(lengths, 0.0)
    lengths[edges[:, 0], edges[:, 1]] = lengths[edges[:, 1], edges[:, 0]] = edge_lengths
    for via in range(joints):  # Floyd and Warshall
        np.minimum(lengths, lengths[:, via, None] + lengths[None, via], out=lengths)
    return lengths


@cache
def _adult_paths(layout_name: str) -> Array:
    paths = path_lengths(layout_name, np.full(len(body(layout_name).edges), LIMB_LENGTH))
    paths.setflags(write=False)
    return paths


def limb_capsules(
    positions: Array,
    layout_name: str,
    *,
    scale: float = 1.0,
    hand_reach: float = 0.0,
    growth: Array | None = None,
    paths: Array | None = None,
) -> LimbCapsules:
    """Capsules around the limbs of skeletons.

    Parameters
    ----------
    positions : ndarray, shape (..., J, 3)
        Joint positions [m]; NaN where unseen.
    layout_name : str
        Name of their layout.
    scale : float
        Factor on the radii of a large adult.
    hand_reach : float
        How far the hand reaches beyond a wrist that has no hand joints [m].
    growth : ndarray, shape (..., J), optional
        Radius around each joint that holds it [m], such as a forecast's; the limb grows by the
        larger of its two joints'. NaN counts as unseen.
    paths : ndarray, shape (J, J), optional
        Path lengths of this person [m]; a tall adult's by default.

    Returns
    -------
    LimbCapsules
        Contain the limbs wherever their joints are within their radii.

    Raises
    ------
    InputError
        If the layout is unknown.
    """
    shape = body(layout_name)
    positions = np.ascontiguousarray(positions, np.float64)
    *lead, joints, _ = positions.shape
    bodies = positions.reshape(-1, joints, 3)
    if growth is None:
        growth = np.zeros(bodies.shape[:2])
    limbs = (*lead, len(shape.names))
    start, end, radius = np.empty((*limbs, 3)), np.empty((*limbs, 3)), np.empty(limbs)
    kernel("separation").surround(
        bodies,
        np.ascontiguousarray(growth, np.float64).reshape(bodies.shape[:2]),
        _adult_paths(layout_name) if paths is None else paths,
        (shape.starts, shape.ends, shape.radii, shape.hands),
        *(float(scale), float(hand_reach)),
        *(start.reshape(len(bodies), -1, 3), end.reshape(len(bodies), -1, 3)),
        radius.reshape(len(bodies), -1),
    )
    return LimbCapsules(start, end, radius, shape.names)


def joint_velocities(stamps: Array, positions: Array) -> Array:
    """Velocities of joints by the Theil-Sen estimator: the median slope over all pairs of frames.

    One bad frame in four doesn't move it (Sen 1968, doi:10.1080/01621459.1968.10480934).

    Parameters
    ----------
    stamps : ndarray, shape (T,)
        Rising [s].
    positions : ndarray, shape (T, J, 3)
        Joint positions [m]; NaN where unseen.

    Returns
    -------
    ndarray, shape (J, 3)
        Velocities [m/s]; 0 where fewer than two frames show a joint.
    """
    velocity = np.empty(positions.shape[1:])
    kernel("separation").median_slopes(stamps, positions, velocity)
    return velocity


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
        seen, repeated = kernel("separation").look_at(
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
