"""What the page's timeline is drawn from: the states, thinned out to what can be seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.replay.recording import LEVELS
from ses_gcn_ros.replay.replay import Replay
from ses_gcn_ros.replay.report.packing import pack

Array = NDArray[np.float64]

MOST_STATES = 20_000
_SHOWN = 2.5  # m; separations beyond don't matter and would flatten what does


def chosen_states(replay: Replay, most: int = MOST_STATES) -> NDArray[np.int64]:
    """Indices of the states that go on the page: of neighbours the one with the least margin."""
    states = replay.states
    inside = np.flatnonzero((states.time >= 0) & (states.time <= replay.about.duration + 1e-6))
    if len(inside) <= most:
        return inside
    margin = np.asarray(states.margin, np.float64)[inside]
    margin = np.where(np.isfinite(margin), margin, np.inf)
    starts = np.linspace(0, len(inside), most + 1).astype(np.int64)[:-1]
    least = np.minimum.reduceat(margin, starts)
    owner = np.searchsorted(starts, np.arange(len(inside)), side="right") - 1
    hits = np.flatnonzero(margin == least[owner])
    _, first = np.unique(owner[hits], return_index=True)
    return inside[hits[first]]


def states_data(replay: Replay) -> dict[str, Any]:
    """Packed states; plain values for JSON."""
    chosen, states = chosen_states(replay), replay.states
    packed = {
        name: pack(np.asarray(getattr(states, name))[chosen], "f4")
        for name in ("time", "separation", "protective", "factor")
    }
    return {**packed, "level": pack(np.asarray(states.level)[chosen], "u1")}


def level_bands(replay: Replay) -> list[tuple[float, float, str]]:
    """Stretches of one level: start and end [s], and its name."""
    length = replay.about.duration
    found = spans(np.asarray(replay.states.time), np.asarray(replay.states.level, int))
    return [
        (round(max(first, 0.0), 3), round(min(last, length), 3), level)
        for first, last, level in found
        if last > 0 and first < length
    ]


def highest_shown(replay: Replay) -> float:
    """Upper end of the separations' axis [m]."""
    separation = np.asarray(replay.states.separation)
    separation = separation[np.isfinite(separation)]
    return round(float(min(max(separation.max(initial=0.5), 0.5), _SHOWN)) * 1.08, 3)


def spans(time: Array, level: NDArray[np.int_]) -> list[tuple[float, float, str]]:
    """Stretches of one level: start and end [s], and its name."""
    if not len(time):
        return []
    changes = np.flatnonzero(np.diff(level)) + 1
    starts = np.concatenate([[0], changes])
    ends = np.concatenate([changes, [len(time) - 1]])
    return [
        (float(time[a]), float(time[b]), LEVELS[level[a]])
        for a, b in zip(starts, ends, strict=True)
    ]
