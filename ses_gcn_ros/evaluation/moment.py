"""One moment of a recorded run: people, their forecasts, the robot, and who is closest to it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.evaluation.recording import LEVELS, Recording
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.safety import LimbCapsules, RobotModel, SafetyConfig, capsule_distances
from ses_gcn_ros.safety import limb_capsules as capsules_of

Array = NDArray[np.float64]
Capsules = tuple[Array, Array, Array]  # starts (M, 3), ends (M, 3), radii (M,) [m]

TRAIL = 3.0  # s of the way that somebody came


@dataclass(frozen=True, eq=False)
class Person:
    """A person at the moment.

    Attributes
    ----------
    layout : str
    positions : NDArray, shape (J, 3)
        Joints [m]; NaN where unseen.
    limbs : LimbCapsules
        Capsules around the limbs, hands included.
    trail : NDArray, shape (N, 3)
        Middle of the body over the last `TRAIL` seconds [m].
    forecast : Forecast or None
        The last one made from observations up to the moment.
    """

    layout: str
    positions: NDArray[np.float32]
    limbs: LimbCapsules
    trail: NDArray[np.float32]
    forecast: Forecast | None


@dataclass(frozen=True, eq=False)
class Moment:
    """What there was at one time; positions in the frame of the skeletons [m].

    Attributes
    ----------
    at : float
        Time since the first observation [s].
    people : list of Person
    robot : Capsules or None
        Of the robot's links, base first; None where unknown.
    closest : tuple of NDArray or None
        The two nearest points on the surfaces of person and robot, (3,) each.
    distance : float
        Their distance [m], as drawn.
    level : str
        What the safety node said: CLEAR, REDUCED or STOP; empty if nothing.
    reason : str
        Its first reason.
    """

    at: float
    people: list[Person]
    robot: Capsules | None
    closest: tuple[Array, Array] | None
    distance: float
    level: str
    reason: str


def moment_at(recording: Recording, robot: RobotModel, at: float) -> Moment:
    """Put together what a recording knows of a time `at` [s] after its first observation."""
    now = recording.start + at
    shown = bisect_right(recording.stamps, now + 1e-6) - 1
    stamp = recording.stamps[max(shown, 0)]
    people = _people(recording, stamp)
    poses = recording.transforms.poses(recording.frame_id, robot.frames, now)
    capsules = None if poses is None else (*robot.place(poses), robot.radius)
    closest, distance = None, np.inf
    if capsules is not None:
        for person in people:
            pair, gap = _closest(person.limbs, capsules)
            if gap < distance:
                closest, distance = pair, gap
    states = recording.states
    said = bisect_right(states.stamps, now + 1e-6) - 1
    reasons = states.reasons[said] if said >= 0 else ()
    return Moment(
        at=at,
        people=people,
        robot=capsules,
        closest=closest,
        distance=float(distance),
        level=LEVELS[states.level[said]] if said >= 0 else "",
        reason=reasons[0] if reasons else "",
    )


def _people(recording: Recording, stamp: float) -> list[Person]:
    hand = SafetyConfig().hand_reach
    people = []
    for person_id, track in recording.tracks.items():
        positions = track.at(np.array([stamp]))[0]
        if np.isnan(positions).all():
            continue
        made = [f for f in recording.forecasts if f.person_id == person_id and f.stamp <= stamp]
        first = np.searchsorted(track.stamps, stamp - TRAIL)
        last = np.searchsorted(track.stamps, stamp, side="right")
        people.append(
            Person(
                layout=track.layout,
                positions=positions,
                limbs=capsules_of(positions, track.layout, hand_reach=hand),
                trail=np.nanmean(np.stack(track.positions[first:last]), axis=1),
                forecast=made[-1] if made else None,
            )
        )
    return people


def _closest(limbs: LimbCapsules, robot: Capsules) -> tuple[tuple[Array, Array], float]:
    start, end, radius = robot
    found = capsule_distances(
        limbs.start[:, None], limbs.end[:, None], limbs.radius[:, None], start, end, radius
    )
    distance = np.where(np.isnan(found.distance), np.inf, found.distance)
    limb, link = np.unravel_index(distance.argmin(), distance.shape)
    pair = found.a_point[limb, link], found.b_point[limb, link]
    return pair, float(distance[limb, link])
