"""Switching the monitoring off, for a while, slowly, and never silently."""

from __future__ import annotations

from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Level, Verdict


class Enabling:
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
