"""Parameters of the nodes that play, record and test."""

from __future__ import annotations

from dataclasses import dataclass

from ses_gcn_ros.config import option


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
