"""Nodes of one process that hand each other what they have, instead of sending messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ses_gcn_ros.forecast import Forecast


@dataclass(frozen=True, eq=False)
class HandedForecasts:
    """What a message of forecasts would say.

    Attributes
    ----------
    frame_id : str
        Frame of the positions.
    stamp : float
        Time of the observations used [s].
    forecasts : sequence of Forecast
        Shared with the forecaster; not to be written to.
    """

    frame_id: str
    stamp: float
    forecasts: Sequence[Forecast]


class ForecastSource:
    """Where a forecaster hands its forecasts to one other node of its process."""

    def __init__(self) -> None:
        self._listener: Callable[[HandedForecasts, dict[str, int]], None] | None = None

    @property
    def connected(self) -> bool:
        """Whether anybody listens."""
        return self._listener is not None

    def connect(self, listener: Callable[[Any, dict[str, int]], None] | None) -> None:
        """Hand forecasts to a callback as `ManagedNode.guarded` makes them; to nobody for None."""
        self._listener = listener

    def hand_over(self, frame_id: str, stamp: float, forecasts: Sequence[Forecast]) -> None:
        """Give forecasts to the listener, if there is one."""
        if self._listener is not None:
            handed = HandedForecasts(frame_id, stamp, forecasts)
            self._listener(handed, {"received_timestamp": time.time_ns()})


def compose(nodes: dict[str, Any]) -> None:
    """Connect a forecaster and a safety node, by executable, that are in one process.

    Only where both mean the same topic: one may have been remapped.
    """
    if not {"forecaster_node", "safety_node"} <= set(nodes):
        return
    forecaster, safety = nodes["forecaster_node"], nodes["safety_node"]
    if forecaster.resolve_topic_name("forecasts") == safety.resolve_topic_name("forecasts"):
        safety.forecast_source = forecaster.source
