"""The safety node's answer at one instant, with everything behind it, and the log of answers."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ses_gcn_ros.audit import write_whole
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import plain
from ses_gcn_ros.safety.decision import Level
from ses_gcn_ros.safety.prediction import PredictedContact
from ses_gcn_ros.safety.separation import Breakdown, Pair

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
    predicted: PredictedContact | None
    contact_probability: tuple[float, ...] = ()
    contact_person_ids: tuple[str, ...] = ()

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
            "contact_probability": list(self.contact_probability),
            "contact_person_ids": list(self.contact_person_ids),
            **{name: getattr(self, name) for name in names},
            **vars(self.breakdown or UNKNOWN),
        }

    def event(self) -> dict[str, Any]:
        """What a log says of a change to this answer."""
        return {
            "stamp": self.stamp,
            **self.fields(),
            "people": self.people,
            "enabled": self.enabled,
            "level": self.level.name,
        }


PASSING = ("speeding up", "stop held")  # reasons that come and go with every change
AGAIN = 5.0  # s before a change is said once more that names nothing new


class EventLog:
    """Notices changes, and appends each as a line of JSON to a file on request.

    A file that can't be written, as on a full disk, is said in `problem` and tried again with the
    next change; the lines in between are lost, their number is kept.

    Raises ConfigError if the file can't be opened.

    `path`: file that is appended to; empty for none.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser() if path else None
        self._last: tuple[Any, ...] | None = None
        self._unsaid = ""
        self._said: dict[tuple[Level, str], float] = {}  # when [s], by level and cause
        self.problem = ""
        self.lost = 0
        if self._path:
            try:
                self._append("")
            except OSError as error:
                raise ConfigError(f"event_log '{path}' can't be written: {error}") from error

    def observe(self, assessment: Assessment) -> str | None:
        """Sentence for an assessment that differs in kind from the last one; None if it doesn't.

        Level, deciding zone and causes count, numbers don't.
        """
        causes = {_cause(reason) for reason in assessment.reasons} - {""}
        kind = (assessment.level, assessment.zone, assessment.enabled, frozenset(causes))
        if kind == self._last:
            return None
        self._last = kind
        self._write(assessment)
        why = "; ".join(assessment.reasons) or "nothing holds the robot"
        self._unsaid = f"{assessment.level.name}, factor {assessment.speed_factor:.2f}: {why}"
        return self._unsaid

    def due(self, now: float) -> str:
        """Sentence of the last change, once, for people; empty where there is none to be said.

        One whose causes have all been said in the last seconds waits, and is dropped for a later
        one: a cell that flickers says each cause once in a while, and in the end how it stands.

        `now`: [s] of any steady clock.
        """
        if not self._unsaid or self._last is None:
            return ""
        level, *_, causes = self._last
        named = [(level, cause) for cause in causes or ("",)]
        if all(now - self._said.get(name, -math.inf) < AGAIN for name in named):
            return ""
        self._said |= dict.fromkeys(named, now)
        sentence, self._unsaid = self._unsaid, ""
        return sentence

    def _write(self, assessment: Assessment) -> None:
        if not self._path:
            return
        event = assessment.event()
        if self.lost:
            event["lost_lines"] = self.lost
        try:
            self._append(json.dumps(plain(event)) + "\n")
        except OSError as error:
            self.lost += 1
            self.problem = f"event_log: {error.strerror or error}; {self.lost} lines lost"
        else:
            self.lost, self.problem = 0, ""

    def _append(self, line: str) -> None:
        assert self._path is not None
        # one write of the whole line: whoever reads along sees none that is half done
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            write_whole(file, line.encode())
        finally:
            os.close(file)


def _cause(reason: str) -> str:
    """What remains of a reason when people, limbs and numbers are left out."""
    if reason.startswith(PASSING):
        return ""
    return re.split(r"[:\d(]", reason)[0].strip() if not reason.startswith("person") else "person"
