"""What a distance query of the safety node costs: compiled and in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.evaluation.benchmarks.section import Column, Progress, Section, Value
from ses_gcn_ros.evaluation.benchmarks.timing import COLUMNS, compare, take_turns
from ses_gcn_ros.safety import capsule_distances

_PEOPLE = (1, 8)
_LIMBS, _STEPS, _LINKS = 14, 25, 9  # a person's capsules, a second at 25 Hz, an arm's capsules


def run(quick: bool, progress: Progress) -> Section:
    """Distances of all limbs to all links over a forecast."""
    rows: list[dict[str, Value]] = []
    for people in _PEOPLE:
        progress(f"distances, {people} people")
        rows += _query(people, 0.1 if quick else 1.5)
    return Section(
        name="geometry",
        title="Safety geometry",
        about=f"Every limb ({_LIMBS}) of every person against every link ({_LINKS}) at every step "
        f"({_STEPS}) of a forecast, in one query on one core.",
        columns=[Column("people", "people"), Column("by", "by"), *COLUMNS],
        rows=rows,
    )


def _query(people: int, seconds: float) -> list[dict[str, Value]]:
    rng = np.random.default_rng(people)
    limbs = rng.normal(0, 1, (2, people, _STEPS, _LIMBS, 1, 3))
    links = rng.normal(0, 1, (2, _STEPS, 1, _LINKS, 3))

    def query(backend: str) -> NDArray[np.float64]:
        found: Any = capsule_distances(
            limbs[0], limbs[1], 0.1, links[0], links[1], 0.1, backend=backend
        )
        distance: NDArray[np.float64] = found.distance
        return distance

    exact, calls = query("numpy"), {"numpy": lambda: query("numpy")}
    errors = {"numpy": 0.0}
    try:
        errors["numba"] = float(np.abs(query("numba") - exact).max())
        calls["numba"] = lambda: query("numba")
    except ConfigError:  # not installed: numpy is what runs
        pass
    return compare(take_turns(calls, seconds), errors, people=people)
