"""Many people are shared between threads; what is forecast for them does not depend on that."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.forecast import load
from ses_gcn_ros.forecast.engines.crew import FEW, ROOM

needs_two = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="this process may use one processor only"
)


def make_engine(threads: int):
    return load(engine="compiled", threads=threads)


def helpers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "forecast"}


def wait_for(happened: Callable[[], bool], patience: float = 30.0) -> None:
    until = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < until, f"{happened.__name__} did not come true"


@pytest.fixture
def engine():
    return make_engine(2)


@pytest.fixture
def crowd(clip):
    """Histories of more people than are shared at a time."""
    starts = np.arange(2 * ROOM + FEW + 1) % (len(clip) - 10)
    return np.stack([clip[start : start + 10] for start in starts])


@needs_two
@pytest.mark.parametrize("people", [1, FEW - 1, FEW, 16, ROOM, ROOM + 1, 2 * ROOM + FEW + 1])
def test_answers_are_the_same_to_the_bit(engine, crowd, people):
    alone = make_engine(1).predict(crowd[:people])
    for _ in range(20):  # who takes whom differs from time to time
        np.testing.assert_array_equal(engine.predict(crowd[:people]), alone)


@needs_two
def test_a_crowd_wakes_the_helper_on_another_processor(crowd):
    before = helpers()
    engine = make_engine(2)
    (helper,) = helpers() - before
    worked = Path(f"/proc/self/task/{helper.native_id}/schedstat")

    def nanoseconds() -> int:
        return int(worked.read_text().split()[0])

    def rests() -> bool:
        before = nanoseconds()
        time.sleep(0.05)
        return nanoseconds() == before

    engine.predict(crowd[:FEW])
    wait_for(rests)
    idle = nanoseconds()
    for _ in range(20):
        engine.predict(crowd[: FEW - 1])
    assert nanoseconds() == idle

    def has_worked() -> bool:
        engine.predict(crowd)
        return nanoseconds() - idle > 20_000_000

    wait_for(has_worked)
    assert os.sched_getaffinity(helper.native_id) < os.sched_getaffinity(0)


def test_there_are_no_more_threads_than_processors(monkeypatch, crowd):
    before = helpers()
    assert make_engine(1).predict(crowd).shape == (len(crowd), 25, 15, 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert make_engine(8).predict(crowd).shape == (len(crowd), 25, 15, 3)
    assert helpers() <= before  # some of which may have gone home meanwhile


@needs_two
def test_an_engine_that_is_let_go_sends_its_helpers_home(crowd):
    before = helpers()
    engine = make_engine(2)
    engine.predict(crowd)
    (helper,) = helpers() - before
    del engine
    gc.collect()
    helper.join(10.0)
    assert not helper.is_alive()


@needs_two
def test_a_process_ends_though_helpers_wait_for_work():
    program = "from ses_gcn_ros.forecast import load; load(engine='compiled', threads=2)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@needs_two
def test_who_asks_at_the_same_time_gets_his_own_answer(engine, crowd):
    asked = [crowd[first : first + 12] for first in range(0, 60, 12)] * 8
    expected = [make_engine(1).predict(histories) for histories in asked]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(engine.predict, asked))
    for answer, right in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(answer, right)
