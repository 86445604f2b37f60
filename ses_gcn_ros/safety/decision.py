"""From limits on the robot's speed to one answer: tighten at once, release with patience."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from ses_gcn_ros.safety.config import SafetyConfig

LONGEST_STEP = 0.1  # s; a stalled loop must not make up for its pause with a leap in speed


class Level(IntEnum):
    """Levels of SafetyState.msg."""

    CLEAR = 0
    REDUCED = 1
    STOP = 2


class Limit(NamedTuple):
    """Share of the full speed that one cause allows, 0 to 1, and that cause with its numbers.

    `zone` names the zone that asks for it, if one does.
    """

    factor: float
    reason: str
    zone: str = ""


@dataclass(frozen=True)
class Verdict:
    """Level, speed factor and reasons, worst first; no reasons when CLEAR.

    `zone` names the zone whose limit is the lowest, if it is a zone's.
    """

    level: Level
    factor: float
    reasons: tuple[str, ...]
    zone: str = ""


class Decision:
    """The state behind the verdicts: a stop's patience, its latch, and the rising factor.

    Begins stopped: the robot moves only once everything has been seen to be well.
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._config = config
        self._last: float | None = None
        self._clear_since: float | None = None
        self._factor = 0.0
        self._reached = 0.0  # by the rising ramp, which the factor follows in steps
        self._wanted = 0.0
        self._latched = False
        self.stopped = True

    def update(self, now: float, limits: Sequence[Limit]) -> Verdict:
        """Decide at `now` [s] under all limits in force; the lowest wins."""
        # an unknown factor (NaN) fails every comparison; these are put so that it stops the robot
        active = sorted((limit for limit in limits if not limit.factor >= 1.0), key=_strictness)
        reasons = [limit.reason for limit in active]
        zone = active[0].zone if active else ""
        self._wanted = active[0].factor if active else 1.0
        if not self._wanted >= self._config.stop_factor:
            self._wanted = 0.0
        passed = 0.0 if self._last is None else max(now - self._last, 0.0)
        step, self._last = min(passed, LONGEST_STEP), now
        falling = self._config.ramp_down * passed if self._config.ramp_down > 0.0 else 1.0

        if self._wanted == 0.0:
            self.stopped, self._clear_since = True, None
            self._factor = self._reached = max(self._factor - falling, 0.0)
            self._latched = self._config.latch_stops
        elif self.stopped:
            self._factor = self._reached = max(self._factor - falling, 0.0)
            reasons.append(self._hold(now))
        if not self.stopped:
            self._move(step, falling)
            if self._reached < self._wanted:
                reasons.append(f"speeding up: {self._factor:.2f} of {self._wanted:.2f}")
        if self.stopped:
            return Verdict(Level.STOP, self._factor, tuple(reasons), zone)
        if self._factor >= 1.0:
            return Verdict(Level.CLEAR, self._factor, ())
        return Verdict(Level.REDUCED, self._factor, tuple(reasons), zone)

    def reset(self, cause_released: bool = False) -> tuple[bool, str]:
        """Release a latched stop, if its cause is gone; says whether and why (not).

        A cause that may just have been released is looked for with the next limits.
        """
        if not self._latched:
            return False, "no stop is latched"
        if self._wanted == 0.0 and not cause_released:
            return False, "the cause of the stop is still there"
        self._latched = False
        return True, "released"

    def _move(self, step: float, falling: float) -> None:
        risen = self._reached + self._config.recovery_rate * step
        self._reached = max(min(self._wanted, risen), self._factor - falling)
        change = self._reached - self._factor
        if change < 0.0 or change >= self._config.factor_step or self._reached >= 1.0:
            self._factor = self._reached

    def _hold(self, now: float) -> str:
        if self._clear_since is None or now < self._clear_since:
            self._clear_since = now
        if self._latched:
            return "stop latched: call ~/reset"
        clear = now - self._clear_since
        if clear < self._config.release_time:
            return f"stop held: clear for {clear:.2f} s of {self._config.release_time:.2f} s"
        self.stopped = False
        return "stop released"


def _strictness(limit: Limit) -> float:
    return limit.factor if limit.factor >= 0.0 else -1.0


class Muting:
    """Whether monitoring is on, and what is allowed while it isn't.

    Off, the robot may move at `disabled_factor` whatever the monitor finds; with the default of 0
    switching off is refused. It comes on again by itself after `disable_timeout`, and when the
    clock goes back; then it stays on for as long at least, and asking again while it is off doesn't
    prolong that. Off is never CLEAR.
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._config = config
        self._since: float | None = None
        self._until = -math.inf
        self._last = 0.0
        self._factor = 0.0

    @property
    def enabled(self) -> bool:
        return self._since is None

    def switch(self, on: bool, now: float) -> tuple[bool, str]:
        """Switch on or off at `now` [s]; says whether that is done, and why not."""
        config = self._config
        if on:
            already = self.enabled
            if not already:
                self._end(now)
            return True, "monitoring was on" if already else "monitoring is on"
        if config.disabled_factor <= 0.0:
            return False, (
                "monitoring stays on: disabled_factor is 0; set it above 0 to allow that speed "
                "without monitoring"
            )
        if self._since is None:
            rest = self._until + config.disable_timeout - now
            if 0.0 < rest <= config.disable_timeout:
                return (
                    False,
                    f"monitoring stays on for {rest:.1f} s before it may be off again",
                )
            self._factor = 0.0
            self._since = self._last = now
        left = config.disable_timeout - (now - self._since)
        return True, (
            f"monitoring is off for {left:.1f} s, at speed factor {config.disabled_factor:.2f}"
        )

    def _end(self, now: float) -> None:
        self._since, self._until = None, now

    def apply(self, verdict: Verdict, now: float) -> Verdict:
        """Verdict in force at `now` [s], from that of the monitoring."""
        if self._since is None:
            return verdict
        config = self._config
        left = config.disable_timeout - (now - self._since)
        if left <= 0.0 or now < self._since:
            self._end(now)
            return verdict
        rise = config.recovery_rate * max(now - self._last, 0.0)
        self._last = now
        self._factor = min(config.disabled_factor, max(self._factor, verdict.factor) + rise)
        reason = f"monitoring disabled by ~/enable for {left:.1f} s more"
        return Verdict(Level.REDUCED, self._factor, (reason, *verdict.reasons), verdict.zone)
