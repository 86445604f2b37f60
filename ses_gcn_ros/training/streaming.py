"""How well the radius holds on a stream of recordings that changes from one data set to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Sequences
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.adaptive import AdaptiveRadius
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.forecast.forecaster import Forecaster
from ses_gcn_ros.skeleton import Skeleton

_BETWEEN = 1.0  # s between two recordings


@dataclass(frozen=True)
class StreamSchedule:
    """How long each part of a stream is [s]."""

    before: float = 60.0  # motion of the first kind
    settle: float = 30.0  # motion of the second kind that is not measured yet
    measured: float = 120.0  # motion of the second kind that is measured


_SCHEDULE = StreamSchedule()


class _Measured(AdaptiveRadius):
    """Counts, while asked to, what lies within the radius given out and within the calibrated."""

    def __init__(self, engine: Engine, config: ForecastConfig) -> None:
        if engine.radius is None:
            raise InputError(f"{engine.name} carries no calibrated radius that could be followed")
        super().__init__(engine.radius, engine.coverage, config)
        self.counting = False
        # Joints, within, within the calibrated radius, sums of both radii [m].
        self.sums = np.zeros((5, engine.horizon))

    def observe(
        self,
        errors: NDArray[np.floating],
        issued: NDArray[np.floating],
        elapsed: float,
        scores: NDArray[np.floating] | None = None,
    ) -> None:
        scores = errors / self._base if scores is None else scores
        if self.counting:
            known, factors = np.isfinite(errors), issued[..., None]
            held, enough = known & (scores <= factors), known & (scores <= 1)
            # Of round radii a score is the error in units of the one before it was multiplied.
            radius = np.where(known & (scores > 0), errors / np.where(scores > 0, scores, 1), 0)
            parts = known, held, enough, radius * factors, radius
            self.sums += [part.sum(axis=(0, 2), dtype=np.float64) for part in parts]
        super().observe(errors, issued, elapsed, scores)


def measure_stream(
    engine: Engine,
    first: Sequences[Sequence],
    second: Sequences[Sequence],
    *,
    streams: int = 4,
    seed: int = 0,
    schedule: StreamSchedule = _SCHEDULE,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Run a forecaster with an adaptive radius over streams that change their kind of motion.

    Raises InputError if the weights carry no radius or a kind of motion is missing.

    Parameters
    ----------
    first, second : sequence of Sequence
        Recordings that a stream is made of, drawn at random, before and after the change. People
        recorded together come together.
    streams : int
        How many streams, each with a radius that starts as calibrated.

    Returns
    -------
    dict
        ``asked_percent``; per step, over all streams, ``coverage_percent``, ``calibrated_percent``
        (what the calibrated radius would have held), ``radius_mm`` and ``calibrated_radius_mm``
        (means over joints); ``lowest_percent`` and ``highest_percent`` per stream over steps.
    """
    for name, sequences in (("before", first), ("after", second)):
        if not sequences:
            raise InputError(f"there are no sequences for the stream {name} the change")
    rng, config = np.random.default_rng(seed), ForecastConfig()
    sums = []
    for stream in range(streams):
        radius = _Measured(engine, config)
        forecaster = Forecaster(engine, config, radius)
        clock = 0.0
        for sequences, seconds, counting in (
            (first, schedule.before, False),
            (second, schedule.settle, False),
            (second, schedule.measured, True),
        ):
            radius.counting, end = counting, clock + seconds
            for stamp, people in _frames(sequences, clock, rng):
                if stamp > end:
                    break
                forecaster.observe(stamp, people)
                forecaster.forecast()
            clock = end
        sums.append(radius.sums)
        progress(stream + 1)
    each = np.array([within[1] / within[0] for within in sums])
    joints, within, calibrated, given, before = np.sum(sums, axis=0)
    return {
        "model": engine.name,
        "streams": streams,
        "seconds": {"before": schedule.before, "settle": schedule.settle}
        | {"measured": schedule.measured},
        "asked_percent": round(100 * engine.coverage, 2),
        "coverage_percent": _rounded(100 * within / joints),
        "calibrated_percent": _rounded(100 * calibrated / joints),
        "radius_mm": _rounded(1000 * given / joints),
        "calibrated_radius_mm": _rounded(1000 * before / joints),
        "lowest_percent": _rounded(100 * each.min(axis=1)),
        "highest_percent": _rounded(100 * each.max(axis=1)),
    }


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 2) for value in values]


def _frames(
    sequences: Sequences[Sequence], clock: float, rng: np.random.Generator
) -> Iterator[tuple[float, list[Skeleton]]]:
    """Recordings in random order without an end, as a camera would see them at their own rate."""
    together: dict[int, list[Sequence]] = {}
    for sequence in sequences:
        together.setdefault(sequence.index, []).append(sequence)
    groups = list(together.values())
    while True:
        for number in rng.permutation(len(groups)):
            group = groups[number]
            clock += _BETWEEN
            positions = [sequence.positions for sequence in group]
            for frame in range(min(len(points) for points in positions)):
                clock += 1 / group[0].fps
                yield (
                    clock,
                    [
                        Skeleton(
                            f"{person.name} at {clock - frame / person.fps:.0f}",
                            person.layout,
                            points[frame],
                            np.ones(len(points[frame]), np.float32),
                        )
                        for person, points in zip(group, positions, strict=True)
                    ],
                )
