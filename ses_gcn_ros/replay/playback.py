"""When the messages of a recording are due, and what playing and recording nodes are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from ses_gcn_ros.config import option

T = TypeVar("T")


@dataclass(frozen=True)
class PlayerConfig:
    """Parameters of the bag player."""

    bag: str = option("", "Bag folder or file to play; the sample recording when empty.")
    topics: tuple[str, ...] = option(
        (), "Topics of the bag to play; skeletons, and TF where recorded, when empty."
    )
    rate: float = option(
        1.0, "Recorded seconds played per second of real time.", minimum=0.01, maximum=100.0
    )
    clock_frequency: float = option(
        100.0, "How often /clock is published [Hz of real time].", minimum=10.0, maximum=1000.0
    )
    lead_in: float = option(
        1.0, "Time on /clock before the first message [s], for nodes to settle.", minimum=0.0
    )
    subscribers: int = option(
        1, "Listeners that each topic but the robot's must have before playing begins.", minimum=0
    )
    autostart: bool = option(True, "Configure and activate without being asked to.")


@dataclass(frozen=True)
class RecorderConfig:
    """Parameters of the bag recorder."""

    bag: str = option("", "Bag folder to write; must not exist yet.")
    topics: tuple[str, ...] = option(
        (
            "skeletons",
            "forecasts",
            "actions",
            "safety_state",
            "speed_scaling",
            "joint_states",
            "robot_description",
            "/tf",
            "/tf_static",
            "/diagnostics",
        ),
        "Topics to record.",
    )
    autostart: bool = option(True, "Configure and activate without being asked to.")


@dataclass(frozen=True)
class TesterConfig:
    """Parameters of the stop tester."""

    stops: int = option(12, "Stops; 0 to wait only.", minimum=0)
    seconds: float = option(20.0, "How long to wait [s], without stops.", minimum=0.0)
    safety_node: str = option("safety_node", "Name of the safety node that is deactivated.")
    autostart: bool = option(True, "Configure and activate without being asked to.")


class Playback(Generic[T]):
    """Hand out the messages of a recording as their time comes.

    Parameters
    ----------
    messages : iterable of (int, message)
        Stamp [ns] and message, in order of time.
    """

    def __init__(self, messages: Iterable[tuple[int, T]]) -> None:
        self._messages = iter(messages)
        self._next = next(self._messages, None)
        self.start = self._next[0] if self._next else 0

    @property
    def ended(self) -> bool:
        """Whether every message was handed out."""
        return self._next is None

    def due(self, time: int) -> Iterator[T]:
        """Messages whose stamp is not after `time` [ns] and that were not handed out before."""
        while self._next is not None and self._next[0] <= time:
            message = self._next[1]
            self._next = next(self._messages, None)
            yield message
