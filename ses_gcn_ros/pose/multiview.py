"""Skeletons from several cameras: frames of one instant, who is who, and where in space."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Detections, Triangulated, View, homogeneous, triangulate
from ses_gcn_ros.pose.config import FusionConfig
from ses_gcn_ros.pose.placement import nanmedian
from ses_gcn_ros.pose.sources import RESTART
from ses_gcn_ros.pose.tracking import (
    BARRED,
    BoneLengthFilter,
    Liveness,
    OneEuroFilter,
    assign,
    packed_covariance,
)
from ses_gcn_ros.skeleton import Skeleton, convert, get_layout

Array = NDArray[np.float64]

_JOINTS = 4  # common joints that a comparison is asked to stand on


def costs_to_expected(expected: Array, detections: Detections, gate: float) -> Array:
    """How far everybody in a picture is from where people are expected.

    `expected` (P, J, 3): joints in the cell [m]; NaN where unknown.
    `detections`: the picture, N people.
    `gate`: distance beyond which it is somebody else [m].

    Returns (P, N): median distance of the joints across the viewing rays [m], `BARRED` beyond the
    gate.
    """
    local = detections.view.to_camera(expected)
    depth = np.where(local[..., 2] > 0.1, local[..., 2], np.nan)
    apart = np.linalg.norm(
        detections.view.camera.project(local)[:, None] - detections.pixels[None], axis=-1
    )
    apart = apart * depth[:, None] / detections.view.camera.fx
    return np.asarray(np.where((cost := _median(apart)) <= gate, cost, BARRED))


def epipolar_costs(a: Detections, b: Detections) -> Array:
    """Median distance of joints from the epipolar lines of their likes [px], shape (N_a, N_b).

    The distance is taken both ways and averaged; `BARRED` where too few joints are seen by both.
    """
    essential = _essential(a.view, b.view)
    rays_a, rays_b = _rays(a), _rays(b)
    lines_b, lines_a = rays_a @ essential.T, rays_b @ essential
    off = np.abs(np.einsum("njk,mjk->nmj", lines_b, rays_b))
    length_a = np.linalg.norm(lines_a[..., :2], axis=-1)
    length_b = np.linalg.norm(lines_b[..., :2], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = 0.5 * (
            off * b.view.camera.fx / length_b[:, None] + off * a.view.camera.fx / length_a[None]
        )
    return _median(apart)


def _essential(a: View, b: View) -> Array:
    """Essential matrix E (3, 3) of two views: x_b · E x_a = 0 for rays to the same point."""
    b_from_a = b.camera_from_base @ a.base_from_camera
    x, y, z = b_from_a[:3, 3]
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(cross @ b_from_a[:3, :3])


class ClockOffsets:
    """How far the cameras' clocks are apart, from how people move.

    A ray that was stamped too late lies off its epipolar line by the way that its joint went
    meanwhile; over joints that move in many directions, the least squares of one over the other is
    the offset. The last minute counts.

    Attributes:
    - `seconds`: by camera, how far its clock is ahead of that of the first one [s]; only what is
      certain.
    """

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._sums: dict[int, Array] = {}  # of products of e and rate, by camera
        self._stamp = -np.inf

    def begin(self, stamp: float) -> None:
        """A new instant [s]; what is old fades."""
        fade = np.exp(-max(0.0, stamp - self._stamp) / _CLOCK_TIME)
        self._stamp = stamp
        self._sums = {number: sums * fade for number, sums in self._sums.items()}

    def add(
        self, number: int, a: View, b: View, rays: tuple[Array, Array], points: Array, speed: Array
    ) -> None:
        """A person in the first camera and another: rays (J, 2), joints and velocities (J, 3)."""
        line = homogeneous(rays[0]) @ _essential(a, b).T
        length = np.maximum(np.linalg.norm(line[:, :2], axis=-1), 1e-9)
        off = np.einsum("ja,ja->j", line, homogeneous(rays[1])) / length
        local, moving = b.to_camera(points), speed @ b.camera_from_base[:3, :3].T
        depth = np.maximum(local[:, 2:], 0.1)
        flow = (moving[:, :2] - local[:, :2] / depth * moving[:, 2:]) / depth
        rate = np.einsum("ja,ja->j", line[:, :2], flow) / length
        good = np.isfinite(off) & np.isfinite(rate) & (np.abs(off) < _CLOCK_GATE)
        good &= np.linalg.norm(speed, axis=-1) < _CLOCK_FASTEST
        off, rate = off[good], rate[good]
        # Of the offset, and of the square of what it leaves of `off`.
        powers = [off @ rate, rate @ rate, off**2 @ rate**2, off @ rate**3, rate**2 @ rate**2]
        sums = self._sums[number] = self._sums.get(number, np.zeros(5)) + np.array(powers)
        if sums[1] > 0.0:
            ahead = -sums[0] / sums[1]
            left = max(0.0, sums[2] + 2.0 * ahead * sums[3] + ahead**2 * sums[4])
            if np.sqrt(_CLOCK_ALIKE * left) <= _CLOCK_SIGMA * sums[1]:
                self.seconds[number] = float(ahead)


def group(detections: Sequence[Detections], gate: float) -> list[dict[int, int]]:
    """Who is who in several pictures, by epipolar distance alone.

    Pairs are joined nearest first; two groups become one if every pair of theirs is within the
    gate and no picture would hold the person twice.

    `detections`: one picture per camera.
    `gate`: greatest median distance from the epipolar lines [px].

    Returns groups seen by two cameras at least: index of the picture to index of the person in it.
    """
    pairs: dict[tuple[int, int, int, int], float] = {}
    for i, j in combinations(range(len(detections)), 2):
        cost = epipolar_costs(detections[i], detections[j])
        for n, m in np.argwhere(cost <= gate).tolist():
            pairs[i, n, j, m] = pairs[j, m, i, n] = float(cost[n, m])
    groups: dict[tuple[int, int], dict[int, int]] = {}
    for i, n, j, m in sorted(pairs, key=lambda pair: pairs[pair]):
        one = groups.get((i, n), {i: n})
        two = groups.get((j, m), {j: m})
        if one is two or one.keys() & two.keys():
            continue
        if all((*p, *q) in pairs for p in one.items() for q in two.items()):
            joined = one | two
            groups |= dict.fromkeys(joined.items(), joined)
    return list({id(entry): entry for entry in groups.values()}.values())


def _rays(detections: Detections) -> Array:
    seen = np.isfinite(detections.pixels).all(-1, keepdims=True)
    flat = detections.view.camera.normalise(np.where(seen, detections.pixels, 0.0))
    return homogeneous(np.where(seen, flat, np.nan))


def _median(apart: Array) -> Array:
    """Median over the last axis, NaN left out; `BARRED` where fewer than `_JOINTS` are known."""
    return np.where(np.isfinite(apart).sum(-1) >= _JOINTS, nanmedian(apart), BARRED)


_KEPT = 16  # frames of a camera
_SAME = 2e-3  # s within which two stamps are one


class Synchroniser:
    """Collect the frames of cameras and give detections of one instant.

    The instants are the stamps of the first camera that is alive. One is given once every living
    camera has a frame at or after it, or when it has waited for `max_wait`. A camera without a
    frame at the instant is interpolated between its neighbours, person by person, if they are
    no more than `max_gap` apart; else it is left out.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._frames: dict[int, deque[tuple[float, Detections]]] = {}
        self._waiting: deque[tuple[float, float]] = deque()  # stamp and when it came
        self._last = -np.inf
        self._heard: dict[int, float] = {}  # when each camera was last heard, steady clock
        self.restarted = False  # whether stamps have gone back since the last `take`

    def add(self, camera: int, stamp: float, detections: Detections, now: float) -> None:
        """Take in a frame of a time `stamp` [s], come at `now` of a steady clock [s].

        Raises InputError if the stamp is not after the camera's last one, unless it starts over.
        """
        frames = self._frames.setdefault(camera, deque(maxlen=_KEPT))
        if frames and stamp <= frames[-1][0] - RESTART:
            self._restart()
            frames = self._frames.setdefault(camera, deque(maxlen=_KEPT))
        elif frames and stamp <= frames[-1][0]:
            raise InputError(
                f"camera {camera} sent stamp {stamp:.6f} s, which is not after its last one, "
                f"{frames[-1][0]:.6f} s; frame ignored"
            )
        frames.append((stamp, detections))
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

    def take(self, now: float) -> list[tuple[float, dict[int, Detections]]]:
        """Instants that are ready: stamp [s] and detections by camera, in order of time."""
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
            ready.append((stamp, {c: seen for c, seen in found.items() if seen}))
        return ready

    def _restart(self) -> None:
        self._frames.clear()
        self._waiting.clear()
        self._last = -np.inf
        self.restarted = True

    def _at(self, camera: int, stamp: float) -> Detections | None:
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


def _between(before: Detections, after: Detections, part: float) -> Detections | None:
    """People who are in both frames, each joint moved `part` of the way."""
    common = [name for name in before.names if name in after.names]
    if before.layout != after.layout:
        return None
    first = [before.names.index(name) for name in common]
    second = [after.names.index(name) for name in common]
    pixels = (1.0 - part) * before.pixels[first] + part * after.pixels[second]
    confidence = np.minimum(before.confidence[first], after.confidence[second])
    return replace(after, pixels=pixels, confidence=confidence, names=tuple(common))


_DRIFT = 1.0  # m/s by which a joint may stray from constant velocity
_VELOCITY_TIME = 0.08  # s over which a joint's velocity is averaged
_GATE_GROWTH = 1.0  # m/s by which a person out of sight may stray
_HEIGHT = (0.4, 2.6)  # m, extent of what can be a person, crouching or reaching up
_AGREEING = 0.4  # share of a person's joints that a camera must support to be of that person
_ALONE = 0.5  # confidence of a joint that one camera alone sees, over what that camera says
_JOINT_SIGMA = 0.012  # m by which the cameras together see a joint beside its centre
_CLOCK_TIME = 60.0  # s that count for the offset of clocks
_CLOCK_SPAN = 7  # instants that a velocity is taken over
_CLOCK_GATE = 0.05  # at unit depth, off the epipolar line, beyond which it is another fault
_CLOCK_FASTEST = 4.0  # m/s; beyond it, a joint was placed wrongly for an instant
_CLOCK_SIGMA = 0.02  # s that an offset must be certain to; errors of detectors last for
_CLOCK_ALIKE = 10.0  # frames
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
    bones: BoneLengthFilter
    liveness: Liveness
    found: dict[int, int] = field(default_factory=dict)  # picture → person in it, now
    past: deque[Any] = field(default_factory=lambda: deque(maxlen=_CLOCK_SPAN))

    def expected(self, stamp: float) -> tuple[Array, Array]:
        """Joints (J, 3) and covariance (J, 3, 3) at a time."""
        elapsed = stamp - self.stamp
        drift = (_DRIFT * elapsed) ** 2 * np.eye(3)
        return self.positions + self.velocity * elapsed, self.covariance + drift


class MultiviewFusion:
    """Fuse detections of one instant, instant after instant.

    People known are looked for where they are expected in each picture; who is left over is matched
    across cameras by epipolar distance. A person comes into being when two cameras see one, and
    keeps the id while any camera sees enough, and for `track_memory` after.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._people: list[_Person] = []
        self._named = 0
        self._stamp = -np.inf
        self._numbers: list[int] = []  # of the cameras at the last instant
        self.clocks = ClockOffsets()
        self.reprojection: dict[int, float] = {}  # by camera, median over the last instant [px]

    def forget(self) -> None:
        """Let go of everybody; names already given are not given again."""
        self._people, self._stamp = [], -np.inf

    def fuse(self, stamp: float, detections: Mapping[int, Detections]) -> list[Skeleton]:
        """Everybody at `stamp` [s], which is after the one before; positions in the cell [m].

        Raises InputError if the stamp is not after the last one, or the detections have different
        layouts.

        `detections`: pictures of that time by the number of their camera; cameras may be missing.
        """
        if stamp <= self._stamp:
            raise InputError(f"stamp {stamp:.6f} s is not after the last one, {self._stamp:.6f} s")
        layouts = {picture.layout for picture in detections.values()}
        if len(layouts) > 1:
            raise InputError(f"cameras send layouts {', '.join(sorted(layouts))}; use one for all")
        self._stamp = stamp
        config = self._config
        self._people = [p for p in self._people if stamp - p.seen <= config.track_memory]
        if not layouts:
            return []
        layout = layouts.pop()
        self._numbers = list(detections)
        pictures = [self._trusted(picture) for picture in detections.values()]
        self._follow(stamp, pictures)
        self._welcome(stamp, layout, pictures)
        visible = [person for person in self._people if person.found]
        if not visible:
            self.reprojection = {}
            return []
        placed = self._triangulate(stamp, visible, pictures)
        self.reprojection = {
            number: float(np.nanmedian(row)) * config.pixel_sigma
            for number, row in zip(self._numbers, placed.residuals, strict=True)
            if np.isfinite(row).any()
        }
        joints = len(get_layout(layout).joints)
        skeletons = []
        self.clocks.begin(stamp)
        for index, person in enumerate(visible):
            part = slice(index * joints, (index + 1) * joints)
            skeletons.append(self._update(stamp, layout, person, placed, part, pictures))
        return [skeleton for skeleton in skeletons if skeleton is not None]

    def _trusted(self, detections: Detections) -> Detections:
        sure = detections.confidence >= max(self._config.min_confidence, 1e-6)
        seen = sure & np.isfinite(detections.pixels).all(-1)
        return replace(
            detections,
            pixels=np.where(sure[..., None], detections.pixels, np.nan),
            confidence=np.where(seen, detections.confidence, 0.0),
        )

    def _follow(self, stamp: float, pictures: Sequence[Detections]) -> None:
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

    def _welcome(self, stamp: float, layout: str, pictures: Sequence[Detections]) -> None:
        """Find those who are new, among who is left over in the pictures."""
        taken = {(number, n) for p in self._people for number, n in p.found.items()}
        free = [
            [n for n in range(len(picture.pixels)) if (number, n) not in taken]
            for number, picture in enumerate(pictures)
        ]
        rest = [
            replace(p, pixels=p.pixels[f], confidence=p.confidence[f], names=())
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
                BoneLengthFilter(layout),
                Liveness(),
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
        self, stamp: float, people: Sequence[_Person], pictures: Sequence[Detections]
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
        pictures: Sequence[Detections],
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
        self._compare_clocks(person, pictures)
        if not agreeing or not certain.any():
            return None
        trust = np.array([pictures[number].confidence[n] for number, n in person.found.items()])
        upheld = supports[list(person.found)]
        count = upheld.sum(0)
        confidence = np.where(upheld, trust, 0.0).sum(0) / np.maximum(count, 1)
        confidence = np.where(count >= 2, confidence, _ALONE * confidence)
        confidence = np.where(count == 0, _UNSEEN, confidence)
        held = person.bones.fit(positions, sigma)
        smooth = person.smoother.smooth(stamp, held)
        confidence = np.where(np.isfinite(smooth).all(-1), confidence, 0.0)
        uncertain = covariance + _JOINT_SIGMA**2 * np.eye(3) + person.smoother.covariance()
        wanted, trust = convert(smooth, confidence, layout, config.layout)
        return Skeleton(
            person.person_id,
            config.layout,
            wanted,
            trust,
            packed_covariance(uncertain, wanted, layout, config.layout),
            person.liveness.update(stamp, smooth),
        )

    def _compare_clocks(self, person: _Person, pictures: Sequence[Detections]) -> None:
        """Hold a picture of a moment ago against how the person moved about that moment.

        The velocity is that between the moments before and after, since the noise of the picture
        itself would be in any other.
        """
        rays = {self._numbers[n]: _rays(pictures[n])[k, :, :2] for n, k in person.found.items()}
        views = {self._numbers[n]: pictures[n].view for n in person.found}
        person.past.append((person.stamp, person.positions, rays, views))
        if len(person.past) < _CLOCK_SPAN:
            return
        (before, start, *_), (_, middle, rays, views), (after, end, *_) = (
            person.past[0],
            person.past[_CLOCK_SPAN // 2],
            person.past[-1],
        )
        velocity = (end - start) / (after - before)
        for other in rays.keys() - {0} if 0 in rays else ():  # held against the first camera alone
            pair = (rays[0], rays[other])
            self.clocks.add(other, views[0], views[other], pair, middle, velocity)


def _place(
    found: Sequence[Mapping[int, int]],
    pictures: Sequence[Detections],
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
