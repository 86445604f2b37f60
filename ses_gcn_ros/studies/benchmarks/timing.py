"""Timing contenders by turns, so that all of them see the same load, clock and heat."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.studies.benchmarks.section import Column, Value

_TURN = 0.05  # s of calls in a row
_FEWEST = 5  # of them, however long they take
_WARM, _WARMING = 3, 0.005  # calls, or s, at the beginning of a turn that don't count

COLUMNS = (
    Column("median", "median µs", 1e6),
    Column("p99", "p99 µs", 1e6),
    Column("ratio", "× faster", 1, 1),
    Column("error", "error mm", 1e3, 4),
)


def take_turns(
    calls: Mapping[str, Callable[[], object]], seconds: float
) -> dict[str, NDArray[np.float64]]:
    """Durations of calls [s], by turns until the time is up, at least two turns each.

    A turn begins with calls that don't count: the others have emptied the processor's caches, and
    who comes after a large one would seem slow now and then.
    """
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    with no_collection():
        end = time.perf_counter() + seconds
        turn = 0
        while turn < 2 or time.perf_counter() < end:
            for name, call in calls.items():
                _warm_up(call)
                over = time.perf_counter() + _TURN
                count = 0
                while count < _FEWEST or time.perf_counter() < over:
                    start = time.perf_counter()
                    call()
                    durations[name].append(time.perf_counter() - start)
                    count += 1
            turn += 1
    return {name: np.array(values) for name, values in durations.items()}


def _warm_up(call: Callable[[], object]) -> None:
    over = time.perf_counter() + _WARMING
    for _ in range(_WARM):
        call()
        if time.perf_counter() > over:
            return


def compare(
    durations: Mapping[str, NDArray[np.float64]],
    errors: Mapping[str, float | None],
    **subject: Value,
) -> list[dict[str, Value]]:
    """One row per contender; ratios are to the first of them.

    Parameters
    ----------
    durations : dict of str to NDArray
        What `take_turns` gave [s].
    errors : dict of str to float or None
        Largest distance from what is right [m], by contender; None for what answers nothing.
    **subject
        Further values of each row: what was computed.
    """
    medians = {name: float(np.median(values)) for name, values in durations.items()}
    first = next(iter(medians.values()))
    return [
        {
            **subject,
            "by": name,
            "calls": len(values),
            "median": medians[name],
            "p99": float(np.percentile(values, 99)),
            "ratio": first / medians[name],
            "error": errors[name],
        }
        for name, values in durations.items()
    ]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread.

    Raises
    ------
    ModelError
        If torch is missing.
    """
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"the benchmark's reference needs torch: {error}") from None
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's garbage collector waits."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
