"""Predictive layer: forecast limbs against the robot carried along its own motion.

It answers with limits on the speed, never with a permission, so it can only tighten.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.alarm import CLIPPED, SHIPPED, ContactAlarm, urgency
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.geometry import capsule_distances
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.people import LimbCapsules, Track, body, join, limb_capsules
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.robot_motion import RobotMotion
from ses_gcn_ros.safety.separation import braking
from ses_gcn_ros.skeleton import all_finite, check_identity

if TYPE_CHECKING:  # the import would load the forecasting engines
    from ses_gcn_ros.forecast import Forecast

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ForecastCapsules:
    """Inflated capsules of people whose forecasts share their times."""

    stamp: float  # of the observations that they are made from [s]
    times: Array  # (H,): when each step is [s]
    # (3, H, N, ...), in the world: where the forecast has them, where they get at the velocities
    # that people have, and where they are now; all grown by the forecast's radius
    paths: LimbCapsules
    person_ids: tuple[str, ...]  # person of each of the N limbs
    growth: Array  # (H, N): part of each radius that stands for uncertainty [m]
    alarm: ContactAlarm  # for each step


@dataclass(frozen=True, eq=False)
class PredictedContact:
    """First meeting within the horizon."""

    time_to_breach: float  # when [s from now]
    # the pair that meets at that step
    person_id: str
    limb: str
    frame: str
    # ends (3,) and radius of both then [m]
    limb_capsule: tuple[Array, ...]
    link_capsule: tuple[Array, ...]

    @property
    def place(self) -> Array:
        """Where on the limb's surface (3,) [m]."""
        return capsule_distances(*self.limb_capsule, *self.link_capsule).a_point


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """What forecasts hold."""

    contact: PredictedContact | None = None  # the first contact of inflated capsules, if any
    # (H,): when the steps are [s from now]
    times: Array = field(default_factory=lambda: np.empty(0))
    # (H,): that a contact begins by each step, 0 to 1
    probability: Array = field(default_factory=lambda: np.empty(0))
    person_ids: tuple[str, ...] = ()  # whom each step's is about

    @property
    def highest(self) -> float:
        """Highest probability of any step."""
        return float(self.probability.max(initial=0.0))

    @classmethod
    def of_all(cls, results: Sequence[PredictionResult]) -> PredictionResult:
        """The first contact of several, and at each step of the longest the highest probability."""
        if len(results) < 2:
            return results[0] if results else cls()
        longest = max(results, key=lambda result: len(result.times))
        probability, ids = longest.probability.copy(), list(longest.person_ids)
        for result in results:
            for step in np.flatnonzero(result.probability > probability[: len(result.times)]):
                probability[step], ids[step] = result.probability[step], result.person_ids[step]
        contacts = [result.contact for result in results if result.contact]
        first = min(contacts, key=lambda contact: contact.time_to_breach, default=None)
        return cls(first, longest.times, probability, tuple(ids))


def check_forecasts(forecasts: Sequence[Forecast]) -> None:
    """Check what comes from outside; somebody without any position has no forecast, no fault.

    Raises InputError for an identity that can't be printed, an infinite position, a radius that is
    negative or not finite where there is a position, or a coverage that is no probability.
    """
    for forecast in forecasts:
        check_identity(forecast.person_id)
        who = f"forecast of person '{forecast.person_id}'"
        positions, radius = forecast.positions, forecast.radius
        if not all_finite(positions) and np.isinf(positions).any():
            raise InputError(f"{who} has an infinite position")
        right = radius.min(initial=0.0) >= 0.0 and radius.max(initial=0.0) < np.inf
        unplaced = False if right else ~np.isfinite(positions).all(axis=-1)
        if not right and not ((radius >= 0.0) & (radius < np.inf) | unplaced).all():
            raise InputError(f"{who} has a radius that is negative, infinite or not a number")
        if not 0.0 <= forecast.coverage <= 1.0:
            raise InputError(f"{who} has a coverage of {forecast.coverage}; it lies in 0 to 1")


def inflate(
    config: SafetyConfig, forecasts: Sequence[Forecast], tracks: Mapping[str, Track]
) -> list[ForecastCapsules]:
    """Capsules around forecasts in the world frame, grown by the radius of their joints.

    People whose steps fall on the same times go together, so that one pass serves them all. Who is
    not among the `tracks` goes straight, and rests, where the forecast goes.
    """
    together: dict[tuple[float, float, int], list[Forecast]] = {}
    for forecast in forecasts:
        key = (forecast.stamp, forecast.step, len(forecast.positions))
        together.setdefault(key, []).append(forecast)
    groups = []
    for (stamp, step, steps), members in together.items():
        alike: dict[str, list[Forecast]] = {}
        for member in members:
            alike.setdefault(member.layout, []).append(member)
        times = stamp + step * np.arange(1, steps + 1, dtype=np.float64)
        parts = [_around(config, times, layout, same, tracks) for layout, same in alike.items()]
        names, sizes = [], []
        for layout, same in alike.items():
            names += [member.person_id for member in same]
            sizes += [len(body(layout).names)] * len(same)
        groups.append(
            ForecastCapsules(
                stamp=stamp,
                times=times,
                paths=join([paths for paths, _ in parts]),
                person_ids=tuple(chain.from_iterable(map(repeat, names, sizes))),
                growth=np.concatenate([growth for _, growth in parts], axis=1),
                alarm=SHIPPED.at(times - stamp),
            )
        )
    return groups


def _around(
    config: SafetyConfig,
    times: Array,
    layout: str,
    members: Sequence[Forecast],
    tracks: Mapping[str, Track],
) -> tuple[LimbCapsules, Array]:
    """Capsules (3, H, N, ...) on the paths of people of one layout, and their growth (H, N).

    What is not known of the velocity that somebody has, and where they are, is as forecast.
    """
    expected = np.array([member.positions for member in members], np.float64)
    people, steps, joints, _ = expected.shape
    unseen = np.full((joints, 3), np.nan)
    last, velocity, since = [], [], []
    for member in members:
        track = tracks.get(member.person_id)
        known = track is not None and track.seen and track.layout == layout
        last.append(track.positions if track and known else unseen)
        velocity.append(track.velocities if track and known else unseen)
        since.append(track.last_seen if track else 0.0)
    radius = np.array([member.radius for member in members], np.float64)
    ways, growth = np.empty((3, steps, people, joints, 3)), np.empty((3, steps, people, joints))
    motion = np.array(last), np.array(velocity), times[:, None] - np.array(since)
    kernel("separation").lay_ways(expected, radius, motion, ways, growth)
    capsules = limb_capsules(
        ways, layout, scale=config.body_scale, hand_reach=config.hand_reach, growth=growth
    )
    grown = capsules.radius[0] - config.body_scale * body(layout).radii
    return capsules.in_a_row(), grown.reshape(steps, -1)


def first_contact(
    config: SafetyConfig,
    group: ForecastCapsules,
    model: RobotModel,
    robot: RobotMotion,
    now: float,
) -> PredictionResult:
    """First time that a forecast limb touches the moving robot within the horizon, and how likely.

    The probability is `forecast.alarm`'s, from how many radii lie between limbs and links on the
    forecast's path, at constant velocities and where people are; the surfaces of their capsules are
    what touches.
    """
    first = bisect_right(group.times, now)
    past = bisect_right(group.times, now + config.prediction_horizon)
    if first == past:
        return PredictionResult()
    times, paths = group.times[first:past], group.paths
    links = (*robot.carried(times - robot.stamp), model.radius)
    nearest, z = np.empty(len(times)), np.empty((len(paths.start), len(times)))
    pairs = np.empty((len(times), 3), np.int64)
    ways = paths.start, paths.end, paths.radius
    kernel("separation").min_distances(ways, links, group.growth, first, CLIPPED, nearest, pairs, z)
    touching = np.flatnonzero(nearest <= 0.0)
    contact = None
    if len(touching):
        step = int(touching[0])
        n, m, _ = pairs[step].tolist()
        contact = PredictedContact(
            time_to_breach=_crossing(times, nearest, step, now),
            person_id=group.person_ids[n],
            limb=group.paths.names[n],
            frame=model.names[m],
            # copies, or whoever keeps this would keep all limbs and links
            limb_capsule=tuple(np.array(part[0, first + step, n]) for part in ways),
            link_capsule=(links[0][step, m].copy(), links[1][step, m].copy(), model.radius[m]),
        )
    return PredictionResult(
        contact=contact,
        times=times - now,
        probability=group.alarm.probability(urgency(*z), slice(first, past)),
        person_ids=tuple(group.person_ids[n] for n in pairs[:, 2].tolist()),
    )


def _crossing(times: Array, nearest: Array, step: int, now: float) -> float:
    """Time from now at which the gap closes, linear between the steps around it."""
    if step == 0:
        return max(float(times[0]) - now - float(times[1] - times[0] if len(times) > 1 else 0), 0.0)
    before, after = nearest[step - 1], nearest[step]
    share = 1.0 if np.isinf(before) else before / (before - after)
    return float(times[step - 1] + share * (times[step] - times[step - 1])) - now


def limit(config: SafetyConfig, result: PredictionResult, t_r: float) -> Limit | None:
    """Speed from which every robot comes to rest before what is predicted; None if nothing is."""
    if config.prediction == "probability":
        risky = np.flatnonzero(result.probability > config.contact_risk)
        if not len(risky):
            return None
        step = int(risky[0])
        # anywhere within the step that ends then
        before = float(result.times[step - 1]) if step else 0.0
        ahead, chance = max(before, 0.0), float(result.probability[step])
        who = f"person {result.person_ids[step]}: contact with probability {chance:.2f}"
    elif result.contact is None:
        return None
    else:
        contact = result.contact
        ahead = contact.time_to_breach
        who = f"person {contact.person_id}: {contact.limb} meets {contact.frame}"
    speed = min(table.speed_stopping_within(ahead - t_r) for table in braking(config))
    factor = min(speed / config.robot_speed_max, 1.0)
    return Limit(factor, f"forecast: {who} in {ahead:.2f} s")
