"""From limits on the robot's speed to one answer: tighten at once, release with patience."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from ses_gcn_ros.safety.config import SafetyConfig

LONGEST_STEP = 0.1  # s; a stalled loop must not make up for its pause with a leap in speed


class Level(IntEnum):
    """Levels of SafetyState.msg."""

    CLEAR = 0
    REDUCED = 1
    STOP = 2


@dataclass(frozen=True)
class Limit:
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

    Parameters
    ----------
    config : SafetyConfig
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
        step = 0.0 if self._last is None else min(max(now - self._last, 0.0), LONGEST_STEP)
        self._last = now

        if self._wanted == 0.0:
            self.stopped, self._clear_since = True, None
            self._factor = self._reached = 0.0
            self._latched = self._config.latch_stops
        elif self.stopped:
            reasons.append(self._hold(now))
        if not self.stopped:
            self._rise(step)
            if self._reached < self._wanted:
                reasons.append(f"speeding up: {self._factor:.2f} of {self._wanted:.2f}")
        if self.stopped:
            return Verdict(Level.STOP, 0.0, tuple(reasons), zone)
        if self._factor >= 1.0:
            return Verdict(Level.CLEAR, self._factor, ())
        return Verdict(Level.REDUCED, self._factor, tuple(reasons), zone)

    def reset(self) -> tuple[bool, str]:
        """Release a latched stop, if its cause is gone; says whether and why (not)."""
        if not self._latched:
            return False, "no stop is latched"
        if self._wanted == 0.0:
            return False, "the cause of the stop is still there"
        self._latched = False
        return True, "released"

    def _rise(self, step: float) -> None:
        self._reached = min(self._wanted, self._reached + self._config.recovery_rate * step)
        rise = self._reached - self._factor
        if rise < 0.0 or rise >= self._config.factor_step or self._reached >= 1.0:
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
    clock goes back. Off is never CLEAR.

    Parameters
    ----------
    config : SafetyConfig
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._config = config
        self._since: float | None = None
        self._last = 0.0
        self._factor = 0.0

    @property
    def enabled(self) -> bool:
        return self._since is None

    def switch(self, on: bool, now: float) -> tuple[bool, str]:
        """Switch on or off at `now` [s]; says whether that is done, and why not."""
        config = self._config
        if on:
            already, self._since = self.enabled, None
            return True, "monitoring was on" if already else "monitoring is on"
        if config.disabled_factor <= 0.0:
            return False, (
                "monitoring stays on: disabled_factor is 0; set it above 0 to allow that speed "
                "without monitoring"
            )
        if self.enabled:
            self._factor = 0.0
        self._since = self._last = now
        return True, (
            f"monitoring is off for {config.disable_timeout:.1f} s, at speed factor "
            f"{config.disabled_factor:.2f}"
        )

    def apply(self, verdict: Verdict, now: float) -> Verdict:
        """Verdict in force at `now` [s], from that of the monitoring."""
        if self._since is None:
            return verdict
        config = self._config
        left = config.disable_timeout - (now - self._since)
        if left <= 0.0 or now < self._since:
            self._since = None
            return verdict
        rise = config.recovery_rate * max(now - self._last, 0.0)
        self._last = now
        self._factor = min(config.disabled_factor, max(self._factor, verdict.factor) + rise)
        reason = f"monitoring disabled by ~/enable for {left:.1f} s more"
        return Verdict(Level.REDUCED, self._factor, (reason, *verdict.reasons), verdict.zone)
