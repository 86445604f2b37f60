"""The safety node's answer at one instant, with everything behind it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ses_gcn_ros.safety.decision import Level
from ses_gcn_ros.safety.prediction import Predicted
from ses_gcn_ros.safety.reactive import Breakdown, Pair

UNKNOWN = Breakdown(*[math.nan] * len(dataclasses.fields(Breakdown)))


@dataclass(frozen=True, eq=False)
class Assessment:
    """What the safety node says, with everything behind it; fields as in SafetyState.msg.

    Besides those: ``pair`` is the deciding pair, ``breakdown`` the terms of its protective
    distance, ``predicted`` the first predicted meeting, ``people`` the number of people, lost ones
    included, ``enabled`` whether monitoring is on.
    """

    stamp: float
    level: Level
    speed_factor: float
    separation: float
    protective_distance: float
    margin: float
    time_to_breach: float
    breach_probability: float
    zone: str
    reasons: tuple[str, ...]
    skeleton_age: float
    forecast_age: float
    tf_age: float
    enabled: bool
    people: int
    pair: Pair | None
    breakdown: Breakdown | None
    predicted: Predicted | None

    @property
    def person_id(self) -> str:
        return self.pair.person_id if self.pair else ""

    @property
    def human_limb(self) -> str:
        return self.pair.limb if self.pair else ""

    @property
    def robot_frame(self) -> str:
        return self.pair.frame if self.pair else ""

    def fields(self) -> dict[str, Any]:
        """Every field of SafetyState.msg but its header, as plain values."""
        names = (
            *("speed_factor", "separation", "protective_distance", "margin", "time_to_breach"),
            *("breach_probability", "person_id", "human_limb", "robot_frame", "zone"),
            *("skeleton_age", "forecast_age", "tf_age"),
        )
        return {
            "level": int(self.level),
            "reasons": list(self.reasons),
            **{name: getattr(self, name) for name in names},
            **vars(self.breakdown or UNKNOWN),
        }
