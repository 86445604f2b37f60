"""The inputs of the monitor: their faults, how often they come, and stamps ahead of the clock."""

from __future__ import annotations

from collections import deque

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit

FLOOD_WINDOW = 0.5  # s over which the rate of an input is measured


class Inputs:
    """Remembers what is wrong with each input until it is well again.

    Parameters
    ----------
    config : SafetyConfig
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._config = config
        self._faults: dict[str, Limit] = {}
        self._arrivals: dict[str, deque[float]] = {}

    def limits(self) -> list[Limit]:
        """What all present faults ask for."""
        return list(self._faults.values())

    def fault(self, source: str, reason: str) -> None:
        """Note a fault of a source."""
        about_forecasts = source.split()[0] == "forecasts"
        factor = self._config.forecast_lost_factor if about_forecasts else 0.0
        self._faults[source] = Limit(factor, reason)

    def well(self, source: str) -> None:
        """Forget the fault of a source, if there is one."""
        self._faults.pop(source, None)

    def arrive(self, source: str, stamp: float, now: float) -> None:
        """Count a message, usable or not.

        Raises
        ------
        InputError
            If its stamp is ahead of the clock.
        """
        self._watch_rate(source, now)
        ahead = stamp - now
        if not ahead <= self._config.future_tolerance:
            reason = f"{source} from the future: stamped {ahead:.2f} s ahead of the clock"
            self.fault(source, reason)
            raise InputError(f"{reason}; synchronise the clocks (not used)")

    def _watch_rate(self, source: str, now: float) -> None:
        highest = self._config.input_rate_max
        if highest <= 0.0:
            return
        allowed = max(round(highest * FLOOD_WINDOW), 1)
        arrivals = self._arrivals.setdefault(source, deque(maxlen=allowed + 1))
        if arrivals and now < arrivals[-1]:
            arrivals.clear()  # the clock went back
        arrivals.append(now)
        span = now - arrivals[0]
        if len(arrivals) > allowed and span < FLOOD_WINDOW:
            rate = (len(arrivals) - 1) / max(span, 1e-3)
            self.fault(f"{source} rate", f"{source} flood: {rate:.0f} Hz > {highest:.0f} Hz")
        else:
            self.well(f"{source} rate")
