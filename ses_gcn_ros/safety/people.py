"""Who is there: capsules around people of any layout, their speeds, and people lost from sight.

A joint that nobody sees is somewhere within the length of the limbs that tie it to the nearest seen
joint. So it is put there and its limbs grow by that length: the true limb lies inside, always.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.geometry import CapsuleDistances, capsule_distances, within
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.skeleton import Skeleton, get_layout, whole_covariance

Array = NDArray[np.float64]

_NEWTON_STEPS = 40  # enough for coverages from 1e-9 to all but 1e-15
LIMB_LENGTH = 0.6  # m; no limb of a tall adult is longer, nor is the trunk from hip to shoulder
OVER_A_JOINT = 0.9  # m; nor are two of them, which edges are that leave a joint out
KNUCKLES = ("hand", "index", "pinky")  # joints in the middle of a hand, fingers being beyond
BEYOND_KNUCKLES = 0.5  # of a hand's length
ARM = re.compile("elbow|wrist|hand|thumb|index|middle|ring|pinky")  # at the end of an arm's limbs


@dataclass(frozen=True, eq=False)
class LimbCapsules:
    """Capsules of N limbs, of one person or several, at one instant or at H steps."""

    # (..., N, 3): ends of the axes [m]; NaN where a limb can't be placed
    start: Array
    end: Array
    radius: Array  # (..., N): radii [m]
    names: tuple[str, ...]  # names of the N limbs

    def to_links(self, start: ArrayLike, end: ArrayLike, radius: ArrayLike) -> CapsuleDistances:
        """From the N limbs to M links, whose ends are (M, 3) and radii (M,) [m]: (..., N, M)."""
        return capsule_distances(
            self.start[..., None, :],
            self.end[..., None, :],
            self.radius[..., None],
            start,
            end,
            radius,
        )

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
    """What the capsules of a layout are made from."""

    # (N,): joints of each limb
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    radii: Array  # (N,): radii of a large adult [m]
    hands: Array  # (N,): share of a hand that is beyond each limb, as no joint is its tip
    edges: NDArray[np.int64]  # (E, 2): joints tied by a limb or by the kinematic tree
    longest: Array  # (E,): what each edge of a tall adult is at most [m]
    # (N,): limbs from the shoulder outwards, which are faster than a walking body
    arms: NDArray[np.bool_]
    names: tuple[str, ...]


@cache
def body(layout_name: str) -> Body:
    """Make the body of a layout. Raises InputError if no layout has that name."""
    layout = get_layout(layout_name)
    limbs = np.asarray(layout.limbs, dtype=np.int64)
    with_child = {parent for parent in layout.parents if parent >= 0}
    hands = []
    for _, end in layout.limbs:
        side, part = layout.canonical[end][:2], layout.canonical[end][2:]
        at_wrist = part == "wrist" and end not in with_child
        to_knuckles = part in KNUCKLES and f"{side}hand_tip" not in layout.canonical
        hands.append(1.0 if at_wrist else BEYOND_KNUCKLES if to_knuckles else 0.0)
    edges = sorted(set(layout.limbs) | {(p, c) for c, p in enumerate(layout.parents) if p >= 0})
    named = [(layout.canonical[a], layout.canonical[b][2:]) for a, b in edges]
    over = [
        (a in ("spine", "navel") and b == "knee") or (a, b) == ("neck", "hip") for a, b in named
    ]
    return Body(
        starts=limbs[:, 0].copy(),
        ends=limbs[:, 1].copy(),
        radii=np.asarray(layout.limb_radii, dtype=np.float64),
        hands=np.asarray(hands, np.float64),
        arms=np.asarray([ARM.search(layout.canonical[end]) is not None for _, end in limbs]),
        edges=np.asarray(edges, dtype=np.int64),
        longest=np.where(over, OVER_A_JOINT, LIMB_LENGTH),
        names=layout.limb_names(),
    )


def path_lengths(layout_name: str, edge_lengths: Array) -> Array:
    """Lengths of the shortest ways along the body between any two joints.

    `edge_lengths` (E,): length of each edge of `body` [m].
    Gives path lengths (J, J) [m]; inf between joints that nothing ties.
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
    paths = path_lengths(layout_name, body(layout_name).longest)
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

    Raises InputError if the layout is unknown.

    `positions` (..., J, 3): joint positions [m]; NaN where unseen.
    `layout_name`: name of their layout.
    `scale`: factor on the radii of a large adult.
    `hand_reach`: how far the hand reaches beyond the wrist [m], where the layout has no tip of it.
    `growth` (..., J): radius around each joint that holds it [m], such as a forecast's; the limb
    grows by the larger of its two joints'. NaN counts as unseen.
    `paths` (J, J): path lengths of this person [m]; a tall adult's by default.
    Gives capsules that contain the limbs wherever their joints are within their radii.
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

    `stamps` (T,): rising [s].
    `positions` (T, J, 3): joint positions [m]; NaN where unseen.
    Gives velocities (J, 3) [m/s]; 0 where fewer than two frames show a joint.
    """
    velocity = np.empty(positions.shape[1:])
    kernel("separation").median_slopes(stamps, positions, velocity)
    return velocity


@cache
def quantile(coverage: float) -> float:
    """Length that a standard normal vector in space stays below with a probability.

    An uncalibrated radius (coverage 0) is taken to hold every other joint. By Newton's method, as
    SciPy's inverse would keep the safety node waiting for its imports at the first forecast.
    """
    beyond = 1.0 - (coverage if 0.0 < coverage < 1.0 else 0.5)
    length = 1.5
    for _ in range(_NEWTON_STEPS):
        slope = math.sqrt(2.0 / math.pi) * length * length * math.exp(-0.5 * length * length)
        length = max(length + (tail_probability(length) - beyond) / slope, 0.5 * length)
    return length


def tail_probability(least: float) -> float:
    """Probability that a standard normal vector in space is longer than that."""
    if math.isinf(least):
        return 0.0
    density = math.sqrt(2.0 / math.pi) * least * math.exp(-0.5 * least * least)
    return math.erfc(least / math.sqrt(2.0)) + density


VELOCITY_WINDOW = 0.17  # s of skeletons that a speed is taken from: 5 at 30 Hz
KEPT = 16  # skeletons at most
_NOBODY = np.empty((0, 3))

SAME_PLACE = 0.5  # m within which somebody new stands where somebody was just lost
UNMOVED = 0.1  # m within which nobody stands in another's place: noise, or a step
SAME_TIME = 1.0  # s after which nobody is told by their place any more
SAME_BUILD = 0.15  # share by which limbs may differ for that
FASTEST = 12.0  # m/s that no human reaches: the record over 100 m
LONGEST_LIMB = 1.0  # m between joints that a limb ties, errors of measurement included
TALLEST = 2.9  # m between any two joints: the reach of the tallest upwards
SMALLEST_BODY = 0.3  # m that a body of which most joints are seen extends at least, also curled up
PHANTOM = 0.1  # probability of a living person under which nobody who vanishes is held
MOST_LOST = 40  # people held; more are a fault of their own
STANDING = 0.5  # m/s that noise makes of somebody who stands, for the credit of who recedes
SURE = 3.0  # standard deviations of that noise besides
WHOLE_BODY = "body"  # what a ball around somebody is called in the place of a limb
LIMBS_TOLD = 3.0  # s after which somebody lost is held as one ball, so far may every limb have got
BUILD_SIGHTINGS = 30  # of a whole body before its build tells who it is


class Track:
    """One person as last seen.

    `first_seen` [s].

    Attributes:
    - `whole`, `blind`: whether the last skeleton showed every joint, or none at all.
    - `distance`: from the robot when last assessed [m].
    - `same`: for how long the joints have told nothing new, as no living person's do [s].
    - `last_seen`, `last_news`: when a joint was last seen, and when one was last elsewhere than
      before [s].
    - `unseen`: time before that which no stamp tells of any more, since the clock went back [s].
    - `sightings`: skeletons that showed the whole body.
    - `liveness`: the most probable that this was a living person, by who saw it; 1 where nobody
      judged.
    - `spread` (J,): largest standard deviation of each joint when last seen [m]; NaN where not
      told.
    - `velocities` (J, 3): of the joints when last seen [m/s], 0 where unknown.
    """

    def __init__(self, person_id: str, layout: str, first_seen: float) -> None:
        self.person_id, self.layout, self.first_seen = person_id, layout, first_seen
        self.whole, self.blind = True, False
        self.distance, self.same, self.unseen = np.inf, 0.0, 0.0
        self.last_seen = self.last_news = first_seen
        self.sightings, self.liveness = 0, 0.0
        joints = len(get_layout(layout).joints)
        self.spread, self.velocities = _untold(joints), np.zeros((joints, 3))
        self.edge_lengths = np.full(len(body(layout).edges), np.nan)  # longest seen so far [m]
        self._ball: Array | None = None
        # what was seen lately lies between the two, in arrays that are never copied whole
        self._first = self._past = 0
        self._stamps = np.empty(2 * KEPT)
        self._positions = np.empty((2 * KEPT, joints, 3))

    @property
    def seen(self) -> bool:
        """Whether a joint was ever seen."""
        return self._past > 0

    @property
    def positions(self) -> Array:
        """Joints (J, 3) when last seen [m]."""
        return self._positions[self._past - 1]

    @property
    def centre(self) -> Array:
        return np.asarray(np.nanmean(self.positions, axis=0))

    def unseen_for(self, now: float) -> float:
        """How long nothing new has been known of this person [s]."""
        return max(now - self.last_news, 0.0) + self.unseen

    def observe(self, stamp: float, skeleton: Skeleton) -> None:
        """Take a skeleton in the world."""
        positions = np.ascontiguousarray(skeleton.positions, np.float64)
        before = self.positions if self.seen else _NOBODY
        earlier, pace = before, 0.0
        if self._past - self._first > 1:
            earlier = self._positions[self._past - 2]
            then, last = self._stamps[self._past - 2 : self._past].tolist()
            pace = (stamp - last) / (last - then)
        seen, repeated = kernel("separation").look_at(
            *(positions, before, earlier, pace),
            *(body(self.layout).edges, body(self.layout).longest, self.edge_lengths),
        )
        self.same = self.same + stamp - self.last_seen if repeated else 0.0
        self.liveness = max(self.liveness, 1.0 if skeleton.liveness < 0.0 else skeleton.liveness)
        self.blind = seen == 0
        if self.blind:
            return
        self.whole = seen == len(positions)
        self.sightings += self.whole
        self.last_seen = stamp
        if not repeated:
            self.last_news, self.unseen = stamp, 0.0
        self._ball, self.spread = None, _largest_deviations(skeleton)
        if self._past == len(self._stamps):
            self._first, self._past = 0, KEPT - 1
            self._stamps[: self._past] = self._stamps[1 - KEPT :]
            self._positions[: self._past] = self._positions[1 - KEPT :]
        self._stamps[self._past], self._positions[self._past] = stamp, positions
        self._past += 1
        self._first = max(self._first, self._past - KEPT)
        while self._past - self._first > 2 and stamp - self._stamps[self._first] > VELOCITY_WINDOW:
            self._first += 1
        lately = slice(self._first, self._past)
        self.velocities = joint_velocities(self._stamps[lately], self._positions[lately])

    def begin_anew(self, before: float, now: float) -> None:
        """Make stamps comparable again after the clock went back from `before` to `now` [s]."""
        self.unseen, self._ball = self.unseen_for(before), None
        self.last_seen = self.last_news = now
        if self.seen:
            self._positions[0] = self.positions
            self._stamps[0], self._first, self._past = now, 0, 1
            self.velocities = np.zeros_like(self.velocities)

    def receding(self) -> Array:
        """Velocity (3,) of the whole body, and the speed that noise makes of standing, [m/s]."""
        lately = slice(self._first, self._past)
        stamps, path = self._stamps[lately], self._positions[lately]
        always = ~np.isnan(path[:, :, 0]).any(axis=0)
        if len(stamps) < 4 or not always.any():
            return np.array([0.0, 0.0, 0.0, np.inf])
        centre = path[:, always].mean(axis=1)
        time = stamps - stamps.mean()
        velocity = time @ centre / (time @ time)
        off = centre - centre.mean(axis=0) - time[:, None] * velocity
        noise = np.sqrt((off**2).sum() / (len(stamps) - 2) / (time @ time))
        return np.append(velocity, max(STANDING, SURE * noise))

    def ball(self, config: SafetyConfig) -> Array:
        """What holds the whole body where it was last seen, moving any way.

        Centre, radius [m], highest speed [m/s] and standard deviation [m]: (6,).
        """
        if self._ball is None:
            limbs = limb_capsules(
                self.positions,
                self.layout,
                scale=config.body_scale,
                hand_reach=config.hand_reach,
                paths=self.paths(),
            )
            away = np.linalg.norm(np.stack([limbs.start, limbs.end]) - self.centre, axis=-1)
            radius = (away + limbs.radius).max()  # NaN, which stops, where a limb can't be placed
            fastest = np.linalg.norm(self.velocities, axis=1).max()
            spread = np.fmax.reduce(self.spread, initial=0.0)  # NaN where not told
            self._ball = np.array([*self.centre, radius, fastest, spread])
        return self._ball

    def paths(self) -> Array | None:
        """Path lengths (J, J) along this person's own limbs; None where they aren't needed."""
        if self.whole:
            return None
        own = np.where(np.isnan(self.edge_lengths), body(self.layout).longest, self.edge_lengths)
        return path_lengths(self.layout, own)

    def built_like(self, other: Track, tolerance: float) -> bool:
        """Whether no limb seen of both differs by more than a share."""
        if self.layout != other.layout:
            return True  # nothing to be compared
        ratio = self.edge_lengths / np.maximum(other.edge_lengths, 1e-3)
        with np.errstate(invalid="ignore"):
            return not (np.abs(np.log(ratio[~np.isnan(ratio)])) > tolerance).any()


@cache
def _untold(joints: int) -> Array:
    """The deviations (J,) of whom none are told of, one array for all."""
    nothing = np.full(joints, np.nan)
    nothing.setflags(write=False)
    return nothing


def _largest_deviations(skeleton: Skeleton) -> Array:
    """Standard deviation of each joint along its worst axis (J,) [m]; NaN where not told."""
    if skeleton.covariance is None:
        return _untold(len(skeleton.positions))
    told = np.asarray(skeleton.covariance, np.float64)
    matrices = whole_covariance(np.nan_to_num(told))
    largest = np.sqrt(np.maximum(np.linalg.eigvalsh(matrices)[:, -1], 0.0))
    unknown: NDArray[np.bool_] = np.asarray(np.isnan(told).any(axis=1))
    return _untold(len(unknown)) if unknown.all() else np.where(unknown, np.nan, largest)


def implausible(skeleton: Skeleton) -> str:
    """Why no human body has these joints; empty if one may have."""
    joints = len(get_layout(skeleton.layout).joints)
    points = np.ascontiguousarray(skeleton.positions, np.float64).reshape(joints, 3)
    seen, longest, size = kernel("separation").measure(points, body(skeleton.layout).edges)
    if longest > LONGEST_LIMB:
        return f"a limb of {longest:.1f} m; no human limb exceeds {LONGEST_LIMB} m"
    if seen < 2:
        return ""
    if size > TALLEST:
        return f"a body of {size:.1f} m; no human exceeds {TALLEST} m"
    if size < SMALLEST_BODY and 2 * seen > joints:
        return f"a body of {size:.3f} m; no human is under {SMALLEST_BODY} m"
    return ""


@dataclass(frozen=True, eq=False)
class People:
    """Capsules of everybody, limb after limb."""

    limbs: LimbCapsules  # n limbs of all people, in the world, when last seen
    # (N, 3): velocities of the limbs' ends [m/s]; 0 where unknown
    start_velocity: Array
    end_velocity: Array
    fastest: Array  # (N,): the faster end of each limb [m/s]
    floor: Array  # (N,): least speed v_h that each limb must be expected to have [m/s]
    uncertainty: Array  # (N,): z_d of each limb [m]
    receding: Array  # (N, 4): velocity of the whole body, and what noise makes of standing, [m/s]
    acceleration: Array  # (N,): highest of each limb [m/s²]; inf of a ball around a whole body
    person: NDArray[np.int64]  # (N,): index of each limb's person
    ids: tuple[str, ...]  # the people
    # (P,): how long nothing new had been known of each when people were last seen [s]
    unseen: Array

    def growth(self) -> Array:
        """How far each limb may have moved unseen (N,) [m], at the floors or as fast as it was."""
        if not self.unseen.any():
            return np.zeros(len(self.person))
        return np.asarray(np.maximum(self.floor, self.fastest) * self.unseen[self.person])


class PeopleTracks:
    """Keeps everybody who was ever seen, until they are known to be elsewhere.

    Whoever is missing from a message is held where last seen and grows at the floors of v_h, until

    - seen again: under the same identity within reach, but not in the place of somebody else whose
      own is missing; or under another within `SAME_PLACE` and `SAME_TIME` of where they were lost
      and built alike;
    - last seen outside of the cell with most of their joints, if its floor plan is given;
    - released by `release`, or forgotten after `forget_after` where that is set.

    Only those of whom the pose estimation said that they are hardly a living person (liveness
    under `PHANTOM` at every sighting) are not held. A stranger replaces nobody.

    Attributes:
    - `faults`: what was wrong with the last message: people refused, identities given twice.
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._config = config
        self.stamp: float | None = None
        self.present: dict[str, Track] = {}
        self.lost: dict[str, Track] = {}
        self.faults: tuple[str, ...] = ()
        self.overflow = False
        self._people: People | None = None

    def begin_anew(self, before: float, now: float) -> None:
        """Take everybody as lost after the clock went back from `before` to `now` [s]."""
        self._lose(self.present)
        self.present, self.stamp, self.faults, self._people = {}, None, (), None
        for track in self.lost.values():
            track.begin_anew(before, now)
        if self._config.replay:
            self.release()

    def take_over(self, earlier: PeopleTracks, now: float) -> None:
        """Hold everybody whom somebody else had followed until lately, as lost at `now` [s]."""
        earlier.begin_anew(now, now)
        self.lost, self.overflow, self._people = earlier.lost, earlier.overflow, None

    def release(self) -> int:
        """Let go of everybody lost, whom somebody has looked for; how many they were."""
        released = len(self.lost)
        self.lost, self.overflow, self._people = {}, False, None
        return released

    def observe(self, stamp: float, skeletons: Sequence[Skeleton]) -> None:
        """Take everybody seen at `stamp`, in the world frame.

        Raises InputError if the stamp is not after the last one.
        """
        if self.stamp is not None and stamp <= self.stamp:
            raise InputError(
                f"skeletons stamped {stamp:.3f} s came after those of {self.stamp:.3f} s; "
                "repeated or out of order, not used"
            )
        self.stamp, self._people = stamp, None
        before, self.present = self.present, {}
        renamed = _renamed(skeletons, before, self.lost)
        faults = []
        for skeleton in skeletons:
            name = skeleton.person_id
            if name in self.present:
                faults.append(f"skeletons: two people are called {name}")
                name = _unused(name, self.present, before, self.lost)
            reason = implausible(skeleton)
            track = before.get(name) or self.lost.get(name)
            moved = _moved(track, skeleton) if track is not None and track.seen else 0.0
            if track is not None and not reason:
                passed = track.unseen_for(stamp)
                if moved > SAME_PLACE + FASTEST * passed:
                    reason = f"{moved:.1f} m from where it was {passed:.2f} s ago"
                elif (
                    moved > SAME_PLACE + self._config.arm_speed * passed
                    or track.layout != skeleton.layout
                    or name in renamed
                ):
                    # somebody else under that name; the one who had it is lost
                    before.pop(name, None)
                    self.lost.pop(name, None)
                    self._lose({_unused(name, self.present, before, self.lost): track})
                    track = None
            if reason:
                faults.append(f"person {name} refused: {reason}")
                continue
            before.pop(name, None)
            self.lost.pop(name, None)
            if track is None:
                track = Track(name, skeleton.layout, stamp)
            track.observe(stamp, skeleton)
            self.present[name] = track
        self.faults = tuple(faults)
        self._lose(before)
        self._recognise(stamp)

    def _lose(self, tracks: Mapping[str, Track]) -> None:
        """Hold people who are missing, but those who were outside and those who never lived."""
        for name, track in tracks.items():
            if track.seen and track.liveness >= PHANTOM and not self._outside(track):
                if len(self.lost) >= MOST_LOST:
                    self.overflow = True
                    return
                track.person_id = name
                self.lost[name] = track

    def _outside(self, track: Track) -> bool:
        """Whether most joints were last seen outside of the cell's floor plan, and none within."""
        seen = ~np.isnan(track.positions[:, 0])
        if not self._config.cell or seen.mean() <= 0.5:  # a hand may be out alone
            return False
        return not within(track.positions[seen], self._config.cell).any()

    def expire(self, now: float) -> None:
        """Let go of people who were lost longer ago than `forget_after`, if that is set."""
        limit = self._config.forget_after
        gone = [name for name, t in self.lost.items() if 0.0 < limit < t.unseen_for(now)]
        for name in gone:
            del self.lost[name]
            self._people = None

    def note_distances(self, distances: Mapping[str, float]) -> None:
        """Remember how far from the robot each person is [m]."""
        for name, distance in distances.items():
            track = self.present.get(name) or self.lost.get(name)
            if track is not None:
                track.distance = distance

    def people(self) -> People:
        """Everybody present, and the lost where they were last seen."""
        if self._people is None:
            self._people = self._gather()
        return self._people

    def _gather(self) -> People:
        assert self.stamp is not None or not self.present
        config = self._config
        tracks = [t for t in (*self.present.values(), *self.lost.values()) if t.seen]
        seen = self.stamp
        gone = {t: t.unseen_for(t.last_news if seen is None else seen) for t in tracks}
        near = [track for track in tracks if gone[track] <= LIMBS_TOLD]
        far = [track for track in tracks if gone[track] > LIMBS_TOLD]
        arms, person = _limbs_of((*(track.layout for track in near), *[""] * len(far)))
        start_velocity, end_velocity = np.zeros((2, len(arms), 3))
        floor = np.where(arms, config.arm_speed, config.human_speed)
        acceleration = np.where(arms, config.arm_acceleration, config.trunk_acceleration)
        uncertainty = np.full(len(arms), config.human_uncertainty)
        receding = np.zeros((len(arms), 4))
        parts, past = [], 0
        for _, group in groupby(near, key=_company):
            members = list(group)
            layout, shape = members[0].layout, body(members[0].layout)
            own = slice(past, past + len(members) * len(shape.names))
            past = own.stop
            velocity = np.array([track.velocities for track in members])
            start_velocity[own] = velocity[:, shape.starts].reshape(-1, 3)
            end_velocity[own] = velocity[:, shape.ends].reshape(-1, 3)
            if any(track.spread is not _untold(len(track.spread)) for track in members):
                spread = np.array([track.spread for track in members])
                spread = np.where(np.isnan(spread), np.nanmax(spread, axis=1)[:, None], spread)
                worst = np.fmax(spread[:, shape.starts], spread[:, shape.ends]).ravel()
                told = quantile(config.uncertainty_coverage) * worst
                uncertainty[own] = np.fmax(told, config.human_uncertainty)
            if config.receding_credit > 0.0:
                bodies = [track.receding() for track in members]
                receding[own] = np.repeat(bodies, len(shape.names), axis=0)
            capsules = limb_capsules(
                np.array([track.positions for track in members]),
                layout,
                scale=config.body_scale,
                hand_reach=config.hand_reach,
                paths=members[0].paths(),
            )
            parts.append(capsules.in_a_row())
        if far:
            balls, own = np.array([track.ball(config) for track in far]), slice(past, None)
            centre = balls[:, :3].copy()
            parts.append(LimbCapsules(centre, centre, balls[:, 3].copy(), (WHOLE_BODY,) * len(far)))
            floor[own] = np.maximum(config.arm_speed, balls[:, 4])
            acceleration[own] = np.inf  # which way somebody moved is not told of a ball
            told = quantile(config.uncertainty_coverage) * balls[:, 5]
            uncertainty[own] = np.maximum(told, config.human_uncertainty)
        return People(
            limbs=join(parts),
            start_velocity=start_velocity,
            end_velocity=end_velocity,
            fastest=np.sqrt(
                np.maximum(
                    np.add.reduce(start_velocity * start_velocity, axis=1),
                    np.add.reduce(end_velocity * end_velocity, axis=1),
                )
            ),
            floor=floor,
            uncertainty=uncertainty,
            receding=receding,
            acceleration=acceleration,
            person=person,
            ids=tuple(track.person_id for track in (*near, *far)),
            unseen=np.array([gone[track] for track in (*near, *far)]),
        )

    def _recognise(self, stamp: float) -> None:
        """Drop those just lost who stand there again under another identity, one for one."""
        new = [t for t in self.present.values() if t.first_seen == stamp and t.seen]
        for track in new:
            away = {
                name: float(np.linalg.norm(track.centre - gone.centre))
                for name, gone in self.lost.items()
                if gone.unseen_for(stamp) <= SAME_TIME and track.built_like(gone, SAME_BUILD)
            }
            nearest = min(away, key=lambda name: away[name], default="")
            if away and away[nearest] <= SAME_PLACE:
                gone = self.lost.pop(nearest)
                track.first_seen, track.sightings = gone.first_seen, gone.sightings
        if self._config.recognise_build > 0.0:
            self._recognise_builds(stamp)

    def _recognise_builds(self, stamp: float) -> None:
        """Drop the one of the lost who is built as nobody else is but somebody now present."""
        tolerance = self._config.recognise_build
        for track in self.present.values():
            if track.sightings != BUILD_SIGHTINGS:
                continue
            alike = [
                name
                for name, gone in self.lost.items()
                if gone.sightings >= BUILD_SIGHTINGS and track.built_like(gone, tolerance)
            ]
            if len(alike) == 1:
                gone = self.lost[alike[0]]
                reach = self._config.human_speed * gone.unseen_for(stamp)
                if np.linalg.norm(track.centre - gone.centre) <= reach:
                    del self.lost[alike[0]]


def _unused(name: str, *taken: Mapping[str, object]) -> str:
    """A name like another that nobody has."""
    number = 2
    while any(f"{name} ({number})" in names for names in taken):
        number += 1
    return f"{name} ({number})"


def _renamed(
    skeletons: Sequence[Skeleton], before: Mapping[str, Track], lost: Mapping[str, Track]
) -> set[str]:
    """Names under which somebody else stands, whose own name nobody has any more.

    So it is where a name goes over to the next person while its owner is hidden: who stands nearer
    to where another was than to where that name was has the other's place, and so on, until a place
    is somebody's who is missing. People who only exchange their names are all still there.
    """
    seen = {skeleton.person_id: skeleton for skeleton in skeletons}
    known = {name: track for name, track in {**lost, **before}.items() if track.seen}
    if known.keys() <= seen.keys():
        return set()
    stands = {}  # name of the place that each one has
    for name in known.keys() & seen.keys():
        own = _moved(known[name], seen[name])
        places = {name: own}
        if own > UNMOVED:
            places |= {other: _moved(track, seen[name]) for other, track in known.items()}
        stands[name] = min(places, key=lambda other: places[other])
    renamed = set()
    for name in stands:
        place = name
        for _ in stands:
            place = stands.get(place, place)
        if place not in seen:
            renamed.add(name)
    return renamed


def _moved(track: Track, skeleton: Skeleton) -> float:
    """How far the joints seen before and now have moved, the median of them; at least [m]."""
    if track.layout != skeleton.layout:
        seen = skeleton.positions[~np.isnan(skeleton.positions[:, 0])]
        return float(np.linalg.norm(seen.mean(axis=0) - track.centre)) if len(seen) else 0.0
    points = np.ascontiguousarray(skeleton.positions, np.float64)
    way: float = kernel("separation").median_way(track.positions, points)
    if not math.isnan(way):
        return way
    # of other joints than before only that they are farther apart than a body holds them
    now, before = (~np.isnan(p[:, 0]) for p in (skeleton.positions, track.positions))
    paths = track.paths()
    if paths is None or not now.any():
        return 0.0
    gaps = np.linalg.norm(skeleton.positions[now][:, None] - track.positions[before], axis=-1)
    return float((gaps - np.minimum(paths[now][:, before], TALLEST)).max())


@lru_cache(maxsize=64)
def _limbs_of(layouts: tuple[str, ...]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each limb of people with these layouts is an arm's, and the index of its person.

    Who has no layout is one limb, as fast as an arm.
    """
    arms = [body(layout).arms if layout else np.ones(1, bool) for layout in layouts]
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
