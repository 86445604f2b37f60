"""Predictive layer: forecast limbs against the robot carried along its own motion.

It answers with limits on the speed, never with a permission, so it can only tighten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.safety.capsules import capsule_distances
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.people import LimbCapsules, limb_capsules
from ses_gcn_ros.safety.reactive import Pair
from ses_gcn_ros.safety.robot import RobotModel, RobotState
from ses_gcn_ros.safety.tracks import join

if TYPE_CHECKING:  # the import would load the forecasting engines
    from ses_gcn_ros.forecast import Forecast

Array = NDArray[np.float64]


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
    """

    times: Array
    limbs: LimbCapsules
    person_ids: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Predicted:
    """First meeting within the horizon: when [s from now], and which pair at that step."""

    time_to_breach: float
    pair: Pair


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
        parts = [
            limb_capsules(
                np.asarray(member.positions, np.float64),
                member.layout,
                scale=config.body_scale,
                hand_reach=config.hand_reach,
                growth=np.asarray(member.radius, np.float64),
            )
            for member in members
        ]
        ids = [m.person_id for m, part in zip(members, parts, strict=True) for _ in part.names]
        times = stamp + step * np.arange(1, steps + 1)
        groups.append(ForecastCapsules(np.asarray(times), join(parts), tuple(ids)))
    return groups


def meet(
    config: SafetyConfig,
    group: ForecastCapsules,
    model: RobotModel,
    robot: RobotState,
    now: float,
) -> Predicted | None:
    """First time that a forecast limb touches the moving robot; None if not within the horizon."""
    ahead = np.flatnonzero((group.times > now) & (group.times <= now + config.prediction_horizon))
    if len(ahead) == 0:
        return None
    steps = slice(int(ahead[0]), int(ahead[-1]) + 1)
    times = group.times[steps]
    start, end = robot.carried(times - robot.stamp)
    limbs = group.limbs
    met = capsule_distances(
        limbs.start[steps, :, None],
        limbs.end[steps, :, None],
        limbs.radius[steps, :, None],
        start[:, None],
        end[:, None],
        model.radius,
    )
    distance = np.where(np.isnan(met.distance), np.inf, met.distance)
    nearest = distance.reshape(len(times), -1).min(axis=1)
    touching = np.flatnonzero(nearest <= 0.0)
    if len(touching) == 0:
        return None
    step = int(touching[0])
    n, m = divmod(int(distance[step].argmin()), distance.shape[2])
    here = met.at((step, n, m))
    pair = Pair(
        person_id=group.person_ids[n],
        limb=limbs.names[n],
        frame=model.names[m],
        distance=float(distance[step, n, m]),
        human_point=here.a_point,
        robot_point=here.b_point,
    )
    return Predicted(_crossing(times, nearest, step, now), pair)


def _crossing(times: Array, nearest: Array, step: int, now: float) -> float:
    """Time from now at which the gap closes, linear between the steps around it."""
    if step == 0:
        return max(float(times[0]) - now - float(times[1] - times[0] if len(times) > 1 else 0), 0.0)
    before, after = nearest[step - 1], nearest[step]
    share = 1.0 if np.isinf(before) else before / (before - after)
    return float(times[step - 1] + share * (times[step] - times[step - 1])) - now


def limit(config: SafetyConfig, predicted: Predicted, t_r: float) -> Limit:
    """Speed from which the robot comes to rest before the predicted meeting."""
    room = predicted.time_to_breach - t_r
    if config.stopping_time > 0:
        factor = 1.0 if room >= config.stopping_time else 0.0
    else:
        factor = min(max(config.deceleration * room / config.robot_speed_max, 0.0), 1.0)
    pair = predicted.pair
    return Limit(
        factor,
        f"forecast: person {pair.person_id}: {pair.limb} meets {pair.frame} "
        f"in {predicted.time_to_breach:.2f} s",
    )
