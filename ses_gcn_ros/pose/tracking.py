"""Who is who from frame to frame, and smooth motion."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.placement import nanmedian
from ses_gcn_ros.skeleton import convert_covariance, get_layout

_DERIVATIVE_CUTOFF = 1.0  # Hz, as the paper sets it
_FORGET = 0.5  # s unseen after which a joint starts anew
_NOISE_TIME = 1.0  # s over which a joint's noise is averaged
_NO_SPEED = 10.0  # variances of what noise alone would make of it, up to which a speed is none


class OneEuroFilter:
    """One-Euro filter over the joints of one person; unseen joints stay unseen.

    A first-order low pass whose cut-off rises with speed: ``min_cutoff + beta * speed``. At rest it
    delays by 1 / (2π min_cutoff), in motion by 1 / (2π (min_cutoff + beta * speed)). The speed is
    that of the joint in space, so the result turns with the axes.

    A hidden joint leaps between two places from picture to picture, which is no speed. Bodies
    seldom go back within a picture where they came from, noise does: of independent errors, two
    successive steps have minus the variance as their mean product. What a joint's noise would make
    of the speed is taken off it.

    `min_cutoff`: cut-off frequency at rest [Hz]; 0 passes everything through.
    `beta`: rise of the cut-off with speed [Hz per m/s].
    """

    def __init__(self, min_cutoff: float, beta: float) -> None:
        self._min_cutoff = min_cutoff
        self._beta = beta
        self._stamps = np.zeros(0)  # (J,) when last seen; nothing else is set before the first time

    def _begin(self, joints: int) -> None:
        self._stamps = np.full(joints, -math.inf)
        # (J, 3): last result and what it was made of, NaN before the first sight; the last step
        self._positions, self._measured = np.full((2, joints, 3), np.nan)
        self._velocities, self._steps = np.zeros((2, joints, 3))
        self._noise = np.zeros((joints, 3, 3))  # m², second moment of what leaps back

    def smooth(self, stamp: float, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Filtered positions (J, 3) of those measured at `stamp` [s]; NaN where unseen."""
        measured = np.asarray(positions, dtype=np.float64)
        if not len(self._stamps):
            self._begin(len(measured))
        seen = np.all(np.isfinite(measured), axis=-1)
        elapsed = stamp - self._stamps
        known = seen & (elapsed < _FORGET)
        if self._min_cutoff == 0.0:
            return measured
        fresh = seen & ~known
        self._positions[fresh] = measured[fresh]
        for kept in (self._velocities, self._steps, self._noise):
            kept[fresh] = 0.0

        if known.any():
            step = elapsed[known, None]
            noise = self._watch_noise(known, measured[known] - self._measured[known], step)
            before = self._positions[known]
            velocity = (measured[known] - before) / step
            gain = _gain(step, _DERIVATIVE_CUTOFF)
            self._velocities[known] += gain * (velocity - self._velocities[known])
            square = np.sum(self._velocities[known] ** 2, axis=-1, keepdims=True)
            by_noise = 2.0 * noise * (gain / step) ** 2 / (2.0 - gain)
            speed = np.sqrt(np.maximum(square - _NO_SPEED * by_noise, 0.0))
            gain = _gain(step, self._min_cutoff + self._beta * speed)
            self._positions[known] = before + gain * (measured[known] - before)
        self._stamps[seen], self._measured[seen] = stamp, measured[seen]
        return np.where(seen[:, None], self._positions, np.nan)

    def _watch_noise(
        self, known: NDArray[np.bool_], step: NDArray[np.float64], elapsed: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Variance (K, 1) [m²] of the noise of known joints, given their steps (K, 3) [m]."""
        back = np.maximum(-np.sum(step * self._steps[known], axis=-1), 0.0)
        along = step / np.maximum(np.linalg.norm(step, axis=-1, keepdims=True), 1e-9)
        leap = back[:, None, None] * along[:, :, None] * along[:, None, :]
        share = np.minimum(elapsed / _NOISE_TIME, 1.0)[..., None]
        self._noise[known] += share * (leap - self._noise[known])
        self._steps[known] = step
        return np.trace(self._noise[known], axis1=1, axis2=2)[:, None]

    def covariance(self) -> NDArray[np.float64]:
        """Second moment (J, 3, 3) [m²] of the last result's error by delay and by noise.

        By so much as the result lies beside what was measured, it may be late.
        """
        lag = np.nan_to_num(self._measured - self._positions)
        return np.asarray(lag[:, :, None] * lag[:, None, :] + self._noise)


def packed_covariance(
    covariance: NDArray[np.float64], positions: NDArray[np.floating], source: str, target: str
) -> NDArray[np.float32]:
    """Covariances (J_source, 3, 3) [m²] as a `Skeleton` has them, of joints converted to a target.

    (J_target, 6): xx, xy, xz, yy, yz, zz, NaN where the converted `positions` (J_target, 3) are.
    """
    flat = covariance.reshape(-1, 9)[:, [0, 1, 2, 4, 5, 8]]
    packed = convert_covariance(flat, source, target)
    return np.where(np.isfinite(positions).all(-1)[:, None], packed, np.nan).astype(np.float32)


def _gain(step: NDArray[np.float64], cutoff: NDArray[np.float64] | float) -> NDArray[np.float64]:
    rate = 2.0 * np.pi * cutoff * step
    return rate / (rate + 1.0)


_REMEMBERED = 50  # frames that a limb's length is taken from
_NEEDED = 10  # frames before it is trusted
_PASSES = 6
_STIFFNESS = 0.8  # share of a limb's deviation that a pass takes away
# Pairs of joints that no bone ties; their distance changes as the trunk bends and the head turns.
_LOOSE = ("nose", "eye", "ear", "mouth", "thumb", "index", "pinky", "toe", "heel")


class BoneLengthFilter:
    """Estimate the lengths of one person's limbs and move joints so that they keep them.

    The length of a limb is the median over the last frames and both sides of the body. Joints are
    moved along their limbs, those that are less certain more (position-based dynamics).

    Müller et al.: Position Based Dynamics, VRIPHYS 2006.
    """

    def __init__(self, layout: str) -> None:
        shape = get_layout(layout)
        rigid = [all(word not in name for word in _LOOSE) for name in shape.joints]
        limbs = [(a, b) for a, b in shape.limbs if rigid[a] and rigid[b]]
        self._ends = np.array(limbs, int).reshape(-1, 2)
        order = {frozenset(limb): i for i, limb in enumerate(limbs)}
        other = [order[frozenset((shape.mirror[a], shape.mirror[b]))] for a, b in limbs]
        self._mirror = np.array(other, int)
        self._seen = np.full((_REMEMBERED, len(limbs)), np.nan)
        self._frames = 0

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Lengths [m] of the limbs that are held, shape (L,); NaN while not known."""
        both = np.concatenate((self._seen, self._seen[:, self._mirror]))
        counted = np.isfinite(both).sum(axis=0)
        middle = np.full(len(self._ends), np.nan)
        known = counted >= 2 * _NEEDED
        if known.any():
            middle[known] = nanmedian(both[:, known].T)
        return middle

    def fit(
        self, positions: NDArray[np.float64], sigma: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Measured joints (J, 3) [m] with limbs of the person's own lengths; NaN stays NaN.

        `sigma` (J,) are their standard deviations [m]; by default all are equally certain.
        """
        first, second = self._ends.T
        self._seen[self._frames % _REMEMBERED] = np.linalg.norm(
            positions[second] - positions[first], axis=-1
        )
        self._frames += 1
        lengths = self.lengths
        held = np.isfinite(lengths) & np.isfinite(positions[first] + positions[second]).all(-1)
        if not held.any():
            return positions
        first, second, lengths = first[held], second[held], lengths[held]
        mobility = np.ones(len(positions)) if sigma is None else sigma**2
        share = mobility[first] / (mobility[first] + mobility[second])
        degree = np.bincount(np.concatenate((first, second)), minlength=len(positions))
        degree = np.maximum(degree, 1)[:, None]
        moved = positions.copy()
        for _ in range(_PASSES):
            along = moved[second] - moved[first]
            length = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
            push = _STIFFNESS * along * (1.0 - lengths[:, None] / length)
            change = np.zeros_like(moved)
            np.add.at(change, first, share[:, None] * push)
            np.add.at(change, second, -(1.0 - share)[:, None] * push)
            moved += change / degree
        return moved


_LATERAL_SIGMA = 0.05  # m, noise across the viewing ray that the noise along it is held against
_VELOCITY_TIME = 0.2  # s over which a person's velocity is averaged
_GATE_GROWTH = 1.0  # m/s by which a person out of sight may stray from a straight path
_SETTLED = 5  # frames after which a person is no newcomer
_FASTEST = 2.5  # m/s of a person, whatever a body that is half hidden seems to do, and
_COASTING = 0.25  # s for which that is believed: a bar that passes takes the skeleton along
_BLINK = 0.5  # s for which somebody out of sight is known by the limbs in the picture alone, and
_HIDDEN = 5.0  # s for which somebody out of sight is known by the place in the picture alone, where
ON_BODY = 0.6  # of the smaller body's joints lie on the larger one,
SAME_PERSON = 0.6  # distance of trunks, in trunk lengths, below which two findings are one
_ON_BLINK = 0.35  # of one lost for a blink, so many, and of a newcomer, seen too little to be
_ON_NEWCOMER = 0.2  # right about the limbs, so many; and
_NEARER = 3.0  # times as near, or as far, is somebody else all the same
_LIMB_WIDTH = 0.1  # of a body's extent, from the middle of a limb
_LOOKS = 0.3  # m that a wholly different appearance counts for
_DOUBT = 0.18  # s for which who comes up on somebody else's body may be that one, found twice
_CLEARLY = 0.1  # by so much more alike, somebody else is the likelier one
_RECALL = 20.0  # s that somebody out of sight is remembered by appearance, and
_ALIKE = 0.75  # how alike (Bhattacharyya) somebody must be to be the same; and who was
_ALIKE_GLIMPSED = 0.4  # only glimpsed, of whom little is known
_LOOKS_TIME = 25  # sightings that an appearance is averaged over
_SAMPLED = 40  # rows and columns of a picture's part that are looked at
_SHAKE_TIME, _STILL_TIME, _ALIVE_TIME = 0.5, 4.0, 120.0  # s
_LEAP = 0.03  # m off its place from which a joint moves it no farther
_STILLNESS = 0.004  # m of motion that tells the living from a picture as well as not
_UNJUDGED = 0.8  # liveness of who has just come
_BINS = (8, 4, 4)  # of hue, saturation and value
# Corners of what is worn, as positions in layout mediapipe33: trunk, then both thighs.
_CLOTHES = ((11, 12, 24, 23), (23, 25, 26, 24))

M = TypeVar("M")


BARRED = 1e6  # cost of what must not be


def assign(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Rows and columns that belong together at the least total cost, `BARRED` ones left out."""
    rows, columns = linear_sum_assignment(cost)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if cost[row, column] < BARRED]


@dataclass(eq=False)
class ImageTrack(Generic[M]):
    """One identity."""

    memory: M  # what the tracker's owner keeps about the person (filters, for instance)
    positions: NDArray[np.float64]  # (J, 3) m when last seen
    velocity: NDArray[np.float64]  # (3,) m/s
    stamp: float  # s when last seen
    begun: float  # s when first seen
    person_id: str = ""  # name, never given to anybody else by this tracker; none in doubt
    frames: int = 1
    past: deque[tuple[float, NDArray[np.float64]]] = field(default_factory=deque)  # of a blink
    looks: NDArray[np.float64] | None = None  # appearance, averaged


class Tracker(Generic[M]):
    """Give identities to the people of each frame.

    People are assigned to where constant velocity expects them, all at once and at the least total
    distance. Nobody is assigned beyond a gate, which grows while a person is out of sight. Whoever
    is left and lies in the picture on the body of somebody lost within seconds is that one, partly
    hidden and so at a distance told wrongly. Someone new is a person from the first frame on,
    because a monitor must not wait; only who comes up on the body of somebody seen, where a
    detector now and then finds a second one for some frames, has no name for `_DOUBT` (but before a
    depth camera, which tells them apart). Someone out of sight keeps the id for a while and gets it
    back on coming into view near the expected place, or later where they can have gone to, if they
    look alike and nobody else who is missing does, or was lost there.
    """

    def __init__(
        self, config: PoseConfig, make_memory: Callable[[], M], layout: str = "mediapipe33"
    ) -> None:
        self._config, self._layout = config, layout
        self._make_memory = make_memory
        self._tracks: list[ImageTrack[M]] = []
        self._named = 0
        self._stamp = -math.inf

    def forget(self) -> None:
        """Let go of everybody; names already given are not given again."""
        self._tracks = []

    def lose(self, stamp: float) -> None:
        """Lose sight of everybody at `stamp` [s]: who comes back is known by appearance alone."""
        out_of_sight = stamp - max(self._config.track_memory, _HIDDEN) - 1e-3
        for track in self._tracks:
            track.stamp = min(track.stamp, out_of_sight)
            track.past.clear()

    def assign(
        self,
        stamp: float,
        people: NDArray[np.float64],
        camera: NDArray[np.float64],
        ray_sigma: NDArray[np.float64],
        looks: NDArray[np.float64] | None = None,
    ) -> list[ImageTrack[M]]:
        """Tracks of the people seen, in their order; without a name while it is doubted.

        `stamp`: time of the frame [s], after the one before.
        `people` (N, J, 3): joints [m]; NaN where unseen.
        `camera` (3,): place of the camera [m]: differences along the ray from it count less.
        `ray_sigma` (N,): standard deviation of each person's distance from the camera [m].
        `looks` (N, B): appearances as `appearances` gives them; zeros where nothing can be said.
        """
        memory = max(self._config.track_memory, _RECALL if looks is not None else 0.0)
        last, self._stamp = self._stamp, stamp
        self._tracks = [
            track
            for track in self._tracks
            if stamp - track.stamp <= memory and (track.person_id or track.stamp == last)
        ]
        seen = np.zeros((len(people), 0)) if looks is None else looks
        worn = seen.copy()  # appearances that may be learnt
        assigned: list[ImageTrack[M] | None] = [None] * len(people)
        # Who is known for a while chooses first, so that a phantom can't take over an identity.
        near = [t for t in self._tracks if stamp - t.stamp <= self._config.track_memory]
        settled = [t for t in near if t.frames >= _SETTLED and t.person_id]
        newcomers = [t for t in near if t.frames < _SETTLED and t.person_id]
        doubted = [track for track in near if not track.person_id]  # maybe one of those
        gone = [t for t in self._tracks if t not in near and t.frames >= _SETTLED]
        glimpsed = [t for t in self._tracks if t not in near and t.frames < _SETTLED]
        bodies = [_seen_from(camera, person) for person in people]
        rows: dict[ImageTrack[M], NDArray[np.float64]] = {}  # of `_picture_costs`, once an image

        def in_picture(
            tracks: list[ImageTrack[M]], free: list[int], longest: float = _HIDDEN
        ) -> NDArray[np.float64]:
            for track in tracks:
                if stamp - track.stamp <= longest and track not in rows:
                    rows[track] = self._picture_costs(stamp, track, bodies, camera)
            nowhere = np.full(len(people), BARRED)
            cost = [rows[t] if stamp - t.stamp <= longest else nowhere for t in tracks]
            return np.array(cost).reshape(len(tracks), len(people))[:, free]

        def by_place(tracks: list[ImageTrack[M]], free: list[int]) -> NDArray[np.float64]:
            cost = self._costs(stamp, tracks, people[free], camera, ray_sigma[free], seen[free])
            # On the body of who was seen in the last picture, and is told elsewhere in space now,
            # is that one, not who was missed already and looks less like it.
            held = [t for t in settled if t.stamp == last]
            missed = np.array([track.stamp < last for track in tracks])
            if held and missed.any():
                told = self._costs(stamp, held, people[free], camera, ray_sigma[free], seen[free])
                held = [t for t, row in zip(held, told, strict=True) if (row >= BARRED).all()]
                there = in_picture(held, free) < BARRED
                alike = np.where(there, _likeness(held, seen[free]), -1.0).max(axis=0, initial=-1.0)
                cost[missed[:, None] & (alike >= _likeness(tracks, seen[free]) - _CLEARLY)] = BARRED
            away = np.array([stamp - track.stamp > _COASTING for track in self._tracks])
            mine = [self._tracks.index(track) for track in tracks]
            if away[mine].any():
                # Who is found where only another was lost, or has just come up, is that one; in
                # other clothes where nobody was lost, somebody else.
                young = np.array([bool(t.person_id) and t.frames < _SETTLED for t in self._tracks])
                there = in_picture(self._tracks, free) < BARRED
                other = there[away | young].any(axis=0)
                unlike = _likeness(tracks, seen[free]) < _ALIKE_GLIMPSED
                cost[away[mine, None] & ~there[mine] & (other | unlike)] = BARRED
            return cost

        def by_picture(tracks: list[ImageTrack[M]], free: list[int]) -> NDArray[np.float64]:
            cost = in_picture(tracks, free)
            blink = np.array([stamp - track.stamp <= _BLINK for track in tracks])
            cost[(_likeness(tracks, seen[free]) < _ALIKE_GLIMPSED) & ~blink[:, None]] = BARRED
            cost[[track.stamp < last for track in tracks]] += 1.0  # who was seen comes first
            return cost

        def by_looks(tracks: list[ImageTrack[M]], free: list[int]) -> NDArray[np.float64]:
            cost = by_place(tracks, free)
            known = tracks[0].frames >= _SETTLED
            far = self._config.track_gate + _GATE_GROWTH * self._config.track_memory
            alike = _ALIKE if known else _ALIKE_GLIMPSED
            cost[_likeness(tracks, seen[free]) < alike] = BARRED
            # Nobody comes up on the body of somebody who is seen, or was in the last picture.
            now = [track for track in settled + newcomers if track.stamp >= last]
            cost[:, (in_picture(now, free) < BARRED).any(axis=0)] = BARRED
            # Who has come since somebody was lost, and is in that one's place, is likelier so.
            found = [i for i, track in enumerate(assigned) if track]
            begun = np.array([track.begun for track in assigned if track])
            there = in_picture(tracks, found, _RECALL) < BARRED
            since = begun > np.array([[track.stamp] for track in tracks])
            cost[(there & since).any(axis=1)] = BARRED
            # It could be another in the same clothes, but for who is where one alone was lost.
            there = in_picture(tracks, free, _RECALL) < BARRED
            unsure = ~(there & (there.sum(axis=0) == 1))
            everybody = [t for t in self._tracks if t.person_id and t.frames >= _SETTLED]
            common = (_likeness(everybody, seen[free]) >= _ALIKE).sum(axis=0) > known
            close = np.array([[bool(t.past)] for t in tracks]) & (cost <= far)
            cost[unsure & common & ~close] = BARRED
            if known:
                cost[unsure & ((cost < BARRED).sum(axis=0) > 1)] = BARRED
            return cost

        for tracks, costs in (
            (settled, by_place),
            (newcomers, by_place),
            (settled + gone, by_picture),
            (newcomers, by_picture),
            (doubted, by_place),
            (gone, by_looks),
            (glimpsed, by_looks),
        ):
            free = [index for index, track in enumerate(assigned) if track is None]
            lost = [track for track in tracks if track.stamp < stamp]
            if not lost or not free:
                continue
            for row, column in assign(costs(lost, free)):
                assigned[free[column]] = lost[row]
                where = people[free[column]]
                if costs is by_picture:  # partly hidden, maybe, by what has other colours, and so
                    worn[free[column]] = 0.0  # told at a wrong distance
                    _, distance = _seen_from(camera, lost[row].positions)
                    where = camera + distance / bodies[free[column]][1] * (where - camera)
                _follow(lost[row], stamp, where)
        tracks = [track or self._begin(stamp, people[i]) for i, track in enumerate(assigned)]
        for track, look in zip(tracks, worn, strict=True):
            if look.any():
                share = 1.0 / min(track.frames, _LOOKS_TIME)
                old = look if track.looks is None else track.looks
                track.looks = old + share * (look - old)
        self._name(stamp, camera, tracks)
        return tracks

    def _name(self, stamp: float, camera: NDArray[np.float64], tracks: list[ImageTrack[M]]) -> None:
        """Name who has none, but for a while who is found on the body of somebody known before."""
        known = [_seen_from(camera, t.positions)[0] for t in tracks if t.person_id]
        for track in tracks:
            if track.person_id:
                continue
            body, _ = _seen_from(camera, track.positions)
            on = [on_body(body, other, self._layout) for other in known]
            young = self._config.mode != "rgbd" and stamp - track.begun < _DOUBT
            if not (young and max(on, default=0.0) >= _ON_NEWCOMER):
                self._named += 1
                track.person_id = f"p{self._named}"

    def _costs(
        self,
        stamp: float,
        tracks: list[ImageTrack[M]],
        people: NDArray[np.float64],
        camera: NDArray[np.float64],
        ray_sigma: NDArray[np.float64],
        looks: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Distances (tracks, people) [m], unlike ones farther, `BARRED` beyond the gate."""
        elapsed = np.array([stamp - track.stamp for track in tracks])
        velocity = np.stack([track.velocity for track in tracks])
        last = np.stack([track.positions for track in tracks])
        coasting = np.minimum(elapsed, _COASTING)
        expected = last + (velocity * coasting[:, None])[:, None]

        offset = people[None] - expected[:, None]  # (tracks, people, J, 3)
        ray = np.nanmean(people, axis=1) - camera
        distance = np.linalg.norm(ray, axis=-1, keepdims=True)
        along = np.einsum("tpjc,pc->tpj", offset, ray / distance)
        across = np.sum(offset**2, axis=-1) - along**2
        # Who is told to be far off is not doubted more than where the person was.
        before = np.linalg.norm(np.nanmean(expected, axis=1) - camera, axis=-1)
        sigma = ray_sigma * np.minimum(before[:, None] / distance[:, 0], 1.0)
        doubt = np.maximum(1.0, sigma / _LATERAL_SIGMA)
        apart = np.sqrt(np.maximum(across, 0.0) + (along / doubt[..., None]) ** 2)
        common = np.isfinite(apart)
        cost = np.where(common, apart, 0.0).sum(-1) / np.maximum(common.sum(-1), 1)
        gate = self._config.track_gate + _GATE_GROWTH * elapsed
        near = (cost <= gate[:, None]) & common.any(-1)
        return np.where(near, cost + _LOOKS * (1.0 - _likeness(tracks, looks)), BARRED)

    def _picture_costs(
        self,
        stamp: float,
        track: ImageTrack[M],
        bodies: list[tuple[NDArray[np.float64], float]],
        camera: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Shares (people,) of joints that lie beside where somebody was lost in the picture.

        `BARRED` where most do, or a depth camera tells the distance. `bodies` are the people as
        `_seen_from` gives them.
        """
        cost = np.full(len(bodies), BARRED)
        if self._config.mode == "rgbd" or not track.past:
            return cost
        blink = stamp - track.stamp <= _BLINK
        least = _ON_BLINK if blink else ON_BODY
        least = least if track.frames >= _SETTLED else _ON_NEWCOMER
        before, _ = _seen_from(camera, np.array([positions for _, positions in track.past]))
        _, distance = _seen_from(camera, track.positions)
        for column, (now, away) in enumerate(bodies):
            if least < ON_BODY or max(away / distance, distance / away) <= _NEARER:
                share = on_body(before, now, self._layout).max()
                same = blink and trunks_apart(before[-1], now, self._layout) < SAME_PERSON
                cost[column] = 1.0 - share if same or share >= least else BARRED
        return cost

    def _begin(self, stamp: float, positions: NDArray[np.float64]) -> ImageTrack[M]:
        track = ImageTrack(self._make_memory(), positions, np.zeros(3), stamp, stamp)
        track.past.append((stamp, positions))
        self._tracks.append(track)
        return track


def _seen_from(
    camera: NDArray[np.float64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Directions (..., J, 3) of joints from a camera, and their mean distance [m]."""
    away = positions - camera
    distance = np.linalg.norm(away, axis=-1, keepdims=True)
    return away / distance, float(np.nanmean(distance))


def on_body(
    bodies: NDArray[np.floating], other: NDArray[np.floating], layout: str = "mediapipe33"
) -> NDArray[np.float64]:
    """Share (...) of joints of the smaller of two findings that lie on the larger one's limbs.

    `bodies` (..., J, D) are each held against the other (J, D).
    """
    both = np.stack(np.broadcast_arrays(bodies, other))
    extents = np.linalg.norm(np.nanmax(both, axis=-2) - np.nanmin(both, axis=-2), axis=-1)
    larger = (extents[0] >= extents[1])[..., None, None]
    small = np.where(larger, both[1], both[0])
    on = on_limbs(small, np.where(larger, both[0], both[1]), extents.max(axis=0), layout)
    known = np.isfinite(small).all(axis=-1)
    return np.asarray((on & known).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1))


def trunks_apart(
    one: NDArray[np.floating], other: NDArray[np.floating], layout: str = "mediapipe33"
) -> NDArray[np.float64]:
    """Distances (...) of the trunks of bodies (..., J, D), in lengths of the larger one."""
    names = get_layout(layout).canonical
    corners = [names.index(f"{s}_{part}") for part in ("shoulder", "hip") for s in "lr"]
    trunks = [body[..., corners, :] for body in (one, other)]
    long = [t[..., :2, :].mean(-2) - t[..., 2:, :].mean(-2) for t in trunks]
    wide = [t[..., 0, :] - t[..., 1, :] for t in trunks]
    sizes = (np.linalg.norm(side, axis=-1) for side in long + wide)
    apart = np.linalg.norm(trunks[0].mean(-2) - trunks[1].mean(-2), axis=-1)
    return np.asarray(apart / np.maximum.reduce(np.broadcast_arrays(*sizes)))


def on_limbs(
    joints: NDArray[np.floating],
    body: NDArray[np.floating],
    extent: float | NDArray[np.floating],
    layout: str = "mediapipe33",
) -> NDArray[np.bool_]:
    """Which joints (..., J, D) lie on limbs of a body (..., J, D), as thick as its extent makes."""
    width = _LIMB_WIDTH * np.asarray(extent)[..., None]
    nearest, farthest = (of.reduce(body, axis=-2) for of in (np.fmin, np.fmax))
    beside = (np.fmin.reduce(joints, axis=-2) > farthest + width) | (
        np.fmax.reduce(joints, axis=-2) < nearest - width
    )
    if beside.any(axis=-1).all():  # seldom is somebody before another
        return np.zeros(np.broadcast_shapes(joints.shape, body.shape)[:-1], bool)
    limbs = np.array(get_layout(layout).limbs)
    first = body[..., limbs[:, 0], :]
    limb = body[..., limbs[:, 1], :] - first
    square = np.maximum(np.sum(limb**2, axis=-1), 1e-12)[..., None, :]
    away = joints[..., :, None, :] - first[..., None, :, :]
    along = np.einsum("...jld,...ld->...jl", away, limb)
    part = np.clip(along / square, 0.0, 1.0)
    # Pythagoras: no second array of differences
    apart = np.einsum("...d,...d", away, away) - part * (2.0 * along - part * square)
    return np.asarray(np.fmin.reduce(apart, axis=-1) <= width**2)


def _follow(track: ImageTrack[M], stamp: float, positions: NDArray[np.float64]) -> None:
    elapsed = stamp - track.stamp
    moved = positions - track.positions
    seen = np.isfinite(moved).all(axis=-1)
    velocity = moved[seen].mean(axis=0) / elapsed
    share = elapsed / (elapsed + _VELOCITY_TIME)
    velocity *= min(1.0, _FASTEST / max(float(np.linalg.norm(velocity)), 1e-9))
    track.velocity = track.velocity + share * (velocity - track.velocity)
    track.positions, track.stamp = positions, stamp
    track.past.append((stamp, positions))
    while stamp - track.past[0][0] > _BLINK:
        track.past.popleft()
    track.frames += 1


def _likeness(tracks: Sequence[ImageTrack[Any]], looks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bhattacharyya coefficients (tracks, people) of appearances; 1 where one is not known."""
    known = [np.zeros(looks.shape[1]) if t.looks is None else t.looks for t in tracks]
    before = np.array(known).reshape(len(tracks), looks.shape[1])
    both = np.sqrt(np.maximum(before[:, None] * looks[None], 0.0)).sum(-1)
    told = (before.sum(-1) > 0.0)[:, None] & (looks.sum(-1) > 0.0)[None]
    return np.where(told, both, 1.0)


def appearances(rgb: NDArray[np.uint8], pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """What people wear, given their joints (N, 33, 2) [px]: colour histograms of trunk and thighs.

    (N, B): each sums to one, or is zero where neither trunk nor thighs are in the picture.
    """
    height, width = rgb.shape[:2]
    looks = np.zeros((len(pixels), len(_CLOTHES) * int(np.prod(_BINS))))
    for look, person in zip(looks, pixels, strict=True):
        parts = []
        for corners in _CLOTHES:
            outline = np.nan_to_num(person[list(corners)])  # NaN beside a hand without a body
            low = np.clip(np.floor(outline.min(0)), 0, (width, height)).astype(int)
            high = np.clip(np.ceil(outline.max(0)), 0, (width, height)).astype(int)
            if (high - low).min() < 2:
                parts.append(np.zeros(int(np.prod(_BINS))))
                continue
            step = max(1, int((high - low).max()) // _SAMPLED)
            patch = np.ascontiguousarray(rgb[low[1] : high[1] : step, low[0] : high[0] : step])
            mask = np.zeros(patch.shape[:2], np.uint8)
            cv2.fillConvexPoly(mask, ((outline - low) / step).astype(np.int32), 255)
            colours = cv2.cvtColor(patch, cv2.COLOR_RGB2HSV)
            ranges = [0, 180, 0, 256, 0, 256]
            counts = cv2.calcHist([colours], [0, 1, 2], mask, list(_BINS), ranges)
            parts.append(np.asarray(counts, np.float64).ravel())
        together = np.concatenate(parts)
        look[:] = together / max(float(together.sum()), 1.0)
    return looks


class Liveness:
    """Probability that a person is alive: joints that move against one another.

    People sway and breathe by some millimetres even when they stand still; a poster, a mannequin
    or a bag does not, and moves as a whole when it is carried or the camera shakes. Who has moved
    once remains alive for minutes. Who is only found where nobody is seen in the whole picture is
    not alive before the picture moves there. It is a hint and lets nobody vanish who is seen.
    """

    def __init__(self) -> None:
        self._stamp: float | None = None
        self._begun = 0.0
        self._slow: NDArray[np.float64] | None = None  # (J, 3) m, shape without what shakes
        self._mean: NDArray[np.float64] | None = None  # (J, 3) m, over a long time
        self._square = 0.0  # m², how far the shape strays from its mean
        self._most = 0.0  # m, of that, fading
        self._moved = False

    def update(self, stamp: float, positions: NDArray[np.float64], moves: bool = True) -> float:
        """Probability after one more image with joints (J, 3) [m], NaN where unseen.

        It is 0 until the first image in which the person `moves`.
        """
        self._moved |= bool(moves)
        with np.errstate(invalid="ignore"):
            shape = positions - np.nanmean(positions, axis=0) if len(positions) else positions
        if self._stamp is None or self._slow is None or self._mean is None:
            self._stamp = self._begun = stamp
            self._slow = self._mean = shape
            return _UNJUDGED * self._moved
        elapsed, self._stamp = max(stamp - self._stamp, 1e-3), stamp
        seen = np.isfinite(shape)
        for name, time in (("_slow", _SHAKE_TIME), ("_mean", _STILL_TIME)):
            old = getattr(self, name)
            step = np.clip(shape - old, -_LEAP, _LEAP)  # a detector leaps for a picture or two
            new = old + elapsed / (elapsed + time) * step
            setattr(self, name, np.where(seen & np.isfinite(old), new, np.where(seen, shape, old)))
        strayed = np.nanmedian(np.sum((self._slow - self._mean)[:, :2] ** 2, axis=-1))
        if np.isfinite(strayed):
            share = elapsed / (elapsed + _STILL_TIME)
            self._square += share * (float(strayed) - self._square)
        self._most = max(self._most * 0.5 ** (elapsed / _ALIVE_TIME), np.sqrt(self._square))
        judged = min(1.0, (stamp - self._begun) / (2.0 * _STILL_TIME))
        alive = self._most**2 / (self._most**2 + _STILLNESS**2)
        return float(self._moved * (judged * alive + (1.0 - judged) * _UNJUDGED))
