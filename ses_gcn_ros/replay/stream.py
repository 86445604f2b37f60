"""What a replay heard: rates, gaps, drops, ages, and what had to be refused."""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.replay.events import Diagnostics, Event, PeopleSeen, Refused
from ses_gcn_ros.replay.forecast_scores import LONGEST_GAP

_SHOWN = 10  # gaps that are listed
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_PERSON = re.compile(r"person \S+?:")
_BLOCK = 4096  # values that are put into a distribution at once


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
        self._people: set[str] = set()
        self._periods, self._delays = Distribution(), Distribution()
        self._new: list[tuple[float, float]] = []
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

    def _people_seen(self, event: PeopleSeen) -> None:
        time, stamp = event.time, event.stamp
        self._people.update(person.person_id for person in event.people)
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


_LEAST, _RATIO, _BINS = 1e-3, 1.02, 1200  # bins from 1e-3 to 2e7 of whatever unit, 2 % wide


class Distribution:
    """Count, least, greatest and mean to the last digit, quantiles to 1 %; values not negative."""

    def __init__(self) -> None:
        self.count = 0
        self._least, self._greatest, self._sum = math.inf, -math.inf, 0.0
        self._bins: NDArray[np.int64] = np.zeros(_BINS, np.int64)

    def add(self, values: ArrayLike) -> None:
        """Take in values; those that are not finite are left out."""
        found = np.asarray(values, np.float64).ravel()
        found = found[np.isfinite(found)]
        if not len(found):
            return
        self.count += len(found)
        self._least = min(self._least, float(found.min()))
        self._greatest = max(self._greatest, float(found.max()))
        self._sum += float(found.sum())
        position = np.log(np.maximum(found, _LEAST) / _LEAST) / math.log(_RATIO)
        index = np.minimum(position.astype(np.int64), _BINS - 1)
        self._bins += np.bincount(index, minlength=_BINS)

    def quantile(self, share: float) -> float:
        """Value that a share of the others is below; NaN without any."""
        if not self.count:
            return math.nan
        index = int(np.searchsorted(np.cumsum(self._bins), share * self.count))
        middle = _LEAST * _RATIO ** (index + 0.5)
        return min(max(middle, self._least), self._greatest)

    def summary(self) -> dict[str, Any] | None:
        """Plain numbers for a report; None without any value."""
        if not self.count:
            return None
        quantiles = {"median": 0.5, "p90": 0.9, "p99": 0.99}
        return {
            "count": self.count,
            "min": self._least,
            **{name: self.quantile(share) for name, share in quantiles.items()},
            "max": self._greatest,
            "mean": self._sum / self.count,
        }
