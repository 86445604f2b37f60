"""Predictive layer: forecast limbs against the robot carried along its own motion.

It answers with limits on the speed, never with a permission, so it can only tighten.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, repeat
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.geometry import capsule_distances
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.people import LimbCapsules, body, join, limb_capsules
from ses_gcn_ros.safety.robot_model import RobotModel
from ses_gcn_ros.safety.separation import speed_stopping_within

if TYPE_CHECKING:  # the import would load the forecasting engines
    from ses_gcn_ros.forecast import Forecast

Array = NDArray[np.float64]

_NEWTON_STEPS = 40  # enough for coverages from 1e-9 to all but 1e-15


class RobotMotion(Protocol):
    """A way that the robot may go on, such as a RobotState (at constant twist)."""

    @property
    def stamp(self) -> float:
        """When it begins [s]."""

    def carried(self, times: ArrayLike) -> tuple[Array, Array]:
        """Ends of the axes at `times` [s] after the stamp, each (H, M, 3) [m]."""


@dataclass(frozen=True, eq=False)
class ForecastCapsules:
    """Inflated capsules of people whose forecasts share their times.

    Attributes
    ----------
    times : ndarray, shape (H,)
        When each step is [s].
    limbs : LimbCapsules
        (H, N, ...), in the world.
    person_ids : tuple of str
        Person of each of the N limbs.
    growth : ndarray, shape (H, N)
        Part of each radius that stands for uncertainty [m].
    quantile : ndarray, shape (N,)
        That part in standard deviations of a joint along each axis.
    """

    times: Array
    limbs: LimbCapsules
    person_ids: tuple[str, ...]
    growth: Array
    quantile: Array


@dataclass(frozen=True, eq=False)
class PredictedContact:
    """First meeting within the horizon.

    Attributes
    ----------
    time_to_breach : float
        When [s from now].
    person_id, limb, frame : str
        The pair that meets at that step.
    limb_capsule, link_capsule : tuple
        Ends (3,) and radius of both then [m].
    """

    time_to_breach: float
    person_id: str
    limb: str
    frame: str
    limb_capsule: tuple[Array, ...]
    link_capsule: tuple[Array, ...]

    @property
    def place(self) -> Array:
        """Where on the limb's surface (3,) [m]."""
        return capsule_distances(*self.limb_capsule, *self.link_capsule).a_point


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """What forecasts hold: the first meeting, if any, and a score from 0 to 1 of one happening."""

    breach_probability: float = 0.0
    predicted: PredictedContact | None = None


def inflate(config: SafetyConfig, forecasts: Sequence[Forecast]) -> list[ForecastCapsules]:
    """Capsules around forecasts in the world frame, grown by the radius of their joints.

    People whose steps fall on the same times go together, so that one pass serves them all.
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
        parts = [_around(config, layout, same) for layout, same in alike.items()]
        names, sizes, quantiles = [], [], []
        for layout, same in alike.items():
            names += [member.person_id for member in same]
            sizes += [len(body(layout).names)] * len(same)
            quantiles += [_quantile(member.coverage) for member in same]
        groups.append(
            ForecastCapsules(
                times=stamp + step * np.arange(1, steps + 1, dtype=np.float64),
                limbs=join([limbs for limbs, _ in parts]),
                person_ids=tuple(chain.from_iterable(map(repeat, names, sizes))),
                growth=np.concatenate([growth for _, growth in parts], axis=1),
                quantile=np.repeat(quantiles, sizes),
            )
        )
    return groups


def _around(
    config: SafetyConfig, layout: str, members: Sequence[Forecast]
) -> tuple[LimbCapsules, Array]:
    """Capsules (H, N, ...) around forecasts of one layout, all made at once, and their growth."""
    people = limb_capsules(
        np.array([member.positions for member in members]).swapaxes(0, 1),
        layout,
        scale=config.body_scale,
        hand_reach=config.hand_reach,
        growth=np.array([member.radius for member in members]).swapaxes(0, 1),
    )
    grown = people.radius - config.body_scale * body(layout).radii
    return people.in_a_row(), grown.reshape(len(grown), -1)


def first_contact(
    config: SafetyConfig,
    group: ForecastCapsules,
    model: RobotModel,
    robot: RobotMotion,
    now: float,
) -> PredictionResult:
    """First time that a forecast limb touches the moving robot within the horizon, and the score.

    The score is the greatest, over steps, limbs and links, of the probability that a joint is off
    by more than what parts the limb from the link without its growth, if errors are Gaussian and
    alike along all axes with the forecast's radius at its coverage. Directions are not regarded, so
    for one pair at one step it is an upper bound; it falls as the distance grows, and it is 1 where
    the expected limb itself touches.
    """
    first = bisect_right(group.times, now)
    past = bisect_right(group.times, now + config.prediction_horizon)
    if first == past:
        return PredictionResult()
    steps = slice(first, past)
    times, limbs = group.times[steps], group.limbs
    start, end = robot.carried(times - robot.stamp)
    at_step = limbs.start[steps], limbs.end[steps], limbs.radius[steps]
    nearest, pairs = np.empty(len(times)), np.empty((len(times), 2), np.int64)
    least, step = kernel("separation").min_distances(
        *(at_step, (start, end, model.radius)),
        *(group.growth[steps], group.quantile, nearest, pairs),
    )
    score = _tail(least)
    if step < 0:
        return PredictionResult(score)
    n, m = pairs[step].tolist()
    predicted = PredictedContact(
        time_to_breach=_crossing(times, nearest, step, now),
        person_id=group.person_ids[n],
        limb=limbs.names[n],
        frame=model.names[m],
        # copies, or whoever keeps this would keep all limbs and links
        limb_capsule=tuple(np.array(part[step, n]) for part in at_step),
        link_capsule=(start[step, m].copy(), end[step, m].copy(), model.radius[m]),
    )
    return PredictionResult(score, predicted)


@cache
def _quantile(coverage: float) -> float:
    """Length that a standard normal vector in space stays below with a probability.

    An uncalibrated radius (coverage 0) is taken to hold every other joint. By Newton's method, as
    SciPy's inverse would keep the safety node waiting for its imports at the first forecast.
    """
    beyond = 1.0 - (coverage if 0.0 < coverage < 1.0 else 0.5)
    length = 1.5
    for _ in range(_NEWTON_STEPS):
        slope = math.sqrt(2.0 / math.pi) * length * length * math.exp(-0.5 * length * length)
        length = max(length + (_tail(length) - beyond) / slope, 0.5 * length)
    return length


def _tail(least: float) -> float:
    """Probability that a standard normal vector in space is longer than that."""
    if math.isinf(least):
        return 0.0
    density = math.sqrt(2.0 / math.pi) * least * math.exp(-0.5 * least * least)
    return math.erfc(least / math.sqrt(2.0)) + density


def _crossing(times: Array, nearest: Array, step: int, now: float) -> float:
    """Time from now at which the gap closes, linear between the steps around it."""
    if step == 0:
        return max(float(times[0]) - now - float(times[1] - times[0] if len(times) > 1 else 0), 0.0)
    before, after = nearest[step - 1], nearest[step]
    share = 1.0 if np.isinf(before) else before / (before - after)
    return float(times[step - 1] + share * (times[step] - times[step - 1])) - now


def limit(config: SafetyConfig, predicted: PredictedContact, t_r: float) -> Limit:
    """Speed from which the robot comes to rest before the predicted meeting."""
    room = predicted.time_to_breach - t_r
    factor = min(speed_stopping_within(config, room) / config.robot_speed_max, 1.0)
    return Limit(
        factor,
        f"forecast: person {predicted.person_id}: {predicted.limb} meets {predicted.frame} "
        f"in {predicted.time_to_breach:.2f} s",
    )
