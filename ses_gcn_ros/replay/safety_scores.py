"""What was heard and what the safety monitor made of it: gaps, delays, stops, the worst moments."""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from ses_gcn_ros.replay.events import ActionTimeline, Diagnostics, Event, PeopleSeen, Refused
from ses_gcn_ros.replay.forecast_scores import LONGEST_GAP, Distribution
from ses_gcn_ros.safety import Assessment, Level, SafetyConfig
from ses_gcn_ros.skeleton import upwards, wrong_axis

_SHOWN = 10  # gaps that are listed
_LOOKED_AT = 10  # every so many-th frame tells whether people stand upright
_NUMBER = re.compile(r"(?<!\w)-?\d+(\.\d+)?(?!\w)")  # not of names, as in wrist_3_link
_PERSON = re.compile(r"person \S+?:")


def kind_of(sentence: str) -> str:
    """Sentence with numbers and people left out, so that the same complaint counts as one."""
    return _NUMBER.sub("…", _PERSON.sub("person …:", sentence))


class StreamHealth:
    """Rates, gaps and delays of the stream of people."""

    def __init__(self) -> None:
        self.frames = 0
        self.first = self.last = np.nan
        self.refused = Counter[str]()
        self.went_back = 0
        self._upwards, self._upwards_length = np.zeros(3), 0.0  # from hips to neck, of some frames
        self._people: set[str] = set()
        self._periods, self._delays = Distribution(), Distribution()
        self._gaps = 0
        self._gap_time = 0.0
        self._longest: list[tuple[float, float]] = []  # length, at
        self._diagnostics: dict[str, dict[str, str]] = {}

    def observe(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case PeopleSeen():
                self._people_seen(event)
            case Refused(source=source, sentence=sentence):
                self.refused[f"{source}: {kind_of(sentence)}"] += 1
            case Diagnostics(message=message):
                for status in message.status:
                    self._diagnostics[status.name] = {v.key: v.value for v in status.values}

    @property
    def wrong_axis(self) -> str:
        """Axis that people stand along, if that isn't z."""
        return wrong_axis(self._upwards, self._upwards_length)

    def _people_seen(self, event: PeopleSeen) -> None:
        time, stamp = event.time, event.stamp
        self._people.update(person.person_id for person in event.people)
        for person in event.people if self.frames % _LOOKED_AT == 0 else ():
            ways = upwards(person.layout, person.positions[None])
            self._upwards += ways.sum(axis=0)
            self._upwards_length += float(np.linalg.norm(ways, axis=1).sum())
        if not self.frames:
            self.first = self.last = stamp
            self.frames = 1
            return
        period = stamp - self.last
        if period <= 0:
            self.went_back += period < 0
            self.last = min(self.last, stamp) if period < -1.0 else self.last
            return
        self.frames += 1
        self.last = stamp
        self._periods.add(period * 1e3)
        self._delays.add(max(time - stamp, 0.0) * 1e3)
        if period > LONGEST_GAP:
            self._gaps += 1
            self._gap_time += period
            heapq.heappush(self._longest, (period, stamp - period - self.first))
            if len(self._longest) > _SHOWN:
                heapq.heappop(self._longest)

    @property
    def duration(self) -> float:
        """From the first observation to the last [s]; 0 without any."""
        return max(float(self.last - self.first), 0.0) if self.frames else 0.0

    def summary(self) -> dict[str, Any]:
        """Plain numbers for summary.json."""
        usual = self._periods.quantile(0.5) / 1e3
        longest = sorted(self._longest, reverse=True)
        missing = self.duration / usual + 1 - self.frames if usual > 0 else 0.0
        return {
            "gaps": self._gaps,
            "gap_s_total": self._gap_time,
            "longest_gap_s": longest[0][0] if longest else 0.0,
            "gaps_at": [{"at_s": at, "length_s": length} for length, at in longest],
            "dropped": max(round(missing), 0),
            "refused": dict(self.refused),
            "clock_went_back": self.went_back,
            "period_ms": self._periods.summary(),
            "arrival_ms": self._delays.summary(),
        }

    @property
    def people(self) -> int:
        """Number of different people."""
        return len(self._people)

    def latencies(self) -> list[dict[str, Any]]:
        """What the nodes said of their own latency, from recorded diagnostics."""
        rows = []
        for node, values in sorted(self._diagnostics.items()):
            median, p99 = (float(values.get(f"latency_{q}_ms", "nan")) for q in ("median", "p99"))
            if math.isfinite(median) and math.isfinite(p99):
                measure = "message in → result out, its own measure"
                rows.append({"node": node, "measure": measure, "median_ms": median, "p99_ms": p99})
        return rows


FORESIGHT = 1.0  # s after a stop's beginning within which its cause must come
APART = 2.0  # s between two of the worst moments
WORST = 10
_LISTED = 200  # stops that are listed one by one
_LONGEST_STEP = 0.5  # s; a longer pause between states belongs to no level
_AGES = {"skeleton": "skeleton_age", "forecast": "forecast_age", "tf": "tf_age"}


@dataclass
class _Stop:
    """A stop: when it began, whether people were its cause, whether it turned out needed."""

    at: float
    reason: str
    by_people: bool
    person: str
    needed: bool = False
    until: float = math.nan


class SafetyScores:
    """Take in every state, in order.

    A stop that people caused was needed if, before it ended or within `FORESIGHT` seconds of its
    beginning, the separation came under the protective distance or under the collision threshold;
    otherwise it was false. A stop was missed where somebody came under that threshold while the
    robot had not been stopped for as long as it takes to come to rest.

    `threshold`: distance of surfaces that counts as a collision [m].
    """

    def __init__(self, config: SafetyConfig, threshold: float) -> None:
        self._rest = config.stopping_time or config.robot_speed_max / config.deceleration
        self._threshold = threshold
        self.states = 0
        self._first = self._last = math.nan
        self._before: Assessment | None = None
        self._held = dict.fromkeys(Level, 0.0)
        self._full = self._factor_time = self._out_of_sight = 0.0
        self._measured = True
        self._stops: list[_Stop] = []
        self._moved = self._touching = False
        self._stopped_since = math.nan
        self._missed: list[tuple[float, float]] = []
        self._worst: list[tuple[float, int, dict[str, Any]]] = []
        self._bucket: tuple[float, dict[str, Any]] | None = None
        self._least = math.inf
        self._closest: dict[str, Any] | None = None
        self._ages = {name: Distribution() for name in _AGES}

    def add(self, state: Assessment, *, measured: bool) -> None:
        """Take in a state, and whether its person is in sight.

        The separation of somebody lost from sight is a bound that falls with time, no measurement:
        it stops the robot, but it is neither a worst moment nor a collision.
        """
        self.states += 1
        if self._before is not None:
            held = state.stamp - self._before.stamp
            if 0.0 < held <= _LONGEST_STEP:
                self._held[self._before.level] += held
                self._full += held if self._before.speed_factor >= 1.0 else 0.0
                self._factor_time += held * self._before.speed_factor
                if self._before.level == Level.STOP and not self._measured:
                    self._out_of_sight += held
        else:
            self._first = state.stamp
        for name, field in _AGES.items():
            self._ages[name].add(max(getattr(state, field), 0.0) * 1e3)
        self._watch_stops(state, measured)
        if measured:
            self._watch_moments(state)
        self._before, self._last = state, state.stamp
        self._measured = measured or not state.person_id

    def _watch_stops(self, state: Assessment, measured: bool) -> None:
        stopped = state.level == Level.STOP
        began = stopped and not (self._before is not None and self._before.level == Level.STOP)
        if began:
            self._stopped_since = state.stamp
        if not stopped:
            self._moved = True
        if began and self._moved:  # until data flows for the first time every state is a stop
            reason = state.reasons[0] if state.reasons else ""
            by_people = reason.startswith("forecast:") or " m from " in reason
            self._stops.append(_Stop(state.stamp, reason, by_people, state.person_id))
        threat = state.margin < 0.0 or state.separation < self._threshold
        for stop in reversed(self._stops[-3:]):
            open_still = math.isnan(stop.until)
            if threat and (open_still or state.stamp - stop.at <= FORESIGHT):
                stop.needed = True
            if open_still and not stopped:
                stop.until = state.stamp
        touching = measured and state.separation < self._threshold
        if touching and not self._touching:
            resting = stopped and state.stamp - self._stopped_since >= self._rest
            if self._moved and not resting:
                self._missed.append((state.stamp, state.separation))
        self._touching = touching

    def _watch_moments(self, state: Assessment) -> None:
        """Keep the worst moment of each stretch of time, and of those the worst."""
        if math.isfinite(state.separation) and state.separation < self._least:
            self._least = state.separation
            stopped = state.level == Level.STOP
            self._closest = {
                **self._moment(state),
                "stopped_for_s": state.stamp - self._stopped_since if stopped else None,
                "had_moved": self._moved,
            }
        if not math.isfinite(state.margin):
            return
        if self._bucket is not None and 0.0 <= state.stamp - self._bucket[0] < APART:
            if state.margin < self._bucket[1]["margin_m"]:
                self._bucket = (self._bucket[0], self._moment(state))
            return
        self._close_bucket()
        self._bucket = (state.stamp, self._moment(state))

    def _close_bucket(self) -> None:
        if self._bucket is not None:
            moment = self._bucket[1]
            heapq.heappush(self._worst, (-moment["margin_m"], self.states, moment))
            if len(self._worst) > 4 * WORST:  # some fall out for being too near to worse ones
                heapq.heappop(self._worst)

    def _moment(self, state: Assessment) -> dict[str, Any]:
        return {
            "at_s": state.stamp,
            "separation_m": state.separation,
            "protective_m": state.protective_distance,
            "margin_m": state.margin,
            "level": state.level.name,
            "person": state.person_id,
            "limb": state.human_limb,
            "frame": state.robot_frame,
            "reason": state.reasons[0] if state.reasons else "",
        }

    def finish(self) -> None:
        """Close what is still open."""
        self._close_bucket()
        self._bucket = None

    def summary(self, start: float) -> dict[str, Any] | None:
        """Plain numbers for summary.json, times counted from `start` [s]; None without states."""
        if not self.states:
            return None
        total = sum(self._held.values())
        people = [stop for stop in self._stops if stop.by_people]
        kinds = Counter(kind_of(stop.reason) for stop in self._stops)
        moments: list[dict[str, Any]] = []
        for _, _, moment in sorted(self._worst, key=lambda kept: -kept[0]):
            at = moment["at_s"] - start
            if len(moments) < WORST and all(abs(at - m["at_s"]) >= APART for m in moments):
                moments.append({**moment, "at_s": at})
        worst = None
        if self._closest is not None:
            worst = {**self._closest, "at_s": self._closest["at_s"] - start}
        return {
            "states": self.states,
            "seconds": {level.name: held for level, held in self._held.items()},
            "availability": self._full / total if total else None,
            "mean_factor": self._factor_time / total if total else None,
            "out_of_sight_s": self._out_of_sight,
            "stops": len(self._stops),
            "stops_by_people": len(people),
            "false_stops": sum(not stop.needed for stop in people),
            "stop_reasons": dict(kinds),
            "stops_at": [self._listed(stop, start) for stop in self._stops[:_LISTED]],
            "missed_stops": len(self._missed),
            "missed_at": [
                {"at_s": at - start, "separation_m": separation}
                for at, separation in self._missed[:_LISTED]
            ],
            "worst": worst,
            "moments": moments,
        }

    def _listed(self, stop: _Stop, start: float) -> dict[str, Any]:
        until = self._last if math.isnan(stop.until) else stop.until
        kind = "watchdog"
        if stop.by_people:
            kind = "needed" if stop.needed else "false"
        return {
            "at_s": stop.at - start,
            "length_s": until - stop.at,
            "reason": stop.reason,
            "kind": kind,
        }

    def stops_by_action(self, actions: ActionTimeline) -> dict[str, int]:
        """Number of stops that people caused, by what they did then as far as that is known."""
        told = (actions.at(stop.person, stop.at) for stop in self._stops if stop.by_people)
        return dict(Counter(label for label in told if label))

    def ages(self) -> dict[str, Any]:
        """Distributions of the inputs' ages when states were made [ms]."""
        return {name: ages.summary() for name, ages in self._ages.items()}
