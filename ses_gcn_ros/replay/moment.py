"""One moment of a replayed run: people, their forecasts, the robot, and who is closest to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.replay.recording import LEVELS
from ses_gcn_ros.replay.replay import Replay
from ses_gcn_ros.safety import LimbCapsules, SafetyConfig, capsule_distances
from ses_gcn_ros.safety import limb_capsules as capsules_of

Array = NDArray[np.float64]
Capsules = tuple[Array, Array, Array]  # starts (M, 3), ends (M, 3), radii (M,) [m]

TRAIL = 3.0  # s of the way that somebody came
HAND_REACH = SafetyConfig().hand_reach  # m beyond a wrist, as far as the layout shows no hand


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
    ahead : NDArray, shape (S, J, 3)
        Where the joints are expected `steps` ahead [m]; NaN without a forecast.
    steps : tuple of float
        How far ahead those are [s].
    """

    layout: str
    positions: NDArray[np.float32]
    limbs: LimbCapsules
    trail: NDArray[np.float32]
    ahead: NDArray[np.float32]
    steps: tuple[float, ...]

    @property
    def foreseen(self) -> bool:
        """Whether there is a forecast."""
        return bool(np.isfinite(self.ahead).any())


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
        Its reasons.
    """

    at: float
    people: list[Person]
    robot: Capsules | None
    closest: tuple[Array, Array] | None
    distance: float
    level: str
    reason: str


def moment_at(replay: Replay, at: float) -> Moment:
    """Put together what a replay knows of a time `at` [s] after its first observation."""
    frame = replay.frame_at(at)
    about, states = replay.about, replay.states
    people = _people(replay, frame)
    ends = np.asarray(replay.robot[frame], np.float64)
    robot: Capsules | None = None
    if ends.size and np.isfinite(ends).all():
        robot = (ends[:, 0], ends[:, 1], np.asarray(about.link_radii, np.float64))
    closest, distance = None, np.inf
    if robot is not None:
        for person in people:
            pair, gap = _closest(person.limbs, robot)
            if gap < distance:
                closest, distance = pair, gap
    said = int(np.searchsorted(states.time, at + 1e-6, side="right")) - 1
    return Moment(
        at=at,
        people=people,
        robot=robot,
        closest=closest,
        distance=float(distance),
        level=LEVELS[int(states.level[said])] if said >= 0 else "",
        reason=about.frame_reasons[frame] if about.frame_reasons else "",
    )


def _people(replay: Replay, frame: int) -> list[Person]:
    about = replay.about
    first = replay.frame_at(float(replay.time[frame]) - TRAIL)
    recent = slice(int(replay.rows[first]), int(replay.rows[frame + 1]))
    found = []
    for row in range(*replay.people_of(frame).indices(len(replay.person))):
        positions = np.asarray(replay.positions[row])
        if np.isnan(positions).all():
            continue
        same = np.asarray(replay.person[recent]) == replay.person[row]
        came = np.asarray(replay.positions[recent])[same]
        found.append(
            Person(
                layout=about.layout,
                positions=positions,
                limbs=capsules_of(positions.astype(float), about.layout, hand_reach=HAND_REACH),
                trail=np.nanmean(came[np.isfinite(came).any(axis=(1, 2))], axis=1),
                ahead=np.asarray(replay.forecast[row]),
                steps=about.steps,
            )
        )
    return found


def _closest(limbs: LimbCapsules, robot: Capsules) -> tuple[tuple[Array, Array], float]:
    start, end, radius = robot
    found = capsule_distances(
        limbs.start[:, None], limbs.end[:, None], limbs.radius[:, None], start, end, radius
    )
    distance = np.where(np.isnan(found.distance), np.inf, found.distance)
    limb, link = np.unravel_index(distance.argmin(), distance.shape)
    pair = found.a_point[limb, link], found.b_point[limb, link]
    return pair, float(distance[limb, link])
