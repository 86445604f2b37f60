"""What a replay heard: rates, gaps, drops, ages, and what had to be refused."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from typing import Any

import numpy as np

from ses_gcn_ros.bags.bag_messages import Observation
from ses_gcn_ros.replay.distribution import Distribution
from ses_gcn_ros.replay.events import Event
from ses_gcn_ros.replay.recording import LONGEST_GAP

_SHOWN = 10  # gaps that are listed
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_PERSON = re.compile(r"person \S+?:")
_BLOCK = 4096  # values that are put into a distribution at once


def kind_of(sentence: str) -> str:
    """Sentence with numbers and people left out, so that the same complaint counts as one."""
    return _NUMBER.sub("…", _PERSON.sub("person …:", sentence))


class Health:
    """Watch the stream of people of a replay."""

    def __init__(self) -> None:
        self.frames = 0
        self.first = self.last = np.nan
        self.refused = Counter[str]()
        self.went_back = 0
        self._people: set[str] = set()
        self._periods, self._delays = Distribution(), Distribution()
        self._new: list[tuple[float, float]] = []
        self._gaps = 0
        self._gap_time = 0.0
        self._longest: list[tuple[float, float]] = []  # length, at
        self._diagnostics: dict[str, dict[str, str]] = {}

    def hear(self, event: Event) -> None:
        """Take in an event."""
        if event.kind == "people":
            self._observe(event.time, event.content)
        elif event.kind == "refused":
            source, sentence = event.content
            self.refused[f"{source}: {kind_of(sentence)}"] += 1
        elif event.kind == "diagnostics":
            for status in event.content.status:
                self._diagnostics[status.name] = {v.key: v.value for v in status.values}

    def _observe(self, time: float, observation: Observation) -> None:
        stamp = observation.stamp
        self._people.update(person.person_id for person in observation.people)
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
        self._new.append((period * 1e3, max(time - stamp, 0.0) * 1e3))
        if len(self._new) >= _BLOCK:
            self._flush()
        if period > LONGEST_GAP:
            self._gaps += 1
            self._gap_time += period
            heapq.heappush(self._longest, (period, stamp - period - self.first))
            if len(self._longest) > _SHOWN:
                heapq.heappop(self._longest)

    def _flush(self) -> None:
        if self._new:
            periods, delays = zip(*self._new, strict=True)
            self._periods.add(periods)
            self._delays.add(delays)
            self._new.clear()

    @property
    def duration(self) -> float:
        """From the first observation to the last [s]; 0 without any."""
        return max(float(self.last - self.first), 0.0) if self.frames else 0.0

    def summary(self) -> dict[str, Any]:
        """Plain numbers for summary.json."""
        self._flush()
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
            if {"latency_median_ms", "latency_p99_ms"} <= values.keys():
                median, p99 = float(values["latency_median_ms"]), float(values["latency_p99_ms"])
                if np.isfinite(median):
                    rows.append(
                        {
                            "node": node,
                            "measure": "message in → result out, its own measure",
                            "median_ms": median,
                            "p99_ms": p99,
                        }
                    )
        return rows
