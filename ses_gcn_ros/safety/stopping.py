"""How the robot comes to rest: stopping times over speed, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety.config import SafetyConfig

Array = NDArray[np.float64]


class Braking(TypedDict, total=False):
    """Braking model of the robot, as the functions of `separation` take it."""

    deceleration: float
    stopping_time: float
    stopping_table: StoppingTable


@dataclass(frozen=True, eq=False)
class StoppingTable:
    """Stopping times T_s over the speed, linear in between.

    Below the first speed the time is the first one, beyond the last it rises as in the last
    interval.

    Attributes
    ----------
    speeds : ndarray, shape (K,)
        Rising from 0 [m/s].
    times : ndarray, shape (K,)
        Never falling [s].
    """

    speeds: Array
    times: Array

    @classmethod
    def of(cls, speeds: Sequence[float], times: Sequence[float]) -> StoppingTable:
        """Check and make a table.

        Raises
        ------
        ConfigError
            If there are not as many times as speeds, at least two, the speeds don't rise or the
            times fall.
        """
        v, t = np.asarray(speeds, np.float64), np.asarray(times, np.float64)
        if len(v) < 2 or len(v) != len(t):
            raise ConfigError(
                f"the stopping table has {len(v)} speeds and {len(t)} times for them; it takes at "
                "least two, as many of each"
            )
        if v[0] < 0 or (np.diff(v) <= 0).any():
            raise ConfigError(f"stopping_speeds is {v.tolist()}; the speeds must rise")
        if t[0] < 0 or (np.diff(t) < 0).any():
            raise ConfigError(
                f"stopping_times has {t.tolist()}; a faster robot doesn't stop sooner: "
                "the times must not fall"
            )
        if v[0] > 0:
            v, t = np.append(0.0, v), np.append(t[0], t)
        return cls(v, t)

    @property
    def slopes(self) -> Array:
        """dT_s/dv of each interval, (K - 1,) [s²/m]."""
        return np.asarray(np.diff(self.times) / np.diff(self.speeds))

    def time(self, speed: ArrayLike) -> Array:
        """T_s [s] at speeds (...) [m/s]."""
        v = np.asarray(speed, np.float64)
        interval = self._interval(self.speeds, v)
        return self.times[interval] + self.slopes[interval] * (v - self.speeds[interval])

    def speed_stopping_within(self, time: ArrayLike) -> Array:
        """Highest speed [m/s] whose stopping time is within `time` (...) [s]; 0 if none is."""
        t = np.asarray(time, np.float64)
        interval = self._interval(self.times, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            more = (t - self.times[interval]) / self.slopes[interval]
        speed = self.speeds[interval] + np.where(np.isnan(more), np.inf, more)
        return np.where(t >= self.times[0], speed, 0.0)

    def speed_for(self, room: ArrayLike, human_speed: ArrayLike, reaction_time: ArrayLike) -> Array:
        """Highest speed v with v_h (T_r + T_s) + v T_r + ½ v T_s = room [m/s]; 0 if none fits.

        Within an interval that begins at v_k with T_k and slope b, w = v − v_k solves
        ½ b w² + (b v_h + T_r + ½ T_k + ½ b v_k) w = room − S(v_k).
        """
        d, v_h, t_r = (
            np.asarray(value, np.float64)[..., None]
            for value in np.broadcast_arrays(room, human_speed, reaction_time)
        )
        knots = v_h * (t_r + self.times) + self.speeds * (t_r + 0.5 * self.times)
        interval = np.clip((knots <= d).sum(axis=-1) - 1, 0, len(self.slopes) - 1)
        first, slope = self.speeds[interval], self.slopes[interval]
        linear = v_h[..., 0] * slope + t_r[..., 0] + 0.5 * (self.times[interval] + slope * first)
        start = np.take_along_axis(knots, interval[..., None], axis=-1)[..., 0]
        rest = np.maximum(d[..., 0] - start, 0.0)
        root = linear + np.sqrt(linear * linear + 2.0 * slope * rest)
        more = 2.0 * rest / np.maximum(root, 1e-300)
        return np.where(d[..., 0] >= start, first + more, 0.0)

    def _interval(self, knots: Array, value: Array) -> NDArray[np.intp]:
        found = np.searchsorted(knots, value, side="right") - 1
        return np.asarray(np.clip(found, 0, len(knots) - 2))


def braking(config: SafetyConfig) -> Braking:
    """Braking model that the parameters ask for.

    Raises
    ------
    ConfigError
        If the table of stopping times can't be used, or does not reach the payload.
    """
    if not config.stopping_speeds:
        if config.stopping_times or config.stopping_payloads:
            raise ConfigError("stopping_times is given without stopping_speeds; give both")
        if config.stopping_time > 0:
            return {"stopping_time": config.stopping_time}
        return {"deceleration": config.deceleration}
    payloads = config.stopping_payloads or (config.payload,)
    table = config.stopping_speeds, config.stopping_times, payloads, config.payload
    return {"stopping_table": _table(*table)}


@cache
def _table(
    speeds: tuple[float, ...],
    times: tuple[float, ...],
    payloads: tuple[float, ...],
    payload: float,
) -> StoppingTable:
    """Table for a payload [kg], between the measured ones."""
    columns = len(speeds)
    if len(times) != columns * len(payloads):
        raise ConfigError(
            f"stopping_times has {len(times)} values; {len(payloads)} payloads of "
            f"{columns} speeds take {columns * len(payloads)}, payload after payload"
        )
    if (np.diff(payloads) <= 0).any():
        raise ConfigError(f"stopping_payloads is {list(payloads)}; the payloads must rise")
    if payload > payloads[-1]:
        raise ConfigError(
            f"payload is {payload} kg; stopping_payloads ends at {payloads[-1]} kg: measure "
            "the stopping times of that load"
        )
    rows = np.reshape(times, (len(payloads), columns))
    between = [np.interp(payload, payloads, rows[:, column]) for column in range(columns)]
    return StoppingTable.of(speeds, [float(time) for time in between])


def speed_stopping_within(config: SafetyConfig, time: float) -> float:
    """Highest speed from which the robot is at rest within `time` [m/s]; inf if any is."""
    model = braking(config)
    if "stopping_table" in model:
        return float(model["stopping_table"].speed_stopping_within(time))
    if "stopping_time" in model:
        return float("inf") if time >= model["stopping_time"] else 0.0
    return max(model["deceleration"] * time, 0.0)
