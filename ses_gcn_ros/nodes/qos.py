"""Quality of service of every topic, in one place."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

STREAM = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# Fifty messages a second to whoever may be slow to confirm them; who comes late gets the last ones.
SPEED_FACTOR = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
MARKERS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)

# As tf2's broadcasters offer them; every static transform is kept for whoever comes late.
TRANSFORMS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
STATIC_TRANSFORMS = QoSProfile(
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def stream(reliability: str = "reliable", deadline: float | None = None) -> QoSProfile:
    """Profile of skeletons, forecasts and states.

    Parameters
    ----------
    reliability : str
        "reliable" or "best_effort"; a reliable subscriber never hears a best-effort publisher.
    deadline : float, optional
        Longest time between two messages [s] that is offered or asked for.
    """
    profile = QoSProfile(depth=10, reliability=ReliabilityPolicy[reliability.upper()])
    if deadline is not None:
        profile.deadline = Duration(seconds=deadline)
    return profile
