"""States as messages of bags, and back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ses_gcn_ros.bags.messages import header_message, message, to_seconds
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.safety import Assessment, Level
from ses_gcn_ros.safety.separation import Pair

LEVELS = tuple(level.name for level in Level)


def state_message(assessment: Assessment, frame_id: str) -> Any:
    """SafetyState of an assessment that was made in `frame_id`."""
    header = header_message(assessment.stamp, frame_id)
    fields = assessment.fields()
    fields["contact_probability"] = np.asarray(fields["contact_probability"], np.float32)
    return message("ses_gcn_ros/msg/SafetyState", header=header, **fields)


def state_from_message(content: Any, frames: Mapping[str, str]) -> Assessment:
    """Assessment of a SafetyState, as far as the message tells.

    Raises InputError if its level is none.

    `frames`: a frame of the bag to the name that it is to have here.
    """
    if content.level not in tuple(Level):
        raise InputError(f"a safety_state has level {content.level}; known are {LEVELS}")
    pair = None
    if content.person_id:
        nowhere = np.full(3, np.nan)
        pair = Pair(
            person_id=content.person_id,
            limb=content.human_limb,
            frame=frames.get(content.robot_frame, content.robot_frame),
            distance=content.separation,
            human_point=nowhere,
            robot_point=nowhere,
        )
    told: dict[str, Any] = {
        field.name: getattr(content, field.name, math.nan)  # older messages lack some
        for field in dataclasses.fields(Assessment)
    }
    told |= {
        "stamp": to_seconds(content.header.stamp),
        "level": Level(content.level),
        "reasons": tuple(content.reasons),
        "pair": pair,
        "breakdown": None,
        "predicted": None,
        # states recorded before these fields have none
        "contact_probability": tuple(getattr(content, "contact_probability", ())),
        "contact_person_ids": tuple(getattr(content, "contact_person_ids", ())),
    }
    return Assessment(**told)
