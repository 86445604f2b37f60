"""Looking up transforms that are yet to come, and from several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("tf2_ros")

import numpy as np
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros import Buffer, TransformException
from tf_frames import about_z, at, matrix, stamped, translation

LONG = Duration(seconds=20)
SHORT = Duration(nanoseconds=100_000_000)


@pytest.fixture
def other_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_a_lookup_waits_for_its_transform(buffer: Buffer, other_thread: ThreadPoolExecutor) -> None:
    started = threading.Event()

    def look_up() -> list[float]:
        started.set()
        return translation(buffer.lookup_transform("base", "tool", at(10.5), timeout=LONG))

    answer = other_thread.submit(look_up)
    assert started.wait(20)
    for second in (10.0, 11.0):
        assert not answer.done()
        buffer.set_transform(stamped("base", "tool", second, xyz=(second, 0, 0)), "test")
    assert answer.result(timeout=120) == [10.5, 0, 0]


def test_a_static_transform_ends_the_wait(buffer: Buffer, other_thread: ThreadPoolExecutor) -> None:
    answer = other_thread.submit(buffer.can_transform, "base", "tool", Time(), timeout=LONG)
    buffer.set_transform_static(stamped("base", "tool"), "test")
    assert answer.result(timeout=120)


def test_the_wait_ends_with_the_reason_why_there_is_no_transform(buffer: Buffer) -> None:
    begin = time.monotonic()
    with pytest.raises(TransformException, match=r"base|tool"):
        buffer.lookup_transform("base", "tool", Time(), timeout=SHORT)
    assert time.monotonic() - begin >= 0.09
    buffer.set_transform(stamped("base", "tool", 10.0), "test")
    buffer.set_transform(stamped("base", "tool", 11.0), "test")
    with pytest.raises(TransformException, match=r"11\.500.*11\.000"):
        buffer.lookup_transform("base", "tool", at(11.5), timeout=SHORT)
    buffer.set_transform_static(stamped("moon", "crater"), "test")
    with pytest.raises(TransformException, match=r"base|crater"):
        buffer.lookup_transform("base", "crater", at(11), timeout=SHORT)
    assert not buffer.can_transform("base", "tool", at(12), timeout=SHORT)


def test_what_is_there_already_is_not_waited_for(buffer: Buffer) -> None:
    buffer.set_transform_static(stamped("base", "tool"), "test")
    begin = time.monotonic()
    buffer.lookup_transform("base", "tool", Time(), timeout=LONG)
    assert time.monotonic() - begin < 20.0  # as long as it would have waited


def test_readers_never_see_half_a_transform(buffer: Buffer) -> None:
    """A wheel that rolls: where it is says how far it has turned."""
    total = 1000

    def roll() -> None:
        for step in range(total):
            pose = stamped(
                "road", "wheel", 1.0 + step / 100.0, xyz=(step, 0, 0), quaternion=about_z(step)
            )
            buffer.set_transform(pose, "test")

    def watch() -> int:
        sightings = 0
        deadline = time.monotonic() + 110.0
        last = -1.0
        while last < total - 1 and time.monotonic() < deadline:
            try:
                seen = buffer.lookup_transform("road", "wheel", Time())
            except TransformException:
                continue  # not yet
            assert seen.transform.translation.x >= last
            last = seen.transform.translation.x
            cosine, sine = np.cos(np.radians(last)), np.sin(np.radians(last))
            np.testing.assert_allclose(
                matrix(seen)[:2, :2], [[cosine, -sine], [sine, cosine]], atol=1e-9
            )
            sightings += 1
        assert last == total - 1
        return sightings

    with ThreadPoolExecutor(3) as pool:
        watchers = [pool.submit(watch) for _ in range(2)]
        pool.submit(roll).result(timeout=120)
        assert all(watcher.result(timeout=120) > 0 for watcher in watchers)
