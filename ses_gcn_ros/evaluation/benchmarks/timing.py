"""Timing contenders by turns, so that all of them see the same load, clock and heat."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.evaluation.benchmarks.section import Column, Value

_BURST = 5  # calls in a row

COLUMNS = (
    Column("median", "median µs", 1e6),
    Column("p99", "p99 µs", 1e6),
    Column("ratio", "× faster", 1, 1),
    Column("error", "error mm", 1e3, 4),
)


def take_turns(
    calls: Mapping[str, Callable[[], object]], seconds: float
) -> dict[str, NDArray[np.float64]]:
    """Durations of calls [s], in bursts by turns until the time is up, at least two bursts each."""
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    with no_collection():
        end = time.perf_counter() + seconds
        turn = 0
        while turn < 2 or time.perf_counter() < end:
            for name, call in calls.items():
                for _ in range(_BURST):
                    start = time.perf_counter()
                    call()
                    durations[name].append(time.perf_counter() - start)
            turn += 1
    return {name: np.array(values) for name, values in durations.items()}


def compare(
    durations: Mapping[str, NDArray[np.float64]], errors: Mapping[str, float], **subject: Value
) -> list[dict[str, Value]]:
    """One row per contender; ratios are to the first of them.

    Parameters
    ----------
    durations : dict of str to NDArray
        What `take_turns` gave [s].
    errors : dict of str to float
        Largest distance from what is right [m], by contender.
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
