"""Quality of service of every topic, in one place."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy


def _lasting(depth: int) -> QoSProfile:
    """Profile of what who comes late gets too: the last messages, so many of them."""
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


STREAM = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = _lasting(1)
SPEED_FACTOR = _lasting(10)  # fifty messages a second to whoever may be slow to confirm them
MARKERS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)

# As tf2's broadcasters offer them; every static transform is kept for whoever comes late.
TRANSFORMS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
STATIC_TRANSFORMS = _lasting(100)


def stream(reliability: str = "reliable", deadline: float | None = None) -> QoSProfile:
    """Profile of skeletons, forecasts and states.

    `reliability`: "reliable" or "best_effort"; a reliable subscriber gets nothing from a
    best-effort one.
    `deadline`: longest time between two messages [s] that is offered or asked for.
    """
    profile = QoSProfile(depth=10, reliability=ReliabilityPolicy[reliability.upper()])
    if deadline is not None:
        profile.deadline = Duration(seconds=deadline)
    return profile
